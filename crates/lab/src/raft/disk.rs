//! The one log of a process: entries, votes and snapshots of all its groups in one SQLite file.
//!
//! A thread of its own takes everything that waits, writes it in one transaction and syncs once:
//! all regions of a store share that fsync. Damage is found when the file is opened, and ends the
//! process, as it does in production. Does not know what an entry means.

use crate::node::NodeError;
use rusqlite::{Connection, ErrorCode, params};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

/// Writes that share one transaction at most.
const BATCH: usize = 512;
/// A sync slower than this counts towards the slow score.
const SLOW_SYNC: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("{}: data is damaged: {what}. The file cannot be repaired in place; its replicas are on the other nodes", .path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{}: {source}", .path.display())]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl From<DiskError> for NodeError {
    fn from(error: DiskError) -> Self {
        Self::disk(error.to_string())
    }
}

/// Told when its write is on disk, or why it is not.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One write. The bodies are JSON of the group's making.
pub(crate) enum Write {
    Append {
        group: u64,
        entries: Vec<(u64, String)>,
    },
    Truncate {
        group: u64,
        from: u64,
    },
    /// Removes entries up to and including `upto` and remembers `id`, their last one.
    Purge {
        group: u64,
        upto: u64,
        id: String,
    },
    Vote {
        group: u64,
        vote: String,
    },
    Snapshot {
        group: u64,
        meta: String,
        data: Vec<u8>,
    },
}

/// What was on disk for a group when the file was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub entries: Vec<(u64, String)>,
    pub vote: Option<String>,
    pub purged: Option<String>,
    pub snapshot: Option<(String, Vec<u8>)>,
}

/// Counters of the writer, for metrics.
#[derive(Debug, Default)]
pub(crate) struct DiskStats {
    pub syncs: AtomicU64,
    pub slow_syncs: AtomicU64,
    pub sync_micros: AtomicU64,
}

/// A handle to the writer thread. The thread ends with the last handle.
#[derive(Clone)]
pub(crate) struct Disk {
    path: Arc<PathBuf>,
    queue: mpsc::Sender<(Write, Done)>,
    stats: Arc<DiskStats>,
}

impl Disk {
    /// Opens or makes the file, checks it, and starts the writer.
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| DiskError::Io {
                path: folder.into(),
                source,
            })?;
        }
        let connection = prepare(path).map_err(|e| explain(path, e))?;
        let problem: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|e| explain(path, e))?;
        if problem != "ok" {
            return Err(DiskError::Damaged {
                path: path.into(),
                what: problem,
            });
        }
        let (queue, writes) = mpsc::channel();
        let stats = Arc::new(DiskStats::default());
        let (thread_path, thread_stats) = (path.to_path_buf(), stats.clone());
        std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || write_all(&thread_path, connection, &writes, &thread_stats))
            .map_err(|source| DiskError::Io {
                path: path.into(),
                source,
            })?;
        Ok(Self {
            path: Arc::new(path.into()),
            queue,
            stats,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn stats(&self) -> &DiskStats {
        &self.stats
    }

    /// Reads what is stored for a group, on a connection of its own.
    pub(crate) fn read(&self, group: u64) -> Result<Stored, DiskError> {
        let inner = || -> rusqlite::Result<Stored> {
            let connection = Connection::open(&*self.path)?;
            let mut stored = Stored::default();
            let mut rows =
                connection.prepare("SELECT idx, body FROM entry WHERE grp = ?1 ORDER BY idx")?;
            let rows = rows.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for row in rows {
                stored.entries.push(row?);
            }
            let mut rows = connection.prepare("SELECT name, value FROM mark WHERE grp = ?1")?;
            let rows = rows.query_map([group], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            for row in rows {
                let (name, value) = row?;
                match name.as_str() {
                    "vote" => stored.vote = Some(value),
                    "purged" => stored.purged = Some(value),
                    _ => {}
                }
            }
            let mut rows = connection.prepare("SELECT meta, data FROM snapshot WHERE grp = ?1")?;
            let mut rows = rows.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
            stored.snapshot = rows.next().transpose()?;
            Ok(stored)
        };
        inner().map_err(|e| explain(&self.path, e))
    }

    /// Queues a write; `done` is called from the writer's thread once it is synced.
    pub(crate) fn write(&self, write: Write, done: Done) {
        if let Err(mpsc::SendError((_, done))) = self.queue.send((write, done)) {
            done(Err(io::Error::other("the log writer has ended")));
        }
    }

    /// Queues a write and waits until it is synced.
    pub(crate) async fn write_synced(&self, write: Write) -> io::Result<()> {
        let (done, waiting) = tokio::sync::oneshot::channel();
        self.write(
            write,
            Box::new(move |result| {
                let _ = done.send(result);
            }),
        );
        waiting
            .await
            .map_err(|_| io::Error::other("the log writer has ended"))?
    }
}

fn explain(path: &Path, source: rusqlite::Error) -> DiskError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DiskError::Damaged {
            path: path.into(),
            what: source.to_string(),
        },
        _ => DiskError::Sqlite {
            path: path.into(),
            source,
        },
    }
}

fn prepare(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA cache_size = -1024;
         PRAGMA wal_autocheckpoint = 500;
         PRAGMA journal_size_limit = 4194304;
         CREATE TABLE IF NOT EXISTS entry (
             grp INTEGER NOT NULL, idx INTEGER NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (grp, idx)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS mark (
             grp INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
             PRIMARY KEY (grp, name)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS snapshot (
             grp INTEGER PRIMARY KEY, meta TEXT NOT NULL, data BLOB NOT NULL);",
    )?;
    Ok(connection)
}

fn write_all(
    path: &Path,
    mut connection: Connection,
    writes: &mpsc::Receiver<(Write, Done)>,
    stats: &DiskStats,
) {
    while let Ok(first) = writes.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(more) = writes.try_recv()
        {
            batch.push(more);
        }
        let started = Instant::now();
        let result = write_batch(&mut connection, &batch);
        let took = started.elapsed();
        stats.syncs.fetch_add(1, Ordering::Relaxed);
        stats
            .sync_micros
            .fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        if took > SLOW_SYNC {
            stats.slow_syncs.fetch_add(1, Ordering::Relaxed);
        }
        match result {
            Ok(()) => {
                for (_, done) in batch {
                    done(Ok(()));
                }
            }
            Err(error) => {
                // What is in memory is now ahead of the disk: nothing but a restart is safe.
                let error = explain(path, error);
                tracing::error!("cannot write the log, ending this node: {error}");
                std::process::exit(super::super::node::EXIT_DISK);
            }
        }
    }
}

fn write_batch(connection: &mut Connection, batch: &[(Write, Done)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (write, _) in batch {
        match write {
            Write::Append { group, entries } => {
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO entry (grp, idx, body) VALUES (?1, ?2, ?3)",
                )?;
                for (index, body) in entries {
                    insert.execute(params![group, index, body])?;
                }
            }
            Write::Truncate { group, from } => {
                transaction
                    .prepare_cached("DELETE FROM entry WHERE grp = ?1 AND idx >= ?2")?
                    .execute(params![group, from])?;
            }
            Write::Purge { group, upto, id } => {
                transaction
                    .prepare_cached("DELETE FROM entry WHERE grp = ?1 AND idx <= ?2")?
                    .execute(params![group, upto])?;
                mark(&transaction, *group, "purged", id)?;
            }
            Write::Vote { group, vote } => mark(&transaction, *group, "vote", vote)?,
            Write::Snapshot { group, meta, data } => {
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO snapshot (grp, meta, data) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![group, meta, data])?;
            }
        }
    }
    transaction.commit()
}

fn mark(connection: &Connection, group: u64, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO mark (grp, name, value) VALUES (?1, ?2, ?3)")?
        .execute(params![group, name, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_acknowledged_is_read_back_and_groups_do_not_mix() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("raft.db");
        let disk = Disk::open(&path).unwrap();
        let entries = (1..=5).map(|i| (i, format!("e{i}"))).collect();
        disk.write_synced(Write::Append { group: 1, entries })
            .await
            .unwrap();
        disk.write_synced(Write::Append {
            group: 2,
            entries: vec![(1, "other".into())],
        })
        .await
        .unwrap();
        disk.write_synced(Write::Truncate { group: 1, from: 5 })
            .await
            .unwrap();
        disk.write_synced(Write::Purge {
            group: 1,
            upto: 2,
            id: "two".into(),
        })
        .await
        .unwrap();
        disk.write_synced(Write::Vote {
            group: 1,
            vote: "v".into(),
        })
        .await
        .unwrap();
        disk.write_synced(Write::Snapshot {
            group: 1,
            meta: "m".into(),
            data: vec![0, 255],
        })
        .await
        .unwrap();
        drop(disk);

        let disk = Disk::open(&path).unwrap();
        let stored = disk.read(1).unwrap();
        assert_eq!(stored.entries, [(3, "e3".into()), (4, "e4".into())]);
        assert_eq!(stored.vote.as_deref(), Some("v"));
        assert_eq!(stored.purged.as_deref(), Some("two"));
        assert_eq!(stored.snapshot, Some(("m".into(), vec![0, 255])));
        assert_eq!(disk.read(2).unwrap().entries, [(1, "other".into())]);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("raft.db");
        std::fs::write(&path, vec![0x5a; 20_000]).unwrap();
        let error = Disk::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("raft.db") && error.contains("data is damaged"),
            "{error}"
        );
    }
}
