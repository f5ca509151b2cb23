//! A ledger opened for reading that may not be there yet, or be deleted or replaced while it is
//! read.

use operator_ledger::{LedgerError, Reader};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    /// The connection, and the file it is on.
    open: Option<(Reader, (u64, u64))>,
}

impl LedgerFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// It could not be read: the next time it is opened anew.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// The ledger that is at the path now.
    pub(super) fn ledger(&mut self) -> Result<&Reader, LedgerError> {
        let missing = || LedgerError::Missing {
            path: self.path.clone(),
        };
        let file = identity(&self.path).ok_or_else(missing)?;
        if self.open.as_ref().is_none_or(|(_, id)| *id != file) {
            self.open = Some((Reader::open(&self.path).wait()?, file));
        }
        self.open
            .as_ref()
            .map(|(ledger, _)| ledger)
            .ok_or_else(missing)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}
