//! One connection to a ledger, and the errors of its calls while they are still SQLite's.
//!
//! What the ledger can do stands in `impl Engine` blocks beside the types it is about. Nobody
//! outside has an engine: [`crate::thread`] owns it, and roles ([`crate::roles`]) say who may ask
//! it for what.

use crate::{
    BUSY_TIMEOUT, LedgerError,
    file::{Lost, OpenedFile, Stamp, Written},
    home,
    identify::{FROZEN, Kind, READ_ONLY, connect, frozen, has_log, identify, is_open, unreadable},
    private_copy, schema,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::{
    cell::Cell,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
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
    source: Source,
    /// Transactions that the ledger had when this last looked. It never has fewer.
    writes: i64,
    /// Found by reading: another ledger, or another state of it, was copied over the file.
    copied_over: Option<Lost>,
    /// Of who reads, and goes on with what is there: what became of what was opened first.
    taken_away: Option<Lost>,
    /// When the whole file was last read for damage, and how long that took.
    checked: Option<(Instant, Duration)>,
}

/// Reading the whole file for damage takes at most one part in so many of the time.
const CHECK_SELDOM: u32 = 50;

/// What a connection is on.
#[derive(Debug)]
enum Source {
    /// The file, together with whoever else has it open.
    Shared(OpenedFile),
    /// The file as nobody had it open, or a private copy of it: true as long as the file was not
    /// written since.
    Still(Stamp),
}

impl Engine {
    /// Opens the ledger at `path`, makes it (mode 0600) if there is none, brings its schema up to
    /// date and adopts a file of the reference system in place. What is somebody else's is refused.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unwritable = |e: io::Error| LedgerError::NotWritable {
            path: path.to_owned(),
            detail: e.to_string(),
        };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            home::create_private(dir).map_err(unwritable)?;
        }
        make(path).map_err(unwritable)?;
        Self::open_existing(path)
    }

    /// Opens a ledger that must be there for writing.
    pub(crate) fn open_existing(path: &Path) -> Result<Self> {
        let unwritable = |e: io::Error| LedgerError::NotWritable {
            path: path.to_owned(),
            detail: e.to_string(),
        };
        identify(path).map_err(|e| match e {
            Failure::Ledger(LedgerError::Unreadable { path, detail }) => {
                LedgerError::NotWritable { path, detail }.into()
            }
            e => e,
        })?;
        let mut conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|e| explain(path, e))?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        // SQLite opens what it may not write as read-only, and would say so only at the first write.
        if conn.is_readonly("main").unwrap_or(false) {
            return Err(unwritable(io::ErrorKind::PermissionDenied.into()).into());
        }
        schema::version(&conn, path)?;
        // FULL: a commit is on the disk when it returns, in WAL mode too.
        let setup = conn
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .and_then(|()| {
                conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF")
            });
        setup.map_err(|e| explain(path, e))?;
        schema::migrate(&mut conn, path)?;
        let writes = schema::writes(&conn).map_err(|e| explain(path, e))?;
        let file = OpenedFile::new(path).map_err(unwritable)?;
        Ok(Self::on(path, conn, Source::Shared(file), writes))
    }

    /// Moves what is only in the log into the file itself and takes the log away, if nobody else has
    /// the ledger open. One that is not there, or not of this version, stays as it is.
    pub(crate) fn settle(path: &Path) -> Result<()> {
        if identify(path)? == Kind::Current {
            drop(Self::open_existing(path)?);
        }
        Ok(())
    }

    fn on(path: &Path, conn: Connection, source: Source, writes: i64) -> Self {
        Self {
            conn,
            path: path.to_owned(),
            seen_version: Cell::new(-1),
            source,
            writes,
            copied_over: None,
            taken_away: None,
            checked: None,
        }
    }

    /// Opens an existing ledger for reading only. Waits for nobody and changes nothing: not the
    /// file, and where nobody has it open, nothing beside it. What this version cannot read as it
    /// is, is read in a private copy.
    pub(crate) fn open_reader(path: &Path) -> Result<Self> {
        let stamp = Stamp::of(path);
        let kind = match identify(path) {
            // A log that cannot be read where it is.
            Err(Failure::Ledger(LedgerError::Unreadable { .. })) => Kind::Older,
            other => other?,
        };
        if kind == Kind::Current {
            if is_open(path) || has_log(path) {
                match Self::open_shared(path) {
                    // SQLite cannot make its files there: on a full disk, or where nobody may write.
                    Err(Failure::Ledger(LedgerError::Unreadable { .. })) => {}
                    other => return other,
                }
            }
            if !has_log(path) {
                let conn = connect(path, &frozen(path)?, FROZEN)?;
                return Ok(Self::on(path, conn, Source::Still(stamp), 0));
            }
        }
        let conn = private_copy::copy(path, kind)?;
        Ok(Self::on(path, conn, Source::Still(stamp), 0))
    }

    fn open_shared(path: &Path) -> Result<Self> {
        let conn = connect(path, &path.to_string_lossy(), READ_ONLY)?;
        let writes = schema::writes(&conn).map_err(|e| unreadable(path, e))?;
        let file = OpenedFile::new(path).map_err(|e| LedgerError::Unreadable {
            path: path.to_owned(),
            detail: e.to_string(),
        })?;
        Ok(Self::on(path, conn, Source::Shared(file), writes))
    }

    /// Before each call. Who reads goes on with what is at the path now; who writes stops where that
    /// is not what was opened.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        match &mut self.source {
            Source::Still(stamp) if *stamp == Stamp::of(&self.path) => return Ok(()),
            Source::Still(_) => {}
            Source::Shared(_) => match self.look_at_files() {
                Ok(()) => return Ok(()),
                Err(what) if self.conn.is_readonly("main").unwrap_or(false) => {
                    self.taken_away.get_or_insert(what);
                }
                Err(what) => return Err(lost(&self.path, what)),
            },
        }
        let taken_away = self.taken_away;
        *self = Self::open_reader(&self.path)?;
        self.taken_away = taken_away;
        Ok(())
    }

    /// What became of what was opened first, for who reads: once it was taken away it stays so, whatever
    /// is there now. Does not read all of it for damage.
    pub(crate) fn taken_away(&mut self) -> Result<Option<Lost>> {
        if self.taken_away.is_none() {
            self.taken_away = self.find_taken_away()?;
        }
        Ok(self.taken_away)
    }

    fn find_taken_away(&mut self) -> Result<Option<Lost>> {
        let Source::Shared(file) = &mut self.source else {
            return Ok(None);
        };
        if let Err(what) = file.log_is_whole() {
            return Ok(Some(what));
        }
        match file.was_written() {
            Ok(Written::No) => Ok(None),
            Ok(Written::Yes | Written::Shorter(_)) => match self.same_ledger() {
                Err(_) if self.copied_over.is_some() => Ok(self.copied_over),
                other => other.map(|_| None),
            },
            Err(what) => Ok(Some(what)),
        }
    }

    pub(crate) fn changed(&self) -> Result<bool> {
        let version: i64 = self
            .conn
            .query_row("PRAGMA data_version", [], |r| r.get(0))?;
        Ok(self.seen_version.replace(version) != version)
    }

    /// Runs `f` in one `BEGIN IMMEDIATE` transaction. What was written into a file that went away
    /// meanwhile is an error.
    pub(crate) fn write<T>(
        &mut self,
        f: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let path = &self.path;
        if let Some(what) = self.copied_over {
            return Err(lost(path, what));
        }
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| explain(path, e))?;
        let writes = schema::count_write(&tx)?;
        if writes <= self.writes {
            return Err(lost(path, Lost::Older));
        }
        let out = f(&tx)?;
        tx.commit()?;
        self.writes = writes;
        self.look()?;
        Ok(out)
    }

    /// Whether the ledger is still the file that was opened.
    fn look(&mut self) -> Result<()> {
        self.look_at_files().map_err(|what| lost(&self.path, what))
    }

    fn look_at_files(&mut self) -> std::result::Result<(), Lost> {
        let Source::Shared(file) = &mut self.source else {
            return Ok(());
        };
        match file.look() {
            Ok(()) => Ok(()),
            // A checkpoint of another program may empty it, once all is in the file itself.
            Err(Lost::LogDamaged) if self.fresh_look().is_ok() => {
                if let Source::Shared(file) = &mut self.source {
                    file.log_may_be_shorter();
                }
                Ok(())
            }
            Err(what) => Err(what),
        }
    }

    /// Whether the ledger is still there, whole as far as can be told without reading it all. To be
    /// asked before something is done that must be on record.
    pub(crate) fn still_there(&mut self) -> Result<()> {
        self.look()?;
        let path = &self.path;
        let Source::Shared(file) = &mut self.source else {
            return Ok(());
        };
        if let Some(what) = self.copied_over {
            return Err(lost(path, what));
        }
        file.log_is_whole().map_err(|what| lost(path, what))?;
        match file.was_written().map_err(|what| lost(path, what))? {
            Written::No => return Ok(()),
            Written::Yes => {}
            Written::Shorter(bytes) => {
                let needed: u64 = self.conn.query_row(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                    [],
                    |r| r.get(0),
                )?;
                if needed > bytes {
                    return Err(lost(path, Lost::CutOff));
                }
            }
        }
        self.fresh_look()
    }

    /// Reads the file as somebody who has not read it yet, and so not from memory. It was written
    /// by a checkpoint, as a rule; or by somebody who copied another file over it.
    fn fresh_look(&mut self) -> Result<()> {
        let conn = self.same_ledger()?;
        let path = &self.path;
        let said = |e| unreadable(path, e);
        if self
            .checked
            .is_some_and(|(at, took)| at.elapsed() < took * CHECK_SELDOM)
        {
            return Ok(());
        }
        let began = Instant::now();
        let found: String = conn
            .query_row("PRAGMA quick_check(1)", [], |r| r.get(0))
            .map_err(said)?;
        self.checked = Some((Instant::now(), began.elapsed()));
        if found == "ok" {
            return Ok(());
        }
        Err(LedgerError::Corrupt {
            path: path.clone(),
            detail: found,
        }
        .into())
    }

    /// Whether it is the same ledger, and no earlier state of it, for a connection that is new.
    fn same_ledger(&mut self) -> Result<Connection> {
        let path = &self.path;
        let conn = connect(path, &path.to_string_lossy(), READ_ONLY)?;
        let said = |e| unreadable(path, e);
        if schema::identity(&conn).map_err(said)? != schema::identity(&self.conn).map_err(said)? {
            self.copied_over = Some(Lost::Replaced);
            return Err(lost(path, Lost::Replaced));
        }
        let writes = schema::writes(&conn).map_err(said)?;
        if writes < self.writes {
            self.copied_over = Some(Lost::Older);
            return Err(lost(path, Lost::Older));
        }
        self.writes = writes;
        Ok(conn)
    }

    /// What a call's failure means for who made it.
    pub(crate) fn explain(&mut self, failure: Failure) -> LedgerError {
        let failure = match failure {
            Failure::Sqlite(e) => explain(&self.path, e),
            ledger @ Failure::Ledger(_) => ledger,
        };
        // A file that went away fails in many ways; which one is no news.
        match (LedgerError::from(failure), self.look()) {
            (
                LedgerError::Sqlite { .. } | LedgerError::NotWritable { .. },
                Err(Failure::Ledger(gone)),
            ) => gone,
            (e, _) => e,
        }
    }
}

fn lost(path: &Path, what: Lost) -> Failure {
    LedgerError::Lost {
        path: path.to_owned(),
        what: what.in_words(),
    }
    .into()
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
        Some(ErrorCode::DiskFull) => LedgerError::Full { path }.into(),
        // SQLite's word for no room for the file that ends in -shm.
        Some(ErrorCode::SystemIoFailure)
            if e.sqlite_error().map(|e| e.extended_code)
                == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
        {
            LedgerError::Full { path }.into()
        }
        Some(ErrorCode::SystemIoFailure) => LedgerError::Unreadable {
            path,
            detail: e.to_string(),
        }
        .into(),
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
