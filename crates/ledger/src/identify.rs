//! Whose a database is, found out without leaving a trace in it or beside it.
//!
//! A file that is neither empty, nor ours, nor the reference system's is nobody's business here.

use crate::{
    BUSY_TIMEOUT, LedgerError,
    engine::{Failure, Result, explain},
    file::{self, beside},
    schema,
};
use rusqlite::{Connection, OpenFlags};
use std::{fs, path::Path, time::Duration};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing in it yet.
    Empty,
    /// The reference system's.
    Reference,
    /// Ours, of an earlier version.
    Older,
    /// Ours, as this version writes it.
    Current,
}

/// Somebody may be about to make it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Looks into the file that must be there.
pub(crate) fn identify(path: &Path) -> Result<Kind> {
    let found = fs::metadata(path).map_err(|_| LedgerError::Missing {
        path: path.to_owned(),
    })?;
    if !found.is_file() {
        return Err(LedgerError::Foreign {
            path: path.to_owned(),
            what: if found.is_dir() {
                "a folder"
            } else {
                "no file"
            }
            .into(),
        }
        .into());
    }
    if !is_open(path) {
        // Nobody has it open, so a look that takes no lock and makes no file is true. Who writes the
        // reference's files shows nothing, though: what looks strange is looked at again.
        let mut kind = look(path, &frozen(path)?, FROZEN);
        if kind.is_err() {
            std::thread::sleep(PATIENCE);
            kind = look(path, &frozen(path)?, FROZEN);
        }
        let kind = kind?;
        if !has_log(path) {
            return Ok(kind);
        }
    }
    look(path, &path.to_string_lossy(), READ_ONLY)
}

pub(crate) const READ_ONLY: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
pub(crate) const FROZEN: OpenFlags = READ_ONLY.union(OpenFlags::SQLITE_OPEN_URI);

/// Whether some process has it open as ours are opened, or ended without closing it.
pub(crate) fn is_open(path: &Path) -> bool {
    real(path).is_some_and(|real| beside(&real, file::INDEX).exists())
}

/// Whether there are writes that are not in the file itself yet.
pub(crate) fn has_log(path: &Path) -> bool {
    let log = real(path).map(|real| beside(&real, file::LOG));
    log.is_some_and(|log| fs::metadata(log).is_ok_and(|m| m.len() > 0))
}

fn real(path: &Path) -> Option<std::path::PathBuf> {
    fs::canonicalize(path).ok()
}

/// The file as one that cannot change while it is read.
pub(crate) fn frozen(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).map_err(|e| LedgerError::Unreadable {
        path: path.to_owned(),
        detail: e.to_string(),
    })?;
    let escaped = path
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    Ok(format!("file://{escaped}?immutable=1"))
}

pub(crate) fn connect(path: &Path, name: &str, flags: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(name, flags).map_err(|e| unreadable(path, e))?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(conn)
}

fn look(path: &Path, name: &str, flags: OpenFlags) -> Result<Kind> {
    let conn = connect(path, name, flags)?;
    let number = |pragma: &str| -> Result<i64> {
        conn.query_row(&format!("PRAGMA {pragma}"), [], |r| r.get(0))
            .map_err(|e| unreadable(path, e))
    };
    let (version, application) = (number("user_version")?, number("application_id")?);
    let objects: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))
        .map_err(|e| unreadable(path, e))?;
    let foreign = |what: String| -> Result<Kind> {
        Err(LedgerError::Foreign {
            path: path.to_owned(),
            what,
        }
        .into())
    };
    if application != 0 {
        return foreign("a database of another program".into());
    }
    if objects == 0 {
        return match version {
            0 => Ok(Kind::Empty),
            _ => foreign("an empty database of another program".into()),
        };
    }
    if !has_columns(&conn, "tickets", &schema::EVER)? {
        return foreign("a database without the tables of a ledger".into());
    }
    if version > schema::VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found: version,
            known: schema::VERSION,
        }
        .into());
    }
    Ok(match version {
        0 => Kind::Reference,
        schema::VERSION if schema::is_whole(&conn).map_err(|e| unreadable(path, e))? => {
            Kind::Current
        }
        _ => Kind::Older,
    })
}

fn has_columns(conn: &Connection, table: &str, columns: &[&str]) -> Result<bool> {
    let have: Vec<String> = conn
        .prepare("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(columns.iter().all(|c| have.iter().any(|h| h == c)))
}

/// Turns what SQLite says of a file that is only to be read into an error that says so.
pub(crate) fn unreadable(path: &Path, e: rusqlite::Error) -> Failure {
    match explain(path, e) {
        Failure::Ledger(LedgerError::NotWritable { path, detail }) => {
            LedgerError::Unreadable { path, detail }.into()
        }
        Failure::Ledger(LedgerError::Full { path }) => LedgerError::Unreadable {
            path,
            detail: "its disk is full".into(),
        }
        .into(),
        other => other,
    }
}
