//! The folder of a lab: sockets, logs, and what its nodes store. Knows the names of the files, not
//! what is in them. The record of the lab is elsewhere, where a command in this folder does not
//! come across it.

use operator_ledger::home::{HomeError, create_private, lab_dir};
use std::{
    io,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabDir(PathBuf);

impl LabDir {
    /// OPERATOR_LAB_DIR, else `lab` in OPERATOR_HOME. Does not touch the disk.
    pub fn from_env() -> Result<Self, HomeError> {
        lab_dir().map(Self)
    }

    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, mode 0700, if it is not there.
    pub fn create(&self) -> io::Result<()> {
        create_private(&self.0)
    }

    /// What the lab consists of.
    pub fn topology(&self) -> PathBuf {
        self.0.join("lab.json")
    }

    pub fn socket(&self) -> PathBuf {
        self.0.join("keeper.sock")
    }

    /// Held by the keeper as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("keeper.lock")
    }

    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The log of a node, or of the keeper itself.
    pub fn log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{node}.log"))
    }

    /// What all nodes store.
    pub fn all_data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub fn data(&self, node: &str) -> PathBuf {
        self.all_data().join(node)
    }
}
