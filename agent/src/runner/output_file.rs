//! Whole outputs that are too long for the model, in files of the cell that it can search.
//!
//! As they were printed: whoever reads one with a command has that redacted again. Bounded for one
//! call and for a session. Not the record, which is in the ledger; a file that cannot be written
//! costs nothing but itself.

use super::protocol::Filed;
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

/// Bytes of one call.
const OF_CALL: u64 = 64 * 1024 * 1024;
/// Bytes of one session.
pub(super) const OF_SESSION: u64 = 512 * 1024 * 1024;
/// From so many bytes on there is a file. Well below what the model is shown of an output, of which
/// cleaning makes more or less.
const FILED_FROM: usize = 4 * 1024;

/// The output of one call, in a file as soon as it is long.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    file: Option<fs::File>,
    /// What came before there was a file.
    begun: Vec<u8>,
    room: u64,
    written: u64,
    /// Bytes that did not fit.
    over: u64,
    failed: bool,
}

impl OutputFile {
    /// `room`: what is left of the session's.
    pub(super) fn new(path: PathBuf, room: u64) -> Self {
        Self {
            path,
            file: None,
            begun: Vec::new(),
            room: room.min(OF_CALL),
            written: 0,
            over: 0,
            failed: false,
        }
    }

    /// Appends, as far as there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.file.is_none() && self.begun.len() + bytes.len() <= FILED_FROM {
            self.begun.extend_from_slice(bytes);
        } else {
            self.keep(bytes);
        }
    }

    /// The same, however short it is.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let begun = std::mem::take(&mut self.begun);
        self.append(&begun);
        self.append(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        let left = usize::try_from(self.room - self.written).unwrap_or(usize::MAX);
        let (fits, over) = bytes.split_at(left.min(bytes.len()));
        self.over += over.len() as u64;
        if fits.is_empty() || self.failed {
            return;
        }
        self.failed = self.write(fits).is_err();
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                fs::File::options()
                    .create(true)
                    .write(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&self.path)?,
            ),
        };
        file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Where the output is. None: nowhere.
    pub(super) fn filed(&self) -> Option<Filed> {
        (self.file.is_some() && !self.failed).then(|| Filed {
            path: self.path.clone(),
            missing: self.over,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_when_needed_and_ends_with_its_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.txt");
        let mut short = OutputFile::new(path.clone(), OF_SESSION);
        short.push(b"hello");
        assert_eq!(short.filed(), None);
        assert!(!path.exists());
        let mut long = OutputFile::new(path.clone(), FILED_FROM as u64 + 2);
        long.push(&[b'a'; FILED_FROM]);
        long.push(b"xyz");
        let filed = long.filed().unwrap();
        assert_eq!(fs::read(&filed.path).unwrap().len(), FILED_FROM + 2);
        assert_eq!((filed.missing, long.written()), (1, FILED_FROM as u64 + 2));
    }
}
