//! Which monitor watches a cluster of a ledger: file locks beside the ledger, held while it runs.
//!
//! One is named after the first PD address, known without asking; one after the cluster's id, so
//! that two addresses of one cluster do not make two monitors.

use super::MonitorError;
use operator_ledger::SystemId;
use rustix::fs::OFlags;
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The lock that is known without asking: named after the first PD address. It holds the id of the
/// cluster that was there.
pub fn address_lock(ledger: &Path, pd: &[String]) -> PathBuf {
    let name = pd.first().map_or("none", |e| {
        e.split_once("://").map_or(e.as_str(), |(_, host)| host)
    });
    lock_path(ledger, name)
}

pub fn lock_path(ledger: &Path, name: &str) -> PathBuf {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(80)
        .collect();
    // Other ledgers may be in the same folder.
    let of = match ledger.file_name() {
        Some(file) if file != "tickets.db" => format!("{}.", file.display()),
        _ => String::new(),
    };
    ledger.with_file_name(format!("{of}monitor-{name}.lock"))
}

/// The id in a lock.
pub fn remembered(lock: &Path) -> Option<SystemId> {
    let id = fs::read_to_string(lock).ok()?;
    (id.len() <= 20 && id.parse::<u64>().is_ok()).then(|| SystemId::new(id))
}

/// Notes whom a lock is about.
pub fn remember(lock: &Path, id: &SystemId) -> io::Result<()> {
    let mut file = open(lock)?;
    file.set_len(0)?;
    file.write_all(id.as_str().as_bytes())
}

/// Makes it if it is not there. A link that somebody else put there is not followed.
fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

pub fn take_lock(path: &Path) -> Result<Option<File>, MonitorError> {
    let failed = |source| MonitorError::Lock {
        path: path.to_owned(),
        source,
    };
    let file = open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// Removes the locks beside `ledger` that nobody holds: those of labs that are gone. Only for the
/// ledger of a lab that is not up.
pub fn sweep(ledger: &Path) {
    let folder = ledger.parent().and_then(|f| fs::read_dir(f).ok());
    for entry in folder.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("monitor-") && name.ends_with(".lock") {
            let free = File::open(entry.path()).is_ok_and(|f| f.try_lock().is_ok());
            if free {
                // One that stays is as good as one that is gone.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_locks_are_swept_and_held_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("tickets.db");
        let held = lock_path(&ledger, "7");
        let lock = take_lock(&held).unwrap().unwrap();
        assert!(take_lock(&held).unwrap().is_none());
        let free = lock_path(&ledger, "127.0.0.1:1");
        drop(take_lock(&free).unwrap());
        sweep(&ledger);
        assert!(held.exists() && !free.exists());
        drop(lock);
    }
}
