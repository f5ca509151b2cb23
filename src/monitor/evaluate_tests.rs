use super::*;
use crate::{
    cluster::{MemberState, Observed, PdMember, Regions, Store, Traffic, UnknownReason},
    monitor::config::{MonitorSection, Overrides},
};
use jiff::Timestamp;
use operator_ledger::{
    SystemId,
    config::{self, ConfigFile},
};
use serde::de::IgnoredAny;
use std::path::Path;

fn store(id: u64, state: StoreState) -> Store {
    let now = Timestamp::now();
    Store {
        id,
        name: format!("tikv{}", id - 1),
        address: format!("127.0.0.1:2016{id}"),
        status_address: None,
        engine: crate::cluster::Engine::default(),
        state,
        last_heartbeat: Some(now),
        started: None,
        leaders: Some(2),
        regions: Some(6),
        capacity: Some(100),
        available: Some(90),
        traffic: Observed::known(
            Traffic {
                ops_per_s: Some(10.0),
                p99_ms: Some(4.0),
                refused_per_s: Some(0.0),
            },
            now,
        ),
    }
}

fn healthy() -> ClusterSnapshot {
    let now = Timestamp::now();
    let member = |name: &str, state| PdMember {
        name: name.into(),
        address: format!("http://{name}:2379"),
        state,
    };
    ClusterSnapshot {
        at: now,
        cluster_id: Some(SystemId::new("1")),
        pd: Observed::known(
            vec![
                member("pd0", MemberState::Leader),
                member("pd1", MemberState::Follower),
            ],
            now,
        ),
        pd_leader: Observed::known(Some("http://pd0:2379".into()), now),
        stores: Observed::known((1..=3).map(|i| store(i, StoreState::Up)).collect(), now),
        regions: Observed::known(
            Regions {
                total: 6,
                ..Regions::default()
            },
            now,
        ),
        traffic: Observed::known(Traffic::default(), now),
    }
}

fn not_clear(snapshot: &ClusterSnapshot, live: &[ViolationKey]) -> Vec<(String, Reading)> {
    evaluate(snapshot, &Config::default(), live)
        .into_iter()
        .filter(|o| o.reading != Reading::Clear)
        .map(|o| (o.key, o.reading))
        .collect()
}

fn pair(key: &str, reading: Reading) -> (String, Reading) {
    (key.to_owned(), reading)
}

#[test]
fn a_healthy_cluster_reads_clear_throughout() {
    assert_eq!(not_clear(&healthy(), &[]), []);
    assert_eq!(
        evaluate(&healthy(), &Config::default(), &[]).len(),
        3 * 4 + 1 + 2 + 2 + 1
    );
}

#[test]
fn only_what_is_about_a_store_has_its_name() {
    let mut s = healthy();
    s.pd.value.as_mut().unwrap()[1].name = "2".into();
    let gone = Invariant::StoreDown.on(Some(9));
    let all = evaluate(&s, &Config::default(), &[gone]);
    let name = |key: &str| {
        let found = all.iter().find(|o| o.key == key).unwrap();
        found.subject_name.as_deref()
    };
    assert_eq!(name("store_down:2"), Some("tikv1"));
    assert_eq!(name("observation_failed:2"), Some("tikv1"));
    for key in [
        "observation_failed:pd",
        "pd_member_down:2",
        "pd_no_leader",
        "store_down:9",
    ] {
        assert_eq!(name(key), None, "{key}");
    }
}

#[test]
fn each_invariant_sees_its_own_violation() {
    let mut s = healthy();
    let stores = s.stores.value.as_mut().unwrap();
    stores[1].state = StoreState::Disconnected;
    stores[1].traffic = Observed::unknown("refused");
    stores[0].traffic.value.as_mut().unwrap().p99_ms = Some(250.0);
    stores[2].available = Some(5);
    s.pd.value.as_mut().unwrap()[1].state = MemberState::Down;
    s.regions.value = Some(Regions {
        total: 6,
        leaderless: 2,
        down_peer: 6,
        ..Default::default()
    });
    let seen = not_clear(&s, &[]);
    for key in [
        "store_down:2",
        "pd_member_down:pd1",
        "region_unavailable",
        "under_replicated",
        "high_latency:1",
        "low_disk_space:3",
    ] {
        assert!(
            seen.contains(&pair(key, Reading::Violated)),
            "{key} in {seen:?}"
        );
    }
    assert!(seen.contains(&pair("high_latency:2", Reading::Unknown)));
    assert_eq!(seen[0].0, "store_down:2", "causes come first");
}

#[test]
fn a_dead_pd_is_not_a_dead_store() {
    let why = "http://pd0:2379: connection refused";
    let s = ClusterSnapshot {
        at: Timestamp::now(),
        pd: Observed::unknown(why),
        pd_leader: Observed::unknown(why),
        stores: Observed::unknown(why),
        regions: Observed::unknown(why),
        traffic: Observed::unknown(why),
        ..Default::default()
    };
    let live = [Invariant::StoreDown.on(Some(2))];
    let seen = not_clear(&s, &live);
    assert!(
        seen.contains(&pair("store_down:2", Reading::Unknown)),
        "{seen:?}"
    );
    let violated: Vec<_> = seen
        .iter()
        .filter(|(_, r)| *r == Reading::Violated)
        .collect();
    assert_eq!(
        violated,
        [&pair("observation_failed:pd", Reading::Violated)]
    );
}

#[test]
fn pd_without_a_leader_is_seen_and_is_not_blindness() {
    let mut s = healthy();
    let why = "http://pd1:2379: 503 redirect finds no leader";
    s.pd_leader = Observed::known(None, s.at);
    s.stores = Observed::unknown(why);
    s.regions = Observed::unknown(why);
    let seen = not_clear(&s, &[]);
    assert!(seen.contains(&pair("pd_no_leader", Reading::Violated)));
    assert!(
        !seen.iter().any(|(k, _)| k == "observation_failed:pd"),
        "{seen:?}"
    );
}

#[test]
fn a_store_that_left_the_cluster_reads_clear_only_if_the_list_was_seen() {
    let live = [Invariant::StoreDown.on(Some(9))];
    assert_eq!(not_clear(&healthy(), &live), []);
    let mut s = healthy();
    s.stores = Observed::unknown("x");
    assert!(not_clear(&s, &live).contains(&pair("store_down:9", Reading::Unknown)));
}

#[test]
fn a_remembered_value_is_no_evidence() {
    let earlier = healthy();
    let mut s = ClusterSnapshot {
        stores: Observed::unknown("gone"),
        ..healthy()
    };
    s.remember(&earlier);
    assert!(s.stores.value.is_some());
    assert!(
        !evaluate(&s, &Config::default(), &[])
            .iter()
            .any(|o| o.invariant == "store_down")
    );
}

#[test]
fn a_disabled_invariant_is_silent() {
    let text = b"[monitor.store_down]\nenabled=false";
    let file: ConfigFile<IgnoredAny, MonitorSection> =
        config::parse(Path::new("config.toml"), text).unwrap();
    let config = Config::new(file.monitor, Overrides::default()).unwrap();
    let all = evaluate(&healthy(), &config, &[]);
    assert!(!all.iter().any(|o| o.invariant == "store_down"));
}

#[test]
fn a_slow_store_that_falls_silent_is_not_fast_again() {
    let config = Config::default();
    let live = [Invariant::HighLatency.on(Some(2))];
    let mut s = healthy();
    let quiet = Traffic {
        ops_per_s: Some(0.0),
        p99_ms: None,
        refused_per_s: Some(0.0),
    };
    for store in s.stores.value.iter_mut().flatten() {
        store.traffic = Observed::known(quiet, s.at);
    }
    let read = |s: &ClusterSnapshot, key: &str| {
        let all = evaluate(s, &config, &live);
        all.iter().find(|o| o.key == key).unwrap().reading
    };
    assert_eq!(read(&s, "high_latency:2"), Reading::Unknown);
    assert_eq!(
        read(&s, "high_latency:1"),
        Reading::Clear,
        "idle, and never was slow"
    );
    s.stores.value.as_mut().unwrap()[1].leaders = Some(0);
    assert_eq!(
        read(&s, "high_latency:2"),
        Reading::Clear,
        "it has nothing to serve"
    );
}

#[test]
fn the_first_look_is_no_failed_look() {
    let mut s = healthy();
    s.stores.value.as_mut().unwrap()[0].traffic = Observed::unknown(UnknownReason::FirstSample);
    let all = evaluate(&s, &Config::default(), &[]);
    let read = |key: &str| all.iter().find(|o| o.key == key).unwrap().reading;
    assert_eq!(read("observation_failed:1"), Reading::Clear);
    assert_eq!(read("high_latency:1"), Reading::Unknown);
}
