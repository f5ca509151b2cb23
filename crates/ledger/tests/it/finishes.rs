//! How sessions say that they end: written under the lease, whole or not at all, and missed or seen
//! through when somebody changes it.

use crate::bench::Bench;
use operator_ledger::{
    Confidence, EntryKind, Finding, Finish, FinishCall, FinishOutcome, LedgerError, Reader,
    Reading, Stored, Verdict, event::Outcome,
};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

fn said() -> Finish {
    Finish {
        outcome: Stored::Known(FinishOutcome::Repaired),
        cause: "killed by signal 9".into(),
        evidence: vec!["toolu_a".into()],
        actions: "started tikv1".into(),
        checked: "all stores are up".into(),
        next: String::new(),
        confidence: Some(Stored::Known(Confidence::High)),
    }
}

/// A ledger with one ticket, on which two sessions finished.
fn bench() -> (Bench, [String; 2]) {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LEASE).unwrap();
    let first = b.session(&claim);
    let words = Finish::escalated("the disk is gone");
    b.agent.finish(&first, &words, None).wait().unwrap();
    b.agent
        .end_session(&first, Outcome::Escalated, "no")
        .wait()
        .unwrap();
    b.agent.release(&claim.lease, "again").wait().unwrap();
    let claim = b.claim(LEASE).unwrap();
    let second = b.session(&claim);
    let call = FinishCall {
        id: "c2".into(),
        server_call: "toolu_f".into(),
    };
    b.agent
        .finish(&second, &said(), Some(&call))
        .wait()
        .unwrap();
    b.agent
        .end_session(&second, Outcome::Escalated, "no")
        .wait()
        .unwrap();
    (b, [first.id, second.id])
}

#[test]
fn it_is_in_the_ledger_the_session_and_both_chains() {
    let (b, [first, second]) = bench();
    let rows = b.ledger.finishes(1).wait().unwrap();
    assert_eq!(rows.len(), 2, "the newest first: {rows:?}");
    assert_eq!(
        (&rows[0].session_id, &rows[1].session_id),
        (&second, &first)
    );
    assert_eq!(rows[0].finish, said());
    assert_eq!(rows[0].call_id.as_deref(), Some("c2"));
    assert_eq!(rows[1].finish, Finish::escalated("the disk is gone"));
    assert_eq!(
        b.ledger.finishes_of_session(&first).wait().unwrap(),
        rows[1..]
    );
    let entries = b.ledger.entries(&second, 0, 10).wait().unwrap();
    let entry = entries
        .iter()
        .find(|e| e.entry_type == EntryKind::Finish)
        .unwrap();
    assert_eq!(entry.finish(), said());
    assert!(
        entry
            .text()
            .starts_with("says it is repaired\ncause: killed by signal 9\nactions: started")
    );
    let report = b.ledger.verify_session(&second).wait().unwrap();
    assert!(
        matches!(report.verdict, Verdict::Intact { .. }),
        "{report:?}"
    );
    assert_eq!(b.ledger.verify_ledger().wait().unwrap().findings, []);
    assert!(
        !b.ledger.ticket(1).wait().unwrap().unwrap().claimed,
        "a word is no claim"
    );
}

#[test]
fn without_the_lease_nothing_of_it_is_written() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LEASE).unwrap();
    let session = b.session(&claim);
    assert!(b.person.resolve_by_person(1, "ada").wait().unwrap());
    let refused = b.agent.finish(&session, &said(), None).wait();
    assert!(
        matches!(refused, Err(LedgerError::Fenced { .. })),
        "{refused:?}"
    );
    assert_eq!(b.ledger.finishes(1).wait().unwrap(), []);
    assert_eq!(b.ledger.entries(&session.id, 0, 10).wait().unwrap(), []);
    let ended = b.ledger.session(&session.id).wait().unwrap().unwrap();
    assert_eq!(
        ended.outcome_summary.as_deref(),
        Some("ada resolved it while it was worked on"),
        "and not that its agent died"
    );
}

#[test]
fn what_somebody_does_to_it_is_seen() {
    for (sql, found) in [
        (
            "UPDATE finishes SET cause = 'nothing' WHERE id = 1",
            Finding::FinishDiffers { finish: 1 },
        ),
        (
            "UPDATE finishes SET outcome = 'repaired' WHERE id = 1",
            Finding::FinishDiffers { finish: 1 },
        ),
        (
            "DELETE FROM finishes WHERE id = 2",
            Finding::FinishMissing { finish: 2 },
        ),
        (
            "INSERT INTO finishes (session_id, ticket_id, outcome, cause, evidence, actions, checked,
               next, at) SELECT session_id, ticket_id, 'repaired', cause, evidence, actions, checked,
               next, at FROM finishes WHERE id = 1",
            Finding::FinishAdded { finish: 3 },
        ),
    ] {
        let (mut b, _) = bench();
        b.tampered = true;
        b.ledger_conn(sql);
        let findings = b.ledger.verify_ledger().wait().unwrap().findings;
        assert_eq!(findings, [found], "{sql}");
    }
    let (mut b, _) = bench();
    b.tampered = true;
    b.ledger_conn("UPDATE agent_log_entries SET tool_params = '{}' WHERE entry_type = 'finish'");
    let findings = b.ledger.verify_ledger().wait().unwrap().findings;
    assert!(
        findings
            .iter()
            .any(|f| matches!(f, Finding::SessionBroken { .. })),
        "{findings:?}"
    );
}

#[test]
fn a_prune_takes_it_with_its_session() {
    let (mut b, _) = bench();
    b.check(Reading::Clear);
    b.person.resolve_by_person(1, "ada").wait().unwrap();
    let later = jiff::Timestamp::now() + Duration::from_secs(3600);
    b.person.prune(&later, "ada").wait().unwrap();
    assert_eq!(b.ledger.finishes(1).wait().unwrap(), []);
    assert_eq!(b.ledger.verify_ledger().wait().unwrap().findings, []);
}

#[test]
fn a_ledger_from_before_it_is_read_and_grows_it() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    b.tampered = true;
    b.ledger_conn("DROP TABLE finishes");
    let reader = Reader::open(&b.path()).wait().unwrap();
    assert_eq!(reader.finishes(1).wait().unwrap(), []);
    let writer = operator_ledger::AgentLedger::open(&b.path())
        .wait()
        .unwrap();
    assert_eq!(writer.finishes(1).wait().unwrap(), []);
    assert_eq!(writer.verify_ledger().wait().unwrap().findings, []);
}

#[test]
fn the_monitors_look_is_told_with_its_age_and_no_verdict() {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let seen = b.ledger.sighting(1).wait().unwrap().unwrap();
    assert_eq!(
        (seen.reading, seen.detail.as_str()),
        (Reading::Violated, "Violated")
    );
    b.later(20);
    assert!(b.ledger.sighting(1).wait().unwrap().unwrap().age >= Duration::from_secs(20));
    b.check(Reading::Unknown);
    let seen = b.ledger.sighting(1).wait().unwrap().unwrap();
    assert_eq!(seen.reading, Reading::Unknown);
    assert!(seen.age < Duration::from_secs(20));
    assert_eq!(b.ledger.sighting(99).wait().unwrap(), None);
}
