//! What other systems tell the ledger, and what it has to tell: alerts from their first word to
//! their end, news, figures.

use crate::bench::{Bench, cluster};
use jiff::Timestamp;
use operator_ledger::{
    AlertDetail, AlertNotice, Check, CheckOutcome, Crowd, EntryKind, IncidentState, NewEntry,
    NotificationCursor, NotificationKind, Observation, Outside, Reading, Resolution, SessionStatus,
    Severity, Status, Stored,
    event::{Outcome, VerifyState},
};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

fn start() -> Timestamp {
    "2026-01-30T10:00:00Z".parse().unwrap()
}

fn notice(firing: bool) -> AlertNotice {
    AlertNotice {
        fingerprint: "c3a5".into(),
        starts_at: start(),
        ends_at: None,
        firing,
        name: "QueueFull".into(),
        severity: Severity::Warning,
        summary: "the queue is full".into(),
        group_key: "{}:{alertname=\"QueueFull\"}".into(),
        detail: AlertDetail {
            labels: [("instance".to_owned(), "mq  1".to_owned())].into(),
            ..AlertDetail::default()
        },
        context: "- instance: mq:1".into(),
        heartbeat: false,
    }
}

/// One check that reads what the alerts say, as the monitor does.
fn check(bench: &mut Bench) -> CheckOutcome {
    let standing = bench.ledger.standing_alerts(&cluster()).wait().unwrap();
    let observations: Vec<_> = standing
        .alerts
        .iter()
        .map(|alert| Observation {
            key: alert.notice.key(),
            invariant: alert.notice.name.clone(),
            subject: None,
            subject_name: None,
            extent: None,
            reading: if alert.notice.firing {
                Reading::Violated
            } else {
                Reading::Clear
            },
            message: alert.notice.summary.clone(),
            severity: alert.notice.severity,
            grace: Duration::ZERO,
            hold: Duration::ZERO,
            outside: Some(Outside {
                batch: alert.notice.group_key.clone(),
                context: alert.notice.context.clone(),
                since: alert.notice.starts_at,
                patience: Duration::from_secs(600),
                last_word: alert.last_at,
                detail: alert.notice.detail.clone(),
                unseen: false,
                matched: false,
                of_system: false,
            }),
        })
        .collect();
    // What was asked for in the same millisecond was asked for before.
    bench.ledger_conn("UPDATE verifications SET since_ms = since_ms - 1");
    bench
        .monitor
        .record_check(Check {
            cluster_id: cluster(),
            age: Duration::ZERO,
            observations,
            metric_snapshot: None,
            subject_context: Some("PD is at http://127.0.0.1:1".into()),
            sample: None,
            changes: Vec::new(),
            place: String::new(),
            interval: Duration::from_secs(1),
            ok: true,
            detail: String::new(),
        })
        .wait()
        .unwrap()
}

fn told(bench: &mut Bench, firing: bool) -> CheckOutcome {
    bench
        .monitor
        .receive_alerts(&cluster(), &[notice(firing)], &Crowd::default())
        .wait()
        .unwrap();
    check(bench)
}

#[test]
fn an_alert_is_a_ticket_until_it_is_resolved() {
    let mut bench = Bench::new();
    assert_eq!(told(&mut bench, true).opened, [1]);
    let ticket = bench.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.first_seen_at, Some(start()));
    assert_eq!(
        ticket.batch_key.as_deref(),
        Some("{}:{alertname=\"QueueFull\"}")
    );
    let context = ticket.subject_context.unwrap();
    assert!(
        context.contains("mq:1") && context.contains("PD is at"),
        "{context}"
    );
    // Told again it is the same.
    assert!(told(&mut bench, true).opened.is_empty());
    // Nobody has worked on it, and yet it is not cleared: it was never seen here.
    assert_eq!(told(&mut bench, false).cleared, [1]);
    let ticket = bench.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::External));
}

#[test]
fn looks_of_ours_are_no_words_of_its_sender() {
    let mut bench = Bench::new();
    told(&mut bench, true);
    let ticket = |bench: &Bench| bench.ledger.ticket(1).wait().unwrap().unwrap();
    let first = ticket(&bench);
    assert_eq!(first.alert.as_ref().unwrap().labels["instance"], "mq  1");
    next_millisecond();
    check(&mut bench);
    assert_eq!(ticket(&bench).last_seen_at, first.last_seen_at);
    assert_eq!(ticket(&bench).occurrence_count, 1);
    next_millisecond();
    told(&mut bench, true);
    assert!(ticket(&bench).last_seen_at > first.last_seen_at);
    assert_eq!(ticket(&bench).occurrence_count, 2);
}

#[test]
fn a_claim_on_an_alert_ends_by_its_word_and_is_never_proven() {
    let mut bench = Bench::new();
    told(&mut bench, true);
    let claim = bench.claim(LEASE).unwrap();
    let session = bench.session(&claim);
    // Resolved while the agent is at work: it is left to it.
    assert!(told(&mut bench, false).cleared.is_empty());
    let request = bench
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    assert_eq!(check(&mut bench).cleared, [1]);
    let verdict = bench.ledger.verification(request).wait().unwrap();
    assert_eq!(verdict.state, VerifyState::External);
    let ticket = bench.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(
        (ticket.status, ticket.resolution),
        (Status::Resolved, Some(Resolution::External))
    );
    bench
        .agent
        .end_session(&session, Outcome::Resolved, "done")
        .wait()
        .unwrap();
    let figures = bench.ledger.figures().wait().unwrap();
    assert_eq!(figures.claims[&Stored::Known(VerifyState::External)], 1);
    assert_eq!(figures.resolved[&Stored::Known(Resolution::External)], 1);
    assert_eq!(figures.ended[&Stored::Known(Resolution::External)], 1);
    assert_eq!(figures.sessions[&Stored::Known(SessionStatus::Resolved)], 1);
    assert!(
        !figures
            .resolved
            .contains_key(&Stored::Known(Resolution::Proven))
    );
}

#[test]
fn a_claim_waits_for_word_longer_than_for_a_look() {
    let mut bench = Bench::new();
    told(&mut bench, true);
    let claim = bench.claim(LEASE).unwrap();
    let session = bench.session(&claim);
    let request = bench
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    check(&mut bench);
    let verdict = bench.ledger.verification(request).wait().unwrap();
    assert_eq!(verdict.state, VerifyState::Waiting);
    assert!(verdict.deadline_in.unwrap() > Duration::from_secs(590));
}

/// What the ledger dates by the millisecond has an order only between two of them.
fn next_millisecond() {
    let now = Timestamp::now().as_millisecond();
    while Timestamp::now().as_millisecond() == now {
        std::thread::yield_now();
    }
}

#[test]
fn what_a_person_resolved_stays_so_until_it_is_told_again() {
    let mut bench = Bench::new();
    told(&mut bench, true);
    next_millisecond();
    bench.person.resolve_by_person(1, "ana").wait().unwrap();
    let quiet = check(&mut bench);
    assert!(quiet.opened.is_empty() && quiet.returned.is_empty());
    next_millisecond();
    assert_eq!(told(&mut bench, true).opened, [2]);
}

fn kinds(
    bench: &Bench,
    from: NotificationCursor,
) -> (Vec<(NotificationKind, i64)>, NotificationCursor) {
    let (news, upto) = bench.ledger.news(&cluster(), from).wait().unwrap();
    (news.iter().map(|n| (n.kind, n.ticket.id)).collect(), upto)
}

#[test]
fn news_are_what_people_would_want_to_know_each_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.ledger.told(&cluster()).wait().unwrap(), None);
    bench.check(Reading::Violated);
    let (news, told) = kinds(&bench, NotificationCursor::default());
    assert_eq!(news, [(NotificationKind::Opened, 1)]);
    bench.monitor.set_told(&cluster(), told).wait().unwrap();
    assert_eq!(bench.ledger.told(&cluster()).wait().unwrap(), Some(told));

    // A command waits for a person.
    let claim = bench.claim(LEASE).unwrap();
    let session = bench.session(&claim);
    let params = serde_json::json!({"command": "reboot", "reasoning": "it may help"});
    for entry in [
        NewEntry {
            call: Some("c".into()),
            tool: Some("shell".into()),
            params: Some(params),
            ..NewEntry::new(EntryKind::ToolCall, "reboot")
        },
        NewEntry {
            call: Some("c".into()),
            ..NewEntry::new(EntryKind::Proposal, "it may change something")
        },
    ] {
        bench.agent.append(&session, entry).wait().unwrap();
    }
    let (news, _) = bench.ledger.news(&cluster(), told).wait().unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(
        (news[0].kind, news[0].detail.as_str()),
        (NotificationKind::Approval, "reboot")
    );
    let (_, told) = kinds(&bench, told);
    assert!(kinds(&bench, told).0.is_empty());
    let incident = news[0].incident.as_ref().unwrap();
    assert_eq!((incident.id, incident.state), (1, IncidentState::Claimed));
    let figures = bench.ledger.figures().wait().unwrap();
    assert_eq!(figures.waiting, 1);
    assert_eq!(figures.incidents[&Stored::Known(IncidentState::Claimed)], 1);

    // Given up, and then gone.
    bench
        .agent
        .end_session(&session, Outcome::Escalated, "no")
        .wait()
        .unwrap();
    bench
        .agent
        .escalate(&claim.lease, "I cannot", "no idea", true)
        .wait()
        .unwrap();
    let (news, told) = kinds(&bench, told);
    assert_eq!(news, [(NotificationKind::Escalated, 1)]);
    let (news, same) = kinds(&bench, told);
    assert!(news.is_empty() && same == told);
}
