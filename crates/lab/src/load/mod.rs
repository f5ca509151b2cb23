//! The load: like YCSB A, half reads and half updates over zipfian keys at a target rate.
//!
//! There is no phase that loads records first: a record that nobody has written yet reads as
//! absent. Every update carries a rising number; the highest acknowledged one of each record is
//! kept, so that `verify` can look for lost writes.

mod metrics;
pub mod rate;
mod router;
pub mod verify;

use crate::{
    node::{NodeError, listen, unix_millis},
    topology::{Node, RECORDS, REGIONS, Topology, record_key, region_of},
};
use axum::{
    Json, Router as Routes,
    extract::{Path, State},
    http::header,
    routing::{get, post},
};
use metrics::Metrics;
use rand::Rng;
use rand_distr::{Distribution, Zipf};
use router::Router;
use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, sync::watch, time};

/// Operations under way at a time in one region: one without a leader does not hold the others
/// up. Beyond it the load falls behind its rate, and does not queue.
const CONCURRENT: usize = 64;
/// How often operations are handed out while the load is on.
const PACE: Duration = Duration::from_millis(20);
/// A rate that the processes of a debug build sustain beside everything else.
const MAX_RATE: u32 = if cfg!(debug_assertions) { 150 } else { 400 };
const MIN_RATE: u32 = 20;
/// How long it waits for the cluster before it begins all the same.
const START_LIMIT: Duration = Duration::from_secs(20);
/// YCSB's constant.
const ZIPF: f64 = 0.99;
/// Bytes behind the number in a value.
const PADDING: usize = 160;

/// A rate that this disk carries with ease: a write costs two syncs one after the other, six
/// regions work side by side, half of the operations write, and a quarter of that is enough.
pub fn default_rate(fsync_us: u64) -> u32 {
    let writes = 6.0 * 1e6 / (2.0 * fsync_us.max(1) as f64);
    ((writes / 4.0 * 2.0) as u32).clamp(MIN_RATE, MAX_RATE)
}

struct Load {
    router: Router,
    metrics: Metrics,
    rate: watch::Sender<u32>,
    number: AtomicU64,
    /// Highest acknowledged number of each record.
    acknowledged: Mutex<BTreeMap<u64, u64>>,
    /// Records with an update under way: one at a time, so that numbers rise.
    updating: Mutex<HashSet<u64>>,
}

impl Load {
    fn acknowledged(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn updating(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.updating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the load until its port fails.
pub async fn run(topology: &Topology, node: &Node) -> Result<Infallible, NodeError> {
    let listener = listen(&node.listens_on(node.port))?;
    let (rate, mut rates) = watch::channel(topology.rate);
    let load = Arc::new(Load {
        router: Router::new(topology).map_err(|e| NodeError::new(e.to_string()))?,
        metrics: Metrics::new().map_err(|e| NodeError::new(e.to_string()))?,
        rate,
        // Rises over restarts of this process too.
        number: AtomicU64::new(unix_millis() << 16),
        acknowledged: Mutex::default(),
        updating: Mutex::default(),
    });
    let routes = Routes::new()
        .route("/metrics", get(serve_metrics))
        .route("/acknowledged", get(serve_acknowledged))
        .route("/rate/{rate}", post(set_rate))
        .with_state(load.clone());
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "HTTP server ended");
        }
    });
    let zipf = Zipf::new(RECORDS as f64, ZIPF).map_err(|e| NodeError::new(e.to_string()))?;
    let slots: Vec<_> = (0..REGIONS)
        .map(|_| Arc::new(Semaphore::new(CONCURRENT)))
        .collect();
    // Errors of a cluster that is still starting say nothing.
    load.router.wait_for_leaders(START_LIMIT).await;
    loop {
        let rate = *rates.borrow_and_update();
        tracing::info!(rate, "operations a second");
        load.metrics.target.set(f64::from(rate));
        if rate == 0 {
            let _ = rates.changed().await;
            continue;
        }
        let mut ticks = time::interval(PACE);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut due = 0.0;
        while !rates.has_changed().unwrap_or(false) {
            ticks.tick().await;
            // After a pause of this process it does not catch up.
            due += last.elapsed().min(PACE * 5).as_secs_f64() * f64::from(rate);
            last = Instant::now();
            while due >= 1.0 {
                due -= 1.0;
                let operation = choose(&load, &zipf);
                let region = region_of(&record_key(operation.record)) as usize;
                let Ok(slot) = slots[region - 1].clone().try_acquire_owned() else {
                    load.metrics.skipped.inc();
                    continue;
                };
                if operation.update {
                    load.updating().insert(operation.record);
                }
                let load = load.clone();
                tokio::spawn(async move {
                    operate(&load, operation).await;
                    drop(slot);
                });
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    record: u64,
    update: bool,
}

/// Half reads, half updates, of popular records; an update never of a record that is just being
/// updated.
fn choose(load: &Load, zipf: &Zipf<f64>) -> Operation {
    let mut random = rand::rng();
    let mut record = scramble(zipf.sample(&mut random) as u64);
    let update = random.random_bool(0.5);
    if update {
        let updating = load.updating();
        while updating.contains(&record) {
            record = random.random_range(0..RECORDS);
        }
    }
    Operation { record, update }
}

async fn operate(load: &Load, operation: Operation) {
    let key = record_key(operation.record);
    let started = Instant::now();
    if !operation.update {
        let result = load.router.read(&key).await;
        load.metrics
            .observe("read", started.elapsed(), result.is_ok());
        return;
    }
    let number = load.number.fetch_add(1, Ordering::Relaxed);
    let value = format!("{number}:{:x<PADDING$}", "");
    let result = load.router.write(&key, &value).await;
    if result.is_ok() {
        load.acknowledged().insert(operation.record, number);
    }
    load.updating().remove(&operation.record);
    load.metrics
        .observe("update", started.elapsed(), result.is_ok());
}

/// Spreads the popular records over all regions, as YCSB's scrambled zipfian does.
fn scramble(rank: u64) -> u64 {
    let hash = rank
        .to_le_bytes()
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
    hash % RECORDS
}

/// The number that a value carries.
pub fn number_of(value: &str) -> Option<u64> {
    value.split_once(':')?.0.parse().ok()
}

async fn serve_metrics(State(load): State<Arc<Load>>) -> impl axum::response::IntoResponse {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, load.metrics.text())
}

async fn serve_acknowledged(State(load): State<Arc<Load>>) -> Json<BTreeMap<String, u64>> {
    let acknowledged = load.acknowledged();
    Json(
        acknowledged
            .iter()
            .map(|(record, number)| (record_key(*record), *number))
            .collect(),
    )
}

async fn set_rate(State(load): State<Arc<Load>>, Path(rate): Path<u32>) {
    load.rate.send_replace(rate);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popular_records_are_popular_and_every_region_gets_work() {
        let zipf = Zipf::new(RECORDS as f64, ZIPF).unwrap();
        let mut random = rand::rng();
        let mut records = BTreeMap::new();
        let mut regions = BTreeMap::new();
        for _ in 0..20_000 {
            let record = scramble(zipf.sample(&mut random) as u64);
            *records.entry(record).or_insert(0u32) += 1;
            *regions
                .entry(region_of(&record_key(record)))
                .or_insert(0u32) += 1;
        }
        assert!(*records.values().max().unwrap() > 1000, "no hot record");
        assert_eq!(regions.len() as u64, REGIONS);
        assert!(*regions.values().min().unwrap() > 500, "{regions:?}");
    }

    #[test]
    fn a_slow_disk_gets_a_low_rate() {
        assert_eq!(default_rate(100), MAX_RATE);
        assert_eq!(default_rate(1_000_000), MIN_RATE);
        assert!(default_rate(20_000) < MAX_RATE.max(80));
    }

    #[test]
    fn a_value_carries_its_number() {
        assert_eq!(number_of("17:xxxx"), Some(17));
        assert_eq!(number_of("xxxx"), None);
    }
}
