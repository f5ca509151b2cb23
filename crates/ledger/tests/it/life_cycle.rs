//! Random histories of two things, a monitor, two agents, people and crashes, and what must hold
//! whatever happens: each ticket is of an incident, one works on a system, nobody writes who was
//! stopped, nothing but evidence proves, every end is explained, no ticket is stuck, no row is lost.

use crate::bench::{Bench, observation};
use operator_ledger::{
    Claim, EntryKind, HoldScope, Incident, IncidentEvent, IncidentEventKind, IncidentState,
    LedgerError, NewEntry, NewHold, NewTicket, Reading, Resolution, SessionStatus, SessionWriter,
    Status, Ticket, Verdict, event::Outcome,
};
use proptest::prelude::*;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The monitor looks at two things, so many seconds later.
    Check {
        states: [Reading; 2],
        later: i64,
    },
    /// Agent 0 or 1 does the next sensible thing, or claims a ticket.
    Claim(usize),
    RunCommand(usize),
    AskForProof(usize),
    Escalate(usize),
    Release(usize),
    End(usize),
    /// It dies without a word.
    Crash(usize),
    /// Time passes: every lease runs out and every retry is due.
    Expire,
    Resolve,
    Hold(bool),
    Reopen,
    Pause(bool),
    /// A person takes the newest incident, asks for its proof, gives it back.
    Take,
    Finish,
    PutDown,
    /// A ticket by hand, of the newest incident if that is not over.
    ByHand,
}

fn step() -> impl Strategy<Value = Step> {
    let state = || {
        prop_oneof![
            3 => Just(Reading::Violated),
            3 => Just(Reading::Clear),
            1 => Just(Reading::Unknown)
        ]
    };
    let agent = 0..2usize;
    prop_oneof![
        6 => ([state(), state()], 0..12i64)
            .prop_map(|(states, later)| Step::Check { states, later }),
        5 => agent.clone().prop_map(Step::Claim),
        4 => agent.clone().prop_map(Step::RunCommand),
        3 => agent.clone().prop_map(Step::AskForProof),
        2 => agent.clone().prop_map(Step::Escalate),
        1 => agent.clone().prop_map(Step::Release),
        2 => agent.clone().prop_map(Step::End),
        2 => agent.prop_map(Step::Crash),
        2 => Just(Step::Expire),
        1 => Just(Step::Resolve),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => Just(Step::Reopen),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => Just(Step::Take),
        1 => Just(Step::Finish),
        1 => Just(Step::PutDown),
        1 => Just(Step::ByHand),
    ]
}

/// An agent as it sees itself: it may be wrong about its lease.
struct Agent {
    claim: Claim,
    session: SessionWriter,
}

struct World {
    bench: Bench,
    agents: [Option<Agent>; 2],
    /// Leases that somebody or something has ended, as incident and fence.
    dead: Vec<(i64, i64)>,
    /// Rows that were said to be durable.
    rows: Vec<i64>,
    /// Since when the monitor has seen nothing but clear, on its clock, of each thing.
    clear_since: [Option<i64>; 2],
}

const THINGS: [&str; 2] = ["2", "3"];

impl World {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            agents: [None, None],
            dead: Vec::new(),
            rows: Vec::new(),
            clear_since: [None; 2],
        }
    }

    fn ticket(&self) -> Option<Ticket> {
        self.bench.ledger.tickets(1).wait().unwrap().pop()
    }

    fn all(&self) -> Vec<Ticket> {
        self.bench.ledger.tickets(1000).wait().unwrap()
    }

    /// Tickets of an incident that are not over.
    fn live(&self, incident: i64) -> Vec<Ticket> {
        let mut of = self
            .bench
            .ledger
            .tickets_of_incident(incident)
            .wait()
            .unwrap();
        of.retain(|t| t.status != Status::Resolved);
        of
    }

    /// A write of an agent succeeds only while nobody has ended its right to it.
    fn judge<T>(&self, agent: usize, written: Result<T, LedgerError>) -> Option<T> {
        let lease = &self.agents[agent].as_ref().unwrap().claim.lease;
        match written {
            Ok(value) => {
                let ended = self.dead.contains(&(lease.incident, lease.fence));
                assert!(!ended, "an agent wrote that had lost {lease:?}");
                Some(value)
            }
            Err(LedgerError::Fenced { .. }) => None,
            Err(e) => panic!("{e}"),
        }
    }

    /// Notes that agents at work on some incidents have lost them.
    fn lost(&mut self, of: impl Fn(i64) -> bool) {
        let leases = self.agents.iter().flatten().map(|a| &a.claim.lease);
        let ended = leases
            .filter(|l| of(l.incident))
            .map(|l| (l.incident, l.fence));
        let ended: Vec<_> = ended.collect();
        self.dead.extend(ended);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Check { states, later } => self.check(states, later),
            Step::Claim(n) => self.claim(n),
            Step::RunCommand(n) => self.write(n, |bench, agent| {
                let entry = NewEntry::new(EntryKind::ToolCall, "shell: look");
                bench.agent.append(&agent.session, entry).wait().map(Some)
            }),
            Step::AskForProof(n) => self.write(n, |bench, agent| {
                let lease = &agent.claim.lease;
                bench.agent.set_diagnosis(lease, "I repaired it").wait()?;
                bench
                    .agent
                    .request_verification(lease, &agent.session.id)
                    .wait()?;
                Ok(None)
            }),
            Step::Escalate(n) => {
                self.write(n, |bench, agent| {
                    let ledger = &bench.agent;
                    ledger
                        .end_session(&agent.session, Outcome::Escalated, "no")
                        .wait()?;
                    ledger
                        .escalate(&agent.claim.lease, "no", "no", false)
                        .wait()?;
                    Ok(None)
                });
                self.agents[n] = None;
            }
            Step::Release(n) => {
                self.write(n, |bench, agent| {
                    let ledger = &bench.agent;
                    ledger
                        .end_session(&agent.session, Outcome::Interrupted, "asked to")
                        .wait()?;
                    ledger.release(&agent.claim.lease, "asked to").wait()?;
                    Ok(None)
                });
                self.agents[n] = None;
            }
            Step::End(n) => {
                // What an agent does when it sees that its repair is proven.
                let id = self.agents[n].as_ref().map(|a| a.claim.lease.incident);
                let over = id.is_some_and(|id| {
                    let of = self.live(id);
                    of.iter().all(|t| t.status != Status::Acknowledged)
                });
                if over {
                    self.write(n, |bench, agent| {
                        bench
                            .agent
                            .end_session(&agent.session, Outcome::Resolved, "proven")
                            .wait()?;
                        Ok(None)
                    });
                    self.agents[n] = None;
                }
            }
            Step::Crash(n) => self.agents[n] = None,
            Step::Expire => {
                self.bench.ledger_conn(
                    "UPDATE incidents SET lease_until_ms = 0 WHERE lease_until_ms IS NOT NULL;
                     UPDATE incidents SET retry_at = '2000-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL",
                );
                self.lost(|_| true);
            }
            person => self.person(person),
        }
    }

    fn check(&mut self, states: [Reading; 2], later: i64) {
        self.bench.later(later);
        let before = self.all();
        let read = |n: usize| observation("store_down", Some(THINGS[n]), states[n]);
        let out = self.bench.look(vec![read(0), read(1)]);
        let now = self.bench.shift;
        for (since, state) in self.clear_since.iter_mut().zip(states) {
            match state {
                Reading::Clear => {
                    since.get_or_insert(now);
                }
                Reading::Violated | Reading::Unknown => *since = None,
            }
        }
        let after = self.all();
        let found = |id: &i64| after.iter().find(|t| t.id == *id).unwrap();
        let thing = |t: &Ticket| {
            THINGS
                .iter()
                .position(|x| t.store_id.as_deref() == Some(*x))
        };
        for id in out.proven.iter().chain(&out.cleared) {
            let ticket = found(id);
            // The hold of this invariant is ten seconds.
            let held = now
                - self.clear_since[thing(ticket).unwrap()]
                    .expect("proven or cleared while it was not clear");
            assert!(held >= 10_000 - 200, "closed after {held} ms");
            assert_eq!(ticket.status, Status::Resolved);
            let was = before.iter().find(|t| t.id == *id).unwrap();
            assert!(!was.held, "a person holds it");
        }
        for id in &out.proven {
            let ticket = found(id);
            assert!(ticket.resolution == Some(Resolution::Proven));
            // Nothing of its incident that counts is left.
            for other in after.iter().filter(|t| t.incident_id == ticket.incident_id) {
                let left = other.status != Status::Resolved && !other.held && !other.by_hand;
                assert!(!left || out.opened.contains(&other.id), "{other:?}");
            }
        }
        for id in &out.opened {
            assert_eq!(states[thing(found(id)).unwrap()], Reading::Violated);
        }
        // What comes back to an incident that was over is nobody's, whoever proved it before.
        let over = |id: i64| {
            let of: Vec<_> = before
                .iter()
                .filter(|t| t.incident_id == Some(id))
                .collect();
            out.returned.contains(&id) && of.iter().all(|t| t.status == Status::Resolved)
        };
        self.lost(over);
    }

    fn claim(&mut self, n: usize) {
        if self.agents[n].is_some() {
            return;
        }
        let Some(claim) = self.bench.claim(LONG) else {
            return;
        };
        assert!(!claim.ticket.held && claim.ticket.status != Status::Resolved);
        let holds = self.bench.ledger.holds().wait().unwrap();
        let paused = holds.iter().any(|h| h.scope == HoldScope::All);
        assert!(!paused, "claimed in a pause");
        // Whoever had it before has it no more.
        let (incident, fence) = (claim.lease.incident, claim.lease.fence);
        self.lost(|id| id == incident);
        self.dead.retain(|dead| *dead != (incident, fence));
        let session = self.bench.session(&claim);
        self.agents[n] = Some(Agent { claim, session });
    }

    fn write(
        &mut self,
        n: usize,
        f: impl FnOnce(&mut Bench, &mut Agent) -> Result<Option<i64>, LedgerError>,
    ) {
        let Some(agent) = &mut self.agents[n] else {
            return;
        };
        let written = f(&mut self.bench, agent);
        match self.judge(n, written) {
            Some(row) => self.rows.extend(row),
            // It was told that its lease is lost, and stops.
            None => self.agents[n] = None,
        }
    }

    fn person(&mut self, step: Step) {
        let person = self.bench.person.clone();
        let holds = self.bench.ledger.holds().wait().unwrap();
        let pause = holds.iter().find(|h| h.scope == HoldScope::All);
        let Some(ticket) = self.ticket() else { return };
        let incident = ticket.incident_id.expect("each ticket is of an incident");
        match step {
            Step::Resolve => {
                if person.resolve_by_person(ticket.id, "ada").wait().unwrap() {
                    let left = self.live(incident).iter().any(|t| !t.held);
                    self.lost(|id| id == incident && !left);
                }
            }
            Step::Hold(held) => {
                let at_work = self.agents.iter().flatten().map(|a| a.claim.lease.incident);
                let touched: Vec<i64> = match &ticket.store_id {
                    Some(_) => at_work
                        .filter(|id| self.live(*id).iter().any(|t| t.store_id == ticket.store_id))
                        .collect(),
                    None => vec![incident],
                };
                // Refused where another ticket has the key.
                if person
                    .set_held(ticket.id, held, "ada")
                    .wait()
                    .unwrap_or(false)
                    && held
                {
                    self.lost(|id| touched.contains(&id));
                }
            }
            Step::Pause(true) => {
                let all = NewHold {
                    scope: HoldScope::All,
                    names: Vec::new(),
                    by: "ada".into(),
                    why: String::new(),
                };
                assert_eq!(person.hold(all).wait().is_err(), pause.is_some());
                if pause.is_none() {
                    self.lost(|_| true);
                }
            }
            Step::Pause(false) => {
                if let Some(pause) = pause {
                    assert!(person.end_hold(pause.id, "ada").wait().unwrap());
                }
            }
            Step::Take => {
                if person.take_incident(incident, "ada").wait().is_ok() {
                    let of_system = self.live(incident).iter().any(|t| t.cluster_id.is_some());
                    self.lost(|id| of_system || id == incident);
                }
            }
            // Only who took it may.
            Step::Finish => drop(person.finish_by_person(incident, "ada").wait()),
            Step::PutDown => drop(person.release_incident(incident, "ada").wait()),
            Step::ByHand => {
                let of = self.bench.ledger.incident(incident).wait().unwrap();
                let of = of.filter(|i| i.state != IncidentState::Resolved);
                let new = NewTicket {
                    message: "please look".into(),
                    incident: of.map(|i| i.id),
                    by: "ada".into(),
                    ..NewTicket::default()
                };
                person.open_ticket(new).wait().unwrap();
            }
            _ => {
                let was_over = self.live(incident).is_empty();
                let reopened = person.reopen_by_person(ticket.id, "ada").wait();
                if reopened.unwrap_or(false) {
                    self.lost(|id| id == incident && was_over);
                }
            }
        }
    }

    /// What must hold at every moment.
    fn hold(&self) {
        let tickets = self.all();
        let live: Vec<_> = tickets
            .iter()
            .filter(|t| t.status != Status::Resolved)
            .collect();
        for (n, one) in live.iter().enumerate() {
            let mut others = live[n + 1..].iter();
            let same = others.find(|t| t.violation_key == one.violation_key);
            assert!(same.is_none(), "two of one violation: {one:?} {same:?}");
        }
        self.hold_incidents();
        for t in &tickets {
            let by_monitor = |word: &str| {
                let events = self.bench.ledger.ticket_events(t.id).wait().unwrap();
                events
                    .iter()
                    .any(|e| e.by == "monitor" && e.why.starts_with(word))
            };
            if t.resolution == Some(Resolution::Proven) {
                assert!(by_monitor("proven"), "only the monitor proves");
            }
        }
        let sessions = self.bench.ledger.sessions(1000).wait().unwrap();
        let running = sessions
            .iter()
            .filter(|s| s.status == SessionStatus::Running)
            .count();
        // By hand beside the system; the session of an agent that died runs until somebody notices.
        assert!(running <= 2, "{running} sessions run at once");
        for s in &sessions {
            let report = self
                .bench
                .ledger
                .verify_session(&s.session_id)
                .wait()
                .unwrap();
            assert!(
                matches!(
                    report.verdict,
                    Verdict::Intact { .. } | Verdict::Unfinished { .. }
                ),
                "{report:?}"
            );
        }
        let stored: usize = sessions
            .iter()
            .map(|s| {
                self.bench
                    .ledger
                    .entries(&s.session_id, 0, 10_000)
                    .wait()
                    .unwrap()
            })
            .map(|e| {
                e.iter()
                    .filter(|e| e.entry_type == EntryKind::ToolCall)
                    .count()
            })
            .sum();
        assert_eq!(
            stored,
            self.rows.len(),
            "every row that was durable is there"
        );
    }

    /// What must hold of incidents at every moment.
    fn hold_incidents(&self) {
        let incidents = self.bench.ledger.incidents(1000).wait().unwrap();
        let worked = |i: &&Incident| i.worker.is_some() && i.cluster_id.is_some();
        let workers = incidents.iter().filter(worked).count();
        assert!(workers <= 1, "{workers} work on one system: {incidents:?}");
        for incident in &incidents {
            let report = self
                .bench
                .ledger
                .incident_report(incident.id)
                .wait()
                .unwrap();
            let report = report.unwrap();
            let over = report.tickets.iter().all(|t| t.status == Status::Resolved);
            assert_eq!(
                over,
                incident.state == IncidentState::Resolved,
                "{report:?}"
            );
            assert!(!report.tickets.is_empty());
            if over {
                use IncidentEventKind as Kind;
                let turns = |e: &&IncidentEvent| {
                    let kind = e.kind.known();
                    matches!(
                        kind,
                        Some(Kind::Ended | Kind::Began | Kind::Returned | Kind::Reopened)
                    )
                };
                let last = report.events.iter().rfind(turns).unwrap();
                assert_eq!(last.kind, Kind::Ended, "an end that nobody explained");
                assert!(incident.resolution.is_some() && !last.why.is_empty());
            }
        }
    }

    /// Whatever happened, a system that is well again ends with no ticket that nobody looks at: it is
    /// resolved, or it waits for a person who holds or opened it.
    fn end(mut self) {
        self.agents = [None, None];
        self.take(Step::Expire);
        for incident in self.bench.ledger.incidents(1000).wait().unwrap() {
            if incident.taken {
                let person = &self.bench.person;
                person.release_incident(incident.id, "ada").wait().unwrap();
            }
        }
        for _ in 0..5 {
            self.check([Reading::Clear; 2], 6);
        }
        for t in self.all() {
            let theirs = t.held || t.by_hand;
            assert!(t.status == Status::Resolved || theirs, "stuck: {t:?}");
        }
        for s in self.bench.ledger.sessions(1000).wait().unwrap() {
            assert_ne!(s.status, SessionStatus::Running, "a session of nobody");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_life_of_a_ticket_keeps_its_rules(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.hold();
        }
        world.end();
    }
}
