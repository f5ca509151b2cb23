//! The world a command sees: a clean environment, a PATH that begins with this very executable as
//! `operator-tui`, and a folder of the agent's own for small files.
//!
//! An allowlist: what is not named here does not reach a command, credentials of ours least of all.

use operator_ledger::{connections, home::LAB_DIR_VAR};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, symlink},
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
    LAB,
    "COMPOSE_PROJECT_NAME",
    "DOCKER_HOST",
];
/// Which lab there is around us: `embedded`, or `compose`, with the two after it.
pub const LAB: &str = "OPERATOR_LAB";
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DASHBOARD: &str = "operator-tui";

/// Where the things are that a command may ask for. Where the record is, is not among them.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub lab_dir: PathBuf,
    pub pd: Option<String>,
    pub prometheus: Option<String>,
}

/// A folder that lives as long as this process: `bin` for the PATH, and small files of sessions.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held as long as the folder is in use; a pid would mean nothing to a container that shares
    /// the home.
    _lock: fs::File,
}

impl RunFolder {
    /// Makes `run/agent-N` under `home`, and clears away those of agents that are gone.
    pub fn create(home: &Path) -> io::Result<Self> {
        let run = home.join("run");
        make(&run)?;
        sweep(&run);
        let (path, lock) = (0..1000)
            .find_map(|n| {
                let path = run.join(format!("agent-{n}"));
                Some((lock(&path)?, path))
            })
            .map(|(lock, path)| (path, lock))
            .ok_or_else(|| io::Error::other(format!("no free folder in {}", run.display())))?;
        let _ = fs::remove_dir_all(&path);
        make(&path.join("bin"))?;
        let folder = Self { path, _lock: lock };
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
        let _ = fs::remove_file(lock_of(&self.path));
        // Goes only if no other agent has a folder there.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

fn make(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// The lock of a folder, unless somebody holds it.
fn lock(folder: &Path) -> Option<fs::File> {
    let path = lock_of(folder);
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .ok()?;
    file.try_lock().ok()?;
    // Whoever held it before may have removed the file between the two calls.
    let there = fs::metadata(&path).ok()?;
    let ours = file.metadata().ok()?;
    (there.ino() == ours.ino()).then_some(file)
}

/// Removes the folders whose lock nobody holds.
fn sweep(run: &Path) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir()
            && let Some(held) = lock(&path)
        {
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(lock_of(&path));
            drop(held);
        }
    }
}

/// The dashboard's executable: this one, or, in `agent_lab`, the one that lies beside it.
fn dashboard_executable() -> Option<PathBuf> {
    let this = operator_process::executable();
    let this = fs::read_link(&this).unwrap_or(this);
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
    set(LAB_DIR_VAR, around.lab_dir.clone().into_os_string());
    set("OPERATOR_SESSION", session.into());
    if let Some(pd) = &around.pd {
        set("PD_ENDPOINT", pd.into());
    }
    if let Some(prometheus) = &around.prometheus {
        set("PROMETHEUS_URL", prometheus.into());
    }
    for name in connections::TOLD {
        if let Some(value) = inherited.get(OsStr::new(name)).filter(|v| !v.is_empty()) {
            set(name, value.clone());
        }
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
            lab_dir: "/l".into(),
            pd: Some("http://127.0.0.1:2379".into()),
            prometheus: None,
        };
        let inherited = vars(&[
            ("HOME", "/root"),
            ("PATH", "/bin"),
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_AUTH_TOKEN", "t"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("OPERATOR_HOME", "/h"),
            ("OPERATOR_CHAPTER", "4"),
            ("OPERATOR_FAULT", "kill"),
            ("OPERATOR_SEED", "7"),
            ("OPERATOR_LAB", "compose"),
            ("DOCKER_HOST", "tcp://docker:2375"),
            ("BASH_ENV", "/evil"),
            ("OPERATOR_TLS_CA", "/ca.crt"),
            ("OPERATOR_TLS_KEY", ""),
            ("OPERATOR_PROMETHEUS_HEADERS", "Authorization: secret"),
            ("LD_PRELOAD", "/evil.so"),
        ]);
        let env = environment(inherited, &folder, &around, "s1");
        let names: Vec<&str> = env.keys().map(|k| k.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "DOCKER_HOST",
                "GIT_PAGER",
                "HOME",
                "NO_COLOR",
                "OPERATOR_LAB",
                "OPERATOR_LAB_DIR",
                "OPERATOR_SESSION",
                "OPERATOR_TLS_CA",
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
        let stale = tmp.path().join("run/agent-7");
        fs::create_dir_all(&stale).unwrap();
        let folder = RunFolder::create(tmp.path()).unwrap();
        assert!(!stale.exists() && folder.path().exists());
        drop(folder);
        assert!(!tmp.path().join("run").exists());
    }
}
