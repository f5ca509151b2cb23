//! A ledger opened for reading that may not be there yet, or be deleted or replaced while it is
//! read; and whether it still is the one that was there first.

use crate::app::model::tickets::Fate;
use operator_ledger::{LedgerError, Reader};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    open: Option<Reader>,
    /// The file that was at the path first.
    first: Option<Identity>,
}

impl LedgerFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            first: None,
        }
    }

    /// It could not be read: the next time it is opened anew.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// The ledger that is at the path now: what is read of it later is of what is there then.
    pub(super) fn ledger(&mut self) -> Result<&Reader, LedgerError> {
        let reader = match self.open.take() {
            Some(reader) => reader,
            None => Reader::open(&self.path).wait()?,
        };
        if self.first.is_none() {
            self.first = identity(&self.path);
        }
        Ok(self.open.insert(reader))
    }

    /// What became of the file that was there first.
    pub(super) fn fate(&self) -> Fate {
        match (self.first, identity(&self.path)) {
            (Some(_), None) => Fate::Gone,
            (Some(first), Some(now)) if first != now => Fate::Replaced,
            _ => Fate::Same,
        }
    }
}

/// Device, inode, and when it was made where the file system says: a number that is free is given to
/// the next file.
type Identity = (u64, u64, Option<SystemTime>);

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.created().ok()))
}
