use super::*;
use crate::{
    cluster::{ClusterSnapshot, Observed, Store, StoreState, Traffic},
    demo::chapters,
};
use jiff::Timestamp;
use operator_ledger::Ticket;

fn options(pace: Pace) -> Options {
    Options {
        pace,
        fault: None,
        patience: 1,
        victim: "tikv1".into(),
    }
}

fn chapter(advance: &str) -> Chapter {
    let text = format!("+++\ntitle = \"T\"\n{advance}\n+++\nWords to read.\n");
    chapters::parse("01-x.md".as_ref(), &text).unwrap()
}

fn fault() -> Chapter {
    chapter("enter.countdown = \"5s\"\nenter.fault = \"kill\"\nadvance = \"entered\"")
}

fn injected(newest_ticket: i64) -> Injected {
    Injected {
        kind: "kill".into(),
        node: "tikv1".into(),
        at: Timestamp::now(),
        newest_ticket,
    }
}

/// A ticket that store 2 is down.
fn ticket(id: i64) -> Ticket {
    Ticket {
        id,
        invariant: "store_down".into(),
        store_id: Some("2".into()),
        ..Ticket::default()
    }
}

fn snapshot() -> ClusterSnapshot {
    let now = Timestamp::now();
    let store = Store {
        id: 2,
        name: "tikv1".into(),
        address: String::new(),
        status_address: None,
        engine: crate::cluster::Engine::default(),
        evidence: crate::cluster::Evidence::default(),
        state: StoreState::Disconnected,
        last_heartbeat: None,
        started: None,
        version: None,
        leaders: None,
        regions: None,
        capacity: None,
        available: None,
        strain: crate::cluster::Strain::default(),
        traffic: Observed::default(),
    };
    let traffic = Traffic {
        ops_per_s: Some(10.0),
        ..Default::default()
    };
    ClusterSnapshot {
        stores: Observed::known(vec![store], now),
        traffic: Observed::known(traffic, now),
        ..Default::default()
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_fault_waits_for_its_countdown_and_is_asked_for_once() {
    let mut w = Walkthrough::new(
        vec![fault(), chapter("advance = \"manual\"")],
        options(Pace::Person),
    );
    let t = Instant::now();
    let world = World::default();
    assert_eq!(w.tick(&world, t), []);
    assert_eq!(w.view(t).countdown, Some(Duration::from_secs(5)));
    assert_eq!(w.due_in(t), Some(Duration::from_secs(5)));
    assert_eq!(w.tick(&world, t + Duration::from_secs(4)), []);
    let asked = w.tick(&world, t + Duration::from_secs(5));
    assert_eq!(
        asked,
        [Action::Inject {
            fault: Fault::Kill,
            node: "tikv1".into()
        }]
    );
    // Not over before the fault is really there.
    assert_eq!(w.tick(&world, t + LONG), []);
    assert_eq!(w.view(t + LONG).index, 0);
    let there = injected(0);
    w.fault_injected(there.clone());
    w.tick(
        &World {
            injected: Some(&there),
            ..world
        },
        t + LONG,
    );
    assert_eq!(w.view(t + LONG).index, 1);
    w.back();
    assert!(w.view(t + LONG).rereading);
    assert_eq!(
        w.tick(
            &World {
                injected: Some(&there),
                ..world
            },
            t + LONG * 2
        ),
        [],
        "not done again"
    );
}

#[test]
fn a_fault_that_cannot_be_injected_fails_the_walk_and_says_why() {
    let mut w = Walkthrough::new(vec![fault()], options(Pace::Headless));
    let t = Instant::now();
    w.tick(&World::default(), t);
    w.tick(&World::default(), t + Duration::from_secs(5));
    w.action_failed("no such node".into());
    assert_eq!(
        w.tick(&World::default(), t + Duration::from_secs(6)),
        [Action::Finish]
    );
    assert!(!w.all_met() && w.failure() == Some("no such node"));
}

#[test]
fn only_tickets_after_the_fault_count() {
    let there = injected(7);
    let snapshot = snapshot();
    let (old, new) = ([ticket(7)], [ticket(7), ticket(8)]);
    let world = |tickets| World {
        lab_ready: true,
        snapshot: Some(&snapshot),
        tickets,
        injected: Some(&there),
    };
    assert!(!Condition::TicketOpen.holds(&world(&old)));
    assert!(Condition::TicketOpen.holds(&world(&new)));
    assert!(!Condition::TicketProven.holds(&world(&new)));
    assert!(!Condition::TicketsClosed.holds(&world(&new)));
    assert!(
        !Condition::TicketsClosed.holds(&world(&old)),
        "no ticket is not a closed ticket"
    );
}

#[test]
fn headless_walks_by_itself_and_a_missed_condition_is_told() {
    let load = "enter.load = \"on\"\nadvance = \"load.running\"\nlimit = \"30s\"";
    let open = "advance = \"ticket.open\"\nlimit = \"30s\"";
    let chapters = vec![
        chapter("advance = \"manual\""),
        chapter(load),
        chapter(open),
    ];
    let mut w = Walkthrough::new(chapters, options(Pace::Headless));
    let t = Instant::now();
    assert_eq!(w.tick(&World::default(), t), [Action::SetLoad(Load::On)]);
    assert_eq!(w.view(t).waiting_for, Some("requests are served"));
    let snapshot = snapshot();
    let world = World {
        snapshot: Some(&snapshot),
        ..World::default()
    };
    assert_eq!(w.tick(&world, t + Duration::from_secs(2)), []);
    assert_eq!(w.view(t).index, 2);
    assert_eq!(
        w.tick(&world, t + Duration::from_secs(40)),
        [Action::Finish]
    );
    assert!(matches!(
        w.stands(),
        [Stand::Done(_), Stand::Done(_), Stand::Missed(_)]
    ));
    assert!(!w.all_met() && w.finished());
}

#[test]
fn a_person_may_read_before_it_goes_on_and_is_not_torn_from_an_earlier_page() {
    let running = "advance = \"load.running\"\nlimit = \"30s\"";
    let chapters = vec![
        chapter(running),
        chapter(running),
        chapter("advance = \"manual\""),
    ];
    let mut w = Walkthrough::new(chapters, options(Pace::Person));
    let snapshot = snapshot();
    let world = World {
        snapshot: Some(&snapshot),
        ..World::default()
    };
    let t = Instant::now();
    w.tick(&world, t);
    assert_eq!(w.view(t).index, 0, "not before it was read");
    assert!(
        matches!(w.stands()[0], Stand::Done(_)),
        "but it is known to be done"
    );
    w.tick(&world, t + Duration::from_secs(4));
    assert_eq!(w.view(t).index, 1);
    w.back();
    w.tick(&world, t + LONG);
    w.tick(&world, t + LONG);
    assert_eq!((w.view(t).index, w.view(t).rereading), (0, true));
    w.next(t + LONG);
    w.next(t + LONG);
    assert_eq!(w.view(t).index, 2);
    w.next(t + LONG);
    assert_eq!(
        (w.view(t).index, w.finished()),
        (2, false),
        "the last page stays"
    );
}

#[test]
fn a_person_can_cut_a_countdown_short_but_not_walk_past_a_lab_that_is_not_there() {
    let ready = chapter("advance = \"lab.ready\"\nlimit = \"90s\"");
    let mut w = Walkthrough::new(vec![ready, fault()], options(Pace::Person));
    let t = Instant::now();
    w.tick(&World::default(), t);
    w.next(t);
    assert_eq!(w.view(t).index, 0);
    let world = World {
        lab_ready: true,
        ..World::default()
    };
    w.tick(&world, t + LONG);
    assert_eq!(w.view(t).index, 1);
    w.next(t + LONG);
    assert_eq!(w.tick(&world, t + LONG).len(), 1);
}
