//! The keys and values that a group has agreed on: in memory, with its snapshots on disk.
//!
//! After a restart the last snapshot is loaded and the log behind it applied again.

use crate::raft::{
    Command, Entry, LogId, StorageError, Types,
    disk::{Disk, DiskError, Stored, Write},
};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageIOError,
    StoredMembership, storage::RaftStateMachine,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Membership = StoredMembership<u64, openraft::EmptyNode>;
type Meta = SnapshotMeta<u64, openraft::EmptyNode>;

/// Applied state of one group.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub values: BTreeMap<String, String>,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// Bytes written since start, for flow statistics.
    pub written_bytes: u64,
    pub written_keys: u64,
    applied: Option<LogId>,
    membership: Membership,
    snapshot: Option<(Meta, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    values: BTreeMap<String, String>,
}

/// A handle; clones share the state.
#[derive(Clone)]
pub(super) struct Machine {
    group: u64,
    disk: Disk,
    state: Arc<Mutex<State>>,
}

impl Machine {
    pub(super) fn open(disk: &Disk, group: u64, stored: Stored) -> Result<Self, DiskError> {
        let mut state = State::default();
        if let Some((meta, data)) = stored.snapshot {
            let damaged = |e: serde_json::Error| DiskError::Damaged {
                path: disk.path().into(),
                what: format!("snapshot of group {group}: {e}"),
            };
            let meta: Meta = serde_json::from_str(&meta).map_err(damaged)?;
            state.restore(meta, data).map_err(damaged)?;
        }
        Ok(Self {
            group,
            disk: disk.clone(),
            state: Arc::new(Mutex::new(state)),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, meta: &Meta, data: Vec<u8>) -> Result<(), StorageError> {
        let text = serde_json::to_string(meta)
            .map_err(|e| StorageIOError::write_snapshot(Some(meta.signature()), &e))?;
        self.disk
            .write_synced(Write::Snapshot {
                group: self.group,
                meta: text,
                data,
            })
            .await
            .map_err(|e| StorageIOError::write_snapshot(Some(meta.signature()), &e).into())
    }
}

impl State {
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.applied
    }

    fn restore(&mut self, meta: Meta, data: Vec<u8>) -> serde_json::Result<()> {
        let content: Content = serde_json::from_slice(&data)?;
        self.values = content.values;
        self.bytes = self
            .values
            .iter()
            .map(|(k, v)| (k.len() + v.len()) as u64)
            .sum();
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.snapshot = Some((meta, data));
        Ok(())
    }

    fn put(&mut self, key: String, value: String) {
        let new = (key.len() + value.len()) as u64;
        let key_len = key.len();
        self.written_bytes += new;
        self.written_keys += 1;
        self.bytes += new;
        if let Some(old) = self.values.insert(key, value) {
            self.bytes -= (key_len + old.len()) as u64;
        }
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let (meta, data) = {
            let state = self.state();
            let data = serde_json::to_vec(&serde_json::json!({ "values": state.values }))
                .map_err(|e| StorageIOError::read_state_machine(&e))?;
            let id = state.applied.map_or_else(
                || "empty".to_string(),
                |id| format!("{}-{}", id.leader_id, id.index),
            );
            let meta = Meta {
                last_log_id: state.applied,
                last_membership: state.membership.clone(),
                snapshot_id: id,
            };
            (meta, data)
        };
        self.keep(&meta, data.clone()).await?;
        self.state().snapshot = Some((meta.clone(), data.clone()));
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data)),
        })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        let state = self.state();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.state();
        let mut answers = Vec::new();
        for entry in entries {
            state.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(Command::Put { key, value }) => state.put(key, value),
                EntryPayload::Membership(membership) => {
                    state.membership = Membership::new(Some(entry.log_id), membership);
                }
            }
            answers.push(());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let data = snapshot.into_inner();
        self.keep(meta, data.clone()).await?;
        self.state()
            .restore(meta.clone(), data)
            .map_err(|e| StorageIOError::read_snapshot(Some(meta.signature()), &e).into())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let state = self.state();
        Ok(state.snapshot.as_ref().map(|(meta, data)| Snapshot {
            meta: meta.clone(),
            snapshot: Box::new(Cursor::new(data.clone())),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Types, disk::Disk, log::Log};
    use super::*;
    use openraft::testing::{StoreBuilder, Suite};

    struct Builder;

    impl StoreBuilder<Types, Log, Machine, tempfile::TempDir> for Builder {
        async fn build(&self) -> Result<(tempfile::TempDir, Log, Machine), StorageError> {
            let tmp = tempfile::tempdir().unwrap();
            let disk = Disk::open(&tmp.path().join("raft.db")).unwrap();
            let stored = disk.read(1).unwrap();
            let log = Log::open(&disk, 1, &stored).unwrap();
            let machine = Machine::open(&disk, 1, stored).unwrap();
            Ok((tmp, log, machine))
        }
    }

    #[test]
    fn log_and_machine_keep_the_promises_that_openraft_relies_on() {
        Suite::test_all(Builder).unwrap();
    }

    #[tokio::test]
    async fn a_snapshot_survives_a_restart() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("raft.db");
        let disk = Disk::open(&path).unwrap();
        let mut machine = Machine::open(&disk, 1, disk.read(1).unwrap()).unwrap();
        let id = openraft::testing::log_id(3, 1, 7);
        let put = Command::Put {
            key: "k".into(),
            value: "v".into(),
        };
        machine
            .apply([Entry {
                log_id: id,
                payload: EntryPayload::Normal(put),
            }])
            .await
            .unwrap();
        machine.build_snapshot().await.unwrap();
        drop((machine, disk));

        let disk = Disk::open(&path).unwrap();
        let machine = Machine::open(&disk, 1, disk.read(1).unwrap()).unwrap();
        let state = machine.state();
        assert_eq!(state.applied(), Some(id));
        assert_eq!(state.values.get("k").map(String::as_str), Some("v"));
        assert_eq!(state.bytes, 2);
    }
}
