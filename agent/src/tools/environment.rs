//! The world a command sees: a clean environment, a PATH that begins with this very executable as
//! `operator-tui`, and a folder of the agent's own for small files.
//!
//! An allowlist: what is not named here does not reach a command, credentials of ours least of all.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
};

const PASSED_ON: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DASHBOARD: &str = "operator-tui";

/// Where the things are that a command may ask for.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub operator_home: PathBuf,
    pub pd: Option<String>,
    pub prometheus: Option<String>,
}

/// A folder that lives as long as this process: `bin` for the PATH, and small files of sessions.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `run/agent-PID` under `home`, and clears away those of agents that are gone.
    pub fn create(home: &Path) -> io::Result<Self> {
        let run = home.join("run");
        let make = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
        };
        make(&run)?;
        sweep(&run);
        // Two agents in one process (tests) get folders of their own.
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = run.join(format!("agent-{}-{n}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        make(&path.join("bin"))?;
        let folder = Self { path };
        if let Some(target) = dashboard_executable() {
            symlink(target, folder.bin().join(DASHBOARD))?;
        }
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `operator-tui` can be called by its name.
    pub fn has_dashboard(&self) -> bool {
        self.bin().join(DASHBOARD).exists()
    }

    fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        // Goes only if no other agent has a folder there.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// Removes the folders of agents whose process is gone.
fn sweep(run: &Path) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|n| n.strip_prefix("agent-")?.split('-').next());
        if pid.is_some_and(|p| p.parse::<u32>().is_ok() && !Path::new("/proc").join(p).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The dashboard's executable: this one, or, in `agent_lab`, the one that lies beside it.
fn dashboard_executable() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    let name = this.file_name()?.to_str()?;
    if name.starts_with("agent_lab") {
        return Some(this.with_file_name(DASHBOARD)).filter(|p| p.exists());
    }
    if name.ends_with(" (deleted)") {
        // Replaced underneath us: the file is still there as long as this process is.
        return Some(format!("/proc/{}/exe", std::process::id()).into());
    }
    Some(this)
}

/// The environment of every command of one session. `inherited` is the agent's own.
pub fn environment(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    folder: &RunFolder,
    around: &Surroundings,
    session: &str,
) -> BTreeMap<OsString, OsString> {
    let inherited: BTreeMap<OsString, OsString> = inherited.into_iter().collect();
    let mut env = BTreeMap::new();
    for name in PASSED_ON {
        if let Some(value) = inherited.get(OsStr::new(name)) {
            env.insert(OsString::from(name), value.clone());
        }
    }
    let mut path = folder.bin().into_os_string();
    path.push(":");
    path.push(
        inherited
            .get(OsStr::new("PATH"))
            .filter(|p| !p.is_empty())
            .map_or_else(|| OsString::from(DEFAULT_PATH), Clone::clone),
    );
    let mut set = |name: &str, value: OsString| env.insert(name.into(), value);
    set("PATH", path);
    set("TERM", "dumb".into());
    set("NO_COLOR", "1".into());
    set("PAGER", "cat".into());
    set("GIT_PAGER", "cat".into());
    set(
        "OPERATOR_HOME",
        around.operator_home.clone().into_os_string(),
    );
    set("OPERATOR_SESSION", session.into());
    if let Some(pd) = &around.pd {
        set("PD_ENDPOINT", pd.into());
    }
    if let Some(prometheus) = &around.prometheus {
        set("PROMETHEUS_URL", prometheus.into());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    #[test]
    fn only_what_is_allowed_gets_through() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(tmp.path()).unwrap();
        let around = Surroundings {
            operator_home: "/h".into(),
            pd: Some("http://127.0.0.1:2379".into()),
            prometheus: None,
        };
        let inherited = vars(&[
            ("HOME", "/root"),
            ("PATH", "/bin"),
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_AUTH_TOKEN", "t"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("OPERATOR_CHAPTER", "4"),
            ("OPERATOR_FAULT", "kill"),
            ("OPERATOR_SEED", "7"),
            ("BASH_ENV", "/evil"),
            ("LD_PRELOAD", "/evil.so"),
        ]);
        let env = environment(inherited, &folder, &around, "s1");
        let names: Vec<&str> = env.keys().map(|k| k.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "GIT_PAGER",
                "HOME",
                "NO_COLOR",
                "OPERATOR_HOME",
                "OPERATOR_SESSION",
                "PAGER",
                "PATH",
                "PD_ENDPOINT",
                "TERM"
            ]
        );
        let path = env[OsStr::new("PATH")].to_str().unwrap();
        assert!(path.starts_with(folder.path().to_str().unwrap()) && path.ends_with("/bin:/bin"));
    }

    #[test]
    fn folders_of_agents_that_are_gone_are_cleared_away() {
        let tmp = tempfile::tempdir().unwrap();
        let stale = tmp.path().join("run/agent-999999999-0");
        fs::create_dir_all(&stale).unwrap();
        let folder = RunFolder::create(tmp.path()).unwrap();
        assert!(!stale.exists() && folder.path().exists());
        drop(folder);
        assert!(!tmp.path().join("run").exists());
    }
}
