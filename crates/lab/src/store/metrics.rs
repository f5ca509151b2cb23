//! A store's metrics, with TiKV's names and labels.

use crate::{
    process::{self, ProcessMetrics},
    store::Store,
    wire::Refusal,
};
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    exponential_buckets,
};
use std::{sync::Mutex, time::Duration};

pub(crate) struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
    duration: HistogramVec,
    failed: IntCounterVec,
    requests: IntCounterVec,
    size: GaugeVec,
    regions: GaugeVec,
    slow_score: GaugeVec,
    unreachable: IntCounterVec,
    log_lag: HistogramVec,
    cores: Gauge,
    syncs: Gauge,
    sync_seconds: Gauge,
    slow: Mutex<SlowScore>,
}

/// 1 is well, 100 is hopeless: the share of slow syncs, with a memory of some seconds.
#[derive(Debug, Default)]
struct SlowScore {
    syncs: u64,
    slow: u64,
    share: f64,
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<GaugeVec> {
    let metric = GaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Gauge> {
    let metric = Gauge::with_opts(Opts::new(name, help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: Vec<f64>,
) -> prometheus::Result<HistogramVec> {
    let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let r = Registry::new();
        let metrics = Self {
            process: ProcessMetrics::new(&r)?,
            duration: histogram(
                &r,
                "tikv_grpc_msg_duration_seconds",
                "Bucketed histogram of grpc server messages",
                &["type", "priority"],
                exponential_buckets(5e-5, 2.0, 22)?,
            )?,
            failed: counter(
                &r,
                "tikv_grpc_msg_fail_total",
                "Total number of handle grpc message failure",
                &["type"],
            )?,
            requests: counter(
                &r,
                "tikv_storage_engine_async_request_total",
                "Total number of engine asynchronous requests",
                &["type", "status"],
            )?,
            size: gauges(&r, "tikv_store_size_bytes", "Size of storage.", &["type"])?,
            regions: gauges(
                &r,
                "tikv_raftstore_region_count",
                "Number of regions",
                &["type"],
            )?,
            slow_score: gauges(
                &r,
                "tikv_raftstore_slow_score",
                "Slow score of the store.",
                &["type"],
            )?,
            unreachable: counter(
                &r,
                "tikv_server_report_failure_msg_total",
                "Total number of reporting failure messages",
                &["type", "store_id"],
            )?,
            log_lag: histogram(
                &r,
                "tikv_raftstore_log_lag",
                "Bucketed histogram of log lag in a region",
                &["type"],
                exponential_buckets(2.0, 2.0, 15)?,
            )?,
            cores: gauge(&r, "tikv_server_cpu_cores_quota", "Total CPU cores quota")?,
            syncs: gauge(&r, "lab_log_syncs", "Syncs of the log since start")?,
            sync_seconds: gauge(
                &r,
                "lab_log_sync_seconds",
                "Time spent in syncs since start",
            )?,
            slow: Mutex::default(),
            registry: r,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        metrics.cores.set(cores as f64);
        // Present from the start, so that a rate over them is zero and not unknown.
        for kind in ["raw_get", "raw_put"] {
            metrics.duration.with_label_values(&[kind, "medium"]);
            metrics.failed.with_label_values(&[kind]);
        }
        Ok(metrics)
    }

    /// Notes one request of the load.
    pub(crate) fn observe(&self, kind: &str, took: Duration, refusal: Option<&Refusal>) {
        self.duration
            .with_label_values(&[kind, "medium"])
            .observe(took.as_secs_f64());
        let status = match refusal {
            None => "success",
            Some(Refusal::NotLeader { .. }) => "err_not_leader",
            Some(Refusal::DiskFull) => "err_disk_full",
            Some(Refusal::TimedOut | Refusal::Expired) => "err_timeout",
            Some(Refusal::NoGroup) => "err_region_not_found",
            Some(Refusal::Other(_)) => "err_other",
        };
        let engine = if kind == "raw_get" {
            "snapshot"
        } else {
            "write"
        };
        self.requests.with_label_values(&[engine, status]).inc();
        self.requests.with_label_values(&[engine, "all"]).inc();
        if refusal.is_some() {
            self.failed.with_label_values(&[kind]).inc();
        }
    }

    pub(crate) fn slow_score(&self) -> u64 {
        let slow = self
            .slow
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        1 + (slow.share * 99.0).round() as u64
    }

    /// Called once a second: what is sampled and not counted.
    pub(crate) fn sample(&self, store: &Store) {
        use std::sync::atomic::Ordering::Relaxed;
        let stats = store.disk.stats();
        {
            let mut slow = self
                .slow
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let (syncs, slow_syncs) = (stats.syncs.load(Relaxed), stats.slow_syncs.load(Relaxed));
            let new = syncs - slow.syncs;
            let now = if new == 0 {
                0.0
            } else {
                (slow_syncs - slow.slow) as f64 / new as f64
            };
            slow.share = slow.share * 0.8 + now * 0.2;
            (slow.syncs, slow.slow) = (syncs, slow_syncs);
        }
        for group in store.groups.values().filter(|group| group.leads()) {
            for lag in group.lag() {
                self.log_lag.with_label_values(&["lag"]).observe(lag as f64);
            }
        }
    }

    /// All metrics as text.
    pub(crate) fn text(&self, store: &Store) -> String {
        use std::sync::atomic::Ordering::Relaxed;
        self.process.update();
        let quota = &store.quota;
        for (kind, bytes) in [
            ("capacity", quota.capacity()),
            ("available", quota.available()),
            ("used", quota.used()),
        ] {
            self.size.with_label_values(&[kind]).set(bytes as f64);
        }
        let leaders = store.groups.values().filter(|group| group.leads()).count();
        self.regions
            .with_label_values(&["region"])
            .set(store.groups.len() as f64);
        self.regions
            .with_label_values(&["leader"])
            .set(leaders as f64);
        self.slow_score
            .with_label_values(&["store"])
            .set(self.slow_score() as f64);
        for (peer, count) in store.unreachable() {
            let metric = self
                .unreachable
                .with_label_values(&["unreachable", &peer.to_string()]);
            metric.inc_by(count.saturating_sub(metric.get()));
        }
        let stats = store.disk.stats();
        self.syncs.set(stats.syncs.load(Relaxed) as f64);
        self.sync_seconds
            .set(stats.sync_micros.load(Relaxed) as f64 / 1e6);
        process::text(&self.registry)
    }
}
