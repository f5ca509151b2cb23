//! The load's metrics: operations and their times as a client of the cluster sees them.

use crate::process::{self, ProcessMetrics};
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    exponential_buckets,
};
use std::time::Duration;

pub(super) struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
    operations: IntCounterVec,
    duration: HistogramVec,
    pub target: Gauge,
    /// Operations not begun because too many were under way.
    pub skipped: IntCounter,
}

impl Metrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let operations = IntCounterVec::new(
            Opts::new("load_operations_total", "Operations of the load."),
            &["op", "result"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "load_operation_duration_seconds",
                "Time of an operation of the load, retries included.",
            )
            .buckets(exponential_buckets(0.0005, 1.6, 20)?),
            &["op"],
        )?;
        let target = Gauge::with_opts(Opts::new(
            "load_target_rate",
            "Operations a second that the load aims at.",
        ))?;
        let skipped = IntCounter::with_opts(Opts::new(
            "load_skipped_total",
            "Operations not begun because too many were under way.",
        ))?;
        registry.register(Box::new(operations.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(target.clone()))?;
        registry.register(Box::new(skipped.clone()))?;
        for op in ["read", "update"] {
            for result in ["ok", "error"] {
                operations.with_label_values(&[op, result]);
            }
            duration.with_label_values(&[op]);
        }
        let process = ProcessMetrics::new(&registry)?;
        Ok(Self {
            registry,
            process,
            operations,
            duration,
            target,
            skipped,
        })
    }

    pub(super) fn observe(&self, op: &str, took: Duration, ok: bool) {
        self.operations
            .with_label_values(&[op, if ok { "ok" } else { "error" }])
            .inc();
        self.duration
            .with_label_values(&[op])
            .observe(took.as_secs_f64());
    }

    pub(super) fn text(&self) -> String {
        self.process.update();
        process::text(&self.registry)
    }
}
