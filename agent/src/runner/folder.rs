//! The runner's private folder in the cell: `bin` for the PATH of commands, the file that their
//! shells read first, where they note the folder they ended in, and whole outputs.
//!
//! It lives as long as its runner. One that a killed runner left is cleared away by the next.

use super::environment::DASHBOARD;
use rustix::process::getuid;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, symlink},
    path::{Path, PathBuf},
};

const PREFIX: &str = "operator-runner-";
/// Held as long as the folder is in use; a pid would mean nothing to a container that shares it.
const LOCK: &str = "lock";

/// Bash reads this before a command. The trap costs the command nothing, and a command that sets
/// its own only loses the change of folder. Where the note goes is no variable of the command's
/// children.
const START: &str = "__operator_note=$OPERATOR_NOTE
unset BASH_ENV OPERATOR_START OPERATOR_NOTE
trap 'pwd -P >\"$__operator_note\"' EXIT
";

#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
    _lock: fs::File,
}

impl PrivateFolder {
    pub(super) fn create() -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(temp: &Path) -> io::Result<Self> {
        sweep(temp);
        let path = temp.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        let because =
            |e: io::Error| io::Error::new(e.kind(), format!("cannot make {}: {e}", path.display()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(because)?;
        let lock = fs::File::create_new(path.join(LOCK))?;
        lock.lock()?;
        for folder in ["bin", "output"] {
            fs::create_dir(path.join(folder))?;
        }
        fs::write(path.join("start.sh"), START)?;
        if let Some(target) = dashboard_executable() {
            symlink(target, path.join("bin").join(DASHBOARD))?;
        }
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    pub(super) fn start(&self) -> PathBuf {
        self.path.join("start.sh")
    }

    pub(super) fn note(&self, id: u32) -> PathBuf {
        self.path.join(format!("folder-{id}"))
    }

    pub(super) fn output(&self, id: u32) -> PathBuf {
        self.path.join(format!("output/{id}.txt"))
    }

    /// Whether `operator-tui` can be called by its name.
    pub(super) fn has_dashboard(&self) -> bool {
        self.bin().join(DASHBOARD).exists()
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of this user whose lock nobody holds. One without a lock is just being made.
fn sweep(temp: &Path) {
    for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
        let named = entry.file_name();
        let ours = named.to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry
                .metadata()
                .is_ok_and(|m| m.is_dir() && m.uid() == getuid().as_raw());
        if ours
            && let Ok(lock) = fs::File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
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
    if name.ends_with(" (deleted)") || !this.exists() {
        // Replaced underneath us, or where this user may not look: the file is still there as long
        // as this process is.
        return Some(format!("/proc/{}/exe", std::process::id()).into());
    }
    Some(this)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_runners_that_are_gone_are_cleared_away_and_those_in_use_stay() {
        let temp = tempfile::tempdir().unwrap();
        let dead = temp.path().join("operator-runner-1");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let foreign = temp.path().join("operator-runner-2");
        fs::create_dir(&foreign).unwrap();
        let first = PrivateFolder::create_in(temp.path()).unwrap();
        assert!(!dead.exists() && foreign.exists());
        let second = PrivateFolder::create_in(temp.path()).unwrap();
        assert!(first.path().exists() && second.start().exists());
        let mode = first.path().metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        let path = first.path().to_path_buf();
        drop(first);
        assert!(!path.exists());
    }
}
