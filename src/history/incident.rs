//! One incident as the ledger has it: a session, and what was going on around it. Small enough to be
//! held whole, whatever the length of the session: what was said and sampled is read in parts
//! (`scene`).

use super::changes;
use agent_lab::{session::title, summarize};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{
    EntryKind, EntryMark, Fault, LedgerError, Measured, ObservedChange, Reader, Resolution, Result,
    SessionRow, Status, Stored, Ticket, TicketEvent, TicketEventKind, VerificationRow,
    clean::one_line, event::VerifyState,
};

/// What is shown before the first thing that happened, and after the last.
const AROUND: SignedDuration = SignedDuration::from_secs(15);
/// What happened longer before the session than this is no part of it, nor what was so long after.
const REACH: SignedDuration = SignedDuration::from_secs(600);
/// Entries of which the times are held.
const ENTRIES: usize = 100_000;

#[derive(Debug, Clone)]
pub struct Incident {
    pub session: SessionRow,
    pub from: Timestamp,
    pub to: Timestamp,
    pub tickets: Vec<TicketHistory>,
    pub faults: Vec<Fault>,
    /// What was seen to change, whoever changed it.
    pub changes: Vec<ObservedChange>,
    pub entries: Vec<EntryMark>,
    pub measured: Vec<Measured>,
    /// What happened, in order.
    pub marks: Vec<Mark>,
}

/// A ticket and what became of it.
#[derive(Debug, Clone)]
pub struct TicketHistory {
    pub ticket: Ticket,
    pub events: Vec<TicketEvent>,
    pub proofs: Vec<VerificationRow>,
}

/// Something that happened, worth a place on a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub at: Timestamp,
    pub what: What,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Fault,
    /// Something of the cluster changed, whoever changed it.
    Changed,
    Opened,
    /// An agent took the ticket.
    Taken,
    Command,
    /// A command that failed.
    Failed,
    /// A command waits for a person.
    Asked,
    Decided,
    Message,
    Claimed,
    Proven,
    NotProven,
    Escalated,
    Closed,
    Ended,
}

impl Incident {
    pub fn read(ledger: &Reader, session: &str) -> Result<Self> {
        let session = ledger
            .session(session)
            .wait()?
            .ok_or_else(|| LedgerError::NoSession(session.to_owned()))?;
        let entries = ledger.entry_marks(&session.session_id, ENTRIES).wait()?;
        let ticket = session
            .ticket_id
            .map_or(Ok(None), |id| ledger.ticket(id).wait())?;
        let first = entries.first().and_then(|e| e.at);
        let last = entries.last().and_then(|e| e.at);
        let Some(started) = session.started_at.or(first) else {
            return Err(LedgerError::Refused(format!(
                "session {} does not record when it ran",
                session.session_id
            )));
        };
        let ended = session.ended_at.or(last).unwrap_or(started);
        let cluster = session
            .cluster_id
            .clone()
            .or_else(|| ticket.as_ref()?.cluster_id.clone());
        let faults = match &cluster {
            Some(cluster) => ledger.faults(cluster).wait()?,
            None => Vec::new(),
        };
        let near = |at: &Timestamp| *at >= started - REACH && *at <= ended + REACH;
        let seen = ticket.as_ref().and_then(|t| t.first_seen_at).filter(near);
        let before = faults.iter().filter_map(|f| f.at);
        let caused = before
            .filter(near)
            .filter(|at| *at <= seen.unwrap_or(started))
            .max();
        let from = [Some(started), seen, caused].into_iter().flatten().min();
        let resolved = ticket.as_ref().and_then(|t| t.resolved_at).filter(near);
        let to = [Some(ended), resolved, last].into_iter().flatten().max();
        let (from, to) = (
            from.unwrap_or(started) - AROUND,
            to.unwrap_or(ended) + AROUND,
        );
        let mut tickets = Vec::new();
        for ticket in ledger.tickets_between(cluster.as_ref(), from, to).wait()? {
            tickets.push(TicketHistory {
                events: ledger.ticket_events(ticket.id).wait()?,
                proofs: ledger.verifications(ticket.id).wait()?,
                ticket,
            });
        }
        let (measured, changes) = match &cluster {
            Some(cluster) => (
                ledger.measured(cluster, from, to).wait()?,
                ledger.observed_changes(cluster, from, to).wait()?,
            ),
            None => (Vec::new(), Vec::new()),
        };
        let mut incident = Self {
            session: SessionRow {
                cluster_id: cluster,
                ..session
            },
            from,
            to,
            tickets,
            faults,
            changes,
            entries,
            measured,
            marks: Vec::new(),
        };
        incident.marks = incident.all_marks();
        Ok(incident)
    }

    fn all_marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut add = |at: Option<Timestamp>, what, text: String| {
            if let Some(at) = at.filter(|at| *at >= self.from && *at <= self.to) {
                marks.push(Mark { at, what, text });
            }
        };
        for fault in &self.faults {
            let text = format!("{} {}, by {}", fault.kind, fault.target, fault.by);
            add(fault.at, What::Fault, text);
        }
        for change in &self.changes {
            let text = one_line(&changes::words(change));
            add(Some(change.at), What::Changed, text);
        }
        for told in &self.tickets {
            let (id, name) = (told.ticket.id, title(&told.ticket));
            for event in &told.events {
                let Some(what) = what(event) else {
                    continue;
                };
                let text = match what {
                    What::Opened => format!("#{id} {name}: {}", event.why),
                    What::Taken => format!("#{id} taken by {}", event.by),
                    _ => format!("#{id} {} by {}: {}", event.to, event.by, event.why),
                };
                add(event.at, what, text);
            }
        }
        let mut command = String::new();
        for entry in &self.entries {
            let said = entry.text.as_str();
            let Some(kind) = entry.kind.known() else {
                continue;
            };
            let (what, text) = match kind {
                EntryKind::ToolCall => {
                    let short = entry.command.as_deref().map(summarize::command);
                    command = short.unwrap_or_else(|| said.to_owned());
                    (What::Command, command.clone())
                }
                EntryKind::ToolResult if entry.exit_code != Some(0) => (
                    What::Failed,
                    format!("{}: {command}", said.lines().next().unwrap_or("")),
                ),
                EntryKind::Proposal => (What::Asked, format!("waits for approval: {command}")),
                EntryKind::Decision => {
                    (What::Decided, said.trim_end_matches([':', ' ']).to_owned())
                }
                EntryKind::Message => (What::Message, format!("message: {said}")),
                EntryKind::Verify => match entry.claim.as_ref().and_then(Stored::known) {
                    Some(VerifyState::Waiting) => (
                        What::Claimed,
                        "claimed: the agent says it is repaired".to_owned(),
                    ),
                    Some(
                        VerifyState::Failed | VerifyState::Unverifiable | VerifyState::Withdrawn,
                    ) => (What::NotProven, said.to_owned()),
                    _ => continue,
                },
                EntryKind::End => (What::Ended, format!("the session ends: {said}")),
                _ => continue,
            };
            add(
                entry.at,
                what,
                text.lines().next().unwrap_or_default().to_owned(),
            );
        }
        marks.sort_by_key(|m| m.at);
        marks
    }

    /// Tickets as they were at a time, unresolved first, each newest first.
    pub fn tickets_at(&self, at: Timestamp) -> Vec<Ticket> {
        let mut tickets: Vec<Ticket> = self.tickets.iter().filter_map(|t| t.at(at)).collect();
        tickets.sort_by_key(|t| (t.status == Status::Resolved, std::cmp::Reverse(t.id)));
        tickets
    }

    /// Times at which a ticket changes.
    pub fn ticket_changes(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.tickets.iter().flat_map(TicketHistory::changes)
    }
}

impl TicketHistory {
    /// Times at which it changes, in no order.
    pub fn changes(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let events = self.events.iter().filter_map(|e| e.at);
        let asked = self.proofs.iter().filter_map(|p| p.requested_at);
        let decided = self.proofs.iter().filter_map(|p| p.decided_at);
        let first = self.ticket.first_seen_at;
        events.chain(asked).chain(decided).chain(first)
    }

    /// The ticket as it was at a time. None: it was not yet.
    pub fn at(&self, at: Timestamp) -> Option<Ticket> {
        let opened = self
            .events
            .first()
            .and_then(|e| e.at)
            .or(self.ticket.first_seen_at)?;
        if opened > at {
            return None;
        }
        let mut ticket = self.ticket.clone();
        ticket.status = Status::Open;
        ticket.resolution = None;
        ticket.resolved_at = None;
        ticket.held = false;
        ticket.needs_person = false;
        ticket.attempts = 0;
        for event in self
            .events
            .iter()
            .take_while(|e| e.at.is_some_and(|t| t <= at))
        {
            ticket.status = event.to.meaning();
            match event.kind.as_ref().and_then(Stored::known) {
                Some(TicketEventKind::Resolved) => {
                    ticket.resolved_at = event.at;
                    ticket.resolution = event.resolution.as_ref().and_then(Stored::known);
                }
                Some(TicketEventKind::Held) => ticket.held = true,
                Some(TicketEventKind::Unheld) => ticket.held = false,
                Some(TicketEventKind::Claimed) => ticket.attempts += 1,
                Some(
                    TicketEventKind::Opened | TicketEventKind::Reopened | TicketEventKind::Released,
                ) => {
                    ticket.resolved_at = None;
                    ticket.resolution = None;
                }
                Some(TicketEventKind::Escalated | TicketEventKind::Adopted) | None => {}
            }
        }
        ticket.claimed = self.claimed_at(at);
        // What was written when it was later given up was not known then.
        if !matches!(ticket.status, Status::Resolved | Status::Escalated) {
            ticket.diagnosis = None;
            ticket.retry_at = None;
        }
        ticket.needs_person = ticket.status == Status::Escalated && self.ticket.needs_person;
        Some(ticket)
    }

    /// Whether an agent had said that it was repaired, and nobody had said that it was not.
    fn claimed_at(&self, at: Timestamp) -> bool {
        let asked = self
            .proofs
            .iter()
            .rfind(|p| p.requested_at.is_some_and(|t| t <= at));
        asked.is_some_and(|p| {
            let decided = p.decided_at.is_some_and(|t| t <= at);
            !decided || matches!(p.state, VerifyState::Proven | VerifyState::External)
        })
    }
}

/// None: it has no place on a timeline.
fn what(event: &TicketEvent) -> Option<What> {
    if event.from.as_ref() == Some(&event.to) {
        return None;
    }
    Some(match event.kind.as_ref()?.known()? {
        TicketEventKind::Opened | TicketEventKind::Reopened | TicketEventKind::Released => {
            What::Opened
        }
        TicketEventKind::Claimed => What::Taken,
        TicketEventKind::Escalated => What::Escalated,
        TicketEventKind::Resolved => match event.resolution.as_ref().and_then(Stored::known) {
            Some(Resolution::Proven) => What::Proven,
            _ => What::Closed,
        },
        TicketEventKind::Held | TicketEventKind::Unheld | TicketEventKind::Adopted => return None,
    })
}
