//! A backup of a ledger that is in use: SQLite's own, one moment of it, whole, in one file.

use crate::{
    BUSY_TIMEOUT, LedgerError,
    engine::{Engine, Result},
};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// Copies a database into another one, as it is at one moment.
pub(crate) fn copy_whole(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(from, to)?;
    let began = Instant::now();
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            // A writer is at the end of its transaction.
            _ if began.elapsed() < BUSY_TIMEOUT => sleep(Duration::from_millis(20)),
            _ => {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
        }
    }
}

impl Engine {
    /// Writes the ledger into a file that must not be there yet, as private as the ledger. What is
    /// there when this fails is not left behind.
    pub(crate) fn back_up(&mut self, to: &Path) -> Result<()> {
        let failed = |e: io::Error| {
            LedgerError::Refused(format!("cannot write the backup {}: {e}", to.display()))
        };
        let new = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to);
        drop(new.map_err(failed)?);
        let done = self.copy_into(to);
        if done.is_err() {
            let _ = fs::remove_file(to);
        }
        done
    }

    fn copy_into(&self, to: &Path) -> Result<()> {
        let failed = |e: rusqlite::Error| {
            LedgerError::Refused(format!("cannot write the backup {}: {e}", to.display()))
        };
        let mut copy = Connection::open(to).map_err(failed)?;
        // All in one step: it is of one moment, and keeps nobody from writing.
        copy_whole(&self.conn, &mut copy).map_err(failed)?;
        // One file by itself, on the disk when this returns.
        copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
            .map_err(failed)?;
        let found: String = copy
            .query_row("PRAGMA quick_check(1)", [], |r| r.get(0))
            .map_err(failed)?;
        if found != "ok" {
            return Err(LedgerError::Corrupt {
                path: to.to_owned(),
                detail: found,
            }
            .into());
        }
        copy.close().map_err(|(_, e)| failed(e))?;
        let file = fs::File::open(to).and_then(|file| file.sync_all());
        file.map_err(|e| {
            LedgerError::Refused(format!("cannot write the backup {}: {e}", to.display())).into()
        })
    }
}
