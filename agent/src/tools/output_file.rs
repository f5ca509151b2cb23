//! Whole outputs that are too long for the model, in files it can search:
//! `output/SESSION/CALL.txt` in OPERATOR_HOME. Clean and redacted like everything that is stored.
//!
//! Bounded: for one call, for one session, and for all sessions together, the oldest going first.
//! Not the record, which is in the ledger; a file that cannot be written costs nothing but itself.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Bytes of one call.
const OF_CALL: u64 = 64 * 1024 * 1024;
/// Bytes of one session.
const OF_SESSION: u64 = 512 * 1024 * 1024;
/// Bytes of all sessions, when a new one begins.
const OF_ALL: u64 = 1024 * 1024 * 1024;
/// A session that wrote so lately may still be at work.
const YOUNG: Duration = Duration::from_secs(3 * 3600);
const FOLDER: &str = "output";

/// The files of one session.
#[derive(Debug)]
pub struct OutputFiles {
    folder: PathBuf,
    calls: u32,
    room: u64,
}

/// The file of one call, made when there is something to write.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    file: Option<fs::File>,
    room: u64,
    written: u64,
    /// Bytes that did not fit.
    over: u64,
    failed: Option<String>,
}

/// Where a whole output is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    /// Bytes at the end that are missing in it.
    pub missing: u64,
}

impl OutputFiles {
    /// For a session; clears away the oldest of others where there are too many.
    pub fn new(home: &Path, session: &str) -> Self {
        let all = home.join(FOLDER);
        sweep(&all, OF_ALL);
        Self {
            folder: all.join(session),
            calls: 0,
            room: OF_SESSION,
        }
    }

    /// For the next call.
    pub fn begin(&mut self) -> OutputFile {
        self.calls += 1;
        OutputFile {
            path: self.folder.join(format!("{}.txt", self.calls)),
            file: None,
            room: self.room.min(OF_CALL),
            written: 0,
            over: 0,
            failed: None,
        }
    }

    /// After a call: what it wrote counts.
    pub fn count(&mut self, file: &OutputFile) {
        self.room = self.room.saturating_sub(file.written);
    }
}

impl OutputFile {
    /// Appends, as far as there is room.
    pub fn write(&mut self, text: &str) {
        let left = usize::try_from(self.room - self.written).unwrap_or(usize::MAX);
        let (fits, over) = text.split_at(text.floor_char_boundary(left));
        self.over += over.len() as u64;
        if fits.is_empty() || self.failed.is_some() {
            return;
        }
        if let Err(e) = self.append(fits) {
            self.failed = Some(e.to_string());
        }
    }

    fn append(&mut self, text: &str) -> std::io::Result<()> {
        if self.file.is_none() {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            let made = fs::File::options()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&self.path)?;
            self.file = Some(made);
        }
        if let Some(file) = &mut self.file {
            file.write_all(text.as_bytes())?;
            self.written += text.len() as u64;
        }
        Ok(())
    }

    /// Where the output is. None: nowhere.
    pub fn place(&self) -> Option<Place> {
        (self.file.is_some() && self.failed.is_none()).then(|| Place {
            path: self.path.clone(),
            missing: self.over,
        })
    }
}

/// Removes the folders of the oldest sessions until the rest is within `limit` bytes. One that was
/// written to lately may be of a session that goes on.
fn sweep(all: &Path, limit: u64) {
    let mut sessions: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let size = fs::read_dir(entry.path())
                .ok()?
                .flatten()
                .filter_map(|file| Some(file.metadata().ok()?.len()))
                .sum();
            Some((entry.metadata().ok()?.modified().ok()?, size, entry.path()))
        })
        .collect();
    sessions.sort();
    let mut total: u64 = sessions.iter().map(|(_, size, _)| size).sum();
    for (time, size, path) in sessions {
        let young = time.elapsed().is_ok_and(|age| age < YOUNG);
        if total <= limit || young {
            return;
        }
        let _ = fs::remove_dir_all(path);
        total -= size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_when_needed_and_ends_with_its_room() {
        let home = tempfile::tempdir().unwrap();
        let mut files = OutputFiles::new(home.path(), "s");
        assert_eq!(files.begin().place(), None);
        let mut file = files.begin();
        file.room = 7;
        file.write("hello ");
        file.write("wörld");
        let place = file.place().unwrap();
        assert_eq!(fs::read_to_string(&place.path).unwrap(), "hello w");
        assert_eq!(place.missing, "örld".len() as u64);
        assert!(place.path.ends_with("output/s/2.txt"));
        files.count(&file);
        assert_eq!(files.room, OF_SESSION - 7);
    }

    #[test]
    fn the_oldest_sessions_go_first() {
        let all = tempfile::tempdir().unwrap();
        for (n, name) in ["old", "middle", "new"].into_iter().enumerate() {
            let folder = all.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("1.txt"), "x".repeat(100)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64 * 1000);
            fs::File::open(&folder).unwrap().set_modified(time).unwrap();
        }
        sweep(all.path(), 250);
        assert!(!all.path().join("old").exists() && all.path().join("middle").exists());
        sweep(all.path(), 100);
        assert!(!all.path().join("middle").exists() && all.path().join("new").exists());
    }
}
