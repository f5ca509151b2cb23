//! An agent as its events tell it, ours or somebody else's: what it is doing, for how long, what
//! waits for a person, and the last hundred lines.

use crate::{
    app::model::{config::Role, process::Process},
    transcript::{Composer, Ring, View, clean::clean, ring::CAPACITY},
};
use jiff::Timestamp;
use operator_ledger::{
    event::{Event, Kind, Outcome, VerifyState},
    spoken,
};
use std::collections::VecDeque;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was heard yet.
    Silent,
    /// It waits for a ticket.
    Idle,
    Working,
    /// It claims a repair; the monitor has not proven it.
    Verifying,
    /// A program that speaks no events.
    Plain,
}

/// A command that runs, or waits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub call: String,
    pub input: String,
    pub reasoning: String,
    pub since: Timestamp,
}

/// A command that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub session: Option<String>,
    pub call: String,
    pub command: String,
    pub reasoning: String,
    /// Why it waits.
    pub why: String,
    pub since: Timestamp,
}

/// A call whose lines are, or were, in the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its first line.
    line: u64,
    pub session: Option<String>,
    pub call: String,
}

#[derive(Debug)]
pub struct Agent {
    pub process: Process,
    /// Somebody else's program: it may speak no events, and never say that it is ready.
    pub foreign: bool,
    pub phase: Phase,
    /// When the phase began.
    pub since: Timestamp,
    pub model: Option<String>,
    pub ticket: Option<i64>,
    pub title: String,
    pub session: Option<String>,
    pub running: Option<Running>,
    pub proposal: Option<Proposal>,
    /// It was stopped, and does nothing until it is told to go on; since when.
    pub waits: Option<Timestamp>,
    pub verify: Option<VerifyState>,
    pub last_outcome: Option<(i64, Outcome)>,
    /// Dollars of the session, where the price is known.
    pub cost: Option<f64>,
    /// When it last said anything.
    pub last_event_at: Option<Timestamp>,
    calls: VecDeque<Called>,
    pub ring: Ring,
    pub composer: Composer,
    pub view: View,
}

impl Agent {
    /// The agent of this dashboard.
    pub fn of(role: &Role, now: Timestamp) -> Self {
        let mut agent = Self::new(Process::new(role), now);
        agent.foreign = matches!(role, Role::Run(spec) if spec.warden.is_some());
        agent
    }

    pub fn new(process: Process, now: Timestamp) -> Self {
        Self {
            process,
            foreign: false,
            phase: Phase::Silent,
            since: now,
            model: None,
            ticket: None,
            title: String::new(),
            session: None,
            running: None,
            proposal: None,
            waits: None,
            verify: None,
            last_outcome: None,
            cost: None,
            last_event_at: None,
            calls: VecDeque::new(),
            ring: Ring::default(),
            composer: Composer::default(),
            view: View::default(),
        }
    }

    /// A new process: nothing is known of it.
    pub fn reset(&mut self, now: Timestamp) {
        let phase = if self.foreign {
            Phase::Plain
        } else {
            Phase::Silent
        };
        self.enter(phase, now);
        self.ticket = None;
        self.session = None;
        self.running = None;
        self.proposal = None;
        self.waits = None;
        self.verify = None;
        self.title.clear();
        self.model = None;
        self.cost = None;
        self.last_event_at = None;
    }

    pub fn enter(&mut self, phase: Phase, now: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
    }

    /// Takes an event in: its words, and what it means. `at` is when it happened.
    pub fn apply_event(&mut self, event: &Event, at: Timestamp) {
        if let Kind::ToolCall { call, .. } = &event.kind {
            let oldest = self.ring.oldest_id().unwrap_or(0);
            while self.calls.get(1).is_some_and(|c| c.line <= oldest) || self.calls.len() > CAPACITY
            {
                self.calls.pop_front();
            }
            self.calls.push_back(Called {
                line: self.ring.next_id(),
                session: event.session.clone(),
                call: call.clone(),
            });
        }
        self.composer.event(&mut self.ring, event);
        self.apply(event, at);
    }

    /// The call a line belongs to: the last that began at it or above.
    pub fn call_at(&self, line: u64) -> Option<&Called> {
        self.calls.iter().rfind(|c| c.line <= line)
    }

    /// The call that the oldest line belongs to, or the first after it.
    pub fn oldest_call(&self) -> Option<&Called> {
        self.call_at(self.ring.oldest_id()?).or(self.calls.front())
    }

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match &event.kind {
            Kind::Hello { model, .. } => {
                self.model = Some(clean(model.as_bytes()).0);
                self.enter(Phase::Idle, at);
            }
            Kind::SessionStart { ticket, title, .. } => {
                self.ticket = Some(*ticket);
                self.title = clean(title.as_bytes()).0;
                self.session.clone_from(&event.session);
                self.running = None;
                self.proposal = None;
                self.waits = None;
                self.verify = None;
                self.cost = None;
                self.phase = Phase::Working;
                self.since = at;
            }
            Kind::SessionEnd { outcome, .. } => {
                self.last_outcome = self.ticket.map(|t| (t, *outcome));
                self.ticket = None;
                self.session = None;
                self.running = None;
                self.proposal = None;
                self.waits = None;
                self.verify = None;
                self.enter(Phase::Idle, at);
            }
            Kind::ToolCall {
                call,
                tool,
                input,
                reasoning,
                ..
            } => {
                self.running = Some(Running {
                    call: call.clone(),
                    input: lines(&spoken(tool, input)),
                    reasoning: lines(reasoning),
                    since: at,
                });
                self.enter(Phase::Working, at);
            }
            Kind::Proposal { call, why } => {
                let asked = self.running.as_ref().filter(|r| r.call == *call);
                self.proposal = Some(Proposal {
                    session: event.session.clone().or_else(|| self.session.clone()),
                    call: call.clone(),
                    command: asked.map_or(String::new(), |r| r.input.clone()),
                    reasoning: asked.map_or(String::new(), |r| r.reasoning.clone()),
                    why: lines(why),
                    since: at,
                });
            }
            Kind::Decision { call, approved, .. } => {
                self.proposal.take_if(|p| p.call == *call);
                // One that was rejected does not run, and has no result.
                self.running.take_if(|r| !approved && r.call == *call);
                if let Some(running) = &mut self.running {
                    running.since = at;
                }
            }
            Kind::ToolResult { call, .. } => {
                self.running.take_if(|running| running.call == *call);
                self.proposal.take_if(|p| p.call == *call);
            }
            Kind::Verify { state, .. } => {
                self.verify = Some(*state);
                let waiting = *state == VerifyState::Waiting;
                let phase = if waiting {
                    Phase::Verifying
                } else {
                    Phase::Working
                };
                self.enter(phase, at);
            }
            // The message that lets it go on is a notice too.
            Kind::Notice { waits, .. } => self.waits = waits.then_some(at),
            Kind::Usage { cost_usd, .. } => self.cost = *cost_usd,
            Kind::Text { .. } | Kind::Thinking { .. } => {
                // A call that was rejected has no result; the turn goes on.
                self.running.take_if(|_| self.proposal.is_none());
            }
            _ => {}
        }
    }
}

/// Text of several lines, each cleaned.
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|l| clean(l.as_bytes()).0).collect();
    lines.join("\n")
}
