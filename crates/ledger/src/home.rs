//! Where things live: the record, which is OPERATOR_HOME with its ledger and its config file (`config`
//! reads it), and the folder of the lab, which commands of an agent may know while the record is not
//! their business.
//!
//! Knows paths and permissions; does not know what is in the files.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Environment variable that moves the home.
pub const HOME_VAR: &str = "OPERATOR_HOME";
/// Environment variable that moves the folder of the lab.
pub const LAB_DIR_VAR: &str = "OPERATOR_LAB_DIR";

/// A folder that holds `config.toml` and `tickets.db`, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("no home folder: set {HOME_VAR} to a folder that Operator may write to")]
    Unknown,
    #[error("cannot use {} as OPERATOR_HOME: {source}; set {HOME_VAR} to a folder that Operator may write to", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Home {
    /// OPERATOR_HOME, else `~/.operator`. Does not touch the disk.
    pub fn from_env() -> Result<Self, HomeError> {
        if let Some(dir) = folder_in(HOME_VAR)? {
            return Ok(Self(dir));
        }
        let user = std::env::home_dir().ok_or(HomeError::Unknown)?;
        if user.as_os_str().is_empty() {
            return Err(HomeError::Unknown);
        }
        Ok(Self(user.join(".operator")))
    }

    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, mode 0700, if it is not there.
    pub fn create(&self) -> Result<&Self, HomeError> {
        create_private(&self.0).map_err(|source| HomeError::Io {
            path: self.0.clone(),
            source,
        })?;
        Ok(self)
    }

    pub fn ledger(&self) -> PathBuf {
        self.0.join("tickets.db")
    }

    /// The ledger of the lab: one of its own, so that a demo never touches the ledger of a real
    /// cluster, and not in the folder of the lab, where commands of an agent are at home. One that
    /// an older version left there is kept in use, unless there is a newer one.
    pub fn lab_ledger(&self) -> PathBuf {
        let ledger = self.0.join("lab-record/tickets.db");
        let older = self.0.join("lab/tickets.db");
        if !ledger.exists() && older.exists() {
            return older;
        }
        ledger
    }
}

/// The folder of the lab: OPERATOR_LAB_DIR, else `lab` in OPERATOR_HOME. Does not touch the disk.
pub fn lab_dir() -> Result<PathBuf, HomeError> {
    match folder_in(LAB_DIR_VAR)? {
        Some(dir) => Ok(dir),
        None => Ok(Home::from_env()?.0.join("lab")),
    }
}

/// The folder that a variable names, if it is set.
fn folder_in(variable: &str) -> Result<Option<PathBuf>, HomeError> {
    let named = std::env::var_os(variable).filter(|v| !v.is_empty());
    let folder = named.map(std::path::absolute).transpose();
    folder.map_err(|source| HomeError::Io {
        path: variable.into(),
        source,
    })
}

/// Makes a folder that only its owner can read, and those above it, if it is not there. One that is
/// there stays as it is: it may be shared with others, who are not to be shut out.
pub fn create_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_is_there_keeps_its_mode() {
        let tmp = tempfile::tempdir().unwrap();
        for mode in [0o1777, 0o2775, 0o755, 0o750] {
            let shared = tmp.path().join(format!("{mode:o}"));
            fs::create_dir(&shared).unwrap();
            fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
            Home::at(&shared).create().unwrap();
            create_private(&shared.join("own")).unwrap();
            let is = fs::metadata(&shared).unwrap().permissions().mode();
            assert_eq!(is & 0o7777, mode);
        }
    }

    #[test]
    fn a_home_is_private() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home::at(tmp.path().join("a/b"));
        home.create().unwrap();
        let mode = fs::metadata(home.dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn the_lab_s_ledger_is_not_in_its_folder_unless_an_older_version_left_it_there() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home::at(tmp.path());
        let ledger = home.lab_ledger();
        assert!(ledger.starts_with(tmp.path()) && !ledger.starts_with(tmp.path().join("lab")));
        let older = tmp.path().join("lab/tickets.db");
        fs::create_dir(tmp.path().join("lab")).unwrap();
        fs::write(&older, "").unwrap();
        assert_eq!(home.lab_ledger(), older);
        // Nothing that is put into the lab's folder takes the place of the record.
        fs::create_dir(ledger.parent().unwrap()).unwrap();
        fs::write(&ledger, "").unwrap();
        assert_eq!(home.lab_ledger(), ledger);
    }
}
