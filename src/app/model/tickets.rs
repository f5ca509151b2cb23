//! Tickets as last read from the ledger, and which one the reader stands on.

use super::rows::{clean_session, clean_ticket};
use crate::transcript::clean::clean_text;
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{Heartbeat, InGrace, Lost, Resolution, RunningSession, Status, Ticket};
use std::path::PathBuf;

/// The ledger is looked at all the time: what was read so long ago is not known to hold any more.
const STALE: SignedDuration = SignedDuration::from_secs(8);

/// Tickets read for the pane.
pub const LIMIT: usize = 200;

/// One reading of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerView {
    pub at: Timestamp,
    /// Why it could not be read; what follows is then empty.
    pub error: Option<String>,
    /// There is no file.
    pub missing: bool,
    pub fate: Fate,
    /// Unresolved first, each newest first.
    pub tickets: Vec<Ticket>,
    pub open: u64,
    pub done: u64,
    pub heartbeat: Option<Heartbeat>,
    /// What the last check found wrong that is no ticket yet.
    pub in_grace: Vec<InGrace>,
    /// Sessions that run, whoever runs them.
    pub running: Vec<RunningSession>,
}

/// What became of the ledger's files since they were first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    #[default]
    Same,
    Lost(Lost),
    /// It is there, and cannot be read for damage.
    Damaged,
}

impl Fate {
    /// For the first line.
    pub fn in_short(self) -> Option<&'static str> {
        Some(match self {
            Self::Same => return None,
            Self::Damaged => "LEDGER DAMAGED",
            Self::Lost(what) => match what {
                Lost::Gone => "LEDGER GONE",
                Lost::Replaced | Lost::Older => "LEDGER REPLACED",
                Lost::CutOff => "LEDGER CUT OFF",
                Lost::LogGone => "LEDGER'S LOG GONE",
                Lost::LogReplaced => "LEDGER'S LOG REPLACED",
                Lost::LogDamaged => "LEDGER'S LOG DAMAGED",
                Lost::IndexGone => "LEDGER'S INDEX GONE",
            },
        })
    }
}

#[derive(Debug)]
pub struct Tickets {
    pub path: PathBuf,
    pub view: Option<LedgerView>,
    /// When the ledger was last looked at, whether it had changed or not.
    pub looked: Option<Timestamp>,
    /// The ticket the reader stands on.
    pub selected: Option<i64>,
    /// A person chose it; else it is the most pressing one.
    chosen: bool,
}

/// What is shown of a ticket's state. Claimed and proven are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisplayState {
    Open,
    Held,
    Working,
    /// The agent says it is repaired; the monitor has not borne it out.
    Claimed,
    Escalated,
    NeedsPerson,
    Proven,
    Cleared,
    ByPerson,
    External,
    /// Resolved, by rules that did not ask for proof.
    Done,
}

pub fn display_state(ticket: &Ticket) -> DisplayState {
    match ticket.status {
        Status::Open if ticket.held => DisplayState::Held,
        Status::Open | Status::Escalated if ticket.needs_person => DisplayState::NeedsPerson,
        Status::Open => DisplayState::Open,
        Status::Acknowledged if ticket.claimed => DisplayState::Claimed,
        Status::Acknowledged => DisplayState::Working,
        Status::Escalated => DisplayState::Escalated,
        Status::Resolved => match ticket.resolution {
            Some(Resolution::Proven) => DisplayState::Proven,
            Some(Resolution::Cleared) => DisplayState::Cleared,
            Some(Resolution::Human) => DisplayState::ByPerson,
            Some(Resolution::External) => DisplayState::External,
            None => DisplayState::Done,
        },
    }
}

impl Tickets {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            view: None,
            looked: None,
            selected: None,
            chosen: false,
        }
    }

    pub fn read(&mut self, mut view: LedgerView) {
        view.error.as_mut().map(clean_text);
        view.tickets.iter_mut().for_each(clean_ticket);
        for seen in &mut view.in_grace {
            clean_text(&mut seen.message);
        }
        for running in &mut view.running {
            clean_session(&mut running.session);
            running.ticket.as_mut().map(clean_ticket);
        }
        if let Some(heartbeat) = &mut view.heartbeat {
            clean_text(&mut heartbeat.detail);
        }
        self.looked = Some(view.at);
        self.view = Some(view);
        let tickets = self.list();
        // A chosen ticket may be gone with its ledger.
        if !self.chosen || !tickets.iter().any(|t| Some(t.id) == self.selected) {
            self.selected = tickets.first().map(|t| t.id);
        }
    }

    pub fn list(&self) -> &[Ticket] {
        self.view.as_ref().map_or(&[], |v| &v.tickets)
    }

    /// Index of the selected ticket.
    pub fn index(&self) -> Option<usize> {
        self.list().iter().position(|t| Some(t.id) == self.selected)
    }

    /// Moves the selection by `rows`, staying in the list.
    pub fn step(&mut self, rows: isize) {
        let last = self.list().len().saturating_sub(1);
        let index = self
            .index()
            .unwrap_or(0)
            .saturating_add_signed(rows)
            .min(last);
        self.selected = self.list().get(index).map(|t| t.id);
        self.chosen = true;
    }

    /// The first ticket in sight in a pane of so many rows: the chosen one stays in sight, the list
    /// moves no more than it must.
    pub fn top(&self, height: u16) -> usize {
        let at = self.index().unwrap_or(0);
        at.saturating_sub(usize::from(height).saturating_sub(1))
    }

    /// Chooses the ticket in a row of the pane.
    pub fn select_row(&mut self, row: usize, height: u16) {
        if let Some(ticket) = self.list().get(self.top(height) + row) {
            self.selected = Some(ticket.id);
            self.chosen = true;
        }
    }

    /// For how long nobody could look at the ledger, if that is too long to believe what was read.
    pub fn stale(&self, now: Timestamp) -> Option<SignedDuration> {
        let since = now.duration_since(self.looked?);
        (since > STALE).then_some(since)
    }

    /// Age of the monitor's last check. None: it never looked.
    pub fn monitor_age(&self, now: Timestamp) -> Option<SignedDuration> {
        let at = self.view.as_ref()?.heartbeat.as_ref()?.at?;
        Some(now.duration_since(at).max(SignedDuration::ZERO))
    }

    /// Whether the monitor looked lately enough to be believed.
    pub fn monitored(&self, now: Timestamp) -> bool {
        let Some(heartbeat) = self.view.as_ref().and_then(|v| v.heartbeat.as_ref()) else {
            return false;
        };
        let limit = SignedDuration::try_from(heartbeat.patience()).unwrap_or(SignedDuration::MAX);
        self.monitor_age(now).is_some_and(|age| age <= limit)
    }
}
