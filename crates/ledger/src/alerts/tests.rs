use super::*;
use crate::{SystemId, engine::Engine};

fn notice(start: i64, firing: bool) -> AlertNotice {
    AlertNotice {
        fingerprint: "f1".into(),
        starts_at: Timestamp::from_second(1_769_767_200 + start).unwrap(),
        ends_at: None,
        firing,
        name: "QueueFull".into(),
        severity: Severity::Warning,
        summary: "the queue is full".into(),
        group_key: "{}:{}".into(),
        detail: AlertDetail::default(),
        context: String::new(),
        heartbeat: false,
    }
}

#[test]
fn a_row_that_cannot_be_read_is_left_aside_and_counted() {
    let mut desk = Desk::new();
    for (fingerprint, column) in [("f1", "starts_at"), ("f2", "labels"), ("f3", "state")] {
        desk.tell(|n| n.fingerprint = fingerprint.into());
        let spoil = format!("UPDATE alerts SET {column} = 'odd' WHERE fingerprint = ?1");
        desk.ledger
            .write(|tx| Ok(tx.execute(&spoil, [fingerprint])?))
            .unwrap();
    }
    desk.tell(|n| n.fingerprint = "f4".into());
    let standing = desk.standing();
    // One whose state is no word that is known does not fire, and has no ticket.
    assert_eq!((standing.alerts.len(), standing.unreadable), (1, 2));
    assert_eq!(standing.alerts[0].notice.fingerprint, "f4");
}

struct Desk {
    _dir: tempfile::TempDir,
    ledger: Engine,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Engine::open(&dir.path().join("tickets.db")).unwrap();
        Self { _dir: dir, ledger }
    }

    fn told(&mut self, start: i64, firing: bool) -> Received {
        self.receive(&[notice(start, firing)])
    }

    fn receive(&mut self, notices: &[AlertNotice]) -> Received {
        self.ledger
            .receive_alerts(&SystemId::new("c"), notices, &Crowd::default())
            .unwrap()
    }

    /// A firing alert that differs from the usual one.
    fn tell(&mut self, change: impl FnOnce(&mut AlertNotice)) -> Received {
        let mut one = notice(0, true);
        change(&mut one);
        self.receive(&[one])
    }

    fn standing(&self) -> Standing {
        self.ledger.standing_alerts(&SystemId::new("c")).unwrap()
    }

    fn fires(&self) -> Vec<bool> {
        self.standing()
            .alerts
            .iter()
            .map(|a| a.notice.firing)
            .collect()
    }
}

#[test]
fn an_alert_fires_once_however_often_it_is_told() {
    let mut desk = Desk::new();
    assert_eq!(desk.told(0, true).fired, 1);
    assert_eq!(desk.told(0, true).repeated, 1);
    assert_eq!(desk.fires(), [true]);
    assert_eq!(desk.told(0, false).resolved, 1);
    assert_eq!(desk.told(0, false).repeated, 1);
    // Nobody asks for it any more: it has no ticket.
    assert_eq!(desk.fires(), [false; 0]);
    // Of another cluster's monitor nothing is known here.
    assert!(
        desk.ledger
            .standing_alerts(&SystemId::new("d"))
            .unwrap()
            .alerts
            .is_empty()
    );
}

#[test]
fn what_comes_late_changes_nothing() {
    let mut desk = Desk::new();
    // Resolved before it was seen firing, and then the older word arrives.
    assert_eq!(desk.told(0, false).resolved, 1);
    assert_eq!(desk.told(0, true).late, 1);
    assert_eq!(desk.fires(), [false; 0]);
    // It fires anew, and only then the end of the earlier time is told.
    assert_eq!(desk.told(60, true).fired, 1);
    assert_eq!(desk.told(0, false).repeated, 1);
    assert_eq!(desk.told(0, true).late, 1);
    assert_eq!(desk.fires(), [true]);
    // The end of one that was overtaken does not end the new one.
    assert_eq!(desk.told(120, true).fired, 1);
    assert_eq!(desk.told(60, false).resolved, 1);
    assert_eq!(desk.fires(), [true]);
}

#[test]
fn one_that_was_resolved_for_a_while_fires_again_with_the_same_start() {
    // Alertmanager lost sight of it, called it resolved, and sees it again.
    let mut desk = Desk::new();
    desk.told(0, true);
    desk.told(0, false);
    desk.ledger
        .conn
        .execute("UPDATE alerts SET resolved_ms = resolved_ms - 31000", [])
        .unwrap();
    assert_eq!(desk.told(0, true).fired, 1);
    assert_eq!(desk.fires(), [true]);
}

/// Many of one name, from number `from` on.
fn many(name: &str, from: usize, count: usize) -> Vec<AlertNotice> {
    let one = |n: usize| {
        let mut one = notice(0, true);
        one.fingerprint = format!("{name}{n}");
        one.name = name.into();
        one.detail.labels.insert("pod".into(), format!("p{n}"));
        one
    };
    (from..from + count).map(one).collect()
}

#[test]
fn a_few_of_a_name_have_a_ticket_each_and_many_share_one() {
    let mut desk = Desk::new();
    desk.receive(&many("Few", 0, 10));
    desk.receive(&many("Many", 0, 200));
    let standing = desk.standing();
    assert_eq!(standing.alerts.len(), 10);
    let [crowd] = standing.crowds.as_slice() else {
        panic!("{:?}", standing.crowds)
    };
    assert_eq!((crowd.name.as_deref(), crowd.firing), (Some("Many"), 200));
    assert_eq!(crowd.examples.len(), 5);
    // Told again, each stays where it was; more of the name join, and those that end are counted.
    assert_eq!(desk.receive(&many("Many", 0, 201)).repeated, 200);
    let mut over = many("Many", 0, 7);
    for n in &mut over {
        n.firing = false;
    }
    assert_eq!(desk.receive(&over).resolved, 7);
    let crowd = &desk.standing().crowds[0];
    assert_eq!((crowd.firing, crowd.ended), (194, 7));
}

#[test]
fn a_storm_that_comes_one_by_one_is_one_too() {
    let mut desk = Desk::new();
    for n in 0..50 {
        desk.receive(&many("Drip", n, 1));
    }
    let standing = desk.standing();
    assert_eq!(standing.alerts.len(), 10);
    assert_eq!(standing.crowds[0].firing, 40);
}

#[test]
fn of_many_names_the_worst_keep_tickets_of_their_own() {
    let mut desk = Desk::new();
    let mut storm: Vec<_> = (0..400)
        .flat_map(|n| many(&format!("N{n}"), 0, 1))
        .collect();
    storm[399].severity = Severity::Critical;
    storm[7].severity = Severity::Info;
    desk.receive(&storm);
    let standing = desk.standing();
    assert_eq!(standing.alerts.len(), 30);
    let own = |name: &str| standing.alerts.iter().any(|a| a.notice.name == name);
    assert!(own("N399") && own("N0") && !own("N7"));
    let crowd = &standing.crowds[0];
    assert_eq!((crowd.name.as_deref(), crowd.firing), (None, 370));
    assert_eq!(crowd.severity, Severity::Warning);
    // A heartbeat is none of a storm.
    desk.tell(|n| {
        n.fingerprint = "pulse".into();
        n.heartbeat = true;
    });
    assert_eq!(desk.standing().alerts.len(), 31);
}

#[test]
fn members_of_a_crowd_that_prometheus_does_not_see_for_long_enough_end() {
    let mut desk = Desk::new();
    desk.receive(&many("Many", 0, 20));
    let page = desk.ledger.crowd_members(&SystemId::new("c"), 0).unwrap();
    assert_eq!(page.len(), 20);
    let (seen, unseen) = (page[0].id, page[1].id);
    let hold = Duration::from_secs(60);
    for _ in 0..2 {
        desk.ledger
            .note_members(&[seen], &[(unseen, hold)])
            .unwrap();
    }
    assert_eq!(desk.standing().crowds[0].firing, 20);
    desk.ledger
        .conn
        .execute("UPDATE alerts SET unseen_ms = unseen_ms - 61000", [])
        .unwrap();
    desk.ledger
        .note_members(&[seen], &[(unseen, hold)])
        .unwrap();
    let crowd = &desk.standing().crowds[0];
    assert_eq!((crowd.firing, crowd.ended), (19, 1));
    // Its sender says it again: it knows better.
    desk.receive(&many("Many", 1, 1));
    let page = desk.ledger.crowd_members(&SystemId::new("c"), 0).unwrap();
    assert!(page.iter().any(|m| m.id == unseen && m.contested));
}

#[test]
fn the_end_of_an_older_start_ends_a_younger_one_of_the_same_outage() {
    // One Alertmanager of a pair began later, and only the other tells the end.
    let mut desk = Desk::new();
    desk.told(0, true);
    desk.told(60, true);
    let mut end = notice(0, false);
    end.ends_at = Some(notice(300, true).starts_at);
    desk.receive(&[end]);
    assert_eq!(desk.fires(), [false; 0]);
    // An end before the younger start is that of an earlier outage.
    desk.told(600, true);
    let mut end = notice(0, false);
    end.ends_at = Some(notice(500, true).starts_at);
    desk.receive(&[end]);
    assert_eq!(desk.fires(), [true]);
}

#[test]
fn what_the_other_of_a_pair_says_long_after_the_end_counts_though_it_began_earlier() {
    let mut desk = Desk::new();
    desk.told(0, true);
    desk.told(60, true);
    desk.told(60, false);
    assert_eq!(desk.told(0, true).late, 1);
    desk.ledger
        .conn
        .execute("UPDATE alerts SET resolved_ms = resolved_ms - 31000", [])
        .unwrap();
    assert_eq!(desk.told(0, true).fired, 1);
    assert_eq!(desk.fires(), [true]);
}

#[test]
fn the_pace_of_a_sender_is_learnt() {
    let mut desk = Desk::new();
    desk.told(0, true);
    assert_eq!(desk.standing().alerts[0].longest_silence, None);
    desk.ledger
        .conn
        .execute("UPDATE alerts SET heard_ms = heard_ms - 90000", [])
        .unwrap();
    desk.told(0, true);
    desk.told(0, true);
    let alert = &desk.standing().alerts[0];
    let longest = alert.longest_silence.unwrap();
    assert!(longest >= Duration::from_secs(90) && longest < Duration::from_secs(120));
    assert_eq!(alert.words, 3);
    assert!(alert.silent_for < Duration::from_secs(30));
}

#[test]
fn labels_come_back_as_they_came() {
    let mut desk = Desk::new();
    let odd = "delta( a[10m])  > 0\t\n\u{1b}[31m\u{202e}";
    desk.tell(|n| {
        n.detail.labels.insert("expr".into(), odd.into());
    });
    assert_eq!(desk.standing().alerts[0].notice.detail.labels["expr"], odd);
}

#[test]
fn a_file_of_this_version_that_lacks_a_column_is_given_it() {
    let mut desk = Desk::new();
    desk.told(0, true);
    let Desk { _dir: dir, ledger } = desk;
    ledger
        .conn
        .execute_batch(
            "DROP INDEX idx_alerts_ticket; DROP INDEX idx_alerts_first;
             ALTER TABLE alerts DROP COLUMN ticket_key; ALTER TABLE tickets DROP COLUMN alert;",
        )
        .unwrap();
    drop(ledger);
    let ledger = Engine::open(&dir.path().join("tickets.db")).unwrap();
    let desk = Desk { _dir: dir, ledger };
    assert_eq!(desk.fires(), [true]);
}
