//! The ledger: tickets, sessions and everything that was done, in one SQLite file.
//!
//! All SQL of Operator is in this folder. Every write is one `BEGIN IMMEDIATE` transaction that is
//! durable when the call returns; no call waits for anything but the disk and, for at most
//! [`BUSY_TIMEOUT`], for another writer. The file keeps the tables and columns of the reference
//! system and adds its own.
//!
//! | file | holds |
//! |---|---|
//! | `schema` | tables, migrations, adoption of reference files |
//! | `tickets` | what a ticket is, and reading them; `by_hand` what people do to them |
//! | `transitions` | changes of a ticket that more than one role makes, and their log |
//! | `claim` | claim, lease, fencing, release, escalation |
//! | `check` | what one check of the monitor does to tickets: sightings, reopening, clearing |
//! | `proof` | requests for proof of a repair, and the verdict |
//! | `alerts` | what Alertmanager told the monitor |
//! | `heartbeat` | when the monitor last looked; `presence`, when an agent was last there |
//! | `news` | what is worth telling people elsewhere, and how far that was told |
//! | `figures` | counts over all of it, for metrics |
//! | `sessions` | sessions; `entries` what is in them, `meta` what they say of themselves; `session_reads` reads both, `chain` links them by hash |
//! | `reading` | what a reader needs who follows a session, pages through it or plays it back |
//! | `commands` | what people tell an agent they did not start |
//! | `spending` | what agents spend, on a ticket and in a day |
//! | `record` | samples of the cluster and injected faults |
//! | `stored` | words of columns, also those that nobody here writes; `prose`, what older files say in sentences alone |
//! | `clock` | wall time, a clock that does not jump, who holds a lease |

mod alerts;
mod by_hand;
mod chain;
mod check;
mod claim;
pub mod clean;
mod clock;
mod commands;
mod entries;
pub mod event;
mod figures;
mod heartbeat;
pub mod home;
mod meta;
mod news;
mod presence;
mod proof;
mod prose;
mod reading;
mod record;
mod schema;
mod session_reads;
mod sessions;
mod spending;
mod stored;
mod tickets;
mod transitions;
pub mod usage;

pub use alerts::{AlertNotice, KEY as ALERT_KEY, Received, StandingAlert};
pub use by_hand::NewTicket;
pub use chain::{ChainReport, Verdict, hex};
pub use check::{Check, CheckOutcome, Observation, Outside, Reading};
pub use claim::{Claim, ClaimRequest, DEFAULT_LEASE, Lease, MAX_SESSIONS};
pub use clock::{Holder, Mono, parse_time};
pub use commands::CommandRow;
pub use entries::{EntryKind, EntryRow, NewEntry};
pub use figures::Figures;
pub use heartbeat::Heartbeat;
pub use meta::{BudgetMeta, EntryMeta, Input};
pub use news::{News, NewsKind, Told};
pub use presence::EVERY as PRESENCE;
pub use proof::{Verification, VerificationRow};
pub use reading::{EntryMark, ListedSession, Measured, RunningSession, WaitingProposal};
pub use record::{Fault, Sample};
pub use sessions::{
    NewSession, OutputChunk, SessionRow, SessionStatus, SessionWriter, Totals, UsageTotals,
};
pub use spending::{Beside, Payment, Reservation};
pub use stored::{Stored, Word};
pub use tickets::{Resolution, Severity, Status, Ticket, TicketEvent, TicketEventKind};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::{
    cell::Cell,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a call waits for another writer before it gives up with [`LedgerError::Busy`].
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("no ledger at {}: nothing has been recorded there yet", .path.display())]
    Missing { path: PathBuf },
    #[error("cannot write the ledger {}: {detail}; make it writable, or choose another with --db", .path.display())]
    NotWritable { path: PathBuf, detail: String },
    #[error("{} is damaged or is not a ledger ({detail}); nothing was changed: move it away, or choose another with --db", .path.display())]
    Corrupt { path: PathBuf, detail: String },
    #[error("the ledger {} was made by a newer Operator (schema {found}, this one knows {known}); nothing was changed: upgrade Operator", .path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("the ledger is locked by another writer for more than {} s", BUSY_TIMEOUT.as_secs())]
    Busy,
    /// The lease on the ticket is gone: whoever held it must stop at once and write nothing more.
    #[error("the lease on ticket #{ticket} is lost: {why}")]
    Fenced { ticket: i64, why: String },
    #[error("ticket #{0} not found")]
    NoTicket(i64),
    #[error("session {0} not found")]
    NoSession(String),
    #[error("{0}")]
    Refused(String),
    #[error("ledger: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(e),
        }
    }
}

pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// One connection to a ledger. `Send`, not `Sync`: open one for each thread.
#[derive(Debug)]
pub struct Ledger {
    conn: Connection,
    path: PathBuf,
    seen_version: Cell<i64>,
}

impl Ledger {
    /// Opens the ledger at `path`, makes it (mode 0600) if there is none, brings its schema up to
    /// date and adopts a file of the reference system in place.
    pub fn open(path: &Path) -> Result<Self> {
        let unwritable = |e: io::Error| LedgerError::NotWritable {
            path: path.to_owned(),
            detail: e.to_string(),
        };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            home::Home::at(dir)
                .create()
                .map_err(|e| unwritable(io::Error::other(e.to_string())))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(unwritable)?;
        let mut conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|e| explain(path, e))?;
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
    /// file that needs adoption must have been opened by [`Ledger::open`] once.
    pub fn open_reader(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(LedgerError::Missing {
                path: path.to_owned(),
            });
        }
        if path.is_dir() {
            return Err(LedgerError::Corrupt {
                path: path.to_owned(),
                detail: "it is a folder".into(),
            });
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
            Err(LedgerError::NotWritable { .. }) if !has_log(path) => {
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
    pub fn open_existing(path: &Path) -> Result<Self> {
        match Self::open_reader(path) {
            Err(LedgerError::Refused(_)) => Self::open(path),
            other => other,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another connection or process wrote since the last call. The first call says yes.
    /// Costs microseconds (`PRAGMA data_version`). Own writes do not count.
    pub fn changed(&self) -> Result<bool> {
        let version: i64 = self
            .conn
            .query_row("PRAGMA data_version", [], |r| r.get(0))?;
        Ok(self.seen_version.replace(version) != version)
    }

    /// Runs `f` in one `BEGIN IMMEDIATE` transaction.
    fn write<T>(&mut self, f: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>) -> Result<T> {
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
fn explain(path: &Path, e: rusqlite::Error) -> LedgerError {
    let path = path.to_owned();
    match e.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            LedgerError::NotWritable {
                path,
                detail: e.to_string(),
            }
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => LedgerError::Corrupt {
            path,
            detail: e.to_string(),
        },
        _ => e.into(),
    }
}
