//! One ticket with everything the ledger holds of it, as lines to read.
//!
//! Made from rows that were read elsewhere; asks nothing of the ledger itself.

use crate::transcript::{Kind, Line, clean::clean, compose::seconds};
use agent_lab::ledger::{EntryRow, SessionRow, Ticket, TicketEvent};
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write as _;

/// Entries of one session that are read; the whole is for `operator-tui audit show`.
pub const ENTRIES: usize = 1000;

#[derive(Debug, Clone)]
pub struct Detail {
    pub id: i64,
    /// None: the ledger has no such ticket, or could not be read.
    pub ticket: Option<Ticket>,
    pub events: Vec<TicketEvent>,
    pub sessions: Vec<(SessionRow, Vec<EntryRow>)>,
    pub error: Option<String>,
}

impl Detail {
    pub fn lines(&self, zone: &TimeZone) -> Vec<Line> {
        let mut lines = Lines {
            lines: Vec::new(),
            zone: zone.clone(),
        };
        if let Some(error) = &self.error {
            lines.add(Kind::Bad, error);
        }
        if let Some(ticket) = &self.ticket {
            lines.ticket(ticket);
        }
        if !self.events.is_empty() {
            lines.gap(Kind::Session, "what happened");
        }
        for event in &self.events {
            let why = if event.why.is_empty() {
                String::new()
            } else {
                format!(": {}", event.why)
            };
            lines.add(
                Kind::Notice,
                &format!(
                    "{}  {} by {}{why}",
                    lines.clock(event.at),
                    event.to,
                    event.by
                ),
            );
        }
        for (session, entries) in &self.sessions {
            lines.session(session, entries);
        }
        if self.sessions.is_empty() && self.error.is_none() {
            lines.gap(Kind::Notice, "No agent has worked on this ticket yet.");
        }
        lines.lines
    }
}

struct Lines {
    lines: Vec<Line>,
    zone: TimeZone,
}

impl Lines {
    /// Day and time where the reader is.
    fn clock(&self, at: Option<Timestamp>) -> String {
        let Some(at) = at else { return "?".into() };
        at.to_zoned(self.zone.clone())
            .strftime("%m-%d %H:%M:%S")
            .to_string()
    }

    /// Every line of `text`; an empty one sets the next apart.
    fn push(&mut self, mut kind: Kind, text: &str, mut gap: bool) {
        for line in text.lines() {
            let (text, omitted) = clean(line.as_bytes());
            if text.trim().is_empty() && kind.prose() {
                gap = true;
                continue;
            }
            let id = self.lines.len() as u64;
            self.lines.push(Line {
                id,
                kind,
                text,
                omitted,
                gap: std::mem::take(&mut gap),
            });
            if kind == Kind::Command {
                kind = Kind::CommandMore;
            }
        }
    }

    fn add(&mut self, kind: Kind, text: &str) {
        self.push(kind, text, false);
    }

    fn gap(&mut self, kind: Kind, text: &str) {
        self.push(kind, text, true);
    }

    fn ticket(&mut self, ticket: &Ticket) {
        self.add(Kind::Reasoning, &ticket.message);
        let mut facts = format!(
            "{} · {} · seen {} times since {}",
            ticket.severity,
            ticket.violation_key,
            ticket.occurrence_count,
            self.clock(ticket.first_seen_at)
        );
        if ticket.flaps > 0 {
            let _ = write!(facts, " · came back {} times", ticket.flaps);
        }
        if ticket.attempts > 0 {
            let _ = write!(facts, " · {} sessions", ticket.attempts);
        }
        self.add(Kind::Notice, &facts);
        if let Some(resolution) = ticket.resolution {
            let at = self.clock(ticket.resolved_at);
            self.add(
                Kind::Good,
                &format!("resolved {at}: {}", resolution.as_str()),
            );
        } else if ticket.claimed {
            self.add(
                Kind::Waiting,
                "claimed by the agent, not proven by the monitor",
            );
        }
        if ticket.needs_person {
            self.add(
                Kind::Warning,
                "no agent takes it any more: it waits for a person",
            );
        }
        if let Some(at) = ticket.retry_at {
            self.add(
                Kind::Notice,
                &format!("an agent tries again at {}", self.clock(Some(at))),
            );
        }
        if let Some(diagnosis) = &ticket.diagnosis {
            self.gap(Kind::Session, "diagnosis");
            self.add(Kind::Reasoning, diagnosis);
        }
    }

    fn session(&mut self, session: &SessionRow, entries: &[EntryRow]) {
        let model = session.model.as_deref().unwrap_or("model unknown");
        let begun = self.clock(session.started_at);
        self.gap(
            Kind::Session,
            &format!(
                "session {} · {model} · {begun} · {}",
                session.session_id, session.status
            ),
        );
        for entry in entries {
            self.entry(entry);
        }
        if entries.len() >= ENTRIES {
            self.add(
                Kind::Warning,
                &format!("more: operator-tui audit show {}", session.session_id),
            );
        }
    }

    fn entry(&mut self, entry: &EntryRow) {
        let text = entry.raw_content.as_deref().unwrap_or(&entry.content);
        match entry.entry_type.as_str() {
            "reasoning" => self.gap(Kind::Reasoning, text),
            "tool_call" => {
                let param = |key: &str| entry.tool_params.as_ref()?.get(key)?.as_str();
                let command = param("command").or(param("query")).or(param("url"));
                self.gap(Kind::Command, command.unwrap_or(text));
                if let Some(why) = param("reasoning").filter(|w| !w.is_empty()) {
                    self.add(Kind::Why, why);
                }
            }
            "tool_result" => {
                self.add(Kind::Output, text);
                let time = entry
                    .duration_ms
                    .map_or(String::new(), |ms| format!(" · {}", seconds(ms)));
                match (entry.timed_out, entry.exit_code) {
                    (true, _) => self.add(Kind::Bad, &format!("timed out{time}")),
                    (_, Some(0)) => self.add(Kind::Good, &format!("exit 0{time}")),
                    (_, Some(code)) => self.add(Kind::Bad, &format!("exit {code}{time}")),
                    (_, None) => self.add(Kind::Bad, &format!("ended without an exit code{time}")),
                }
            }
            // What the agent was told is long and the same each time.
            other => {
                let first = text.lines().next().unwrap_or_default();
                let more = match text.lines().count() {
                    0 | 1 => String::new(),
                    lines => format!(" … {} more lines", lines - 1),
                };
                self.add(
                    Kind::Notice,
                    &format!("{}: {first}{more}", other.replace('_', " ")),
                );
            }
        }
    }
}
