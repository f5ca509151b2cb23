//! Where things live: OPERATOR_HOME, its ledger and its config file.
//!
//! Knows paths and permissions; does not know what is in the files.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Environment variable that moves the home.
pub const HOME_VAR: &str = "OPERATOR_HOME";

/// A folder that holds `config.toml` and `tickets.db`, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("no home folder: set {HOME_VAR} to a folder that Operator may write to")]
    Unknown,
    #[error("cannot use {} as OPERATOR_HOME: {source}; set {HOME_VAR} to a folder that Operator may write to", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", .path.display())]
    Config {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
}

impl Home {
    /// OPERATOR_HOME, else `~/.operator`. Does not touch the disk.
    pub fn from_env() -> Result<Self, HomeError> {
        if let Some(dir) = std::env::var_os(HOME_VAR).filter(|v| !v.is_empty()) {
            return Ok(Self(std::path::absolute(dir).map_err(|source| {
                HomeError::Io {
                    path: PathBuf::from(HOME_VAR),
                    source,
                }
            })?));
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
        let io = |source| HomeError::Io {
            path: self.0.clone(),
            source,
        };
        if !self.0.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.0)
                .map_err(io)?;
        }
        let mode = fs::metadata(&self.0).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            // Best effort: a folder of somebody else stays as it is, and the ledger is 0600 anyway.
            let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700));
        }
        Ok(self)
    }

    pub fn ledger(&self) -> PathBuf {
        self.0.join("tickets.db")
    }

    /// The home of a lab: a folder of its own, ledger included, so that a demo never touches the
    /// ledger of a real cluster.
    #[must_use]
    pub fn lab(&self) -> Self {
        Self(self.0.join("lab"))
    }

    /// `config.toml`, empty if there is none.
    pub fn config(&self) -> Result<toml::Table, HomeError> {
        let path = self.0.join("config.toml");
        match fs::read_to_string(&path) {
            Ok(text) => text.parse().map_err(|source| HomeError::Config {
                path,
                source: Box::new(source),
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(toml::Table::new()),
            Err(source) => Err(HomeError::Io { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_private_and_a_missing_config_is_empty() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home::at(tmp.path().join("a/b"));
        home.create().unwrap();
        let mode = fs::metadata(home.dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(home.config().unwrap().is_empty());
    }

    #[test]
    fn a_broken_config_names_file_and_line() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join("config.toml"), "a = 1\nb = = 2\n").unwrap();
        let err = Home::at(tmp.path()).config().unwrap_err().to_string();
        assert!(
            err.contains("config.toml") && err.contains("line 2"),
            "{err}"
        );
    }
}
