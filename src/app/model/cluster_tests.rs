use super::*;
use crate::cluster::{PdMember, Regions, Strain};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_767_200 + second).unwrap()
}

pub(super) fn store(id: u64, state: StoreState) -> Store {
    Store {
        id,
        name: format!("tikv{}", id - 1),
        address: format!("127.0.0.1:2016{id}"),
        status_address: None,
        engine: cluster::Engine::default(),
        evidence: cluster::Evidence::default(),
        state,
        last_heartbeat: None,
        started: None,
        version: None,
        leaders: Some(2),
        regions: Some(6),
        capacity: None,
        available: None,
        strain: Strain::default(),
        traffic: Observed::default(),
    }
}

fn snapshot(state: StoreState, now: Timestamp) -> ClusterSnapshot {
    let pd = PdMember {
        name: "pd0".into(),
        address: "http://127.0.0.1:2379".into(),
        state: MemberState::Leader,
        ..PdMember::default()
    };
    ClusterSnapshot {
        at: now,
        pd: Observed::known(vec![pd], now),
        pd_leader: Observed::known(Some("http://127.0.0.1:2379".into()), now),
        stores: Observed::known(vec![store(1, StoreState::Up), store(2, state)], now),
        regions: Observed::known(
            Regions {
                total: 6,
                ..Regions::default()
            },
            now,
        ),
        ..Default::default()
    }
}

#[test]
fn regions_that_cannot_be_seen_are_not_healthy_ones() {
    let mut cluster = Cluster::new("pd".into());
    let mut blind = snapshot(StoreState::Up, at(0));
    blind.regions = Observed::unknown("http://pd: no answer in time");
    cluster.seen(blind.clone(), at(0));
    assert_eq!(cluster.overall().0, Overall::Unknown);
    // What is known to be bad is bad all the same.
    blind.stores.value.as_mut().unwrap()[1].state = StoreState::Down;
    cluster.seen(blind, at(1));
    assert_eq!(cluster.overall().0, Overall::Degraded);
}

#[test]
fn nothing_stale_is_healthy() {
    let mut cluster = Cluster::new("pd".into());
    assert_eq!(cluster.overall().0, Overall::Unknown);
    cluster.seen(snapshot(StoreState::Up, at(0)), at(0));
    assert_eq!(cluster.overall(), (Overall::Healthy, Some(at(0))));
    cluster.judge(at(4));
    assert_eq!(cluster.overall(), (Overall::Healthy, Some(at(0))));
    cluster.judge(at(6));
    assert_eq!(cluster.overall(), (Overall::Unknown, Some(at(6))));
}

#[test]
fn a_failed_look_keeps_the_old_values_but_they_are_not_believed() {
    let mut cluster = Cluster::new("pd".into());
    cluster.seen(snapshot(StoreState::Up, at(0)), at(0));
    let failed = ClusterSnapshot {
        at: at(1),
        stores: Observed::unknown("http://pd: refused"),
        ..Default::default()
    };
    cluster.seen(failed, at(1));
    assert_eq!(cluster.overall().0, Overall::Unknown);
    assert!(cluster.snapshot.unwrap().stores.value.is_some());
}

#[test]
fn names_from_outside_are_clean() {
    let mut cluster = Cluster::new("pd".into());
    let mut hostile = snapshot(StoreState::Up, at(0));
    hostile.stores.value.as_mut().unwrap()[0].name = "a\x1b[31mb\u{202e}c\nd".into();
    cluster.seen(hostile, at(0));
    assert_eq!(
        cluster.snapshot.unwrap().stores.value.unwrap()[0].name,
        "ab<202e>c d"
    );
}

#[test]
fn a_history_has_a_value_a_second_however_far_apart_the_looks_are() {
    let mut cluster = Cluster::new("pd".into());
    for (second, values) in [(0, 1), (1, 2), (3, 4), (2, 5), (4000, 15)] {
        cluster.seen(snapshot(StoreState::Up, at(second)), at(second));
        assert_eq!(cluster.ops.len(), values, "after second {second}");
    }
}

#[test]
fn what_was_before_the_first_look_comes_before_it() {
    let mut cluster = Cluster::new("pd".into());
    let past = |ops: &[f64]| -> Vec<Traffic> {
        let ops = ops.iter().map(|n| Some(*n));
        ops.map(|ops_per_s| Traffic {
            ops_per_s,
            ..Traffic::default()
        })
        .collect()
    };
    let known = HashMap::from([(1, past(&[1.0, 2.0, 3.0])), (2, past(&[10.0]))]);
    cluster.backfill(&known);
    cluster.seen(snapshot(StoreState::Up, at(0)), at(0));
    assert_eq!(cluster.ops, [Some(1.0), Some(2.0), Some(13.0), None]);
    assert_eq!(cluster.history(2).unwrap().ops, [Some(10.0), None]);
    // No more than there is room for, and what was seen stays.
    cluster.backfill(&HashMap::from([(1, past(&[5.0; 1000]))]));
    assert_eq!(cluster.ops.len(), VALUES);
    assert_eq!(cluster.ops.range(VALUES - 4..).count(), 4);
    assert_eq!(cluster.ops[VALUES - 2], Some(13.0));
}

#[test]
fn one_store_down_is_degraded_and_a_pd_without_a_leader_is_said_to_be_that() {
    let mut cluster = Cluster::new("pd".into());
    cluster.seen(snapshot(StoreState::Disconnected, at(0)), at(0));
    assert_eq!(cluster.overall().0, Overall::Degraded);
    let mut without = snapshot(StoreState::Up, at(1));
    without.pd_leader = Observed::known(None, at(1));
    cluster.seen(without, at(1));
    assert_eq!(cluster.overall().0, Overall::NoPdLeader);
}
