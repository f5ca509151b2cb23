//! Raft messages between nodes, over `frame`; all groups of two nodes share one connection.
//!
//! Also notes who has answered whom and when: a leader's lease and its down peers come from that.

use crate::{
    frame::Channel,
    raft::{LogId, Types},
    timing::CONNECT_LIMIT,
    wire::{Answer, Call, decode, encode},
};
use openraft::{
    EmptyNode, RaftNetwork, RaftNetworkFactory,
    error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Connections to the other nodes, by Raft id.
pub(crate) type Peers = Arc<BTreeMap<u64, Channel>>;

/// Connections to all of `addresses` but our own.
pub(crate) fn peers(me: u64, addresses: BTreeMap<u64, String>) -> Peers {
    let others = addresses.into_iter().filter(|(id, _)| *id != me);
    Arc::new(
        others
            .map(|(id, at)| (id, Channel::new(at, CONNECT_LIMIT)))
            .collect(),
    )
}

/// When a peer last acknowledged this node as leader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contact {
    pub term: u64,
    /// When the message that it answered was sent.
    pub sent: Instant,
}

/// Acknowledgements of one group, by peer; and counts of messages that found nobody.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    acknowledged: Mutex<HashMap<u64, Contact>>,
    unreachable: Mutex<BTreeMap<u64, u64>>,
    silent: Mutex<BTreeSet<u64>>,
}

impl Contacts {
    pub(crate) fn get(&self, peer: u64) -> Option<Contact> {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&peer)
            .copied()
    }

    pub(crate) fn unreachable(&self) -> BTreeMap<u64, u64> {
        self.unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this is news.
    fn set_silent(&self, peer: u64, silent: bool) -> bool {
        let mut peers = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent {
            peers.insert(peer)
        } else {
            peers.remove(&peer)
        }
    }

    fn note_unreachable(&self, peer: u64) {
        let mut counts = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *counts.entry(peer).or_insert(0) += 1;
    }

    fn note(&self, peer: u64, contact: Contact) {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(peer, contact);
    }
}

#[derive(Clone)]
pub(crate) struct Network {
    pub group: u64,
    pub peers: Peers,
    pub contacts: Arc<Contacts>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Link {
        Link {
            network: self.clone(),
            target,
        }
    }
}

/// The way to one peer of one group.
pub(crate) struct Link {
    network: Network,
    target: u64,
}

type Failure<E> = RPCError<u64, EmptyNode, E>;

impl Link {
    async fn call<E: Error + 'static>(
        &self,
        call: &Call,
        limit: Duration,
    ) -> Result<Answer, Failure<E>> {
        let result = match self.network.peers.get(&self.target) {
            Some(channel) => channel.call(encode(call), limit).await,
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let (group, to) = (self.network.group, self.target);
        let contacts = &self.network.contacts;
        let result = result.and_then(|body| decode(&body));
        if contacts.set_silent(to, result.is_err()) {
            match &result {
                Ok(_) => tracing::info!(group, to, "replica answers again"),
                Err(error) => tracing::warn!(group, to, %error, "cannot reach replica"),
            }
        }
        // Always "unreachable": openraft then waits before it tries again.
        result.map_err(|error| {
            contacts.note_unreachable(to);
            RPCError::Unreachable(Unreachable::new(&error))
        })
    }

    fn unexpected<E: Error + 'static>(answer: &Answer) -> Failure<E> {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("answered {answer:?}"));
        RPCError::Unreachable(Unreachable::new(&error))
    }

    fn remote<T, E: Error>(&self, result: Result<T, E>) -> Result<T, Failure<E>> {
        result.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<RaftError<u64>>> {
        let contact = Contact {
            term: rpc.vote.leader_id().term,
            sent: Instant::now(),
        };
        let call = Call::Append {
            group: self.network.group,
            rpc,
        };
        match self.call(&call, option.hard_ttl()).await? {
            Answer::Append(result) => {
                if !matches!(result, Err(_) | Ok(AppendEntriesResponse::HigherVote(_))) {
                    self.network.contacts.note(self.target, contact);
                }
                self.remote(result)
            }
            other => Err(Self::unexpected(&other)),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<RaftError<u64, InstallSnapshotError>>> {
        let call = Call::Snapshot {
            group: self.network.group,
            rpc,
        };
        match self.call(&call, option.hard_ttl()).await? {
            Answer::Snapshot(result) => self.remote(result),
            other => Err(Self::unexpected(&other)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<RaftError<u64>>> {
        let call = Call::Vote {
            group: self.network.group,
            rpc,
        };
        match self.call(&call, option.hard_ttl()).await? {
            Answer::Vote(result) => self.remote(result),
            other => Err(Self::unexpected(&other)),
        }
    }
}

/// Where a log id stands behind the end of the log.
pub(crate) fn behind(last: Option<u64>, matched: Option<LogId>) -> u64 {
    let next = last.map_or(0, |index| index + 1);
    next.saturating_sub(matched.map_or(0, |id| id.index + 1))
}
