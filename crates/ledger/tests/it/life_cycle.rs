//! Random interleavings of a monitor, two agents, people and crashes, and what must hold whatever
//! happens: nobody works on a ticket that another has, nothing but evidence proves, no ticket is
//! stuck, no row is lost.

use crate::bench::Bench;
use operator_ledger::{
    Claim, EntryKind, LedgerError, NewEntry, Reading, Resolution, SessionStatus, SessionWriter,
    Status, Verdict, event::Outcome,
};
use proptest::prelude::*;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The monitor looks, so many seconds later.
    Check {
        state: Reading,
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
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        3 => Just(Reading::Violated),
        3 => Just(Reading::Clear),
        1 => Just(Reading::Unknown)
    ];
    let agent = 0..2usize;
    prop_oneof![
        6 => (state, 0..12i64).prop_map(|(state, later)| Step::Check { state, later }),
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
    /// The fence of the claim that is the newest, by ticket.
    newest: Option<(i64, i64)>,
    /// Rows that were said to be durable.
    rows: Vec<i64>,
    /// Since when the monitor has seen nothing but clear, on its clock.
    clear_since: Option<i64>,
}

impl World {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            agents: [None, None],
            newest: None,
            rows: Vec::new(),
            clear_since: None,
        }
    }

    fn ticket(&self) -> Option<operator_ledger::Ticket> {
        self.bench.ledger.tickets(1).wait().unwrap().pop()
    }

    /// A write of an agent succeeds only under the newest claim.
    fn judge<T>(&self, agent: usize, written: Result<T, LedgerError>) -> Option<T> {
        let lease = &self.agents[agent].as_ref().unwrap().claim.lease;
        match written {
            Ok(value) => {
                assert_eq!(
                    self.newest,
                    Some((lease.ticket, lease.fence)),
                    "an agent that was overtaken wrote"
                );
                Some(value)
            }
            Err(LedgerError::Fenced { .. }) => None,
            Err(e) => panic!("{e}"),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Check { state, later } => self.check(state, later),
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
                let id = self.agents[n].as_ref().map(|a| a.claim.ticket.id);
                let proven = id.is_some_and(|id| {
                    let t = self.bench.ledger.ticket(id).wait().unwrap().unwrap();
                    t.resolution == Some(Resolution::Proven)
                });
                if proven {
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
                    "UPDATE tickets SET lease_until_ms = 0 WHERE lease_until_ms IS NOT NULL;
                     UPDATE tickets SET retry_at = '2000-01-01T00:00:00.000Z' WHERE retry_at IS NOT NULL",
                );
                self.newest = None;
            }
            Step::Resolve | Step::Hold(_) | Step::Reopen => self.person(step),
        }
    }

    fn check(&mut self, state: Reading, later: i64) {
        self.bench.later(later);
        let before = self.ticket();
        let out = self.bench.check(state);
        let now = self.bench.shift;
        match state {
            Reading::Clear => {
                self.clear_since.get_or_insert(now);
            }
            Reading::Violated | Reading::Unknown => self.clear_since = None,
        }
        for id in out.proven.iter().chain(&out.cleared) {
            // The hold of this invariant is ten seconds.
            let held = now
                - self
                    .clear_since
                    .expect("proven or cleared while it was not clear");
            assert!(held >= 10_000 - 200, "closed after {held} ms");
            let ticket = self.bench.ledger.ticket(*id).wait().unwrap().unwrap();
            assert_eq!(ticket.status, Status::Resolved);
            assert!(
                !before
                    .as_ref()
                    .is_some_and(|t| t.held && out.cleared.contains(&t.id))
            );
        }
        for id in &out.proven {
            let ticket = self.bench.ledger.ticket(*id).wait().unwrap().unwrap();
            assert!(ticket.claimed && ticket.resolution == Some(Resolution::Proven));
        }
        if !out.opened.is_empty() || !out.reopened.is_empty() {
            assert_eq!(state, Reading::Violated);
        }
        // What comes back is nobody's, whoever proved it before.
        if let Some((ticket, _)) = self.newest
            && out.reopened.contains(&ticket)
        {
            self.newest = None;
        }
    }

    fn claim(&mut self, n: usize) {
        if self.agents[n].is_some() {
            return;
        }
        let Some(claim) = self.bench.claim(LONG) else {
            return;
        };
        if let Some((ticket, _)) = self.newest {
            assert_ne!(ticket, claim.lease.ticket, "taken from a living agent");
        }
        assert!(!claim.ticket.held && claim.ticket.status != Status::Resolved);
        self.newest = Some((claim.lease.ticket, claim.lease.fence));
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
        let ends = written.is_ok()
            && self
                .bench
                .agent
                .check_lease(&agent.claim.lease)
                .wait()
                .is_err();
        match self.judge(n, written) {
            Some(row) => {
                self.rows.extend(row);
                if ends {
                    self.newest = None;
                }
            }
            // It was told that its lease is lost, and stops.
            None => self.agents[n] = None,
        }
    }

    fn person(&mut self, step: Step) {
        let Some(ticket) = self.ticket() else { return };
        let ledger = &self.bench.person;
        match step {
            Step::Resolve => {
                if ledger.resolve_by_person(ticket.id, "ada").wait().unwrap() {
                    self.newest = None;
                }
            }
            Step::Hold(held) => {
                // Refused where another ticket has the key.
                let _ = ledger.set_held(ticket.id, held, "ada").wait();
            }
            _ => {
                if ledger
                    .reopen_by_person(ticket.id, "ada")
                    .wait()
                    .unwrap_or(false)
                {
                    self.newest = None;
                }
            }
        }
    }

    /// What must hold at every moment.
    fn hold(&self) {
        let tickets = self.bench.ledger.tickets(100).wait().unwrap();
        let live: Vec<_> = tickets
            .iter()
            .filter(|t| t.status != Status::Resolved)
            .collect();
        assert!(
            live.len() <= 1,
            "two live tickets of one violation: {live:?}"
        );
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
        // The session of an agent that died runs until somebody notices.
        assert!(running <= 1, "{running} sessions run on one ticket");
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

    /// Whatever happened, a cluster that is well again ends with no ticket that nobody looks at:
    /// it is resolved, or it waits for a person who holds it.
    fn end(mut self) {
        self.agents = [None, None];
        self.take(Step::Expire);
        for _ in 0..5 {
            self.check(Reading::Clear, 6);
        }
        for t in self.bench.ledger.tickets(100).wait().unwrap() {
            assert!(t.status == Status::Resolved || t.held, "stuck: {t:?}");
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
