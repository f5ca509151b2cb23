//! One replica of one group: writes, reads under a lease, and handing leadership over.
//!
//! openraft 0.9.25, not the 0.10 alphas: its API stands still, and handing over needs no call for
//! it. A leader of 0.9 does not renew its own vote, so it grants its vote to any candidate whose
//! log is as long as its own, while the third replica is still bound by its lease. So: hold
//! writes back until the target has the whole log, then let the target elect itself
//! (`trigger().elect()`); target and old leader are a majority, and it takes one round trip
//! without a heartbeat being switched off. A leader younger than its lease would refuse, so it
//! does not even try, and the caller tries again. The test below spreads and returns leaders this way.

use crate::{
    raft::{
        Command, LogId, Types,
        disk::{Disk, DiskError},
        log::Log,
        machine::{Machine, State},
        network::{Contacts, Network, Peers, behind},
    },
    timing::{
        ELECTION_MAX, ELECTION_MIN, HAND_OVER_LIMIT, PEER_SILENT, PROPOSE_LIMIT, RAFT_HEARTBEAT,
        READ_LEASE,
    },
    wire::{Answer, Call, Refusal, RegionReport, decode, encode},
};
use openraft::{
    Config, EmptyNode, RaftMetrics, ServerState, SnapshotPolicy,
    error::{ClientWriteError, RaftError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::RwLock, sync::watch, time::timeout};

/// Log entries of a group between two snapshots, and how many stay behind one.
const SNAPSHOT_EVERY: u64 = 2000;
const KEEP_BEHIND_SNAPSHOT: u64 = 500;
/// A peer this many entries behind is a pending peer.
const PENDING_LAG: u64 = 1000;

pub(crate) struct Group {
    pub id: u64,
    me: u64,
    raft: openraft::Raft<Types>,
    machine: Machine,
    peers: Peers,
    contacts: Arc<Contacts>,
    metrics: watch::Receiver<RaftMetrics<u64, EmptyNode>>,
    /// Writes hold it shared, a hand-over alone.
    gate: RwLock<()>,
    started: Instant,
    /// The last term led here, and since when that has been noticed.
    led: Mutex<Option<(u64, Instant)>>,
    /// Set while another replica may be voted in: reads under the old lease must wait.
    handing_over: AtomicBool,
    read_bytes: AtomicU64,
    read_keys: AtomicU64,
}

fn config(group: u64) -> Config {
    Config {
        cluster_name: format!("group {group}"),
        heartbeat_interval: RAFT_HEARTBEAT.as_millis() as u64,
        election_timeout_min: ELECTION_MIN.as_millis() as u64,
        election_timeout_max: ELECTION_MAX.as_millis() as u64,
        install_snapshot_timeout: 3000,
        max_payload_entries: 256,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
        max_in_snapshot_log_to_keep: KEEP_BEHIND_SNAPSHOT,
        purge_batch_size: 256,
        replication_lag_threshold: 2 * SNAPSHOT_EVERY,
        // Allowed by `patience`, once the leader has had time to be heard.
        enable_elect: false,
        ..Config::default()
    }
}

impl Group {
    /// Starts the replica from what is on disk.
    pub(crate) async fn start(
        id: u64,
        me: u64,
        peers: Peers,
        disk: &Disk,
    ) -> Result<Self, DiskError> {
        let stored = disk.read(id)?;
        let log = Log::open(disk, id, &stored)?;
        let machine = Machine::open(disk, id, stored)?;
        let contacts = Arc::new(Contacts::default());
        let network = Network {
            group: id,
            peers: peers.clone(),
            contacts: contacts.clone(),
        };
        let raft = openraft::Raft::new(me, Arc::new(config(id)), network, log, machine.clone())
            .await
            .map_err(|e| DiskError::Damaged {
                path: disk.path().into(),
                what: format!("group {id}: {e}"),
            })?;
        let metrics = raft.metrics();
        Ok(Self {
            id,
            me,
            raft,
            machine,
            peers,
            contacts,
            metrics,
            gate: RwLock::new(()),
            started: Instant::now(),
            led: Mutex::default(),
            handing_over: AtomicBool::new(false),
            read_bytes: AtomicU64::new(0),
            read_keys: AtomicU64::new(0),
        })
    }

    /// Whether this replica has ever been part of the group.
    pub(crate) async fn is_started(&self) -> bool {
        self.raft.is_initialized().await.unwrap_or(true)
    }

    /// Starts the group on a set of empty replicas. Harmless if it has already been.
    pub(crate) async fn bootstrap(&self) {
        if self.is_started().await {
            return;
        }
        let members = self.peers.keys().copied().chain([self.me]);
        let members: BTreeSet<u64> = members.collect();
        match self.raft.initialize(members).await {
            Ok(()) => tracing::info!(group = self.id, "bootstrapped"),
            Err(error) => tracing::info!(group = self.id, %error, "not bootstrapped"),
        }
    }

    /// Why openraft gave up, if it did. Nothing but a restart helps then.
    pub(crate) fn failure(&self) -> Option<String> {
        self.metrics
            .borrow()
            .running_state
            .as_ref()
            .err()
            .map(ToString::to_string)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.machine.state()
    }

    pub(crate) fn term(&self) -> u64 {
        self.metrics.borrow().current_term
    }

    /// Whether this replica leads, and a majority has said so within the lease.
    pub(crate) fn leads(&self) -> bool {
        let term = {
            let metrics = self.metrics.borrow();
            if metrics.state != ServerState::Leader {
                return false;
            }
            metrics.current_term
        };
        // With three replicas one other makes a majority.
        self.peers
            .keys()
            .filter_map(|&peer| self.contacts.get(peer))
            .any(|contact| contact.term == term && contact.sent.elapsed() < READ_LEASE)
    }

    /// The leader as far as this replica knows. A leader without a majority knows of none.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leader = self.metrics.borrow().current_leader?;
        (leader != self.me || self.leads()).then_some(leader)
    }

    /// Waits until a leader is known.
    pub(crate) async fn wait_for_leader(&self, limit: Duration) -> Option<u64> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(leader) = self.leader() {
                return Some(leader);
            }
            if Instant::now() >= deadline {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn not_leader(&self) -> Refusal {
        Refusal::NotLeader {
            leader: self.leader().filter(|&id| id != self.me),
        }
    }

    /// The value of a key, as new as any acknowledged write.
    pub(crate) fn get(&self, key: &str) -> Result<Option<String>, Refusal> {
        if self.handing_over.load(Ordering::Acquire) || !self.leads() {
            return Err(self.not_leader());
        }
        let term = self.term();
        let state = self.state();
        // Until an entry of its own term is applied, a new leader may lack committed ones.
        if state.applied().is_none_or(|id| id.leader_id.term != term) {
            return Err(Refusal::NotLeader { leader: None });
        }
        let value = state.values.get(key).cloned();
        let bytes = value.as_ref().map_or(0, |value| key.len() + value.len());
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.read_keys.fetch_add(1, Ordering::Relaxed);
        Ok(value)
    }

    /// Replicates a write. `Ok` means that it is durable on a majority and applied here.
    pub(crate) async fn put(&self, key: String, value: String) -> Result<(), Refusal> {
        let write = async {
            let _open = self.gate.read().await;
            self.raft.client_write(Command::Put { key, value }).await
        };
        match timeout(PROPOSE_LIMIT, write).await {
            Err(_) => Err(Refusal::TimedOut),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => {
                Err(Refusal::NotLeader {
                    leader: to.leader_id.filter(|&id| id != self.me),
                })
            }
            Ok(Err(error)) => Err(Refusal::Other(error.to_string())),
        }
    }

    /// Makes another replica the leader. Writes wait meanwhile, and reads are refused.
    pub(crate) async fn hand_over(&self, to: u64) -> Result<(), Refusal> {
        let result = timeout(HAND_OVER_LIMIT, self.hand_over_unlimited(to)).await;
        self.handing_over.store(false, Ordering::Release);
        result.unwrap_or(Err(Refusal::TimedOut))
    }

    /// Called now and then, so that it is known how long this replica has led.
    pub(crate) fn note_leadership(&self) {
        let (term, leads) = (self.term(), self.leads());
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        if leads && led.is_none_or(|(known, _)| known != term) {
            *led = Some((term, Instant::now()));
        }
    }

    /// Whether the lease with which this replica came to lead is over, so that it can vote.
    fn may_vote(&self) -> bool {
        let led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        led.is_some_and(|(term, since)| term == self.term() && since.elapsed() > ELECTION_MAX)
    }

    async fn hand_over_unlimited(&self, to: u64) -> Result<(), Refusal> {
        let target = self.peers.get(&to).ok_or(Refusal::NoGroup)?;
        // A target that loses its election would drive this leader out with its higher term.
        if !self.may_vote() {
            return Err(Refusal::Other("has led for too short a time".into()));
        }
        let _closed = self.gate.write().await;
        let mut metrics = self.metrics.clone();
        let caught_up = |m: &RaftMetrics<u64, EmptyNode>| {
            let matched = m
                .replication
                .as_ref()
                .and_then(|r| r.get(&to).copied().flatten());
            m.state != ServerState::Leader || behind(m.last_log_index, matched) == 0
        };
        let stopped = |_| Refusal::Other("this replica has stopped".into());
        if metrics.wait_for(caught_up).await.map_err(stopped)?.state != ServerState::Leader {
            return Err(self.not_leader());
        }
        self.handing_over.store(true, Ordering::Release);
        let answer = target
            .call(encode(&Call::Campaign { group: self.id }), HAND_OVER_LIMIT)
            .await
            .and_then(|body| decode::<Answer>(&body))
            .map_err(|e| Refusal::Other(e.to_string()))?;
        if let Answer::Refused(refusal) = answer {
            return Err(refusal);
        }
        metrics
            .wait_for(|m| m.current_leader == Some(to))
            .await
            .map_err(stopped)?;
        Ok(())
    }

    /// What a leader tells PD, flows since start; `None` if this replica does not lead.
    pub(crate) fn report(&self) -> Option<RegionReport> {
        if !self.leads() {
            return None;
        }
        let (last, replication, term) = {
            let metrics = self.metrics.borrow();
            (
                metrics.last_log_index,
                metrics.replication.clone()?,
                metrics.current_term,
            )
        };
        let mut report = RegionReport {
            region: self.id,
            term,
            ..RegionReport::default()
        };
        for &peer in self.peers.keys() {
            let heard = self
                .contacts
                .get(peer)
                .map_or(self.started, |contact| contact.sent);
            if heard.elapsed() >= PEER_SILENT {
                report.silent.insert(peer, heard.elapsed().as_secs());
            }
            if behind(last, replication.get(&peer).copied().flatten()) > PENDING_LAG {
                report.pending.push(peer);
            }
        }
        let state = self.state();
        report.bytes = state.bytes;
        report.keys = state.values.len() as u64;
        report.written_bytes = state.written_bytes;
        report.written_keys = state.written_keys;
        report.read_bytes = self.read_bytes.load(Ordering::Relaxed);
        report.read_keys = self.read_keys.load(Ordering::Relaxed);
        Some(report)
    }

    /// Messages of this group that did not reach a peer, since start, by peer.
    pub(crate) fn unreachable(&self) -> BTreeMap<u64, u64> {
        self.contacts.unreachable()
    }

    /// Entries between the end of the log and each peer; empty unless this replica leads.
    pub(crate) fn lag(&self) -> Vec<u64> {
        let metrics = self.metrics.borrow();
        let last = metrics.last_log_index;
        metrics
            .replication
            .iter()
            .flatten()
            .filter(|(id, _)| **id != self.me)
            .map(|(_, matched)| behind(last, *matched))
            .collect()
    }

    pub(crate) fn applied(&self) -> Option<LogId> {
        self.state().applied()
    }

    /// Allows or forbids this replica to stand for election by itself.
    pub(crate) fn allow_elections(&self, allow: bool) {
        self.raft.runtime_config().elect(allow);
    }

    /// Answers a Raft message of another replica.
    pub(crate) async fn answer(&self, call: Call) -> Answer {
        match call {
            Call::Append { rpc, .. } => Answer::Append(self.raft.append_entries(rpc).await),
            Call::Vote { rpc, .. } => Answer::Vote(self.raft.vote(rpc).await),
            Call::Snapshot { rpc, .. } => Answer::Snapshot(self.raft.install_snapshot(rpc).await),
            Call::Campaign { .. } => match self.raft.trigger().elect().await {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Refused(Refusal::Other(error.to_string())),
            },
            _ => Answer::Refused(Refusal::NoGroup),
        }
    }
}

#[cfg(test)]
mod tests;
