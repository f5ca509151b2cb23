use super::*;
use crate::cluster::prometheus::{AlertRule, Labels};
use operator_ledger::{AlertNotice, CrowdMember, StandingCrowd};

const NOW: i64 = 1_769_767_200;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn of(instance: &str) -> Labels {
    labels(&[("alertname", "StoreDown"), ("instance", instance)])
}

fn alert(state: AlertState) -> StandingAlert {
    StandingAlert {
        notice: AlertNotice {
            fingerprint: "f".into(),
            starts_at: at(-60),
            ends_at: (state == AlertState::Resolved).then(|| at(-5)),
            firing: state == AlertState::Firing,
            name: "StoreDown".into(),
            severity: Severity::Critical,
            summary: "tikv1 is down".into(),
            group_key: "g".into(),
            detail: AlertDetail {
                labels: of("tikv1"),
                ..AlertDetail::default()
            },
            context: "labels".into(),
            heartbeat: false,
        },
        state,
        last_at: Some(at(-5)),
        silent_for: Duration::from_secs(5),
        longest_silence: None,
        words: 1,
        matched: false,
        contested: false,
    }
}

fn rule() -> AlertRule {
    AlertRule {
        name: "StoreDown".into(),
        healthy: true,
        evaluated: Some(at(-3)),
        interval: 5.0,
        active: vec![of("tikv2")],
        ..AlertRule::default()
    }
}

fn state() -> RuleState {
    RuleState {
        rules: vec![rule()],
        started: Some(at(-3600)),
        external: Labels::new(),
        at: at(0),
    }
}

fn look<'a>(rules: Option<&'a Result<RuleState, NoRules>>, settings: &'a AlertRules) -> Look<'a> {
    Look {
        rules,
        patience: Duration::from_secs(600),
        settings,
        listening: Duration::from_secs(86_400),
    }
}

fn live(key: &str) -> LiveTicket {
    LiveTicket {
        key: key.into(),
        invariant: "StoreDown".into(),
        subject: None,
    }
}

/// What an alert that has a ticket reads.
fn reads(alert: &StandingAlert, state: Option<Result<RuleState, NoRules>>) -> Observation {
    let settings = AlertRules::default();
    let standing = Standing {
        alerts: vec![alert.clone()],
        ..Standing::default()
    };
    let mut read = evaluate(
        &standing,
        look(state.as_ref(), &settings),
        &[live("alert:f")],
    );
    assert_eq!(read.len(), 1);
    read.remove(0)
}

#[expect(clippy::unnecessary_wraps, reason = "as it is asked for")]
fn with(change: impl FnOnce(&mut RuleState)) -> Option<Result<RuleState, NoRules>> {
    let mut state = state();
    change(&mut state);
    Some(Ok(state))
}

#[test]
fn firing_is_violated_and_named_after_what_it_is_about() {
    let read = reads(&alert(AlertState::Firing), None);
    assert_eq!(read.reading, Reading::Violated);
    assert_eq!(read.subject.as_deref(), Some("tikv1"));
    assert_eq!(
        (read.key.as_str(), read.invariant.as_str()),
        ("alert:f", "StoreDown")
    );
}

type Change = fn(&mut RuleState);

#[test]
fn resolved_is_clear_only_if_prometheus_sees_it_so_where_there_is_one() {
    let alert = alert(AlertState::Resolved);
    assert_eq!(reads(&alert, None).reading, Reading::Clear);
    assert_eq!(reads(&alert, with(|_| ())).reading, Reading::Clear);
    let cases: [(Change, Reading); 7] = [
        // The alert is still there.
        (|w| w.rules[0].active.push(of("tikv1")), Reading::Violated),
        // Nobody looks.
        (|w| w.rules[0].evaluated = Some(at(-31)), Reading::Unknown),
        (|w| w.rules[0].evaluated = None, Reading::Unknown),
        (|w| w.rules[0].healthy = false, Reading::Unknown),
        (|w| w.started = Some(at(-10)), Reading::Unknown),
        // It does not say when it began.
        (|w| w.started = None, Reading::Clear),
        // It is another system's.
        (|w| w.rules.clear(), Reading::Clear),
    ];
    for (n, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(reads(&alert, with(change)).reading, expected, "case {n}");
    }
    let dead = Some(Err(NoRules::Away("http://p: connection refused".into())));
    let read = reads(&alert, dead);
    assert_eq!(read.reading, Reading::Unknown);
    assert!(
        read.message.contains("connection refused"),
        "{}",
        read.message
    );
    // What knows no rules has no say.
    let other = Some(Err(NoRules::Unsupported(
        "http://vm: 400 unsupported".into(),
    )));
    let read = reads(&alert, other);
    assert_eq!(read.reading, Reading::Clear);
    assert!(
        read.message.contains("could not be asked for: http://vm"),
        "{}",
        read.message
    );
    // What was asked before the word came is no answer to it.
    let read = reads(&alert, with(|w| w.at = at(-6)));
    assert_eq!(read.reading, Reading::Unknown);
}

#[test]
fn labels_are_compared_by_what_both_sides_have() {
    let told = |pairs: &[(&str, &str)]| {
        let mut one = alert(AlertState::Resolved);
        one.notice.detail.labels = labels(pairs);
        one
    };
    let seen = |pairs: &[(&str, &str)]| {
        let active = labels(pairs);
        with(move |w| w.rules[0].active = vec![active])
    };
    let name = ("alertname", "StoreDown");
    for (case, sent, there, expected) in [
        (
            "spaces",
            &[name, ("expr", "a  > 0\t")][..],
            &[name, ("expr", "a  > 0\t")][..],
            Reading::Violated,
        ),
        (
            "external labels",
            &[name, ("instance", "a"), ("cluster", "x")],
            &[name, ("instance", "a")],
            Reading::Violated,
        ),
        (
            "one left out",
            &[name, ("instance", "a")],
            &[name, ("instance", "a"), ("replica", "0")],
            Reading::Violated,
        ),
        (
            "all but the name left out",
            &[name],
            &[name, ("instance", "a")],
            Reading::Violated,
        ),
        (
            "another",
            &[name, ("instance", "a")],
            &[name, ("instance", "b")],
            Reading::Clear,
        ),
        (
            "another that is called nearly so",
            &[name, ("instance", "db-1")],
            &[name, ("instance", "db-10")],
            Reading::Clear,
        ),
        (
            "renamed",
            &[name, ("node", "a")],
            &[name, ("instance", "10.0.0.1:9100")],
            Reading::Unknown,
        ),
        (
            "port cut off",
            &[name, ("instance", "db-1")],
            &[name, ("instance", "db-1:9100")],
            Reading::Unknown,
        ),
        (
            "domain added",
            &[name, ("instance", "db-1.eu.example")],
            &[name, ("instance", "DB-1")],
            Reading::Unknown,
        ),
    ] {
        assert_eq!(reads(&told(sent), seen(there)).reading, expected, "{case}");
    }
    // One that was seen as it is now is not seen under other labels.
    let mut matched = told(&[name, ("node", "a")]);
    matched.matched = true;
    assert_eq!(
        reads(&matched, seen(&[name, ("instance", "b")])).reading,
        Reading::Clear
    );
}

#[test]
fn of_rules_of_one_name_only_those_that_could_give_its_labels_count() {
    let mut one = alert(AlertState::Resolved);
    one.notice
        .detail
        .labels
        .insert("seen_by".into(), "pd".into());
    let other = with(|w| {
        w.rules[0].labels = labels(&[("seen_by", "pd"), ("text", "{{ $value }}")]);
        w.rules[0].active.clear();
        let mut other = rule();
        other.labels = labels(&[("seen_by", "prometheus")]);
        other.healthy = false;
        other.active = vec![of("tikv1")];
        w.rules.push(other);
    });
    assert_eq!(reads(&one, other).reading, Reading::Clear);
    // Where none gives them, they were changed on the way, and any of them may be its rule.
    let changed = with(|w| w.rules[0].labels = labels(&[("seen_by", "scrape")]));
    assert_eq!(reads(&one, changed).reading, Reading::Unknown);
}

#[test]
fn what_prometheus_does_not_see_any_more_ends_without_a_word() {
    let firing = alert(AlertState::Firing);
    let gone = |change: Change| {
        with(move |w| {
            w.rules[0].active.clear();
            change(w);
        })
    };
    let read = reads(&firing, gone(|w| w.rules[0].waits = 40.0));
    assert_eq!(
        (read.reading, read.hold),
        (Reading::Clear, Duration::from_secs(40))
    );
    assert!(read.outside.unwrap().unseen);
    let read = reads(&firing, gone(|_| ()));
    assert_eq!(read.hold, Duration::from_secs(15));
    assert!(
        read.message.contains("does not see it any more"),
        "{}",
        read.message
    );
    // Its sender's word is younger than the look, or Prometheus does not look, or it is gone.
    let cases: [Change; 6] = [
        |w| w.rules[0].evaluated = Some(at(-5)),
        |w| w.rules[0].healthy = false,
        |w| w.rules[0].evaluated = Some(at(-40)),
        |w| w.started = Some(at(-10)),
        |w| w.rules.clear(),
        // It may be it, under another name.
        |w| w.rules[0].active.push(of("10.0.0.1:20180")),
    ];
    for (n, change) in cases.into_iter().enumerate() {
        assert_eq!(
            reads(&firing, gone(change)).reading,
            Reading::Violated,
            "case {n}"
        );
    }
    for away in [
        NoRules::Away(String::new()),
        NoRules::Unsupported(String::new()),
    ] {
        assert_eq!(reads(&firing, Some(Err(away))).reading, Reading::Violated);
    }
    // Its sender said it again after that: it knows of it from elsewhere.
    let mut again = alert(AlertState::Firing);
    again.contested = true;
    assert_eq!(reads(&again, gone(|_| ())).reading, Reading::Violated);
}

#[test]
fn a_firing_alert_has_a_ticket_before_prometheus_may_end_it() {
    let standing = Standing {
        alerts: vec![alert(AlertState::Firing)],
        ..Standing::default()
    };
    let settings = AlertRules::default();
    let gone = with(|w| w.rules[0].active.clear());
    let read = evaluate(&standing, look(gone.as_ref(), &settings), &[]);
    assert_eq!(read[0].reading, Reading::Violated);
}

#[test]
fn an_alert_of_another_prometheus_is_not_ended_by_this_one() {
    let mut theirs = alert(AlertState::Firing);
    theirs
        .notice
        .detail
        .labels
        .insert("cluster".into(), "west".into());
    let east = || {
        with(|w| {
            w.external = labels(&[("cluster", "east"), ("replica", "0")]);
            w.rules[0].active.clear();
        })
    };
    assert_eq!(reads(&theirs, east()).reading, Reading::Violated);
    theirs.state = AlertState::Resolved;
    let read = reads(&theirs, east());
    assert_eq!(read.reading, Reading::Clear);
    assert!(
        read.message.contains("cluster \"west\""),
        "{}",
        read.message
    );
}

#[test]
fn that_prometheus_sees_it_is_remembered_once() {
    let mut firing = alert(AlertState::Firing);
    let there = || with(|w| w.rules[0].active.push(of("tikv1")));
    assert!(reads(&firing, there()).outside.unwrap().matched);
    firing.matched = true;
    assert!(!reads(&firing, there()).outside.unwrap().matched);
}

#[test]
fn a_heartbeat_is_violated_when_it_stops() {
    let mut pulse = alert(AlertState::Firing);
    pulse.notice.heartbeat = true;
    pulse.notice.name = "Watchdog".into();
    assert_eq!(reads(&pulse, None).reading, Reading::Clear);
    let outside = reads(&pulse, None).outside.unwrap();
    assert!(!outside.unseen, "to fire is its well-being");
    pulse.silent_for = Duration::from_secs(5 * 3600);
    let read = reads(&pulse, None);
    assert_eq!(
        (read.reading, read.severity),
        (Reading::Violated, Severity::Critical)
    );
    assert!(
        read.message.starts_with("Watchdog has not been told for"),
        "{}",
        read.message
    );
    pulse.silent_for = Duration::ZERO;
    pulse.state = AlertState::Resolved;
    let read = reads(&pulse, None);
    assert_eq!(read.reading, Reading::Violated);
    assert!(
        read.message.starts_with("Watchdog stopped: "),
        "{}",
        read.message
    );
}

#[test]
fn a_monitor_that_did_not_listen_holds_no_silence_against_anybody() {
    let mut pulse = alert(AlertState::Firing);
    pulse.notice.heartbeat = true;
    pulse.silent_for = Duration::from_secs(86_400);
    let settings = AlertRules::default();
    let standing = Standing {
        alerts: vec![pulse],
        ..Standing::default()
    };
    let mut look = look(None, &settings);
    look.listening = Duration::from_secs(30);
    assert_eq!(evaluate(&standing, look, &[])[0].reading, Reading::Clear);
}

fn member(id: i64, pod: &str) -> CrowdMember {
    CrowdMember {
        id,
        name: "PodDown".into(),
        labels: labels(&[("alertname", "PodDown"), ("pod", pod), ("zone", "a")]),
        matched: false,
        contested: false,
        last_at: Some(at(-5)),
    }
}

#[test]
fn a_crowd_says_how_many_it_stands_for_and_ends_with_the_last() {
    let mut crowd = StandingCrowd {
        key: "alert:*PodDown".into(),
        name: Some("PodDown".into()),
        firing: 40,
        ended: 2,
        severity: Severity::Critical,
        since: Some(at(-60)),
        last_at: Some(at(-5)),
        examples: vec![member(1, "a"), member(2, "b")],
        names: vec![("PodDown".into(), 40)],
    };
    let read = |crowd: &StandingCrowd| {
        let settings = AlertRules::default();
        let standing = Standing {
            crowds: vec![crowd.clone()],
            ..Standing::default()
        };
        evaluate(&standing, look(None, &settings), &[]).remove(0)
    };
    let seen = read(&crowd);
    assert_eq!(seen.reading, Reading::Violated);
    assert_eq!(
        seen.message,
        "40 alerts PodDown fire: a, b and 38 more; 2 alerts of this ticket have ended"
    );
    let detail = seen.outside.unwrap().detail;
    assert_eq!(detail.stands_for, Some(40));
    assert_eq!(
        detail.labels,
        labels(&[("alertname", "PodDown"), ("zone", "a")])
    );
    crowd.name = None;
    crowd.names.push(("DiskFull".into(), 3));
    assert!(
        read(&crowd)
            .message
            .contains("of many names fire: PodDown 40×, DiskFull 3×")
    );
    crowd.firing = 0;
    assert_eq!(read(&crowd).reading, Reading::Clear);
}

#[test]
fn members_of_a_crowd_are_looked_for_one_by_one() {
    let page = [member(1, "a"), member(2, "b")];
    let mut state = state();
    state.rules[0].name = "PodDown".into();
    state.rules[0].active = vec![labels(&[("alertname", "PodDown"), ("pod", "a")])];
    let found = members(&page, &Ok(state));
    assert_eq!(found.seen, [1]);
    assert_eq!(found.unseen, [(2, Duration::from_secs(15))]);
    let away = Err(NoRules::Away(String::new()));
    assert!(members(&page, &away).unseen.is_empty());
}

#[test]
fn a_ticket_whose_alert_nobody_tells_of_any_more_is_unknown() {
    let settings = AlertRules::default();
    let tickets = [live("alert:gone"), live("store_down:1")];
    let read = evaluate(&Standing::default(), look(None, &settings), &tickets);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].reading, Reading::Unknown);
}
