//! One connection to a ledger, and the errors of its calls while they are still SQLite's.
//!
//! What the ledger can do stands in `impl Engine` blocks beside the types it is about. Nobody
//! outside has an engine: [`crate::thread`] owns it, and roles ([`crate::roles`]) say who may ask
//! it for what.

use crate::{BUSY_TIMEOUT, LedgerError, home, schema};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::{
    cell::Cell,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Ledger(LedgerError),
    Sqlite(rusqlite::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl From<LedgerError> for Failure {
    fn from(e: LedgerError) -> Self {
        Self::Ledger(e)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sqlite(e)
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        let e = match failure {
            Failure::Ledger(e) => return e,
            Failure::Sqlite(e) => e,
        };
        match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite {
                code: e.sqlite_error().map(|e| e.extended_code),
                message: e.to_string(),
            },
        }
    }
}

/// One connection to a ledger.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) conn: Connection,
    path: PathBuf,
    seen_version: Cell<i64>,
}

impl Engine {
    /// Opens the ledger at `path`, makes it (mode 0600) if there is none, brings its schema up to
    /// date and adopts a file of the reference system in place.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unwritable = |e: io::Error| LedgerError::NotWritable {
            path: path.to_owned(),
            detail: e.to_string(),
        };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            home::Home::at(dir)
                .create()
                .map_err(|e| unwritable(io::Error::other(e.to_string())))?;
        }
        make(path).map_err(unwritable)?;
        let mut conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|e| explain(path, e))?;
        // SQLite opens what it may not write as read-only, and would say so only at the first write.
        if conn.is_readonly("main").unwrap_or(false) {
            return Err(unwritable(io::ErrorKind::PermissionDenied.into()).into());
        }
        conn.busy_timeout(BUSY_TIMEOUT)?;
        schema::version(&conn, path)?;
        // FULL: a commit is on the disk when it returns, in WAL mode too.
        let setup = conn
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .and_then(|()| {
                conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF")
            });
        setup.map_err(|e| explain(path, e))?;
        schema::migrate(&mut conn, path)?;
        Ok(Self {
            conn,
            path: path.to_owned(),
            seen_version: Cell::new(-1),
        })
    }

    /// Opens an existing ledger for reading only. Waits for nobody and changes nothing, so a
    /// file that needs adoption must have been opened by [`Engine::open`] once.
    pub(crate) fn open_reader(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(LedgerError::Missing {
                path: path.to_owned(),
            }
            .into());
        }
        if path.is_dir() {
            return Err(LedgerError::Corrupt {
                path: path.to_owned(),
                detail: "it is a folder".into(),
            }
            .into());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = |name: &str, flags| -> Result<Connection> {
            let conn = Connection::open_with_flags(name, flags).map_err(|e| explain(path, e))?;
            conn.busy_timeout(BUSY_TIMEOUT)?;
            schema::check_readable(&conn, path)?;
            Ok(conn)
        };
        let name = path.to_string_lossy();
        let conn = match open(&name, flags) {
            // A copy in a folder where nobody may write: SQLite cannot make its shared memory
            // there, and needs none, since nobody else writes either.
            Err(Failure::Ledger(LedgerError::NotWritable { .. })) if !has_log(path) => {
                open(&immutable(&name), flags | OpenFlags::SQLITE_OPEN_URI)?
            }
            other => other?,
        };
        Ok(Self {
            conn,
            path: path.to_owned(),
            seen_version: Cell::new(-1),
        })
    }

    /// For the command line: reads where that is enough, and adopts first where it is not.
    pub(crate) fn open_existing(path: &Path) -> Result<Self> {
        match Self::open_reader(path) {
            Err(Failure::Ledger(LedgerError::Refused(_))) => Self::open(path),
            other => other,
        }
    }

    pub(crate) fn changed(&self) -> Result<bool> {
        let version: i64 = self
            .conn
            .query_row("PRAGMA data_version", [], |r| r.get(0))?;
        Ok(self.seen_version.replace(version) != version)
    }

    /// Runs `f` in one `BEGIN IMMEDIATE` transaction.
    pub(crate) fn write<T>(
        &mut self,
        f: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let path = self.path.clone();
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| explain(&path, e))?;
        let out = f(&tx)?;
        tx.commit()?;
        Ok(out)
    }
}

/// Makes an empty file that only its owner can read, if there is none. One that is there is not opened:
/// closing any descriptor of it would release every lock that this process holds on it, and another
/// process could then take its log away from under a connection of ours.
fn make(path: &Path) -> io::Result<()> {
    // Nobody in this process opens the new file before it is closed here.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock();
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match new {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether there are writes that are not in the file itself yet.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|m| m.len() > 0)
}

/// The file as one that cannot change while it is read.
fn immutable(name: &str) -> String {
    let escaped = name
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    format!("file:{escaped}?immutable=1")
}

/// Turns what SQLite says about the file as a whole into an error that says what to do.
pub(crate) fn explain(path: &Path, e: rusqlite::Error) -> Failure {
    let path = path.to_owned();
    match e.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            LedgerError::NotWritable {
                path,
                detail: e.to_string(),
            }
            .into()
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => LedgerError::Corrupt {
            path,
            detail: e.to_string(),
        }
        .into(),
        _ => e.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// Locks that this process holds on a file, as the kernel lists them.
    fn locks(path: &Path) -> usize {
        let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
        let pid = format!(" {} ", std::process::id());
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        let ours = |line: &&str| line.contains(&inode) && line.contains(&pid);
        all.lines().filter(ours).count()
    }

    #[test]
    fn opening_a_ledger_again_does_not_release_the_locks_of_who_has_it_open() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tickets.db");
        let first = Engine::open(&path).unwrap();
        first
            .conn
            .query_row("SELECT count(*) FROM tickets", [], |_| Ok(()))
            .unwrap();
        let held = locks(&path);
        assert!(held > 0);
        let second = Engine::open(&path).unwrap();
        drop(second);
        assert_eq!(locks(&path), held);
        drop(first);
        assert_eq!(locks(&path), 0);
    }
}
