use super::*;
use crate::cluster::{Doubt, Evidence, Observed};
use operator_ledger::SystemId;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn store(id: u64) -> Store {
    Store {
        id,
        name: format!("tikv{}", id - 1),
        address: format!("127.0.0.1:2016{id}"),
        state: StoreState::Up,
        started: Some(at(-1000)),
        version: Some("8.5.7".into()),
        evidence: Evidence {
            life: Some(Life::Alive),
            ..Evidence::default()
        },
        ..Store::default()
    }
}

fn member(n: u8) -> PdMember {
    PdMember {
        name: format!("pd{n}"),
        address: format!("http://pd{n}:2379"),
        state: MemberState::Follower,
        started: Some(at(-2000)),
        version: Some("v8.5.7".into()),
    }
}

/// A healthy cluster at a time.
fn look(second: i64) -> ClusterSnapshot {
    let now = at(second);
    ClusterSnapshot {
        at: now,
        cluster_id: Some(SystemId::new("7")),
        pd: Observed::known((0..3).map(member).collect(), now),
        pd_leader: Observed::known(Some("http://pd0:2379".into()), now),
        stores: Observed::known((1..=3).map(store).collect(), now),
        ..ClusterSnapshot::default()
    }
}

fn with(second: i64, change: impl FnOnce(&mut Vec<Store>, &mut Vec<PdMember>)) -> ClusterSnapshot {
    let mut look = look(second);
    change(
        look.stores.value.as_mut().unwrap(),
        look.pd.value.as_mut().unwrap(),
    );
    look
}

fn dead(store: &mut Store, state: StoreState) {
    store.state = state;
    store.evidence.life = Some(Life::Silent);
}

/// `thing kind from>to` of each.
fn said(changes: &[ObservedChange]) -> Vec<String> {
    let value = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".into());
    changes
        .iter()
        .map(|c| format!("{} {} {}>{}", c.name, c.kind, value(&c.from), value(&c.to)))
        .collect()
}

#[test]
fn the_first_look_records_nothing_and_a_kill_and_a_start_what_was_seen() {
    let mut standing = Standing::default();
    assert_eq!(standing.note(&look(0)), []);
    assert_eq!(standing.note(&look(1)), []);
    let down = with(2, |stores, _| {
        dead(&mut stores[1], StoreState::Disconnected);
    });
    let changes = standing.note(&down);
    assert_eq!(said(&changes), ["tikv1 state up>disconnected"]);
    assert_eq!((changes[0].since, changes[0].at), (at(1), at(2)));
    assert_eq!(changes[0].thing, "2");
    let longer = with(3, |stores, _| dead(&mut stores[1], StoreState::Down));
    assert_eq!(
        said(&standing.note(&longer)),
        ["tikv1 state disconnected>down"]
    );
    let back = with(9, |stores, _| stores[1].started = Some(at(8)));
    assert_eq!(
        said(&standing.note(&back)),
        [
            "tikv1 state down>up".to_owned(),
            format!("tikv1 started {}>{}", at(-1000), at(8))
        ]
    );
    assert_eq!(
        standing.note(&with(10, |stores, _| stores[1].started = Some(at(8)))),
        []
    );
}

#[test]
fn unknown_is_no_change_and_what_it_hid_is_told_with_both_times() {
    let mut standing = Standing::default();
    standing.note(&look(0));
    let doubted = with(1, |stores, members| {
        // A PD leader that is new in office, and has not heard of it.
        stores[0].state = StoreState::Disconnected;
        stores[0].evidence.life = Some(Life::Unknown(Doubt::NewTerm));
        stores[1].state = StoreState::Unknown;
        stores[2].started = None;
        stores[2].version = None;
        members[1].state = MemberState::Unknown;
        members[1].started = None;
    });
    assert_eq!(standing.note(&doubted), []);
    assert_eq!(standing.note(&ClusterSnapshot::unknown("no answer")), []);
    assert_eq!(standing.note(&look(9)), []);
    standing.note(&ClusterSnapshot::unknown("no answer"));
    let restarted = with(300, |_, members| members[1].started = Some(at(100)));
    let changes = standing.note(&restarted);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].kind, ChangeKind::Started);
    assert_eq!((changes[0].since, changes[0].at), (at(9), at(300)));
}

#[test]
fn who_joins_and_who_goes_is_told_where_the_list_was_whole() {
    let mut standing = Standing::default();
    standing.note(&look(0));
    let four = with(1, |stores, members| {
        stores.push(store(4));
        members.push(PdMember {
            name: "unnamed 9".into(),
            state: MemberState::NeverStarted,
            ..PdMember::default()
        });
    });
    let changes = standing.note(&four);
    assert_eq!(said(&changes), ["tikv3 joined ->127.0.0.1:20164"]);
    // One of the list cannot be read: it may be any that is not named.
    let mut odd = look(2);
    odd.odd_stores = 1;
    assert_eq!(standing.note(&odd), []);
    let left = with(3, |_, members| drop(members.remove(2)));
    let changes = standing.note(&left);
    assert_eq!(
        said(&changes),
        ["pd2 gone http://pd2:2379>-", "tikv3 gone 127.0.0.1:20164>-"]
    );
    assert_eq!(changes[1].since, at(1));
}

#[test]
fn pds_leader_is_told_by_name_and_none_is_a_leader_gone() {
    let mut standing = Standing::default();
    standing.note(&look(0));
    let led = |second, leader: Option<&str>| {
        let mut look = look(second);
        look.pd_leader = Observed::known(leader.map(str::to_owned), at(second));
        look
    };
    assert_eq!(said(&standing.note(&led(1, None))), ["PD leader pd0>-"]);
    let elected = standing.note(&led(2, Some("http://pd1:2379")));
    assert_eq!(said(&elected), ["PD leader ->pd1"]);
    let elsewhere = standing.note(&led(3, Some("http://elsewhere:1")));
    assert_eq!(said(&elsewhere), ["PD leader pd1>http://elsewhere:1"]);
}

#[test]
fn an_upgrade_is_a_start_and_a_version() {
    let mut standing = Standing::default();
    standing.note(&look(0));
    let upgraded = with(5, |stores, _| {
        stores[0].started = Some(at(4));
        stores[0].version = Some("8.5.8".into());
    });
    let changes = standing.note(&upgraded);
    let kinds: Vec<_> = changes.iter().filter_map(|c| c.kind.known()).collect();
    assert_eq!(kinds, [ChangeKind::Started, ChangeKind::Version]);
}

#[test]
fn many_changes_at_once_are_told_over_some_looks_and_none_is_lost() {
    let mut standing = Standing::default();
    let many = |second, began| {
        let mut look = look(second);
        let stores = (1..=100).map(|id| Store {
            started: Some(at(began)),
            name: "x".repeat(5_000),
            ..store(id)
        });
        look.stores.value = Some(stores.collect());
        look
    };
    standing.note(&many(0, -9));
    let mut told = Vec::new();
    for second in 1..5 {
        let changes = standing.note(&many(second, 0));
        assert!(changes.len() <= AT_ONCE);
        told.extend(changes);
    }
    assert_eq!(told.len(), 100);
    assert!(told.iter().all(|c| c.name.len() == LONGEST_TEXT));
    assert!(told.iter().all(|c| c.since == at(0)));
}
