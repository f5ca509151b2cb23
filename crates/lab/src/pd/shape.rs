//! JSON as PD shapes it: the same fields, units and omissions.

use crate::{
    pd::{
        Pd,
        cluster::{Cluster, StoreRecord, StoreState},
        config::Config,
        duration,
    },
    size,
    topology::{MEMBERS, Node, REGIONS, TIKV_VERSION, start_key},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;
pub(super) const GIT_HASH: &str = "embedded-lab";

fn rfc3339(nanos: u64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos))
        .unwrap_or_default()
        .to_string()
}

/// PD rounds what is not empty up to one MiB.
fn mib(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { (bytes / MIB).max(1) }
}

/// A store, from what was replicated of it and what has been heard since.
pub(super) fn store(
    id: u64,
    record: &StoreRecord,
    cluster: &Cluster,
    config: &Config,
    now: Instant,
) -> Value {
    let state = cluster.state(id, config, now);
    let view = cluster.stores.get(&id);
    let mut leaders = 0;
    let mut leader_bytes = 0;
    let mut bytes = 0;
    let mut pending = 0;
    for region in 1..=REGIONS {
        let Some(known) = cluster.regions.get(&region) else {
            continue;
        };
        bytes += mib(known.report.bytes);
        // A store that does not answer leads nothing, whatever it last said.
        if cluster.leader(region, now) == Some(id) && state == StoreState::Up {
            leaders += 1;
            leader_bytes += mib(known.report.bytes);
        }
        if known.report.pending.contains(&id) {
            pending += 1;
        }
    }
    let report = view.map(|view| &view.report);
    let regions = report.map_or(REGIONS, |report| report.regions.len() as u64);
    let last = record.last_heartbeat;
    let start = u128::from(record.start_timestamp) * 1_000_000_000;
    let uptime = u128::from(last).saturating_sub(start) as u64;
    let mut status = json!({
        "capacity": size::format(report.map_or(0, |r| r.capacity)),
        "available": size::format(report.map_or(0, |r| r.available)),
        "used_size": size::format(report.map_or(0, |r| r.used)),
        "leader_count": leaders,
        "leader_weight": 1,
        "slow_score": 1,
        "leader_score": leaders,
        "leader_size": leader_bytes,
        "region_count": regions,
        "region_weight": 1,
        "region_score": bytes,
        "region_size": bytes,
        "start_ts": rfc3339(record.start_timestamp * 1_000_000_000),
        "last_heartbeat_ts": rfc3339(last),
        "uptime": duration::format(Duration::from_nanos(uptime)),
    });
    // PD leaves zero values of these out.
    if let Some(score) = report.map(|r| r.slow_score).filter(|&score| score > 0) {
        status["slow_score"] = json!(score);
    }
    if pending > 0 {
        status["pending_peer_count"] = json!(pending);
    }
    let mut value = json!({
        "store": {
            "id": id,
            "address": record.address,
            // Most labs have one address for all: the label is the name that people know it by.
            "labels": [{ "key": "host", "value": format!("tikv{}", id - 1) }],
            "version": record.version,
            "peer_address": record.address,
            "status_address": record.status_address,
            "git_hash": GIT_HASH,
            "start_timestamp": record.start_timestamp,
            "deploy_path": record.deploy_path,
            "last_heartbeat": last,
            "node_state": 1,
            "state_name": state.name(),
        },
        "status": status,
    });
    // Zero is left out here, too.
    if last == 0 {
        value["store"]
            .as_object_mut()
            .map(|store| store.remove("last_heartbeat"));
    }
    value
}

/// Peer `n` of a region lives on store `n`; its id is made of both.
fn peer(region: u64, store: u64) -> Value {
    json!({ "role_name": "Voter", "id": region * 10 + store, "store_id": store })
}

fn hex_key(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// A region.
pub(super) fn region(id: u64, cluster: &Cluster, config: &Config, now: Instant) -> Value {
    let known = cluster.regions.get(&id);
    // PD names the last one it heard of, until another one reports.
    let named = known.map(|view| view.leader);
    let leader = cluster.leader(id, now);
    let report = known.map(|view| view.report.clone()).unwrap_or_default();
    let mut value = json!({
        "id": id,
        "start_key": hex_key(&start_key(id).unwrap_or_default()),
        "end_key": hex_key(&start_key(id + 1).unwrap_or_default()),
        "epoch": { "conf_ver": 1, "version": 1 },
        "peers": (1..=MEMBERS).map(|store| peer(id, store)).collect::<Vec<_>>(),
        "leader": named.map_or_else(|| json!({ "role_name": "" }), |store| peer(id, store)),
        "cpu_usage": 0,
        "written_bytes": report.written_bytes,
        "read_bytes": report.read_bytes,
        "written_keys": report.written_keys,
        "read_keys": report.read_keys,
        "approximate_size": mib(report.bytes),
        "approximate_keys": report.keys,
    });
    let down = cluster.down_peers(id, config, now);
    if !down.is_empty() {
        let down = down
            .iter()
            .map(|(store, seconds)| json!({ "peer": peer(id, *store), "down_seconds": seconds }));
        value["down_peers"] = down.collect();
    }
    if leader.is_some() && !report.pending.is_empty() {
        value["pending_peers"] = report
            .pending
            .iter()
            .map(|store| peer(id, *store))
            .collect();
    }
    value
}

/// A PD member.
pub(super) fn member(node: &Node, cluster_id: u64, deploy_path: &str) -> Value {
    json!({
        "name": node.name,
        "member_id": member_id(node, cluster_id),
        "peer_urls": [format!("http://{}", node.raft_address())],
        "client_urls": [format!("http://{}", node.address())],
        "deploy_path": deploy_path,
        "binary_version": format!("v{TIKV_VERSION}"),
        "git_hash": GIT_HASH,
    })
}

/// Stable, and above 2^53 as real ones often are.
pub(super) fn member_id(node: &Node, cluster_id: u64) -> u64 {
    cluster_id
        .wrapping_add(node.id)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        | 1 << 63
}

pub(super) fn members(pd: &Pd) -> Value {
    let folder = |node: &Node| pd.deploy_path.replace(&pd.node.name, &node.name);
    let all = |node: &Node| member(node, pd.cluster_id, &folder(node));
    let leader = pd.leader().map(all);
    json!({
        "header": { "cluster_id": pd.cluster_id },
        "members": pd.members.iter().map(all).collect::<Vec<_>>(),
        "leader": leader,
        "etcd_leader": leader,
    })
}

/// `/stats/region` over all regions, or with `count_only` their number alone.
pub(super) fn region_stats(cluster: &Cluster, now: Instant, count_only: bool) -> Value {
    if count_only {
        return json!({
            "count": REGIONS, "empty_count": 0, "storage_size": 0, "storage_keys": 0,
            "store_leader_count": null, "store_peer_count": null,
        });
    }
    let mut stats = json!({ "count": REGIONS });
    let mut per_store: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut add = |field: &'static str, store: u64, amount: u64| {
        let entry = per_store.entry(field).or_default().entry(store.to_string());
        let value = entry.or_insert(json!(0));
        *value = json!(value.as_u64().unwrap_or(0) + amount);
    };
    let (mut size, mut keys, mut empty) = (0, 0, 0);
    for id in 1..=REGIONS {
        let report = cluster
            .regions
            .get(&id)
            .map(|view| view.report.clone())
            .unwrap_or_default();
        let region_size = mib(report.bytes);
        size += region_size;
        keys += report.keys;
        empty += u64::from(report.keys == 0);
        if let Some(leader) = cluster.leader(id, now) {
            add("store_leader_count", leader, 1);
            add("store_leader_size", leader, region_size);
            add("store_leader_keys", leader, report.keys);
        }
        for store in 1..=MEMBERS {
            add("store_peer_count", store, 1);
            add("store_peer_size", store, region_size);
            add("store_peer_keys", store, report.keys);
        }
    }
    stats["empty_count"] = json!(empty);
    stats["storage_size"] = json!(size);
    stats["user_storage_size"] = json!(size);
    stats["storage_keys"] = json!(keys);
    for (field, values) in per_store {
        stats[field] = Value::Object(values);
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::super::cluster::tests::report;
    use super::*;

    fn one_store(now: Instant) -> (Cluster, StoreRecord) {
        let mut cluster = Cluster::new(now);
        cluster.heard(report(1, &[1, 4]), now);
        let mut record = cluster.records()[&1].clone();
        record.last_heartbeat = 1_769_770_812_345_678_901;
        (cluster, record)
    }

    #[test]
    fn a_store_has_pds_fields_and_units() {
        let now = Instant::now();
        let (cluster, record) = one_store(now);
        let value = store(1, &record, &cluster, &Config::default(), now);
        assert_eq!(value["store"]["state_name"], "Up");
        assert!(
            value["store"].get("state").is_none(),
            "zero values are left out"
        );
        assert_eq!(
            value["store"]["last_heartbeat"],
            1_769_770_812_345_678_901u64
        );
        let status = &value["status"];
        assert_eq!(status["capacity"], "256MiB");
        assert_eq!(status["available"], "200MiB");
        assert_eq!(status["leader_count"], 2);
        assert_eq!(status["region_count"], 6);
        assert_eq!(status["start_ts"], "2026-01-30T10:00:00Z");
        assert_eq!(
            status["last_heartbeat_ts"],
            "2026-01-30T11:00:12.345678901Z"
        );
        assert_eq!(status["uptime"], "1h0m12.345678901s");
        assert_eq!(status["slow_score"], 1);
        assert!(status.get("pending_peer_count").is_none());
    }

    #[test]
    fn a_region_without_a_leader_shows_only_an_empty_role() {
        let now = Instant::now();
        let (cluster, _) = one_store(now);
        let config = Config::default();
        let value = region(1, &cluster, &config, now);
        assert_eq!(value["leader"]["store_id"], 1);
        assert_eq!(value["start_key"], "");
        assert_eq!(value["end_key"], hex_key("user00000500"));
        assert!(value.get("down_peers").is_none());
        let value = region(2, &cluster, &config, now);
        assert_eq!(value["leader"], json!({ "role_name": "" }));
    }

    #[test]
    fn a_silent_peer_becomes_a_down_peer_after_the_configured_time() {
        let now = Instant::now();
        let config = Config::default();
        let mut cluster = Cluster::new(now);
        let mut heard = report(1, &[1]);
        heard.leads[0]
            .silent
            .insert(2, config.max_peer_down_time.as_secs() - 1);
        cluster.heard(heard.clone(), now);
        assert!(
            region(1, &cluster, &config, now)
                .get("down_peers")
                .is_none()
        );
        heard.leads[0]
            .silent
            .insert(2, config.max_peer_down_time.as_secs());
        cluster.heard(heard, now);
        let value = region(1, &cluster, &config, now);
        assert_eq!(value["down_peers"][0]["peer"]["store_id"], 2);
        assert_eq!(
            value["down_peers"][0]["down_seconds"],
            config.max_peer_down_time.as_secs()
        );
    }
}
