//! A PD member: three of them keep a small replicated state and watch the stores.
//!
//! `cluster` is what is known of stores and regions, `balance` decides where leaders belong,
//! `api`, `change` and `shape` answer as PD does over HTTP, `proxy` forwards to the leader, `config` holds
//! what can be changed, `metrics` what can be scraped.

mod api;
mod balance;
mod change;
mod cluster;
mod config;
mod duration;
mod metrics;
mod proxy;
mod shape;

use crate::{
    dir::LabDir,
    frame::{self, Channel},
    http,
    node::{NodeError, listen, unix_seconds},
    raft::{PD_GROUP, disk::Disk, group::Group, network::peers, patience},
    timing::{CONNECT_LIMIT, HEALTH_PING, HEARTBEAT_RECORD, PD_TICK, PROXY_LIMIT},
    topology::{Node, NodeRole, Topology},
    wire::{Answer, Call, Refusal, decode, encode},
};
use cluster::{Cluster, StoreRecord};
use config::Config;
use metrics::Metrics;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Everything a member's tasks share.
pub(crate) struct Pd {
    pub node: Node,
    pub members: Vec<Node>,
    pub cluster_id: u64,
    pub deploy_path: String,
    pub group: Arc<Group>,
    pub metrics: Metrics,
    pub http: reqwest::Client,
    pub started: u64,
    peers: BTreeMap<u64, Channel>,
    cluster: Mutex<Cluster>,
}

/// Keys of the replicated state.
mod key {
    pub(super) const CONFIG: &str = "config";
    pub(super) const BOOTSTRAPPED: &str = "bootstrapped";
    pub(super) const STORE: &str = "store/";
}

/// Runs a member until it fails.
pub(crate) async fn run(
    dir: &LabDir,
    topology: &Topology,
    node: &Node,
) -> Result<Infallible, NodeError> {
    let data = dir.data(&node.name);
    let disk = Disk::open(&data.join("raft.db"))?;
    let peer_port = node
        .second_port
        .ok_or_else(|| NodeError::new("no peer address"))?;
    let peer_listener = listen(&node.listens_on(peer_port))?;
    let listener = listen(&node.listens_on(node.port))?;
    let addresses = topology.peers(NodeRole::Pd);
    let group = Group::start(PD_GROUP, node.id, peers(node.id, addresses.clone()), &disk).await?;
    let others = addresses.into_iter().filter(|(id, _)| *id != node.id);
    let pd = Arc::new(Pd {
        node: node.clone(),
        members: topology.of_role(NodeRole::Pd).cloned().collect(),
        cluster_id: topology.cluster_id,
        deploy_path: data.display().to_string(),
        group: Arc::new(group),
        metrics: Metrics::new().map_err(|e| NodeError::new(e.to_string()))?,
        http: http::client(PROXY_LIMIT).map_err(|e| NodeError::new(e.to_string()))?,
        started: unix_seconds(),
        peers: others
            .map(|(id, at)| (id, Channel::new(at, CONNECT_LIMIT)))
            .collect(),
        cluster: Mutex::new(Cluster::new(Instant::now())),
    });
    let served = pd.clone();
    tokio::spawn(frame::serve(peer_listener, move |body| {
        let pd = served.clone();
        async move { encode(&pd.answer(&body).await) }
    }));
    tokio::spawn(proxy::serve(listener, pd.clone()));
    tokio::spawn(patience::guard(node.id, vec![pd.group.clone()]));
    tracing::info!(
        member = node.name,
        address = node.address(),
        "PD member is ready"
    );
    // One member starts the group; on the others, and later, this changes nothing.
    if node.id == 1 && !pd.group.is_started().await {
        wait_for_peers(&pd).await;
        pd.group.bootstrap().await;
    }
    watch(&pd).await
}

/// An election that finds nobody costs a whole timeout: give the others a moment to appear.
async fn wait_for_peers(pd: &Pd) {
    let deadline = Instant::now() + Duration::from_secs(5);
    for peer in pd.peers.values() {
        while Instant::now() < deadline
            && peer.call(encode(&Call::Ping), CONNECT_LIMIT).await.is_err()
        {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

async fn watch(pd: &Arc<Pd>) -> Result<Infallible, NodeError> {
    let mut ticks = tokio::time::interval(PD_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut led = false;
    let mut recorded = Instant::now();
    loop {
        ticks.tick().await;
        if let Some(why) = pd.group.failure() {
            return Err(NodeError::new(why));
        }
        let leads = pd.group.leads();
        if leads != led {
            led = leads;
            tracing::info!(term = pd.group.term(), leads, "PD leadership changed");
        }
        if leads {
            pd.take_office();
        }
        let config = pd.config();
        {
            let mut cluster = pd.cluster();
            cluster.tick(Instant::now());
            if leads {
                balance::plan(&mut cluster, &config, Instant::now());
            } else {
                cluster.instructions.clear();
            }
        }
        if leads {
            let all = recorded.elapsed() > HEARTBEAT_RECORD;
            if all {
                recorded = Instant::now();
            }
            pd.record_stores(all).await;
        }
    }
}

impl Pd {
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A leader begins each of its terms with what was stored. Called before it answers as one.
    pub(crate) fn take_office(&self) {
        let term = self.group.term();
        if self.cluster().term != term {
            let stored = self.records();
            self.cluster().take_office(term, stored, Instant::now());
        }
    }

    pub(crate) fn config(&self) -> Config {
        let state = self.group.state();
        state
            .values
            .get(key::CONFIG)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    pub(crate) async fn set_config(&self, config: &Config) -> Result<(), Refusal> {
        let text = serde_json::to_string(config).map_err(|e| Refusal::Other(e.to_string()))?;
        self.group.put(key::CONFIG.into(), text).await
    }

    /// When the first store joined, if one has.
    pub(crate) fn bootstrapped(&self) -> Option<String> {
        self.group.state().values.get(key::BOOTSTRAPPED).cloned()
    }

    /// What the members have agreed to remember of each store.
    pub(crate) fn records(&self) -> BTreeMap<u64, StoreRecord> {
        let state = self.group.state();
        let records = state.values.iter().filter_map(|(key, text)| {
            let id = key.strip_prefix(key::STORE)?.parse().ok()?;
            Some((id, serde_json::from_str(text).ok()?))
        });
        records.collect()
    }

    /// The member that leads, as far as this one knows.
    pub(crate) fn leader(&self) -> Option<&Node> {
        let id = self.group.leader()?;
        self.members.iter().find(|member| member.id == id)
    }

    /// Pings another member.
    pub(crate) async fn is_healthy(&self, member: u64) -> bool {
        match self.peers.get(&member) {
            None => member == self.node.id,
            Some(peer) => peer.call(encode(&Call::Ping), HEALTH_PING).await.is_ok(),
        }
    }

    async fn answer(&self, body: &[u8]) -> Answer {
        match decode::<Call>(body) {
            Ok(Call::Ping) => Answer::Done,
            Ok(Call::Heartbeat(report)) => {
                let leads = self.group.leads();
                let mut cluster = self.cluster();
                let store = report.store;
                cluster.heard(*report, Instant::now());
                Answer::Instructions(if leads {
                    cluster.take_instructions(store)
                } else {
                    Vec::new()
                })
            }
            Ok(call) => self.group.answer(call).await,
            Err(error) => Answer::Refused(Refusal::Other(error.to_string())),
        }
    }

    /// Replicates what must outlive a restart of PD: new stores, restarts and, now and then,
    /// the time of the last heartbeat.
    async fn record_stores(&self, all: bool) {
        let known = self.records();
        let current = self.cluster().records();
        for (id, record) in current {
            let old = known.get(&id);
            let changed = old.is_none_or(|old| {
                old.start_timestamp != record.start_timestamp
                    || old.address != record.address
                    || old.last_heartbeat == 0 && record.last_heartbeat > 0
            });
            let moved = || old.is_some_and(|old| old.last_heartbeat != record.last_heartbeat);
            if !(changed || all && moved()) {
                continue;
            }
            let Ok(text) = serde_json::to_string(&record) else {
                continue;
            };
            if self
                .group
                .put(format!("{}{id}", key::STORE), text)
                .await
                .is_err()
            {
                return;
            }
        }
        if self.bootstrapped().is_none() && !self.records().is_empty() {
            let now = jiff::Timestamp::now().to_string();
            let _ = self.group.put(key::BOOTSTRAPPED.into(), now).await;
        }
    }
}
