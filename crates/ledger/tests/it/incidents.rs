//! Incidents through the public interface: what belongs together, who works on it, what proves it, what
//! people keep agents from.

use crate::bench::{Bench, cluster, observation};
use operator_ledger::{
    Claim, EntryKind, HoldScope, IncidentEventKind, IncidentState, LedgerError, NewEntry, NewHold,
    Reading, Resolution, SessionStatus, SessionWriter, Status,
    event::{Control, Outcome, VerifyState},
};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

use Reading::{Clear, Unknown, Violated};

impl Bench {
    /// Two stores, and the regions that suffer from them.
    fn stores(&mut self, two: Reading, three: Reading, regions: Reading) -> Vec<i64> {
        let out = self.look(vec![
            observation("store_down", Some("2"), two),
            observation("store_down", Some("3"), three),
            observation("region_unavailable", None, regions),
        ]);
        out.opened
    }

    fn work(&mut self) -> (Claim, SessionWriter) {
        let claim = self.claim(LONG).unwrap();
        let session = self.session(&claim);
        (claim, session)
    }

    fn ask(&self, claim: &Claim, session: &SessionWriter) -> i64 {
        self.agent
            .request_verification(&claim.lease, &session.id)
            .wait()
            .unwrap()
    }

    fn command(&self, session: &SessionWriter) -> Result<i64, LedgerError> {
        let entry = NewEntry::new(EntryKind::ToolCall, "shell: look");
        self.agent.append(session, entry).wait()
    }

    fn state(&self, id: i64) -> IncidentState {
        self.ledger.incident(id).wait().unwrap().unwrap().state
    }

    fn verdict(&self, id: i64) -> VerifyState {
        self.ledger.verification(id).wait().unwrap().state
    }

    fn thing(&self, thing: &str) -> i64 {
        self.person
            .hold(NewHold {
                scope: HoldScope::Thing {
                    system: Some(cluster()),
                    thing: thing.into(),
                },
                names: vec![format!("tikv{thing}")],
                by: "ada".into(),
                why: "I look at its disk".into(),
            })
            .wait()
            .unwrap()
    }
}

#[test]
fn one_fault_is_one_incident_and_is_proven_as_a_whole() {
    let mut b = Bench::new();
    assert_eq!(b.stores(Violated, Violated, Violated), [1, 2, 3]);
    let (claim, session) = b.work();
    assert_eq!(claim.lease.incident, 1);
    assert_eq!(claim.others.len(), 2);
    let all = b.ledger.tickets_of_incident(1).wait().unwrap();
    assert!(all.iter().all(|t| t.status == Status::Acknowledged));
    let asked = b.ask(&claim, &session);
    assert_eq!(b.state(1), IncidentState::Verifying);
    b.later(1).stores(Clear, Clear, Violated);
    b.later(11).stores(Clear, Clear, Clear);
    assert_eq!(
        b.verdict(asked),
        VerifyState::Waiting,
        "the regions are clear for no time yet"
    );
    b.later(11).stores(Clear, Clear, Clear);
    assert_eq!(b.verdict(asked), VerifyState::Proven);
    let over = b.ledger.incident(1).wait().unwrap().unwrap();
    assert_eq!(over.state, IncidentState::Resolved);
    assert_eq!(over.resolution.unwrap(), Resolution::Proven);
    for ticket in b.ledger.tickets_of_incident(1).wait().unwrap() {
        assert_eq!(ticket.resolution, Some(Resolution::Proven), "{ticket:?}");
    }
}

#[test]
fn a_ticket_that_reads_clear_while_its_incident_is_worked_on_stays_in_it() {
    let mut b = Bench::new();
    b.stores(Violated, Violated, Clear);
    let (claim, session) = b.work();
    b.later(1).stores(Clear, Violated, Clear);
    b.later(20).stores(Clear, Violated, Clear);
    let first = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(first.status, Status::Acknowledged);
    let asked = b.ask(&claim, &session);
    b.later(1).stores(Clear, Clear, Clear);
    b.later(11).stores(Clear, Clear, Clear);
    assert_eq!(b.verdict(asked), VerifyState::Proven);
}

#[test]
fn a_ticket_that_joins_takes_the_request_back() {
    let mut b = Bench::new();
    b.stores(Violated, Clear, Clear);
    let (claim, session) = b.work();
    let asked = b.ask(&claim, &session);
    b.later(700).stores(Clear, Violated, Clear);
    assert_eq!(b.verdict(asked), VerifyState::Withdrawn);
    let joined = b.ledger.ticket(2).wait().unwrap().unwrap();
    assert_eq!(
        (joined.incident_id, joined.status),
        (Some(1), Status::Acknowledged)
    );
    let again = b.ask(&claim, &session);
    b.later(1).stores(Clear, Clear, Clear);
    b.later(11).stores(Clear, Clear, Clear);
    assert_eq!(b.verdict(again), VerifyState::Proven);
}

#[test]
fn every_check_on_the_same_thing_must_be_clear() {
    for other in [Violated, Unknown] {
        let mut b = Bench::new();
        let disk = |b: &mut Bench, store, disk| {
            let mut slow = observation("disk_full", Some("2"), disk);
            slow.grace = Duration::from_secs(3600);
            b.look(vec![observation("store_down", Some("2"), store), slow]);
        };
        disk(&mut b, Violated, Clear);
        let (claim, session) = b.work();
        let asked = b.ask(&claim, &session);
        disk(b.later(1), Clear, other);
        disk(b.later(12), Clear, other);
        assert_ne!(b.verdict(asked), VerifyState::Proven, "{other:?}");
        disk(b.later(20), Clear, other);
        let end = if other == Violated {
            VerifyState::Failed
        } else {
            VerifyState::Unverifiable
        };
        assert_eq!(b.verdict(asked), end);
    }
}

#[test]
fn a_proof_that_does_not_last_is_withdrawn_and_its_sessions_count_on() {
    let mut b = Bench::new();
    b.check(Violated);
    for round in 1..=3 {
        let (claim, session) = b.work();
        assert_eq!(claim.ticket.attempts, round);
        b.ask(&claim, &session);
        b.later(1).check(Clear);
        b.later(11).check(Clear);
        assert_eq!(b.state(1), IncidentState::Resolved);
        let out = b.later(1).check(Violated);
        assert_eq!(out.returned, [1]);
    }
    // Proven three times, and back three times: no agent tries again, and the reason is true.
    assert!(b.claim(LONG).is_none());
    assert_eq!(b.state(1), IncidentState::Waiting);
    let report = b.ledger.incident_report(1).wait().unwrap().unwrap();
    let withdrawn = report
        .events
        .iter()
        .filter(|e| e.kind == IncidentEventKind::ProofWithdrawn);
    assert_eq!(withdrawn.filter(|e| e.lasted_ms.is_some()).count(), 3);
    let events = b.ledger.ticket_events(4).wait().unwrap();
    let why = &events.last().unwrap().why;
    assert!(
        why.starts_with("came back; 3 sessions have worked on this incident"),
        "{why}"
    );
}

#[test]
fn one_system_has_one_worker() {
    let mut b = Bench::new();
    b.stores(Violated, Clear, Clear);
    let (claim, _) = b.work();
    b.agent
        .escalate(&claim.lease, "cannot", "gave up", false)
        .wait()
        .unwrap();
    // Somebody worked on the first: this one is another.
    b.stores(Violated, Violated, Clear);
    let second = b.claim(LONG).unwrap();
    assert_eq!(second.lease.incident, 2);
    b.ledger_conn(
        "UPDATE incidents SET retry_at = '2000-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL",
    );
    assert!(
        b.claim(LONG).is_none(),
        "the first is due, and the system has its worker"
    );
    b.agent.release(&second.lease, "asked to").wait().unwrap();
    assert!(b.claim(LONG).is_some());
}

#[test]
fn a_hold_ends_the_session_at_work_in_one_transaction() {
    let mut b = Bench::new();
    b.check(Violated);
    let (claim, session) = b.work();
    b.command(&session).unwrap();
    let hold = b.thing("2");
    let refused = b.command(&session).unwrap_err();
    assert!(
        matches!(
            &refused,
            LedgerError::Fenced {
                by_person: true,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains("ada holds tikv2: I look at its disk"),
        "{refused}"
    );
    assert!(b.agent.renew(&claim.lease, LONG).wait().is_err());
    let ended = b.ledger.session(&session.id).wait().unwrap().unwrap();
    assert_eq!(ended.status, SessionStatus::Interrupted);
    assert!(ended.outcome_summary.unwrap().starts_with("ada holds"));
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert!(ticket.held && ticket.status == Status::Open && ticket.attempts == 0);
    assert!(b.claim(LONG).is_none());
    // The monitor leaves it alone too.
    b.later(1).check(Clear);
    b.later(30).check(Clear);
    assert_eq!(
        b.ledger.ticket(1).wait().unwrap().unwrap().status,
        Status::Open
    );
    b.check(Violated);
    assert!(b.person.end_hold(hold, "ada").wait().unwrap());
    assert!(!b.person.end_hold(hold, "ada").wait().unwrap());
    assert!(b.claim(LONG).is_some());
}

#[test]
fn what_is_held_is_left_out_and_the_rest_is_worked_on_and_proven() {
    let mut b = Bench::new();
    b.stores(Violated, Violated, Violated);
    b.thing("2");
    let (claim, session) = b.work();
    assert_eq!(claim.ticket.store_id.as_deref(), Some("3"));
    let held = claim.others.iter().find(|t| t.held).unwrap();
    assert_eq!(held.store_id.as_deref(), Some("2"));
    let asked = b.ask(&claim, &session);
    b.later(1).stores(Violated, Clear, Clear);
    b.later(11).stores(Violated, Clear, Clear);
    assert_eq!(b.verdict(asked), VerifyState::Proven);
    b.agent
        .end_session(&session, Outcome::Resolved, "done")
        .wait()
        .unwrap();
    let ended = b.ledger.session(&session.id).wait().unwrap().unwrap();
    assert_eq!(ended.resolution.unwrap(), Resolution::Proven);
    assert_eq!(b.state(1), IncidentState::Open, "what is held is not over");
    assert!(b.claim(LONG).is_none());
}

#[test]
fn a_pause_ends_all_work_and_leaves_what_is_verifying_to_the_monitor() {
    let mut b = Bench::new();
    b.check(Violated);
    let (claim, session) = b.work();
    let asked = b.ask(&claim, &session);
    let pause = NewHold {
        scope: HoldScope::All,
        names: Vec::new(),
        by: "ada".into(),
        why: String::new(),
    };
    let pause = b.person.hold(pause).wait().unwrap();
    assert!(b.command(&session).is_err());
    assert!(b.claim(LONG).is_none());
    b.later(1).check(Clear);
    b.later(11).check(Clear);
    assert_eq!(b.verdict(asked), VerifyState::Proven);
    assert_eq!(b.state(1), IncidentState::Resolved);
    b.later(700).check(Violated);
    assert!(b.claim(LONG).is_none());
    b.person.end_hold(pause, "ada").wait().unwrap();
    assert!(b.claim(LONG).is_some());
}

#[test]
fn what_a_person_took_is_proven_by_the_same_rules() {
    let mut b = Bench::new();
    b.check(Violated);
    let (_, session) = b.work();
    b.person.take_incident(1, "ada").wait().unwrap();
    assert!(b.command(&session).is_err());
    let taken = b.ledger.incident(1).wait().unwrap().unwrap();
    assert_eq!((taken.worker.as_deref(), taken.taken), (Some("ada"), true));
    assert!(b.claim(LONG).is_none());
    let other = b.person.finish_by_person(1, "bob").wait().unwrap_err();
    assert!(other.to_string().contains("is ada's"), "{other}");
    let asked = b.person.finish_by_person(1, "ada").wait().unwrap();
    b.later(1).check(Clear);
    b.later(5).check(Clear);
    assert_eq!(b.verdict(asked), VerifyState::Waiting);
    b.later(6).check(Clear);
    assert_eq!(b.verdict(asked), VerifyState::Proven);
    assert_eq!(b.state(1), IncidentState::Resolved);
    // It is on record who said so, and nobody works on what is over.
    let report = b.ledger.incident_report(1).wait().unwrap().unwrap();
    let said = |e: &&operator_ledger::IncidentEvent| e.kind == IncidentEventKind::Finished;
    let finished = report.events.iter().find(said).unwrap();
    assert_eq!(finished.by, "ada");
    assert_eq!(
        (report.incident.worker, report.incident.taken),
        (None, false)
    );
}

#[test]
fn what_people_say_is_kept_with_the_incident_until_it_is_taken_back() {
    let mut b = Bench::new();
    b.check(Violated);
    let (_, session) = b.work();
    let order = Control::Message {
        text: "do not touch tikv2".into(),
        by: String::new(),
    };
    b.person
        .send_command(&session.id, &order, "ada")
        .wait()
        .unwrap();
    let said = b.ledger.orders(1).wait().unwrap();
    assert_eq!(
        (said[0].text.as_str(), said[0].by.as_str()),
        ("do not touch tikv2", "ada")
    );
    assert!(b.person.take_order_back(said[0].id, "bob").wait().unwrap());
    assert!(!b.person.take_order_back(said[0].id, "bob").wait().unwrap());
    let said = b.ledger.orders(1).wait().unwrap();
    assert_eq!(said[0].ended_by.as_deref(), Some("bob"));
    assert!(b.person.take_order_back(99, "bob").wait().is_err());
}

#[test]
fn an_unknown_incident_is_a_clear_error() {
    let b = Bench::new();
    for refused in [
        b.person.take_incident(7, "ada").wait().unwrap_err(),
        b.person
            .resolve_incident(7, "ada")
            .wait()
            .map(|_| ())
            .unwrap_err(),
        b.person
            .reopen_incident(7, "ada")
            .wait()
            .map(|_| ())
            .unwrap_err(),
        b.person
            .release_incident(7, "ada")
            .wait()
            .map(|_| ())
            .unwrap_err(),
        b.person
            .finish_by_person(7, "ada")
            .wait()
            .map(|_| ())
            .unwrap_err(),
    ] {
        assert_eq!(refused.to_string(), "incident #7 not found");
    }
}

#[test]
fn the_worst_is_taken_first_and_an_incident_over_can_be_opened_again() {
    let mut b = Bench::new();
    let mut mild = observation("slow_store", Some("4"), Violated);
    mild.severity = operator_ledger::Severity::Warning;
    b.look(vec![mild.clone()]);
    // Given up, so that the next is an incident of its own.
    let claim = b.claim(LONG).unwrap();
    b.agent
        .escalate(&claim.lease, "cannot", "gave up", false)
        .wait()
        .unwrap();
    b.look(vec![mild, observation("store_down", Some("2"), Violated)]);
    b.ledger_conn(
        "UPDATE incidents SET retry_at = '2000-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL",
    );
    assert_eq!(b.claim(LONG).unwrap().lease.incident, 2);
    assert_eq!(b.person.resolve_incident(2, "ada").wait().unwrap(), 1);
    assert_eq!(b.state(2), IncidentState::Resolved);
    assert!(b.person.reopen_incident(2, "ada").wait().unwrap());
    assert!(!b.person.reopen_incident(2, "ada").wait().unwrap());
    assert_eq!(b.state(2), IncidentState::Open);
}
