//! A store's disk space: the lab's own quota over what is in the store's data folder.
//!
//! The host's disk plays no part: three stores on one disk would all fill at once.

use crate::size;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const DEFAULT_CAPACITY: u64 = 256 << 20;
/// One part in this many is kept free: below it, writes are refused.
const RESERVE_PART: u64 = 20;

/// Set over the status server, kept beside the data.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Settings {
    capacity: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Quota {
    folder: PathBuf,
    settings: PathBuf,
    capacity: AtomicU64,
    used: AtomicU64,
}

impl Quota {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let settings = folder.join("config.json");
        let stored: Settings = match fs::read(&settings) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: {e}", settings.display()),
                )
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Settings::default(),
            Err(e) => return Err(e),
        };
        let capacity = stored
            .capacity
            .and_then(|text| size::parse(&text))
            .unwrap_or(DEFAULT_CAPACITY);
        let quota = Self {
            folder: folder.into(),
            settings,
            capacity: AtomicU64::new(capacity),
            used: AtomicU64::new(0),
        };
        quota.scan();
        Ok(quota)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn available(&self) -> u64 {
        self.capacity().saturating_sub(self.used())
    }

    pub(crate) fn reserve(&self) -> u64 {
        self.capacity() / RESERVE_PART
    }

    /// Whether writes are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.available() <= self.reserve()
    }

    pub(crate) fn set_capacity(&self, bytes: u64) -> io::Result<()> {
        let settings = Settings {
            capacity: Some(size::format(bytes)),
        };
        // Whole or not at all: a store that is killed meanwhile must be able to start.
        let part = self.settings.with_extension("part");
        fs::write(
            &part,
            serde_json::to_vec_pretty(&settings).map_err(io::Error::other)?,
        )?;
        fs::rename(&part, &self.settings)?;
        self.capacity.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Counts the bytes in the data folder, whoever put them there.
    pub(crate) fn scan(&self) {
        self.used
            .store(folder_bytes(&self.folder), Ordering::Relaxed);
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_full_before_its_quota_is_used_up_and_the_quota_is_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let quota = Quota::open(tmp.path()).unwrap();
        assert_eq!(quota.capacity(), DEFAULT_CAPACITY);
        quota.set_capacity(100_000 * 1024).unwrap();
        fs::create_dir(tmp.path().join("sub")).unwrap();
        fs::write(tmp.path().join("sub/filler"), vec![0; 94_000 * 1024]).unwrap();
        quota.scan();
        assert!(!quota.is_full());
        fs::write(tmp.path().join("more"), vec![0; 2_000 * 1024]).unwrap();
        quota.scan();
        assert!(quota.is_full());
        assert!(quota.used() >= 96_000 * 1024);
        drop(quota);
        let capacity = Quota::open(tmp.path()).unwrap().capacity();
        assert_eq!(size::format(capacity), size::format(100_000 * 1024));
    }
}
