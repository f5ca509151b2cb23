//! The agent as its events tell it: what it is doing, for how long, and the last hundred lines.

use super::state::Process;
use crate::transcript::{Composer, Ring, View};
use agent_lab::event::{Event, Kind, Outcome, VerifyState};
use jiff::Timestamp;

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

/// A command that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub call: String,
    pub input: String,
    pub since: Timestamp,
}

#[derive(Debug)]
pub struct Agent {
    pub process: Process,
    pub phase: Phase,
    /// When the phase began.
    pub since: Timestamp,
    pub model: Option<String>,
    pub ticket: Option<i64>,
    pub title: String,
    pub session: Option<String>,
    pub running: Option<Running>,
    pub verify: Option<VerifyState>,
    pub last_outcome: Option<(i64, Outcome)>,
    /// Dollars of the session, where the price is known.
    pub cost: Option<f64>,
    /// When it last said anything.
    pub heard: Option<Timestamp>,
    pub ring: Ring,
    pub composer: Composer,
    pub view: View,
}

impl Agent {
    pub fn new(process: Process, now: Timestamp) -> Self {
        Self {
            process,
            phase: Phase::Silent,
            since: now,
            model: None,
            ticket: None,
            title: String::new(),
            session: None,
            running: None,
            verify: None,
            last_outcome: None,
            cost: None,
            heard: None,
            ring: Ring::default(),
            composer: Composer::default(),
            view: View::default(),
        }
    }

    /// A new process: nothing is known of it.
    pub fn reset(&mut self, now: Timestamp) {
        self.enter(Phase::Silent, now);
        self.ticket = None;
        self.session = None;
        self.running = None;
        self.verify = None;
        self.title.clear();
        self.model = None;
        self.cost = None;
        self.heard = None;
    }

    pub fn enter(&mut self, phase: Phase, now: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
    }

    /// What an event means for the state; its words are for the composer.
    pub fn apply(&mut self, event: &Event, now: Timestamp) {
        match &event.kind {
            Kind::Hello { model, .. } => {
                self.model = Some(crate::transcript::clean::clean(model.as_bytes()).0);
                self.enter(Phase::Idle, now);
            }
            Kind::SessionStart { ticket, title } => {
                self.ticket = Some(*ticket);
                self.title = crate::transcript::clean::clean(title.as_bytes()).0;
                self.session.clone_from(&event.session);
                self.running = None;
                self.verify = None;
                self.cost = None;
                self.phase = Phase::Working;
                self.since = now;
            }
            Kind::SessionEnd { outcome, .. } => {
                self.last_outcome = self.ticket.map(|t| (t, *outcome));
                self.ticket = None;
                self.session = None;
                self.running = None;
                self.verify = None;
                self.enter(Phase::Idle, now);
            }
            Kind::ToolCall { call, input, .. } => {
                let input = crate::transcript::clean::clean(input.as_bytes()).0;
                self.running = Some(Running {
                    call: call.clone(),
                    input,
                    since: now,
                });
                self.enter(Phase::Working, now);
            }
            Kind::ToolResult { call, .. } => {
                self.running.take_if(|running| running.call == *call);
            }
            Kind::Verify { state, .. } => {
                self.verify = Some(*state);
                let waiting = *state == VerifyState::Waiting;
                let phase = if waiting {
                    Phase::Verifying
                } else {
                    Phase::Working
                };
                self.enter(phase, now);
            }
            Kind::Usage { cost_usd, .. } => self.cost = *cost_usd,
            _ => {}
        }
    }
}
