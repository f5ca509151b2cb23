//! One group's log: entries in memory for reading, on disk before anybody is told.
//!
//! Implements openraft's log storage over `disk`. The log is kept short by snapshots, so all of
//! it fits in memory.

use crate::raft::{
    Entry, LogId, StorageError, Types, Vote,
    disk::{Disk, DiskError, Write},
};
use openraft::{
    LogState, OptionalSend, RaftLogReader, StorageIOError,
    storage::{LogFlushed, RaftLogStorage},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Entries handed to a replication task at once.
const READ_LIMIT: u64 = 512;

#[derive(Debug, Default)]
struct Memory {
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

#[derive(Clone)]
pub(super) struct Log {
    group: u64,
    disk: Disk,
    memory: Arc<Mutex<Memory>>,
}

fn parse<T: DeserializeOwned>(disk: &Disk, what: &str, text: &str) -> Result<T, DiskError> {
    serde_json::from_str(text).map_err(|e| DiskError::Damaged {
        path: disk.path().into(),
        what: format!("{what}: {e}"),
    })
}

fn print<T: Serialize>(value: &T) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|e| StorageIOError::write_logs(&e).into())
}

impl Log {
    /// Takes over what the disk holds for this group.
    pub(super) fn open(
        disk: &Disk,
        group: u64,
        stored: &super::disk::Stored,
    ) -> Result<Self, DiskError> {
        let mut memory = Memory::default();
        for (index, body) in &stored.entries {
            let entry: Entry = parse(disk, &format!("entry {index} of group {group}"), body)?;
            memory.entries.insert(*index, entry);
        }
        if let Some(vote) = &stored.vote {
            memory.vote = Some(parse(disk, "vote", vote)?);
        }
        if let Some(purged) = &stored.purged {
            memory.purged = Some(parse(disk, "purged", purged)?);
        }
        Ok(Self {
            group,
            disk: disk.clone(),
            memory: Arc::new(Mutex::new(memory)),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self
            .memory()
            .entries
            .range(range)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.try_get_log_entries(start..end.min(start + READ_LIMIT))
            .await
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let memory = self.memory();
        let last = memory
            .entries
            .values()
            .next_back()
            .map(|entry| entry.log_id);
        Ok(LogState {
            last_purged_log_id: memory.purged,
            last_log_id: last.or(memory.purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let text = print(vote)?;
        self.memory().vote = Some(*vote);
        self.disk
            .write_synced(Write::Vote {
                group: self.group,
                vote: text,
            })
            .await
            .map_err(|e| StorageIOError::write_vote(&e).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.memory().vote)
    }

    // Kept in memory only: after a restart the leader says again what is committed.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.memory().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.memory().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut rows = Vec::new();
        {
            let mut memory = self.memory();
            for entry in entries {
                rows.push((entry.log_id.index, print(&entry)?));
                memory.entries.insert(entry.log_id.index, entry);
            }
        }
        self.disk.write(
            Write::Append {
                group: self.group,
                entries: rows,
            },
            Box::new(move |result| callback.log_io_completed(result)),
        );
        Ok(())
    }

    async fn truncate(&mut self, id: LogId) -> Result<(), StorageError> {
        self.memory().entries.split_off(&id.index);
        self.disk
            .write_synced(Write::Truncate {
                group: self.group,
                from: id.index,
            })
            .await
            .map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn purge(&mut self, id: LogId) -> Result<(), StorageError> {
        {
            let mut memory = self.memory();
            memory.entries = memory.entries.split_off(&(id.index + 1));
            memory.purged = Some(id);
        }
        let text = print(&id)?;
        self.disk
            .write_synced(Write::Purge {
                group: self.group,
                upto: id.index,
                id: text,
            })
            .await
            .map_err(|e| StorageIOError::write_logs(&e).into())
    }
}
