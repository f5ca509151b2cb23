//! Which file a ledger is: where it is, which of the kernel's files that was when it was opened, and
//! whether that is still so.
//!
//! A file that was moved, deleted or replaced can be written on for ever by who has it open, and
//! nobody would ever read it. So who writes looks here first. Knows nothing of what is in the file.

use std::{
    fs, io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// What the kernel knows a file by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// A ledger that was opened.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    /// As it was named.
    path: PathBuf,
    database: Identity,
    size: u64,
    changed: (i64, i64),
    log: Beside,
    index: Beside,
}

/// A file that SQLite keeps beside the database while it is open.
#[derive(Debug)]
struct Beside {
    path: PathBuf,
    /// None: it was not there yet.
    seen: Option<(Identity, u64)>,
}

/// What happened to a ledger that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    Gone,
    Replaced,
    CutOff,
    LogGone,
    LogReplaced,
    LogDamaged,
    IndexGone,
    /// It holds less than was written to it.
    Older,
}

impl Lost {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Gone => "it was moved or deleted",
            Self::Replaced => "another file is in its place",
            Self::CutOff => "it was cut off",
            Self::LogGone => "its log, the file that ends in -wal, was moved or deleted",
            Self::LogReplaced => "its log, the file that ends in -wal, was replaced",
            Self::LogDamaged => "its log, the file that ends in -wal, was cut off or overwritten",
            Self::IndexGone => {
                "the file beside it that ends in -shm was moved, deleted or replaced"
            }
            Self::Older => "an older state of it is in its place",
        }
    }
}

impl OpenedFile {
    /// To be called as soon as a connection has read from `path`: its files are there then.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let found = fs::metadata(&path)?;
        // The files beside a database are beside what a link to it points to.
        let real = fs::canonicalize(&path)?;
        Ok(Self {
            database: Identity::of(&found),
            size: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
            log: Beside::new(beside(&real, LOG)),
            index: Beside::new(beside(&real, INDEX)),
            path,
        })
    }

    /// Whether all is where it was. Costs three looks at the file system.
    pub(crate) fn look(&mut self) -> Result<(), Lost> {
        let found = fs::metadata(&self.path).map_err(|_| Lost::Gone)?;
        if Identity::of(&found) != self.database {
            return Err(Lost::Replaced);
        }
        match self.log.look() {
            Still::There => {}
            Still::Gone => return Err(Lost::LogGone),
            Still::Other => return Err(Lost::LogReplaced),
            Still::Shorter => return Err(Lost::LogDamaged),
        }
        match self.index.look() {
            Still::There | Still::Shorter => Ok(()),
            Still::Gone | Still::Other => Err(Lost::IndexGone),
        }
    }

    /// The log is as it should be, though it is shorter.
    pub(crate) fn log_may_be_shorter(&mut self) {
        self.log = Beside::new(std::mem::take(&mut self.log.path));
    }

    /// Whether the database was written since this was last asked, and whether it is shorter.
    pub(crate) fn was_written(&mut self) -> Result<Written, Lost> {
        let found = fs::metadata(&self.path).map_err(|_| Lost::Gone)?;
        let changed = (found.mtime(), found.mtime_nsec());
        if std::mem::replace(&mut self.changed, changed) == changed && found.len() == self.size {
            return Ok(Written::No);
        }
        let shorter = found.len() < self.size;
        self.size = found.len();
        Ok(if shorter {
            Written::Shorter(self.size)
        } else {
            Written::Yes
        })
    }

    /// Whether the log begins as SQLite writes it.
    pub(crate) fn log_is_whole(&self) -> Result<(), Lost> {
        let mut header = [0; 32];
        // Opening and closing a log releases no lock: they are on the other two files.
        let read = fs::File::open(&self.log.path).and_then(|f| f.read_exact_at(&mut header, 0));
        match read {
            Ok(()) if is_log_header(&header) => Ok(()),
            Ok(()) => Err(Lost::LogDamaged),
            // Empty: nothing was written since it was made.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(_) => Ok(()),
        }
    }
}

/// Whether the database file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    No,
    Yes,
    /// And is shorter, which only VACUUM makes it of right; its bytes now.
    Shorter(u64),
}

enum Still {
    There,
    Gone,
    Other,
    Shorter,
}

impl Beside {
    fn new(path: PathBuf) -> Self {
        let seen = fs::metadata(&path).ok();
        let seen = seen.map(|found| (Identity::of(&found), found.len()));
        Self { path, seen }
    }

    fn look(&mut self) -> Still {
        let found = fs::metadata(&self.path).ok();
        let found = found.map(|found| (Identity::of(&found), found.len()));
        match (self.seen, found) {
            (Some(_), None) => return Still::Gone,
            (Some((was, _)), Some((is, _))) if was != is => return Still::Other,
            (Some((_, had)), Some((_, has))) if has < had => return Still::Shorter,
            _ => {}
        }
        self.seen = found.or(self.seen);
        Still::There
    }
}

/// Endings of the files beside a database.
pub(crate) const LOG: &str = "-wal";
pub(crate) const INDEX: &str = "-shm";

/// The file beside a database with this ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// What changes when a database or its log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp([Option<(u64, u64, i64, i64)>; 3]);

impl Stamp {
    pub(crate) fn of(path: &Path) -> Self {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let one = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Self([
            one(&real),
            one(&beside(&real, LOG)),
            one(&beside(&real, "-journal")),
        ])
    }
}

/// Magic number and checksum of a log's first 32 bytes.
fn is_log_header(header: &[u8; 32]) -> bool {
    let word = |n: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&header[n * 4..n * 4 + 4]);
        u32::from_be_bytes(bytes)
    };
    let magic = word(0);
    if magic & 0xffff_fffe != 0x377f_0682 {
        return false;
    }
    let turned = |n: usize| {
        // The last bit of the magic number says whose order of bytes is summed up.
        if magic & 1 == 1 {
            word(n)
        } else {
            word(n).swap_bytes()
        }
    };
    let (mut a, mut b) = (0u32, 0u32);
    for n in (0..6).step_by(2) {
        a = a.wrapping_add(turned(n)).wrapping_add(b);
        b = b.wrapping_add(turned(n + 1)).wrapping_add(a);
    }
    (a, b) == (word(6), word(7))
}
