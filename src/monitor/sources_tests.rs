use super::*;
use crate::cluster::{Evidence, Observed, Traffic};
use jiff::Timestamp;

fn store(id: u64, life: Life, why: Option<&str>) -> Store {
    let known = || Observed::known(Traffic::default(), Timestamp::UNIX_EPOCH);
    Store {
        id,
        name: format!("kv-{id}"),
        evidence: Evidence {
            life: Some(life),
            ..Evidence::default()
        },
        traffic: why.map_or_else(known, Observed::unknown),
        ..Store::default()
    }
}

fn read(stores: Vec<Store>) -> Judgement {
    let snapshot = ClusterSnapshot {
        stores: Observed::known(stores, Timestamp::UNIX_EPOCH),
        ..ClusterSnapshot::default()
    };
    blind_metrics(&Scene {
        snapshot: &snapshot,
        threshold: 0.0,
        ticketed: false,
    })
}

#[test]
fn a_source_that_fails_for_all_is_said_once_with_what_it_blinds() {
    let why = "http://prom:9090/api/v1/query: 503 Service Unavailable";
    let all = (1..=12).map(|id| store(id, Life::Alive, Some(why)));
    let (reading, text) = read(all.collect());
    assert_eq!(reading, Reading::Violated);
    assert_eq!(
        text,
        format!(
            "the metrics of 12 of 12 stores cannot be read: {why}. Unknown for it: their traffic and latency"
        )
    );
}

#[test]
fn status_ports_that_are_all_out_of_reach_have_one_cause() {
    let all = (1..=3).map(|id| {
        let why = format!("http://kv-{id}:20180/metrics: connection refused");
        store(id, Life::Alive, Some(&why))
    });
    let (reading, text) = read(all.collect());
    assert_eq!(reading, Reading::Violated);
    assert!(
        text.contains("3 of 3 stores") && text.contains("for example http://kv-"),
        "{text}"
    );
}

#[test]
fn a_reason_that_names_no_store_is_one_cause_for_those_that_share_it() {
    let none = "PD names no status address";
    let mut stores: Vec<Store> = (1..=5).map(|id| store(id, Life::Alive, None)).collect();
    stores.extend((6..=9).map(|id| store(id, Life::Alive, Some(none))));
    let (reading, text) = read(stores);
    assert_eq!(reading, Reading::Violated);
    assert!(
        text.contains("4 of 9 stores cannot be read: PD names no"),
        "{text}"
    );
}

#[test]
fn what_fails_at_one_store_is_that_stores() {
    let stores = vec![
        store(1, Life::Alive, None),
        store(2, Life::Alive, Some("http://kv-2:20180/metrics: refused")),
        store(3, Life::Alive, Some("http://kv-3:20180/metrics: refused")),
        store(4, Life::Silent, Some("http://kv-4:20180/metrics: refused")),
    ];
    assert_eq!(read(stores).0, Reading::Clear);
    let single = vec![store(
        1,
        Life::Alive,
        Some("http://kv-1:20180/metrics: refused"),
    )];
    assert_eq!(
        read(single).0,
        Reading::Clear,
        "there is no other to compare it with"
    );
    assert_eq!(read(vec![]).0, Reading::Clear);
}
