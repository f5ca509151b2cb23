//! A store's heartbeat: what it tells every PD member each second, and the instructions it gets back.
//!
//! All members are told, so that whoever leads hears it without being looked for. Only the leader
//! gives instructions.

use crate::{
    frame::Channel,
    store::Store,
    timing::{CONNECT_LIMIT, DISK_SCAN, STORE_HEARTBEAT},
    topology::{NodeRole, TIKV_VERSION, Topology},
    wire::{Answer, Call, Instruction, RegionReport, StoreReport, decode, encode},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{sync::watch, time};

impl Store {
    /// Raft messages that did not reach another store, by store.
    pub(crate) fn unreachable(&self) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for group in self.groups.values() {
            for (peer, count) in group.unreachable() {
                *counts.entry(peer).or_insert(0) += count;
            }
        }
        counts
    }
}

/// Starts reporting to all PD members.
pub(super) fn start(store: &Arc<Store>, topology: &Topology) {
    let (reports, latest) = watch::channel(None);
    for address in topology.peers(NodeRole::Pd).into_values() {
        tokio::spawn(send(store.clone(), address, latest.clone()));
    }
    tokio::spawn(measure(store.clone(), reports));
}

async fn measure(store: Arc<Store>, reports: watch::Sender<Option<Arc<Vec<u8>>>>) {
    let mut previous = BTreeMap::new();
    let mut started = BTreeSet::new();
    let mut ticks = time::interval(STORE_HEARTBEAT);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let scan_every = (DISK_SCAN.as_millis() / STORE_HEARTBEAT.as_millis()).max(1) as u64;
    for tick in 0u64.. {
        ticks.tick().await;
        if tick % scan_every == 0 {
            store.quota.scan();
        }
        store.metrics.sample(&store);
        for (id, group) in &store.groups {
            if !started.contains(id) && group.is_started().await {
                started.insert(*id);
            }
        }
        let report = report(&store, &started, &mut previous);
        let _ = reports.send(Some(Arc::new(encode(&Call::Heartbeat(Box::new(report))))));
    }
}

fn report(
    store: &Store,
    started: &BTreeSet<u64>,
    previous: &mut BTreeMap<u64, RegionReport>,
) -> StoreReport {
    let mut leads = Vec::new();
    for group in store.groups.values() {
        let Some(total) = group.report() else {
            previous.remove(&group.id);
            continue;
        };
        let before = previous
            .insert(group.id, total.clone())
            .unwrap_or_else(|| total.clone());
        leads.push(RegionReport {
            written_bytes: total.written_bytes - before.written_bytes,
            written_keys: total.written_keys - before.written_keys,
            read_bytes: total.read_bytes - before.read_bytes,
            read_keys: total.read_keys - before.read_keys,
            ..total
        });
    }
    StoreReport {
        store: store.node.id,
        address: store.node.address(),
        status_address: store.node.second_address().unwrap_or_default(),
        deploy_path: store.quota.folder().display().to_string(),
        version: TIKV_VERSION.into(),
        start_timestamp: store.started,
        capacity: store.quota.capacity(),
        available: store.quota.available(),
        used: store.quota.used(),
        slow_score: store.metrics.slow_score(),
        empty_regions: store
            .groups
            .keys()
            .filter(|id| !started.contains(id))
            .copied()
            .collect(),
        regions: started.iter().copied().collect(),
        leads,
    }
}

async fn send(store: Arc<Store>, pd: String, mut latest: watch::Receiver<Option<Arc<Vec<u8>>>>) {
    let channel = Channel::new(pd, CONNECT_LIMIT);
    let mut answered = true;
    while latest.changed().await.is_ok() {
        let Some(body) = latest.borrow_and_update().clone() else {
            continue;
        };
        let result = channel.call(body.to_vec(), CONNECT_LIMIT).await;
        match result.and_then(|body| decode::<Answer>(&body)) {
            Ok(answer) => {
                if !answered {
                    tracing::info!(pd = channel.address(), "PD member answers again");
                    answered = true;
                }
                if let Answer::Instructions(instructions) = answer {
                    for instruction in instructions {
                        tokio::spawn(carry_out(store.clone(), instruction));
                    }
                }
            }
            Err(error) => {
                if answered {
                    tracing::warn!(pd = channel.address(), %error, "PD member does not answer");
                    answered = false;
                }
            }
        }
    }
}

async fn carry_out(store: Arc<Store>, instruction: Instruction) {
    match instruction {
        Instruction::Bootstrap { region } => {
            if let Some(group) = store.groups.get(&region) {
                group.bootstrap().await;
            }
        }
        Instruction::HandOver { region, to } => {
            let Some(group) = store.groups.get(&region) else {
                return;
            };
            match group.hand_over(to).await {
                Ok(()) => tracing::info!(region, to, "leadership handed over"),
                Err(why) => tracing::info!(region, to, %why, "leadership not handed over"),
            }
        }
    }
}
