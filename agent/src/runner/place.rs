//! Where the runner is, for its first frame.

use super::{
    command::Running,
    folder::PrivateFolder,
    protocol::{PROTOCOL, Place},
};
use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// Programs that a repair may want and that are often missing.
const TOOLS: [&str; 24] = [
    "curl",
    "dig",
    "docker",
    "git",
    "htop",
    "ip",
    "journalctl",
    "jq",
    "kubectl",
    "lsof",
    "nc",
    "nmap",
    "operator-tui",
    "ping",
    "pip",
    "psql",
    "python3",
    "redis-cli",
    "ss",
    "ssh",
    "strace",
    "systemctl",
    "tcpdump",
    "traceroute",
];

pub(super) fn describe(
    folder: &PrivateFolder,
    environment: &BTreeMap<OsString, OsString>,
    cleared: Vec<Running>,
) -> Place {
    let path = environment.get(OsStr::new("PATH"));
    let folders: Vec<PathBuf> = path.map(env::split_paths).into_iter().flatten().collect();
    let there = |name: &&&str| folders.iter().any(|f| f.join(name).is_file());
    let system = rustix::system::uname();
    Place {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        user: user(environment),
        host: system.nodename().to_string_lossy().into_owned(),
        home: home(),
        folder: folder.path().to_path_buf(),
        dashboard: folder.has_dashboard(),
        tools: TOOLS.iter().filter(there).map(|t| (*t).into()).collect(),
        cleared,
    }
}

fn home() -> PathBuf {
    let home = env::home_dir().filter(|home| home.is_dir());
    home.unwrap_or_else(|| Path::new("/").into())
}

fn user(environment: &BTreeMap<OsString, OsString>) -> String {
    let uid = rustix::process::getuid();
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| environment.get(OsStr::new(name))?.to_str())
        .find(|name| !name.is_empty());
    match named {
        Some(name) => name.into(),
        None if uid.is_root() => "root".into(),
        None => format!("uid {}", uid.as_raw()),
    }
}
