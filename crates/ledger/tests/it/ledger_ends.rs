//! No ticket stays unfinished for ever, and none is finished by less than evidence: agents that
//! die at the worst moment, monitors that look away, requests of proof that outlive their session.

use crate::bench::{Bench, cluster};
use operator_ledger::{
    EntryKind, NewEntry, Reader, Reading, Resolution, SessionStatus, Status, SystemId, Verdict,
    event::{Outcome, VerifyState},
};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// A lease that has run out by the time anybody looks.
const GONE: Duration = Duration::from_millis(1);

fn let_it_run_out() {
    std::thread::sleep(Duration::from_millis(5));
}

fn ran(b: &mut Bench, session: &operator_ledger::SessionWriter) {
    b.agent
        .append(
            session,
            NewEntry::new(EntryKind::ToolCall, "shell: lab start tikv1"),
        )
        .wait()
        .unwrap();
}

#[test]
fn a_ticket_whose_agent_died_after_its_repair_is_closed_when_the_violation_is_gone() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    ran(&mut b, &session);
    b.agent.renew(&claim.lease, GONE).wait().unwrap();
    let_it_run_out();
    b.later(1).check(Reading::Clear);
    assert!(b.claim(LONG).is_none(), "nothing to repair any more");
    let out = b.later(11).check(Reading::Clear);
    assert_eq!(out.cleared, [1]);
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.status, Status::Resolved);
    assert_eq!(ticket.resolution, Some(Resolution::External));
}

#[test]
fn a_living_agents_ticket_is_left_to_it() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.claim(LONG).unwrap();
    b.later(1).check(Reading::Clear);
    assert!(b.later(11).check(Reading::Clear).cleared.is_empty());
}

#[test]
fn a_claim_whose_agent_died_while_it_waited_is_still_proven_by_the_monitor() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    b.agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    b.later(1).check(Reading::Clear);
    b.agent.renew(&claim.lease, GONE).wait().unwrap();
    let_it_run_out();
    let out = b.later(11).check(Reading::Clear);
    assert_eq!(
        (out.proven.as_slice(), out.cleared.as_slice()),
        ([1].as_slice(), [].as_slice())
    );
    // Nobody is left to end the session: it must not look as if it ran on.
    let row = b.ledger.session(&session.id).wait().unwrap().unwrap();
    assert_eq!(row.status, SessionStatus::Failed);
    assert!(row.ended_at.is_some());
}

#[test]
fn a_living_agents_session_is_left_to_it() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    b.agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    b.later(1).check(Reading::Clear);
    assert_eq!(b.later(11).check(Reading::Clear).proven, [1]);
    b.later(1).check(Reading::Clear);
    let row = b.ledger.session(&session.id).wait().unwrap().unwrap();
    assert_eq!(row.status, SessionStatus::Running);
    b.agent
        .end_session(&session, Outcome::Resolved, "done")
        .wait()
        .unwrap();
}

#[test]
fn a_request_for_proof_ends_with_the_claim_it_was_made_under() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let first = b.claim(LONG).unwrap();
    let session = b.session(&first);
    let request = b
        .agent
        .request_verification(&first.lease, &session.id)
        .wait()
        .unwrap();
    b.agent.renew(&first.lease, GONE).wait().unwrap();
    let_it_run_out();
    let second = b.claim(LONG).expect("still violated");
    let state = b.ledger.verification(request).wait().unwrap().state;
    assert_eq!(state, VerifyState::Withdrawn);
    let session = b.session(&second);
    ran(&mut b, &session);
    b.later(1).check(Reading::Clear);
    let out = b.later(11).check(Reading::Clear);
    assert!(
        out.proven.is_empty(),
        "the agent at work has claimed nothing"
    );
}

#[test]
fn a_request_for_proof_ends_when_a_person_resolves_the_ticket() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    let request = b
        .agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    b.person.resolve_by_person(1, "ada").wait().unwrap();
    assert_eq!(
        b.ledger.verification(request).wait().unwrap().state,
        VerifyState::Withdrawn
    );
    b.later(1).check(Reading::Clear);
    let row = b.ledger.session(&session.id).wait().unwrap().unwrap();
    assert_eq!(
        row.status,
        SessionStatus::Interrupted,
        "its agent is fenced off"
    );
}

#[test]
fn a_ticket_that_an_interrupted_session_worked_on_was_not_gone_before_anyone_acted() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    ran(&mut b, &session);
    b.agent
        .end_session(&session, Outcome::Interrupted, "stopped")
        .wait()
        .unwrap();
    b.agent.release(&claim.lease, "stopped").wait().unwrap();
    b.later(1).check(Reading::Clear);
    assert_eq!(b.later(11).check(Reading::Clear).cleared, [1]);
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::External));
}

#[test]
fn time_in_which_nobody_looked_is_no_part_of_a_hold() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.later(1).check(Reading::Clear);
    let out = b.later(3600).check(Reading::Clear);
    assert!(out.cleared.is_empty(), "one look after an hour is one look");
    assert_eq!(b.later(11).check(Reading::Clear).cleared, [1]);

    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    b.agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    b.later(1).check(Reading::Clear);
    assert!(b.later(3600).check(Reading::Clear).proven.is_empty());
    assert_eq!(b.later(11).check(Reading::Clear).proven, [1]);
}

#[test]
fn a_person_gives_an_exhausted_ticket_back_to_agents() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    for _ in 0..3 {
        let claim = b.claim(LONG).expect("a try is left");
        b.agent
            .escalate(&claim.lease, "no idea", "no idea", false)
            .wait()
            .unwrap();
        b.ledger_conn(
            "UPDATE incidents SET retry_at = '2000-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL",
        );
    }
    assert!(b.claim(LONG).is_none());
    assert!(b.ledger.ticket(1).wait().unwrap().unwrap().needs_person);
    assert!(b.person.set_held(1, false, "ada").wait().unwrap());
    assert!(b.claim(LONG).is_some());
}

#[test]
fn a_ticket_of_a_provisional_cluster_that_the_real_one_has_too_is_closed() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.ledger_conn(
        "INSERT INTO tickets (violation_key, invariant_name, store_id, status, first_seen_at,
           last_seen_at, message, live_key, cluster_id)
         SELECT violation_key, invariant_name, store_id, 'open', first_seen_at, last_seen_at, message,
           'http://pd/' || violation_key, 'http://pd' FROM tickets",
    );
    b.monitor
        .adopt_cluster(&SystemId::new("http://pd"), &cluster())
        .wait()
        .unwrap();
    let twin = b.ledger.ticket(2).wait().unwrap().unwrap();
    assert_eq!(twin.status, Status::Resolved);
    assert_eq!(
        b.ledger.ticket(1).wait().unwrap().unwrap().status,
        Status::Open
    );
}

#[test]
fn a_row_put_before_the_first_of_a_chain_is_found() {
    let mut b = Bench::new();
    b.tampered = true;
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    ran(&mut b, &session);
    b.ledger_conn(&format!(
        "INSERT INTO agent_log_entries (id, session_id, entry_type, content, timestamp)
         VALUES (-1, '{}', 'reasoning', 'I meant well', '2026-01-01T00:00:00.000Z')",
        session.id
    ));
    let report = Reader::open(&b.path())
        .wait()
        .unwrap()
        .verify_session(&session.id)
        .wait()
        .unwrap();
    assert_eq!(report.verdict, Verdict::Broken { row: -1 });
}

#[test]
fn many_resolved_tickets_do_not_slow_the_search_for_open_ones() {
    let mut b = Bench::new();
    b.tampered = true;
    b.check(Reading::Violated);
    b.ledger_conn(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO tickets (violation_key, invariant_name, status, first_seen_at, last_seen_at,
           message, metric_snapshot) SELECT 'k' || i, 'k', 'resolved', '', '', '', hex(zeroblob(2000)) FROM n",
    );
    let plan = |sql: &str| -> String {
        let db = rusqlite::Connection::open(b.path()).unwrap();
        db.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |r| r.get(3))
            .unwrap()
    };
    let sql = "SELECT * FROM tickets WHERE status != 'resolved' ORDER BY +id DESC LIMIT 50";
    assert!(plan(sql).contains("idx_tickets_open_violation"));
    // The best of some, which no other process can spoil.
    let best = |work: &dyn Fn()| {
        let times = (0..10).map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        });
        times.min().unwrap()
    };
    let searched = best(&|| assert_eq!(b.ledger.tickets(1).wait().unwrap().len(), 1));
    let db = rusqlite::Connection::open(b.path()).unwrap();
    let all = "SELECT max(metric_snapshot) FROM tickets";
    let through_all = best(&|| assert!(db.query_row(all, [], |r| r.get::<_, String>(0)).is_ok()));
    assert!(searched * 10 < through_all, "{searched:?} {through_all:?}");
    assert_eq!(b.claim(LONG).unwrap().ticket.id, 1);
}

#[test]
fn a_person_reopens_a_ticket_and_only_one_of_its_key_lives() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let first = b.ledger.tickets(1).wait().unwrap()[0].id;
    assert!(
        !b.person.reopen_by_person(first, "ada").wait().unwrap(),
        "it is open"
    );
    b.person.resolve_by_person(first, "ada").wait().unwrap();
    assert!(b.person.reopen_by_person(first, "ada").wait().unwrap());
    let ticket = b.ledger.ticket(first).wait().unwrap().unwrap();
    assert_eq!((ticket.status, ticket.resolution), (Status::Open, None));
    assert!(
        b.claim(Duration::from_secs(9)).is_some(),
        "agents take it again"
    );
    b.person.resolve_by_person(first, "ada").wait().unwrap();
    b.check(Reading::Violated);
    let second = b.ledger.tickets(1).wait().unwrap()[0].id;
    assert_ne!(
        first, second,
        "what a person closed comes back as another ticket"
    );
    let twin = b
        .person
        .reopen_by_person(first, "ada")
        .wait()
        .unwrap_err()
        .to_string();
    assert!(twin.contains("has the same key"), "{twin}");
}
