//! A store: six replicas on one log, the keys and values of the load, and TiKV's status server.
//!
//! `kv` answers calls on the store's address, `status` serves metrics and configuration,
//! `heartbeat` reports to PD and carries out its instructions, `quota` counts the lab's own disk space.

mod heartbeat;
mod kv;
mod metrics;
mod quota;
mod status;

use crate::{
    dir::LabDir,
    frame,
    node::{NodeError, listen, unix_seconds},
    raft::{disk::Disk, group::Group, network::peers, patience},
    topology::{Node, NodeRole, REGIONS, Topology},
};
use metrics::Metrics;
use quota::Quota;
use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

/// Everything a store's tasks share.
pub(crate) struct Store {
    pub node: Node,
    pub groups: BTreeMap<u64, Arc<Group>>,
    pub disk: Disk,
    pub quota: Quota,
    pub metrics: Metrics,
    pub started: u64,
}

/// Runs a store until it fails.
pub(crate) async fn run(
    dir: &LabDir,
    topology: &Topology,
    node: &Node,
) -> Result<Infallible, NodeError> {
    let data = dir.data(&node.name);
    let disk = Disk::open(&data.join("raft.db"))?;
    let listener = listen(&node.listens_on(node.port))?;
    let status_port = node
        .second_port
        .ok_or_else(|| NodeError::new("no status address"))?;
    let status_listener = listen(&node.listens_on(status_port))?;
    let connections = peers(node.id, topology.peers(NodeRole::Store));
    let mut groups = BTreeMap::new();
    for region in 1..=REGIONS {
        let group = Group::start(region, node.id, connections.clone(), &disk).await?;
        groups.insert(region, Arc::new(group));
    }
    let store = Arc::new(Store {
        node: node.clone(),
        groups,
        disk,
        quota: Quota::open(&data)?,
        metrics: Metrics::new().map_err(|e| NodeError::new(e.to_string()))?,
        started: unix_seconds(),
    });
    tracing::info!(
        store = node.id,
        address = node.address(),
        status_port,
        data = %data.display(),
        "store is ready"
    );
    let served = store.clone();
    tokio::spawn(frame::serve(listener, move |body| {
        let store = served.clone();
        async move { kv::answer(&store, &body).await }
    }));
    tokio::spawn(status::serve(status_listener, store.clone()));
    heartbeat::start(&store, topology);
    tokio::spawn(patience::guard(
        node.id,
        store.groups.values().cloned().collect(),
    ));
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for group in store.groups.values() {
            if let Some(why) = group.failure() {
                return Err(NodeError::new(format!("region {}: {why}", group.id)));
            }
        }
    }
}
