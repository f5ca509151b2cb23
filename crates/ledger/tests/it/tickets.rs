//! The ledger, through its public interface: life cycle, leases, proof, adoption, damage.

use operator_ledger::{
    Beside, ClaimRequest, EntryKind, Holder, Ledger, LedgerError, NewEntry, NewTicket, Reading,
    Resolution, SessionStatus, Status, Verdict,
    event::{Outcome, VerifyState},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use crate::bench::{Bench, CLUSTER};

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
    let mut session = b.session(&claim);
    b.ledger
        .set_diagnosis(&claim.lease, "started it again")
        .unwrap();
    let id = b
        .ledger
        .request_verification(&claim.lease, &session.id)
        .unwrap();
    assert!(b.ledger.check_wanted(CLUSTER).unwrap());

    b.later(1).check(Reading::Clear);
    assert!(
        !b.ledger.check_wanted(CLUSTER).unwrap(),
        "the monitor knows of it now"
    );
    b.later(9).check(Reading::Clear);
    assert_eq!(
        b.ledger.verification(id).unwrap().state,
        VerifyState::Waiting
    );
    let ticket = b.ledger.ticket(1).unwrap().unwrap();
    assert!(
        ticket.claimed && ticket.status == Status::Acknowledged,
        "claimed is not proven"
    );

    let out = b.later(2).check(Reading::Clear);
    assert_eq!(out.proven, [1]);
    assert_eq!(
        b.ledger.verification(id).unwrap().state,
        VerifyState::Proven
    );
    let ticket = b.ledger.ticket(1).unwrap().unwrap();
    assert_eq!(
        (ticket.status, ticket.resolution),
        (Status::Resolved, Some(Resolution::Proven))
    );
    b.ledger
        .end_session(&mut session, Outcome::Resolved, "done")
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
        .ledger
        .request_verification(&claim.lease, &session.id)
        .unwrap();
    b.later(1).check(Reading::Clear);
    b.later(2).check(Reading::Violated);
    b.later(4).check(Reading::Clear);
    b.later(5).check(Reading::Clear);
    assert_eq!(
        b.ledger.verification(id).unwrap().state,
        VerifyState::Waiting
    );
    b.later(3).check(Reading::Violated);
    let v = b.ledger.verification(id).unwrap();
    assert_eq!(
        (v.state, v.detail.as_str()),
        (VerifyState::Failed, "Violated")
    );
    assert_eq!(
        b.ledger.ticket(1).unwrap().unwrap().status,
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
        .ledger
        .request_verification(&claim.lease, &session.id)
        .unwrap();
    b.later(1).check(Reading::Clear);
    b.later(6).check(Reading::Unknown);
    b.later(6).check(Reading::Clear);
    assert_eq!(
        b.ledger.verification(id).unwrap().state,
        VerifyState::Waiting,
        "the hold began anew"
    );
    b.later(2).check(Reading::Unknown);
    assert_eq!(
        b.ledger.verification(id).unwrap().state,
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
        b.ledger.ticket(1).unwrap().unwrap().resolution,
        Some(Resolution::Cleared)
    );
    assert!(b.ledger.sessions_of_ticket(1).unwrap().is_empty());
}

#[test]
fn what_comes_back_soon_is_the_same_ticket_and_a_flap() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.later(1).check(Reading::Clear);
    b.later(11).check(Reading::Clear);
    let out = b.later(1).check(Reading::Violated);
    assert_eq!((out.opened.len(), out.reopened), (0, vec![1]));
    let ticket = b.ledger.ticket(1).unwrap().unwrap();
    assert_eq!((ticket.flaps, ticket.status), (1, Status::Open));
    let words: Vec<_> = b
        .ledger
        .ticket_events(1)
        .unwrap()
        .into_iter()
        .map(|e| e.to)
        .collect();
    assert_eq!(words, [Status::Open, Status::Resolved, Status::Open]);
}

#[test]
fn an_expired_lease_is_taken_over_and_its_holder_writes_nothing_more() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let old = b.claim(LONG).unwrap();
    let mut session = b.session(&old);
    b.ledger
        .renew(&old.lease, Duration::from_millis(1))
        .unwrap();
    let until = Instant::now() + LONG;
    while b.ledger.check_lease(&old.lease).is_ok() {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    // Run out, though nobody took it over yet.
    let entry = NewEntry::new(EntryKind::Reasoning, "still here");
    assert!(matches!(
        b.ledger.append(&mut session, &entry),
        Err(LedgerError::Fenced { .. })
    ));

    let new = b.claim(LONG).unwrap();
    assert_eq!(new.recovered.as_deref(), Some(session.id.as_str()));
    assert!(new.lease.fence > old.lease.fence);
    assert_eq!(
        b.ledger.session(&session.id).unwrap().unwrap().status,
        SessionStatus::Failed
    );
    assert!(matches!(
        b.ledger.renew(&old.lease, LONG),
        Err(LedgerError::Fenced { .. })
    ));
    assert!(matches!(
        b.ledger.end_session(&mut session, Outcome::Resolved, "x"),
        Err(LedgerError::Fenced { .. })
    ));
    assert!(matches!(
        b.ledger.escalate(&old.lease, "x", "y", false),
        Err(LedgerError::Fenced { .. })
    ));
    assert!(b.ledger.entries(&session.id, 0, 10).unwrap().is_empty());
}

#[test]
fn a_ticket_escalates_with_growing_waits_and_ends_with_a_person() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let mut waits = Vec::new();
    for attempt in 1..=3 {
        let claim = b.claim(LONG).unwrap();
        assert_eq!(claim.ticket.attempts, attempt);
        b.ledger
            .escalate(&claim.lease, "cannot", "gave up", false)
            .unwrap();
        assert!(b.claim(LONG).is_none(), "not at once");
        let ticket = b.ledger.ticket(1).unwrap().unwrap();
        waits.push(ticket.retry_at);
        assert_eq!(ticket.needs_person, attempt == 3);
        // Time passes.
        rusqlite::Connection::open(b.path())
            .unwrap()
            .execute("UPDATE tickets SET retry_at = '2020-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL", [])
            .unwrap();
    }
    assert!(waits[0] < waits[1] && waits[2].is_none());
    assert!(b.claim(LONG).is_none());
    assert!(
        b.ledger
            .ticket(1)
            .unwrap()
            .unwrap()
            .diagnosis
            .unwrap()
            .starts_with("ESCALATED: ")
    );
    b.ledger.set_held(1, true, "op").unwrap();
    b.ledger.set_held(1, false, "op").unwrap();
    assert!(b.claim(LONG).is_some(), "a person gave it back");
}

#[test]
fn a_person_who_resolves_it_fences_the_agent_off() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    assert!(b.ledger.resolve_by_person(1, "op").unwrap());
    assert!(!b.ledger.resolve_by_person(1, "op").unwrap());
    let err = b.ledger.renew(&claim.lease, LONG).unwrap_err().to_string();
    assert!(err.contains("a person resolved"), "{err}");
}

#[test]
fn a_hand_opened_ticket_is_claimed_but_cannot_be_proven() {
    let mut b = Bench::new();
    let id = b
        .ledger
        .open_ticket(&NewTicket {
            message: "please look",
            by: "op",
            ..Default::default()
        })
        .unwrap();
    let claim = b.claim(LONG).unwrap();
    assert_eq!(claim.ticket.id, id);
    let session = b.session(&claim);
    let v = b
        .ledger
        .request_verification(&claim.lease, &session.id)
        .unwrap();
    assert_eq!(
        b.ledger.verification(v).unwrap().state,
        VerifyState::Unverifiable
    );
    assert!(matches!(
        b.ledger.open_ticket(&NewTicket {
            message: "  ",
            ..Default::default()
        }),
        Err(LedgerError::Refused(_))
    ));
}

#[test]
fn agents_on_one_ledger_never_share_a_ticket() {
    let mut b = Bench::new();
    for i in 0..40 {
        let message = format!("ticket {i}");
        b.ledger
            .open_ticket(&NewTicket {
                message: &message,
                ..Default::default()
            })
            .unwrap();
    }
    let path = b.path();
    let taken: Vec<i64> = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut ledger = Ledger::open(&path).unwrap();
                    let holder = Holder::this_process();
                    let mut mine = Vec::new();
                    while let Some(c) = ledger
                        .claim(&ClaimRequest {
                            holder: &holder,
                            cluster_id: None,
                            ticket: None,
                            lease: LONG,
                        })
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
    let holder = Holder::this_process();
    for cluster_id in [None, Some("other")] {
        let request = ClaimRequest {
            holder: &holder,
            cluster_id,
            ticket: None,
            lease: LONG,
        };
        assert!(b.ledger.claim(&request).unwrap().is_none());
    }
}

#[test]
fn the_chain_finds_every_edit_of_what_was_recorded() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let mut s = b.session(&claim);
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(
            b.ledger
                .append(&mut s, &NewEntry::new(EntryKind::Reasoning, text))
                .unwrap(),
        );
    }
    let paid = Beside {
        what: "summary",
        model: "small",
        tokens: 10,
        usd: 0.25,
    };
    b.ledger
        .set_summary(ids[0], &s.id, Some("short"), &paid)
        .unwrap();
    assert!((b.ledger.spent_today().unwrap() - 0.25).abs() < 1e-9);
    assert!(matches!(
        b.ledger.verify_session(&s.id).unwrap().verdict,
        Verdict::Unfinished { .. }
    ));
    let head = b
        .ledger
        .end_session(&mut s, Outcome::Escalated, "end")
        .unwrap();
    assert_eq!(
        b.ledger.verify_session(&s.id).unwrap().verdict,
        Verdict::Intact { head: head.clone() }
    );

    let raw = rusqlite::Connection::open(b.path()).unwrap();
    let try_edit = |edit: &str, expect: &dyn Fn(Verdict) -> bool| {
        raw.execute_batch("SAVEPOINT e").unwrap();
        raw.execute_batch(edit).unwrap();
        raw.execute_batch("RELEASE e").unwrap();
        let verdict = b.ledger.verify_session(&s.id).unwrap().verdict;
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
    let reader = Ledger::open_reader(&b.path()).unwrap();
    assert!(reader.changed().unwrap());
    assert!(!reader.changed().unwrap());
    b.check(Reading::Violated);
    assert!(reader.changed().unwrap());
    assert_eq!(reader.tickets(10).unwrap().len(), 1);
}

#[test]
fn the_monitor_that_is_silent_is_seen_to_be() {
    let mut b = Bench::new();
    assert_eq!(b.ledger.heartbeat(Some(CLUSTER)).unwrap(), None);
    b.check(Reading::Clear);
    let beat = b.ledger.heartbeat(Some(CLUSTER)).unwrap().unwrap();
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
        Ledger::open(&path),
        Err(LedgerError::Corrupt { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);

    let path = dir.path().join("newer.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("CREATE TABLE x (a); PRAGMA user_version = 99")
        .unwrap();
    drop(raw);
    let before = fs::read(&path).unwrap();
    let err = Ledger::open(&path).unwrap_err();
    assert!(matches!(err, LedgerError::Newer { found: 99, .. }), "{err}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let path = dir.path().join("missing.db");
    assert!(matches!(
        Ledger::open_reader(&path),
        Err(LedgerError::Missing { .. })
    ));
    let path = dir.path().join("newer.db/tickets.db");
    assert!(matches!(
        Ledger::open(&path),
        Err(LedgerError::NotWritable { .. })
    ));
}

#[test]
fn what_is_left_of_a_lab_that_is_gone_is_closed_and_its_agent_fenced_off() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    assert_eq!(b.ledger.retire_other_clusters(CLUSTER, "x").unwrap(), 0);
    assert_eq!(
        b.ledger
            .retire_other_clusters("7002", "that lab is gone")
            .unwrap(),
        1
    );
    let ticket = b.ledger.ticket(1).unwrap().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::External));
    assert_eq!(
        b.ledger.session(&session.id).unwrap().unwrap().status,
        SessionStatus::Failed
    );
    assert!(b.ledger.renew(&claim.lease, LONG).is_err());
    assert_eq!(b.ledger.newest_ticket().unwrap(), 1);
}

#[test]
fn a_cluster_is_known_by_its_address_while_pd_cannot_say_its_name() {
    let mut b = Bench::new();
    b.check(Reading::Clear);
    let at = |address: &str| b.ledger.cluster_at(&[address.to_owned()]).unwrap();
    assert_eq!(at("http://127.0.0.1:2").as_deref(), Some(CLUSTER));
    assert_eq!(at("http://127.0.0.1:3"), None);
}
