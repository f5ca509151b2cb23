//! A PD member's metrics, with PD's names. Those about the cluster count only on the leader.

use crate::{
    pd::{Pd, cluster::StoreState},
    process::{self, ProcessMetrics},
    topology::REGIONS,
};
use prometheus::{Gauge, GaugeVec, Opts, Registry};
use std::time::Instant;

pub(crate) struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
    cluster: GaugeVec,
    regions: GaugeVec,
    stores: GaugeVec,
    role: GaugeVec,
    leader: Gauge,
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
    let metric = GaugeVec::new(Opts::new(name, help), labels)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let r = Registry::new();
        let leader = Gauge::with_opts(Opts::new(
            "etcd_server_is_leader",
            "Whether or not this member is a leader. 1 if is, 0 otherwise.",
        ))?;
        r.register(Box::new(leader.clone()))?;
        let types = &["type", "engine", "store"];
        Ok(Self {
            process: ProcessMetrics::new(&r)?,
            cluster: gauges(&r, "pd_cluster_status", "Status of the cluster.", types)?,
            regions: gauges(&r, "pd_regions_status", "Status of the regions.", &["type"])?,
            stores: gauges(
                &r,
                "pd_scheduler_store_status",
                "Store status for schedule",
                &["address", "store", "type"],
            )?,
            role: gauges(
                &r,
                "service_member_role",
                "NodeRole of the member.",
                &["service"],
            )?,
            leader,
            registry: r,
        })
    }

    pub(crate) fn text(&self, pd: &Pd) -> String {
        self.process.update();
        let leads = pd.group.leads();
        self.leader.set(f64::from(u8::from(leads)));
        self.role
            .with_label_values(&["PD"])
            .set(f64::from(u8::from(leads)));
        self.cluster.reset();
        self.regions.reset();
        self.stores.reset();
        if leads {
            self.observe(pd);
        }
        process::text(&self.registry)
    }

    fn observe(&self, pd: &Pd) {
        let (config, now) = (pd.config(), Instant::now());
        let records = pd.records();
        let cluster = pd.cluster();
        let count = |state| {
            records
                .keys()
                .filter(|id| cluster.state(**id, &config, now) == state)
                .count() as f64
        };
        let set = |kind: &str, value: f64| {
            self.cluster
                .with_label_values(&[kind, "tikv", ""])
                .set(value);
        };
        set("store_up_count", count(StoreState::Up));
        set("store_disconnected_count", count(StoreState::Disconnected));
        set("store_down_count", count(StoreState::Down));
        for kind in ["unhealth", "offline", "tombstone"] {
            set(&format!("store_{kind}_count"), 0.0);
        }
        let reports = || cluster.stores.values().map(|view| &view.report);
        let low = reports().filter(|r| r.available * 5 < r.capacity).count();
        set("store_low_space_count", low as f64);
        set(
            "store_slow_count",
            reports().filter(|r| r.slow_score >= 80).count() as f64,
        );
        set(
            "storage_capacity",
            reports().map(|r| r.capacity).sum::<u64>() as f64,
        );
        set(
            "storage_size",
            reports().map(|r| r.used).sum::<u64>() as f64,
        );
        let led = (1..=REGIONS)
            .filter(|id| cluster.leader(*id, now).is_some())
            .count();
        set("leader_count", led as f64);
        set("region_count", (REGIONS * records.len() as u64) as f64);

        let down = (1..=REGIONS).filter(|id| !cluster.down_peers(*id, &config, now).is_empty());
        let pending = cluster
            .regions
            .values()
            .filter(|r| !r.report.pending.is_empty());
        for (kind, value) in [
            ("down", down.count()),
            ("pending", pending.count()),
            ("miss", 0),
            ("extra", 0),
            ("offline", 0),
            ("learner", 0),
        ] {
            let kind = format!("{kind}-peer-region-count");
            self.regions.with_label_values(&[&kind]).set(value as f64);
        }
        for report in reports() {
            let id = report.store.to_string();
            for (kind, value) in [
                ("store_capacity", report.capacity),
                ("store_available", report.available),
                ("store_used", report.used),
                ("leader_count", report.leads.len() as u64),
                ("region_count", report.regions.len() as u64),
            ] {
                let labels = [report.address.as_str(), id.as_str(), kind];
                self.stores.with_label_values(&labels).set(value as f64);
            }
        }
    }
}
