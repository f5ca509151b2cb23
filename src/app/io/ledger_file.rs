//! A ledger opened for reading that may not be there yet, or be deleted or replaced while it is
//! read, with its log or without; and whether it still is the one that was there first.

use crate::app::model::tickets::Fate;
use operator_ledger::{LedgerError, Lost, Reader};
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
    /// What the reader found, which is closed meanwhile.
    lost: Option<Lost>,
    damaged: bool,
}

impl LedgerFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            first: None,
            lost: None,
            damaged: false,
        }
    }

    /// It could not be read: the next time it is opened anew.
    pub(super) fn close(&mut self, why: &LedgerError) {
        self.open = None;
        self.damaged = matches!(why, LedgerError::Corrupt { .. });
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

    /// Looks at what is beside the ledger, too. True: something was found.
    pub(super) fn look(&mut self) -> Result<bool, LedgerError> {
        let found = self.ledger()?.taken_away().wait()?;
        self.damaged = false;
        let new = self.lost.is_none() && found.is_some();
        self.lost = self.lost.or(found);
        Ok(new)
    }

    /// What became of what was there first. That the file itself is another says more than what became
    /// of its log; where it is the first again, it is that again.
    pub(super) fn fate(&self) -> Fate {
        match (self.first, identity(&self.path)) {
            (Some(_), None) => Fate::Lost(Lost::Gone),
            (Some(first), Some(now)) if first != now => Fate::Lost(Lost::Replaced),
            _ if self.damaged => Fate::Damaged,
            _ => match self.lost {
                None | Some(Lost::Gone | Lost::Replaced) => Fate::Same,
                Some(lost) => Fate::Lost(lost),
            },
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
