//! What the processes of the lab say to each other: the bodies of `frame`, as JSON.
//!
//! HTTP is kept for what TiKV and PD serve over HTTP too; this takes the place of their gRPC.

use crate::raft::Types;
use openraft::{
    error::{InstallSnapshotError, RaftError},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, io};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    Append {
        group: u64,
        rpc: AppendEntriesRequest<Types>,
    },
    Vote {
        group: u64,
        rpc: VoteRequest<u64>,
    },
    Snapshot {
        group: u64,
        rpc: InstallSnapshotRequest<Types>,
    },
    /// The leader of the group asks the receiver to be elected in its place.
    Campaign {
        group: u64,
    },
    Read {
        key: String,
        deadline: u64,
    },
    Write {
        key: String,
        value: String,
        deadline: u64,
    },
    /// A store reports to PD.
    Heartbeat(Box<StoreReport>),
    Ping,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(Result<AppendEntriesResponse<u64>, RaftError<u64>>),
    Vote(Result<VoteResponse<u64>, RaftError<u64>>),
    Snapshot(Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>),
    Value(Option<String>),
    Instructions(Vec<Instruction>),
    Done,
    Refused(Refusal),
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("not the leader of this region")]
    NotLeader { leader: Option<u64> },
    #[error("this node holds no such group")]
    NoGroup,
    #[error("the store is full")]
    DiskFull,
    /// The caller has stopped waiting: a frozen store must not carry out old requests.
    #[error("the deadline has passed")]
    Expired,
    /// Not done in time; it may still happen.
    #[error("not replicated in time")]
    TimedOut,
    #[error("{0}")]
    Other(String),
}

/// A store's heartbeat, its regions included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreReport {
    pub store: u64,
    pub address: String,
    pub status_address: String,
    pub deploy_path: String,
    pub version: String,
    /// Seconds since 1970.
    pub start_timestamp: u64,
    pub capacity: u64,
    pub available: u64,
    pub used: u64,
    pub slow_score: u64,
    /// Regions that have no data anywhere on this store yet.
    pub empty_regions: Vec<u64>,
    /// Regions with a replica here.
    pub regions: Vec<u64>,
    /// Regions led from here.
    pub leads: Vec<RegionReport>,
}

/// A leader's view of its region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegionReport {
    pub region: u64,
    pub term: u64,
    /// Peers that have not answered lately, by store id, and for how many seconds.
    pub silent: BTreeMap<u64, u64>,
    /// Stores whose peer is far behind.
    pub pending: Vec<u64>,
    pub bytes: u64,
    pub keys: u64,
    /// Since the previous heartbeat.
    pub written_bytes: u64,
    pub written_keys: u64,
    pub read_bytes: u64,
    pub read_keys: u64,
}

/// What PD wants a store to do, in answer to its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Instruction {
    /// Start the region, of which no store holds data, with replicas on all stores.
    Bootstrap {
        region: u64,
    },
    HandOver {
        region: u64,
        to: u64,
    },
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // These types have no maps with other keys than strings and numbers: they always serialize.
    serde_json::to_vec(value).unwrap_or_default()
}

pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
