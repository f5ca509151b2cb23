use super::*;
use crate::{
    cluster::{
        Doubt, Life, MemberState, Observed, PdMember, Regions, Store, Traffic, UnknownReason,
    },
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
        evidence: crate::cluster::Evidence::default(),
        state,
        last_heartbeat: Some(now),
        started: None,
        version: None,
        leaders: Some(2),
        regions: Some(6),
        capacity: Some(100),
        available: Some(90),
        strain: crate::cluster::Strain::default(),
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
        ..PdMember::default()
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
        odd_stores: 0,
        stores: Observed::known((1..=3).map(|i| store(i, StoreState::Up)).collect(), now),
        regions: Observed::known(
            Regions {
                total: 6,
                ..Regions::default()
            },
            now,
        ),
        traffic: Observed::known(Traffic::default(), now),
        rate_window_ms: None,
        p99_limit_ms: None,
    }
}

fn not_clear(snapshot: &ClusterSnapshot, live: &[ViolationKey]) -> Vec<(String, Reading)> {
    evaluate(snapshot, &Config::default(), live, &[])
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
        evaluate(&healthy(), &Config::default(), &[], &[]).len(),
        3 * 5 + 1 + 2 + 2 + 2
    );
}

#[test]
fn only_what_is_about_a_store_has_its_name() {
    let mut s = healthy();
    s.pd.value.as_mut().unwrap()[1].name = "2".into();
    let gone = Invariant::StoreDown.on(Some(9));
    let all = evaluate(&s, &Config::default(), &[gone], &[]);
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
        !evaluate(&s, &Config::default(), &[], &[])
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
    let all = evaluate(&healthy(), &config, &[], &[]);
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
        let all = evaluate(s, &config, &live, &[]);
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
    let all = evaluate(&s, &Config::default(), &[], &[]);
    let read = |key: &str| all.iter().find(|o| o.key == key).unwrap().reading;
    assert_eq!(read("observation_failed:1"), Reading::Clear);
    assert_eq!(read("high_latency:1"), Reading::Unknown);
}

#[test]
fn an_idle_store_is_idle_though_it_was_seen_before() {
    let mut s = healthy();
    for store in s.stores.value.iter_mut().flatten() {
        store.traffic.value.as_mut().unwrap().p99_ms = None;
    }
    let seen = known_keys(&s);
    let all = evaluate(&s, &Config::default(), &[], &seen);
    let slow = all.iter().find(|o| o.key == "high_latency:2").unwrap();
    assert_eq!(slow.reading, Reading::Clear);
}

fn with_life(s: &mut ClusterSnapshot, index: usize, state: StoreState, life: Life) {
    let store = &mut s.stores.value.as_mut().unwrap()[index];
    store.state = state;
    store.evidence.life = Some(life);
}

fn on_lost(s: &mut ClusterSnapshot, lost: &[(u64, u64)]) {
    s.regions.value.as_mut().unwrap().on_lost = lost.iter().copied().collect();
}

#[test]
fn a_dead_store_that_is_removed_is_violated_while_a_region_is_on_it() {
    for state in [StoreState::Offline, StoreState::Tombstone] {
        let mut s = healthy();
        with_life(&mut s, 1, state, Life::Silent);
        on_lost(&mut s, &[(2, 6)]);
        let seen = not_clear(&s, &[]);
        assert!(
            seen.contains(&pair("store_down:2", Reading::Violated)),
            "{seen:?}"
        );
        on_lost(&mut s, &[]);
        assert!(
            !not_clear(&s, &[])
                .iter()
                .any(|(key, _)| key == "store_down:2")
        );
        with_life(&mut s, 1, state, Life::Alive);
        assert_eq!(not_clear(&s, &[]), [], "it leaves, and lives");
    }
    for state in [StoreState::Up, StoreState::Unknown] {
        let mut s = healthy();
        with_life(&mut s, 1, state, Life::Silent);
        let seen = not_clear(&s, &[]);
        assert!(
            seen.contains(&pair("store_down:2", Reading::Violated)),
            "{seen:?}"
        );
    }
}

#[test]
fn taking_a_store_off_the_list_repairs_nothing() {
    let mut s = healthy();
    let ticket = [Invariant::StoreDown.on(Some(9))];
    on_lost(&mut s, &[(9, 4)]);
    for tickets in [&ticket[..], &[]] {
        let seen = not_clear(&s, tickets);
        assert_eq!(seen, [pair("store_down:9", Reading::Violated)]);
    }
    s.odd_stores = 1;
    assert_eq!(
        not_clear(&s, &ticket),
        [pair("store_down:9", Reading::Unknown)],
        "it may be the entry that could not be read"
    );
    s.odd_stores = 0;
    on_lost(&mut s, &[]);
    assert_eq!(not_clear(&s, &ticket), []);
    s.regions.value.as_mut().unwrap().uncounted = true;
    assert_eq!(
        not_clear(&s, &ticket),
        [pair("store_down:9", Reading::Unknown)]
    );
    s.regions = Observed::unknown("pd: no answer");
    let seen = not_clear(&s, &ticket);
    assert!(
        seen.contains(&pair("store_down:9", Reading::Unknown)),
        "{seen:?}"
    );
}

#[test]
fn doubt_is_unknown_and_joining_is_neither() {
    let mut s = healthy();
    let at = s.at;
    for life in [
        Life::Suspect(Doubt::NoAnswer(at)),
        Life::Suspect(Doubt::NoHeartbeat(at)),
        Life::Unknown(Doubt::NewTerm),
        Life::Unknown(Doubt::State),
    ] {
        with_life(&mut s, 1, StoreState::Up, life);
        let seen = not_clear(&s, &[]);
        assert!(
            seen.contains(&pair("store_down:2", Reading::Unknown)),
            "{life:?}: {seen:?}"
        );
    }
    with_life(&mut s, 1, StoreState::Down, Life::Joining);
    assert_eq!(not_clear(&s, &[]), []);
}

#[test]
fn regions_in_doubt_are_neither_served_nor_lost() {
    let mut s = healthy();
    let regions = s.regions.value.as_mut().unwrap();
    regions.in_doubt = 2;
    assert_eq!(
        not_clear(&s, &[]),
        [
            pair("region_unavailable", Reading::Unknown),
            pair("under_replicated", Reading::Unknown)
        ]
    );
    s.regions.value.as_mut().unwrap().unserved = 1;
    assert!(not_clear(&s, &[]).contains(&pair("region_unavailable", Reading::Violated)));
}

#[test]
fn a_pd_that_no_store_has_joined_is_observed_well() {
    let mut s = healthy();
    s.stores = Observed::unknown(UnknownReason::NotBootstrapped);
    s.regions = Observed::unknown(UnknownReason::NotBootstrapped);
    let all = evaluate(&s, &Config::default(), &[], &[]);
    assert!(all.iter().all(|o| o.reading != Reading::Violated));
    let pd = all
        .iter()
        .find(|o| o.key == "observation_failed:pd")
        .unwrap();
    assert_eq!(pd.reading, Reading::Clear);
    assert!(
        pd.message.contains("no store has joined yet"),
        "{}",
        pd.message
    );
}

#[test]
fn what_blinds_pd_is_named_with_all_it_blinds() {
    let mut s = healthy();
    let why = "http://pd0:2379/pd/api/v1/stores: 308 redirect to https://pd0:2379/";
    s.pd_leader = Observed::unknown(why);
    s.stores = Observed::unknown(why);
    s.regions = Observed::unknown(why);
    let all = evaluate(&s, &Config::default(), &[], &[]);
    let read = |key: &str| all.iter().find(|o| o.key == key).unwrap();
    assert_eq!(read("pd_no_leader").reading, Reading::Unknown);
    let failed = read("observation_failed:pd");
    assert_eq!(failed.reading, Reading::Violated);
    assert!(
        failed.message.contains("redirect to https"),
        "{}",
        failed.message
    );
    assert!(
        failed.message.ends_with("the stores, the regions"),
        "{}",
        failed.message
    );
}

#[test]
fn a_member_that_never_started_is_a_violation_of_its_own() {
    let mut s = healthy();
    let members = s.pd.value.as_mut().unwrap();
    for id in [13, 14] {
        members.push(PdMember {
            name: format!("unnamed {id}"),
            address: String::new(),
            state: MemberState::NeverStarted,
            ..PdMember::default()
        });
    }
    assert_eq!(
        not_clear(&s, &[]),
        [
            pair("pd_member_down:unnamed 13", Reading::Violated),
            pair("pd_member_down:unnamed 14", Reading::Violated)
        ]
    );
}

#[test]
fn no_election_is_waited_for_where_none_can_be_won() {
    let grace = |no_quorum| {
        let mut s = healthy();
        let regions = s.regions.value.as_mut().unwrap();
        (regions.leaderless, regions.no_quorum) = (1, no_quorum);
        let all = evaluate(&s, &Config::default(), &[], &[]);
        let found = all.iter().find(|o| o.key == "region_unavailable").unwrap();
        found.grace.as_secs()
    };
    assert_eq!((grace(0), grace(1)), (30, 10));
}

#[test]
fn a_store_that_falls_behind_says_so_itself() {
    let mut s = healthy();
    let stores = s.stores.value.as_mut().unwrap();
    stores[0].strain.slow_score = Some(87);
    stores[0].strain.pending_peers = Some(812);
    stores[1].strain.busy = true;
    stores[2].strain.slow_score = Some(1);
    let seen = evaluate(&s, &Config::default(), &[], &[]);
    let of = |key: &str| seen.iter().find(|o| o.key == key).unwrap();
    let slow = of("slow_store:1");
    assert_eq!(slow.reading, Reading::Violated);
    for word in ["87 of 100", "limit 50", "812 pending"] {
        assert!(slow.message.contains(word), "{}", slow.message);
    }
    // That it is busy is no fault of its own: a calm store says so too.
    assert_eq!(of("slow_store:2").reading, Reading::Clear);
    assert_eq!(of("slow_store:3").reading, Reading::Clear);
}
