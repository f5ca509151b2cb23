//! Replication: one Raft group per region, and one for the small state of PD, on openraft.
//!
//! `disk` is the one log of a process, `log` a group's view of it, `machine` the keys and values
//! a group agrees on, `network` carries messages, `patience` holds elections back, and `group` is
//! what the rest of the lab uses.

#![expect(
    clippy::result_large_err,
    reason = "openraft's errors are what they are"
)]

pub(crate) mod disk;
pub(crate) mod group;
mod log;
mod machine;
pub(crate) mod network;
pub(crate) mod patience;

use serde::{Deserialize, Serialize};
use std::io::Cursor;

openraft::declare_raft_types!(
    /// Raft as the lab uses it: members are numbers, their addresses come from the topology.
    pub(crate) Types:
        D = Command,
        R = (),
        NodeId = u64,
        Node = openraft::EmptyNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
);

/// A change to the keys and values of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    Put { key: String, value: String },
}

pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type StorageError = openraft::StorageError<u64>;

/// Number of the group in which the PD members keep their state. Regions count from 1.
pub(crate) const PD_GROUP: u64 = 0;
