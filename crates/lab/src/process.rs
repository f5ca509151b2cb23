//! What every node's `/metrics` says of the process itself.

use crate::node;
use prometheus::{Counter, Gauge, Opts, Registry};
use std::fs;

/// `process_*` metrics, brought up to date when they are read.
#[derive(Debug)]
pub(crate) struct ProcessMetrics {
    cpu: Counter,
    memory: Gauge,
}

impl ProcessMetrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let cpu = Counter::with_opts(Opts::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        ))?;
        let memory = Gauge::with_opts(Opts::new(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
        ))?;
        let start = Gauge::with_opts(Opts::new(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
        ))?;
        start.set(node::unix_millis() as f64 / 1000.0);
        registry.register(Box::new(cpu.clone()))?;
        registry.register(Box::new(memory.clone()))?;
        registry.register(Box::new(start))?;
        Ok(Self { cpu, memory })
    }

    pub(crate) fn update(&self) {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        if let Some(bytes) = resident_bytes() {
            self.memory.set(bytes);
        }
    }
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

/// All metrics of a registry as text.
pub(crate) fn text(registry: &Registry) -> String {
    prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}
