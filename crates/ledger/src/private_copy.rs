//! A copy of a ledger that only this process has: for reading a file that must stay as it is, and
//! that this version cannot read as it is, or that SQLite cannot read where it is.
//!
//! The copy has no name any more as soon as it is open, so that it ends with the process, however
//! that ends.

use crate::{
    LedgerError,
    back_up::copy_whole,
    engine::Result,
    file::{self, beside},
    identify::{self, FROZEN, Kind, READ_ONLY, connect, frozen, unreadable},
    schema,
};
use rusqlite::Connection;
use std::{fs, path::Path};

/// Copies the ledger at `path`, brings the copy up to date and opens it. Nothing of the copy is left
/// on the disk when the connection is closed.
pub(crate) fn copy(path: &Path, kind: Kind) -> Result<Connection> {
    let failed = |detail: String| LedgerError::Unreadable {
        path: path.to_owned(),
        detail: format!("no private copy of it can be made: {detail}"),
    };
    let folder = tempfile::Builder::new()
        .prefix("operator-ledger-")
        .tempdir()
        .map_err(|e| failed(e.to_string()))?;
    let name = folder.path().join("tickets.db");
    // Of the reference's files nobody can see whether they are being written; SQLite's locks say so,
    // and reading leaves no file beside them.
    let quiet = kind != Kind::Reference && !identify::is_open(path) && !identify::has_log(path);
    let backed_up = if quiet {
        back_up(path, &frozen(path)?, FROZEN, &name)
    } else {
        back_up(path, &path.to_string_lossy(), READ_ONLY, &name)
    };
    let mut conn = match backed_up {
        Ok(conn) => conn,
        // SQLite must write beside a file to read its log, and here it cannot.
        Err(crate::engine::Failure::Ledger(LedgerError::Unreadable { .. })) => {
            let real = fs::canonicalize(path).map_err(|e| failed(e.to_string()))?;
            for ending in ["", file::LOG, "-journal"] {
                let from = beside(&real, ending);
                if ending.is_empty() || from.exists() {
                    fs::copy(&from, beside(&name, ending)).map_err(|e| failed(e.to_string()))?;
                }
            }
            Connection::open(&name).map_err(|e| unreadable(path, e))?
        }
        Err(e) => return Err(e),
    };
    // A rollback journal in memory: no file of the copy is needed by its name.
    conn.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))
        .map_err(|e| unreadable(path, e))?;
    schema::migrate(&mut conn, path)?;
    conn.execute_batch("PRAGMA query_only = ON")?;
    drop(folder);
    Ok(conn)
}

fn back_up(path: &Path, name: &str, flags: rusqlite::OpenFlags, to: &Path) -> Result<Connection> {
    let from = connect(path, name, flags)?;
    let mut conn = Connection::open(to).map_err(|e| unreadable(path, e))?;
    copy_whole(&from, &mut conn).map_err(|e| unreadable(path, e))?;
    Ok(conn)
}
