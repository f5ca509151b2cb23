//! The ledger, through its public interface: life cycle, leases, proof, adoption, damage.

use operator_ledger::{
    AgentLedger, ClaimRequest, EntryKind, Holder, IncidentEventKind, IncidentState, LedgerError,
    NewEntry, NewTicket, Observation, PersonLedger, Reader, Reading, Resolution, SessionStatus,
    SideCost, Status, SystemId, Verdict,
    event::{Outcome, VerifyState},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use crate::bench::{Bench, cluster, observation};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_claimed_repair_is_proven_only_by_the_monitor_and_only_after_its_hold() {
    let mut b = Bench::new();
    assert_eq!(b.check(Reading::Violated).opened, [1]);
    let claim = b.claim(LONG).unwrap();
    assert_eq!(
        claim.ticket.metric_snapshot,
        Some(serde_json::json!({"stores": 2}))
    );
    let session = b.session(&claim);
    b.agent
        .set_diagnosis(&claim.lease, "started it again")
        .wait()
        .unwrap();
    let id = b
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    assert!(b.ledger.check_wanted(&cluster()).wait().unwrap());

    b.later(1).check(Reading::Clear);
    assert!(
        !b.ledger.check_wanted(&cluster()).wait().unwrap(),
        "the monitor knows of it now"
    );
    b.later(9).check(Reading::Clear);
    assert_eq!(
        b.ledger.verification(id).wait().unwrap().state,
        VerifyState::Waiting
    );
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert!(
        ticket.claimed && ticket.status == Status::Acknowledged,
        "claimed is not proven"
    );

    let out = b.later(2).check(Reading::Clear);
    assert_eq!(out.proven, [1]);
    assert_eq!(
        b.ledger.verification(id).wait().unwrap().state,
        VerifyState::Proven
    );
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(
        (ticket.status, ticket.resolution),
        (Status::Resolved, Some(Resolution::Proven))
    );
    b.agent
        .end_session(&session, Outcome::Resolved, "done")
        .wait()
        .unwrap();
    assert!(b.claim(LONG).is_none());
}

#[test]
fn a_repair_undone_after_two_seconds_is_not_proven() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    let id = b
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    b.later(1).check(Reading::Clear);
    b.later(2).check(Reading::Violated);
    b.later(4).check(Reading::Clear);
    b.later(5).check(Reading::Clear);
    assert_eq!(
        b.ledger.verification(id).wait().unwrap().state,
        VerifyState::Waiting
    );
    b.later(3).check(Reading::Violated);
    let v = b.ledger.verification(id).wait().unwrap();
    assert_eq!(
        (v.state, v.detail.as_str()),
        (VerifyState::Failed, "Violated")
    );
    assert_eq!(
        b.ledger.ticket(1).wait().unwrap().unwrap().status,
        Status::Acknowledged
    );
}

#[test]
fn unknown_is_evidence_of_nothing() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    let id = b
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    b.later(1).check(Reading::Clear);
    b.later(6).check(Reading::Unknown);
    b.later(6).check(Reading::Clear);
    assert_eq!(
        b.ledger.verification(id).wait().unwrap().state,
        VerifyState::Waiting,
        "the hold began anew"
    );
    b.later(2).check(Reading::Unknown);
    assert_eq!(
        b.ledger.verification(id).wait().unwrap().state,
        VerifyState::Unverifiable
    );
}

#[test]
fn a_violation_gone_before_anyone_acted_is_cleared_without_a_session() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.later(1).check(Reading::Clear);
    assert!(b.claim(LONG).is_none(), "already gone: not worth a session");
    b.later(5).check(Reading::Unknown);
    b.later(11).check(Reading::Clear);
    assert!(b.later(9).check(Reading::Clear).cleared.is_empty());
    assert_eq!(b.later(2).check(Reading::Clear).cleared, [1]);
    assert_eq!(
        b.ledger.ticket(1).wait().unwrap().unwrap().resolution,
        Some(Resolution::Cleared)
    );
    assert!(b.ledger.sessions_of_ticket(1).wait().unwrap().is_empty());
}

#[test]
fn what_comes_back_soon_is_a_new_ticket_of_the_same_incident() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.later(1).check(Reading::Clear);
    b.later(11).check(Reading::Clear);
    let over = b.ledger.incident(1).wait().unwrap().unwrap();
    assert_eq!(over.state, IncidentState::Resolved);
    let out = b.later(1).check(Reading::Violated);
    assert_eq!((out.opened, out.returned), (vec![2], vec![1]));
    let ticket = b.ledger.ticket(2).wait().unwrap().unwrap();
    assert_eq!(
        (ticket.flaps, ticket.status, ticket.incident_id),
        (1, Status::Open, Some(1))
    );
    let first = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(
        (first.status, first.resolution),
        (Status::Resolved, Some(Resolution::Cleared)),
        "nothing reopens a ticket but a person"
    );
    let report = b.ledger.incident_report(1).wait().unwrap().unwrap();
    assert_eq!(report.incident.state, IncidentState::Open);
    let kinds: Vec<_> = report
        .events
        .iter()
        .map(|e| e.kind.known().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            IncidentEventKind::Began,
            IncidentEventKind::Ended,
            IncidentEventKind::Returned
        ]
    );
}

#[test]
fn an_expired_lease_is_taken_over_and_its_holder_writes_nothing_more() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let old = b.claim(LONG).unwrap();
    let session = b.session(&old);
    b.agent
        .renew(&old.lease, Duration::from_millis(1))
        .wait()
        .unwrap();
    let until = Instant::now() + LONG;
    while b.agent.check_lease(&old.lease).wait().is_ok() {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    // Run out, though nobody took it over yet.
    let entry = NewEntry::new(EntryKind::Reasoning, "still here");
    assert!(matches!(
        b.agent.append(&session, entry).wait(),
        Err(LedgerError::Fenced { .. })
    ));

    let new = b.claim(LONG).unwrap();
    assert_eq!(new.recovered.as_deref(), Some(session.id.as_str()));
    assert!(new.lease.fence > old.lease.fence);
    assert_eq!(
        b.ledger
            .session(&session.id)
            .wait()
            .unwrap()
            .unwrap()
            .status,
        SessionStatus::Failed
    );
    assert!(matches!(
        b.agent.renew(&old.lease, LONG).wait(),
        Err(LedgerError::Fenced { .. })
    ));
    assert!(matches!(
        b.agent.end_session(&session, Outcome::Resolved, "x").wait(),
        Err(LedgerError::Fenced { .. })
    ));
    assert!(matches!(
        b.agent.escalate(&old.lease, "x", "y", false).wait(),
        Err(LedgerError::Fenced { .. })
    ));
    assert!(
        b.ledger
            .entries(&session.id, 0, 10)
            .wait()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_ticket_escalates_with_growing_waits_and_ends_with_a_person() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let mut waits = Vec::new();
    for attempt in 1..=3 {
        let claim = b.claim(LONG).unwrap();
        assert_eq!(claim.ticket.attempts, attempt);
        b.agent
            .escalate(&claim.lease, "cannot", "gave up", false)
            .wait()
            .unwrap();
        assert!(b.claim(LONG).is_none(), "not at once");
        let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
        waits.push(ticket.retry_at);
        assert_eq!(ticket.needs_person, attempt == 3);
        // Time passes.
        rusqlite::Connection::open(b.path())
            .unwrap()
            .execute("UPDATE incidents SET retry_at = '2020-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL", [])
            .unwrap();
    }
    assert!(waits[0] < waits[1] && waits[2].is_none());
    assert!(b.claim(LONG).is_none());
    assert!(
        b.ledger
            .ticket(1)
            .wait()
            .unwrap()
            .unwrap()
            .diagnosis
            .unwrap()
            .starts_with("ESCALATED: ")
    );
    b.person.set_held(1, true, "op").wait().unwrap();
    b.person.set_held(1, false, "op").wait().unwrap();
    assert!(b.claim(LONG).is_some(), "a person gave it back");
}

#[test]
fn a_person_who_resolves_it_fences_the_agent_off() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    assert!(b.person.resolve_by_person(1, "op").wait().unwrap());
    assert!(!b.person.resolve_by_person(1, "op").wait().unwrap());
    let err = b
        .agent
        .renew(&claim.lease, LONG)
        .wait()
        .unwrap_err()
        .to_string();
    assert!(err.contains("op resolved it"), "{err}");
}

#[test]
fn a_hand_opened_ticket_is_claimed_but_cannot_be_proven() {
    let mut b = Bench::new();
    let id = b
        .person
        .open_ticket(NewTicket {
            message: "please look".into(),
            by: "op".into(),
            ..Default::default()
        })
        .wait()
        .unwrap();
    let claim = b.claim(LONG).unwrap();
    assert_eq!(claim.ticket.id, id);
    let session = b.session(&claim);
    let v = b
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    assert_eq!(
        b.ledger.verification(v).wait().unwrap().state,
        VerifyState::Unverifiable
    );
    assert!(matches!(
        b.person
            .open_ticket(NewTicket {
                message: "  ".into(),
                ..Default::default()
            })
            .wait(),
        Err(LedgerError::Refused(_))
    ));
}

#[test]
fn agents_on_one_ledger_never_share_a_ticket() {
    let b = Bench::new();
    for i in 0..40 {
        let message = format!("ticket {i}");
        b.person
            .open_ticket(NewTicket {
                message,
                ..Default::default()
            })
            .wait()
            .unwrap();
    }
    let path = b.path();
    let taken: Vec<i64> = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let ledger = AgentLedger::open(&path).wait().unwrap();
                    let mut mine = Vec::new();
                    while let Some(c) = ledger
                        .claim(ClaimRequest {
                            holder: Holder::this_process(),
                            cluster_id: None,
                            ticket: None,
                            lease: LONG,
                        })
                        .wait()
                        .unwrap()
                    {
                        mine.push(c.ticket.id);
                    }
                    mine
                })
            })
            .collect();
        agents.into_iter().flat_map(|a| a.join().unwrap()).collect()
    });
    let mut unique = taken.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((taken.len(), unique.len()), (40, 40));
}

#[test]
fn another_clusters_tickets_are_not_taken() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    for cluster_id in [None, Some(SystemId::new("other"))] {
        let request = ClaimRequest {
            holder: Holder::this_process(),
            cluster_id,
            ticket: None,
            lease: LONG,
        };
        assert!(b.agent.claim(request).wait().unwrap().is_none());
    }
}

#[test]
fn the_chain_finds_every_edit_of_what_was_recorded() {
    let mut b = Bench::new();
    b.tampered = true;
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let s = b.session(&claim);
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(
            b.agent
                .append(&s, NewEntry::new(EntryKind::Reasoning, text))
                .wait()
                .unwrap(),
        );
    }
    let paid = SideCost {
        what: "summary",
        model: "small".into(),
        tokens: 10,
        usd: 0.25,
    };
    b.agent
        .set_summary(ids[0], &s.id, Some("short"), paid)
        .wait()
        .unwrap();
    assert!((b.ledger.spent_today().wait().unwrap() - 0.25).abs() < 1e-9);
    assert!(matches!(
        b.ledger.verify_session(&s.id).wait().unwrap().verdict,
        Verdict::Unfinished { .. }
    ));
    let head = b
        .agent
        .end_session(&s, Outcome::Escalated, "end")
        .wait()
        .unwrap();
    assert_eq!(
        b.ledger.verify_session(&s.id).wait().unwrap().verdict,
        Verdict::Intact { head: head.clone() }
    );

    let raw = rusqlite::Connection::open(b.path()).unwrap();
    let try_edit = |edit: &str, expect: &dyn Fn(Verdict) -> bool| {
        raw.execute_batch("SAVEPOINT e").unwrap();
        raw.execute_batch(edit).unwrap();
        raw.execute_batch("RELEASE e").unwrap();
        let verdict = b.ledger.verify_session(&s.id).wait().unwrap().verdict;
        assert!(expect(verdict.clone()), "{edit}: {verdict:?}");
    };
    let (first, last) = (ids[0], ids[2] + 1);
    try_edit(
        &format!("UPDATE agent_log_entries SET raw_content = 'ONE' WHERE id = {first}"),
        &|v| v == Verdict::Broken { row: first },
    );
    try_edit(
        &format!("UPDATE agent_log_entries SET raw_content = 'one' WHERE id = {first}"),
        &|v| matches!(v, Verdict::Intact { .. }),
    );
    try_edit(
        &format!("DELETE FROM agent_log_entries WHERE id = {last}"),
        &|v| matches!(v, Verdict::Truncated { .. }),
    );
    try_edit(
        &format!("DELETE FROM agent_log_entries WHERE id = {}", ids[1]),
        &|v| v == Verdict::Broken { row: ids[2] },
    );
}

#[test]
fn the_file_is_private_and_a_reader_sees_changes_cheaply() {
    let mut b = Bench::new();
    let mode = fs::metadata(b.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let reader = Reader::open(&b.path()).wait().unwrap();
    assert!(reader.changed().wait().unwrap());
    assert!(!reader.changed().wait().unwrap());
    b.check(Reading::Violated);
    assert!(reader.changed().wait().unwrap());
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 1);
}

#[test]
fn the_monitor_that_is_silent_is_seen_to_be() {
    let mut b = Bench::new();
    assert_eq!(b.ledger.heartbeat(Some(&cluster())).wait().unwrap(), None);
    b.check(Reading::Clear);
    let beat = b
        .ledger
        .heartbeat(Some(&cluster()))
        .wait()
        .unwrap()
        .unwrap();
    assert!(beat.ok && !beat.is_silent() && beat.checks == 1);
    let aged = |seconds| operator_ledger::Heartbeat {
        age: Duration::from_secs(seconds),
        ..beat.clone()
    };
    assert!(
        !aged(5).is_silent(),
        "a paused member makes one look last four seconds"
    );
    assert!(aged(14).is_silent());
}

#[test]
fn what_is_not_a_ledger_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tickets.db");
    let garbage = "this is not a database, and it is long enough to be looked at".repeat(40);
    fs::write(&path, &garbage).unwrap();
    assert!(matches!(
        PersonLedger::open(&path).wait(),
        Err(LedgerError::Corrupt { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);

    let path = dir.path().join("newer.db");
    drop(PersonLedger::open(&path).wait().unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let err = PersonLedger::open(&path).wait().unwrap_err();
    assert!(matches!(err, LedgerError::Newer { found: 99, .. }), "{err}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let path = dir.path().join("missing.db");
    assert!(matches!(
        Reader::open(&path).wait(),
        Err(LedgerError::Missing { .. })
    ));
    let path = dir.path().join("newer.db/tickets.db");
    assert!(matches!(
        PersonLedger::open(&path).wait(),
        Err(LedgerError::NotWritable { .. })
    ));
}

#[test]
fn what_is_left_of_a_lab_that_is_gone_is_closed_and_its_agent_fenced_off() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    assert_eq!(
        b.person
            .retire_other_clusters(&cluster(), "x")
            .wait()
            .unwrap(),
        0
    );
    assert_eq!(
        b.person
            .retire_other_clusters(&SystemId::new("7002"), "that lab is gone")
            .wait()
            .unwrap(),
        1
    );
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::External));
    assert_eq!(
        b.ledger
            .session(&session.id)
            .wait()
            .unwrap()
            .unwrap()
            .status,
        SessionStatus::Failed
    );
    assert!(b.agent.renew(&claim.lease, LONG).wait().is_err());
    assert_eq!(b.ledger.newest_ticket().wait().unwrap(), 1);
}

#[test]
fn a_cluster_is_known_by_its_address_while_pd_cannot_say_its_name() {
    let mut b = Bench::new();
    b.check(Reading::Clear);
    let at = |address: &str| b.ledger.cluster_at(&[address.to_owned()]).wait().unwrap();
    assert_eq!(at("http://127.0.0.1:2"), Some(cluster()));
    assert_eq!(at("http://127.0.0.1:3"), None);
}

#[test]
fn what_is_violated_and_no_ticket_yet_is_told_with_its_words() {
    let mut b = Bench::new();
    b.check_in_grace(Reading::Violated);
    b.later(4).check_in_grace(Reading::Violated);
    let seen = b.ledger.in_grace(&cluster()).wait().unwrap();
    let told: Vec<_> = seen
        .iter()
        .map(|s| (s.key.as_str(), s.message.as_str()))
        .collect();
    assert_eq!(told, [("store_down:2", "Violated")]);
    b.check_in_grace(Reading::Clear);
    assert_eq!(b.ledger.in_grace(&cluster()).wait().unwrap(), []);
    // A ticket says it itself.
    assert_eq!(b.check(Reading::Violated).opened, [1]);
    assert_eq!(b.ledger.in_grace(&cluster()).wait().unwrap(), []);
}

#[test]
fn a_ticket_keeps_the_worst_look_with_its_time_beside_the_last() {
    let mut b = Bench::new();
    let mut look = |extent: Option<f64>, message: &str| {
        b.look(vec![Observation {
            extent,
            message: message.into(),
            ..observation("region_unavailable", None, Reading::Violated)
        }]);
        b.ledger.ticket(1).wait().unwrap().unwrap()
    };
    let first = look(Some(2.0), "2 of 6");
    assert_eq!(first.was_worse(), None, "the worst is the last");
    look(Some(6.0), "6 of 6");
    look(None, "not counted");
    let last = look(Some(1.0), "1 of 6");
    assert_eq!(last.message, "1 of 6");
    let worst = last.was_worse().unwrap();
    assert_eq!(worst.message, "6 of 6");
    assert!(worst.at >= first.created_at.unwrap() && worst.at <= last.last_seen_at.unwrap());
    // A check that counts nothing has no worst.
    b.look(vec![observation(
        "store_down",
        Some("2"),
        Reading::Violated,
    )]);
    assert_eq!(b.ledger.ticket(2).wait().unwrap().unwrap().worst, None);
}

#[test]
fn a_person_who_reopens_what_was_proven_withdraws_the_proof_in_the_record() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    let asked = b.agent.request_verification(&claim.lease, &session.id);
    asked.wait().unwrap();
    for _ in 0..10 {
        b.later(4).check(Reading::Clear);
    }
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::Proven));
    let before = b.ledger.incident(1).wait().unwrap().unwrap();
    assert!(before.ended_at.is_some() && before.returned_at.is_none());
    assert!(b.person.reopen_incident(1, "ada").wait().unwrap());
    let report = b.ledger.incident_report(1).wait().unwrap().unwrap();
    let withdrawn: Vec<_> = report
        .events
        .iter()
        .filter(|e| e.kind == IncidentEventKind::ProofWithdrawn)
        .collect();
    assert_eq!(withdrawn.len(), 1, "{:?}", report.events);
    assert_eq!(
        (withdrawn[0].by.as_str(), withdrawn[0].ticket_id),
        ("ada", Some(1))
    );
    assert!(withdrawn[0].lasted_ms.is_some());
    // Its outages are two, and none is as long as both and what was between.
    assert!(report.incident.since() >= before.ended_at);
    assert_eq!(report.incident.opened_at, before.opened_at);
}
