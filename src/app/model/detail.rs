//! One ticket with what the ledger holds of it, as lines to read. What its sessions did is read in
//! the agent's pane (`record`).

use super::rows::clean_ticket;
use crate::transcript::{Composer, Kind, Line, Ring, clean::clean_text, compose::seconds};
use jiff::{Timestamp, tz::TimeZone};
use operator_ledger::{
    AlertDetail, FinishOutcome, FinishRow, SessionRow, SessionStatus, Ticket, TicketEvent,
    VerificationRow, clean::one_line,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Changes of one ticket that are shown: the newest.
const EVENTS: usize = 200;

/// Ends that sessions said which are shown: the newest.
const FINISHES: usize = 20;

#[derive(Debug, Clone, Default)]
pub struct Detail {
    pub id: i64,
    /// None: the ledger has no such ticket, or could not be read.
    pub ticket: Option<Ticket>,
    pub events: Vec<TicketEvent>,
    pub proofs: Vec<VerificationRow>,
    pub sessions: Vec<SessionRow>,
    /// The newest first.
    pub finishes: Vec<FinishRow>,
    pub error: Option<String>,
}

/// Lines, and which session a line is about.
#[derive(Debug, Clone, Default)]
pub struct Text {
    pub lines: Vec<Line>,
    sessions: Vec<(u64, String)>,
}

impl Text {
    /// The session that a line is about, or the newest if it is about none.
    pub fn session_at(&self, line: u64) -> Option<&str> {
        let at = self.sessions.iter().rev().find(|(first, _)| *first <= line);
        at.or(self.sessions.last())
            .map(|(_, session)| session.as_str())
    }
}

impl Detail {
    /// Makes of it what may stand beside its text, each on one line.
    pub fn clean(&mut self) {
        self.ticket.as_mut().map(clean_ticket);
    }

    pub fn text(&self, zone: &TimeZone) -> Text {
        let mut text = Writing {
            ring: Ring::unbounded(),
            composer: Composer::default(),
            zone: zone.clone(),
        };
        if let Some(error) = &self.error {
            text.add(Kind::Bad, error);
        }
        if let Some(ticket) = &self.ticket {
            text.ticket(ticket);
        }
        text.finishes(&self.finishes);
        if let Some(words) = self.diagnosis() {
            text.heading("diagnosis");
            text.add(Kind::Reasoning, words);
        }
        text.events(&self.events);
        text.proofs(&self.proofs);
        let mut sessions = Vec::new();
        for session in &self.sessions {
            sessions.push((text.ring.next_id(), session.session_id.clone()));
            text.session(session);
        }
        if self.sessions.is_empty() && self.error.is_none() {
            text.heading("No agent has worked on this ticket yet.");
        }
        Text {
            lines: text.ring.into_iter().collect(),
            sessions,
        }
    }
}

impl Detail {
    /// What was left on the ticket, unless it is what the newest session said when it finished.
    fn diagnosis(&self) -> Option<&str> {
        let newest = self.sessions.last();
        let finished = newest.is_some_and(|session| {
            let of = |finish: &FinishRow| finish.session_id == session.session_id;
            self.finishes.iter().any(of)
        });
        let ticket = self.ticket.as_ref()?;
        ticket.diagnosis.as_deref().filter(|_| !finished)
    }
}

/// What an alert came with, by title: links, annotations, labels. Clean lines: what is kept is as it
/// came.
pub fn alert_lines(alert: &AlertDetail) -> Vec<(&'static str, Vec<String>)> {
    let pairs = |pairs: &BTreeMap<String, String>| -> Vec<String> {
        let lines = pairs.iter();
        lines
            .map(|(k, v)| format!("{}: {}", one_line(k), one_line(v)))
            .collect()
    };
    let links = alert.links.iter();
    let links = links.map(|link| format!("{}: {}", one_line(&link.title), one_line(&link.url)));
    let labels = match alert.stands_for {
        Some(_) => "labels that the first of its alerts share",
        None => "labels",
    };
    let mut parts = vec![
        ("where to look", links.collect()),
        ("annotations", pairs(&alert.annotations)),
        (labels, pairs(&alert.labels)),
    ];
    parts.retain(|(_, lines): &(_, Vec<String>)| !lines.is_empty());
    parts
}

/// `1 session`, `2 sessions`.
fn counted(count: i64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

struct Writing {
    ring: Ring,
    composer: Composer,
    zone: TimeZone,
}

impl Writing {
    fn add(&mut self, kind: Kind, text: &str) {
        self.composer.say(&mut self.ring, kind, text);
    }

    fn heading(&mut self, text: &str) {
        let mut text = text.to_owned();
        clean_text(&mut text);
        self.ring.push_line(Kind::Session, text, 0, true);
    }

    /// Day and time where the reader is.
    fn clock(&self, at: Option<Timestamp>) -> String {
        at.map_or("?".into(), |at| {
            let at = at.to_zoned(self.zone.clone());
            at.strftime("%m-%d %H:%M:%S").to_string()
        })
    }

    fn ticket(&mut self, ticket: &Ticket) {
        self.add(Kind::Reasoning, &ticket.message);
        let mut facts = format!(
            "{} · {} · seen {} since {}",
            ticket.severity,
            ticket.violation_key,
            counted(ticket.occurrence_count, "time"),
            self.clock(ticket.first_seen_at)
        );
        if ticket.flaps > 0 {
            let times = counted(ticket.flaps.into(), "time");
            let _ = write!(facts, " · came back {times}");
        }
        if ticket.attempts > 0 {
            let sessions = counted(ticket.attempts.into(), "session");
            let _ = write!(facts, " · {sessions}");
        }
        self.add(Kind::Notice, &facts);
        if let Some(worst) = ticket.was_worse() {
            let at = self.clock(Some(worst.at));
            self.add(
                Kind::Notice,
                &format!("at its worst {at}: {}", worst.message),
            );
        }
        if let Some(resolution) = ticket.resolution {
            let at = self.clock(ticket.resolved_at);
            self.add(Kind::Good, &format!("resolved {at}: {resolution}"));
        } else if ticket.claimed {
            let text = "claimed by the agent, not proven by the monitor";
            self.add(Kind::Waiting, text);
        }
        if ticket.held {
            self.add(Kind::Warning, "held: no agent takes it until it is let go");
        }
        if ticket.needs_person {
            let text = "no agent takes it any more: it waits for a person";
            self.add(Kind::Warning, text);
        }
        if let Some(at) = ticket.retry_at {
            let text = format!("an agent tries again at {}", self.clock(Some(at)));
            self.add(Kind::Notice, &text);
        }
        if let Some(alert) = &ticket.alert {
            self.alert(alert);
        }
    }

    /// How sessions said that they end, each with whose word it is.
    fn finishes(&mut self, finishes: &[FinishRow]) {
        let skip = finishes.len().saturating_sub(FINISHES);
        for row in &finishes[..finishes.len() - skip] {
            let (at, said) = (self.clock(row.at), &row.finish);
            self.heading(&format!("said by session {} · {at}", row.session_id));
            let kind = match said.outcome.known() {
                Some(FinishOutcome::Repaired) => Kind::Waiting,
                Some(FinishOutcome::NothingWrong) => Kind::Notice,
                Some(FinishOutcome::Escalate) | None => Kind::Warning,
            };
            self.add(kind, said.headline());
            for (name, text) in said.fields() {
                self.add(Kind::Reasoning, &format!("{name}: {text}"));
            }
        }
        if skip > 0 {
            self.add(Kind::Warning, &format!("{skip} earlier ones"));
        }
    }

    /// What others told of it, as they told it.
    fn alert(&mut self, alert: &AlertDetail) {
        for (title, lines) in alert_lines(alert) {
            self.heading(title);
            for line in lines {
                self.add(Kind::Notice, &line);
            }
        }
    }

    fn events(&mut self, events: &[TicketEvent]) {
        if !events.is_empty() {
            self.heading("what happened");
        }
        let skip = events.len().saturating_sub(EVENTS);
        if skip > 0 {
            self.add(Kind::Warning, &format!("{skip} earlier changes"));
        }
        for event in &events[skip..] {
            let why = if event.why.is_empty() {
                String::new()
            } else {
                format!(": {}", event.why)
            };
            let at = self.clock(event.at);
            self.add(
                Kind::Notice,
                &format!("{at}  {} by {}{why}", event.to, event.by),
            );
        }
    }

    fn proofs(&mut self, proofs: &[VerificationRow]) {
        use operator_ledger::event::VerifyState as V;
        if !proofs.is_empty() {
            self.heading("claims, and what the monitor made of them");
        }
        for proof in proofs {
            let (kind, word) = match proof.state {
                V::Waiting => (Kind::Waiting, "not decided"),
                V::Proven => (Kind::Good, "proven"),
                V::External => (Kind::Good, "cleared (reported from outside, not proven)"),
                V::Failed => (Kind::Bad, "still violated"),
                V::Unverifiable => (Kind::Bad, "could not be verified"),
                V::Withdrawn => (Kind::Notice, "taken back"),
            };
            let at = self.clock(proof.requested_at);
            self.add(kind, &format!("{at}  {word}: {}", proof.detail));
        }
    }

    fn session(&mut self, session: &SessionRow) {
        let model = session.model.as_deref().unwrap_or("model unknown");
        let begun = self.clock(session.started_at);
        self.heading(&format!("session {} · {model}", session.session_id));
        let mut how = format!("{begun}  {}", session.status);
        if let Some(resolution) = &session.resolution {
            let _ = write!(how, ", {resolution}");
        }
        if let (Some(start), Some(end)) = (session.started_at, session.ended_at) {
            let lasted = end.duration_since(start).as_millis();
            let _ = write!(how, " · {}", seconds(u64::try_from(lasted).unwrap_or(0)));
        }
        let kind = match session.status.known() {
            Some(SessionStatus::Resolved) => Kind::Good,
            Some(SessionStatus::Running | SessionStatus::Released) => Kind::Notice,
            _ => Kind::Warning,
        };
        self.add(kind, &how);
        if let Some(summary) = &session.outcome_summary {
            self.add(Kind::Reasoning, summary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::Finish;

    fn session(id: &str) -> SessionRow {
        let row = serde_json::json!({ "session_id": id, "status": "escalated", "usage": {} });
        serde_json::from_value(row).unwrap()
    }

    fn lines(detail: &Detail) -> Vec<String> {
        let text = detail.text(&TimeZone::UTC);
        let shown = text.lines.iter();
        shown
            .map(|l| format!("{}{}", l.kind.marker(), l.text))
            .collect()
    }

    #[test]
    fn what_sessions_said_stands_in_place_of_a_diagnosis_with_whose_word_it_is() {
        let row = |session: &str, cause: &str| FinishRow {
            id: 1,
            session_id: session.into(),
            ticket_id: 4,
            call_id: None,
            finish: Finish::escalated(cause),
            at: None,
        };
        let mut detail = Detail {
            id: 4,
            ticket: Some(Ticket {
                diagnosis: Some("ESCALATED: the net is gone".into()),
                ..Ticket::default()
            }),
            sessions: vec![session("s1"), session("s2")],
            finishes: vec![row("s2", "the net is gone"), row("s1", "the disk is gone")],
            ..Detail::default()
        };
        let shown = lines(&detail);
        let at = |words: &str| shown.iter().position(|l| l == words);
        let newest = at("── said by session s2 · ?").expect("whose word it is");
        assert_eq!(
            shown[newest + 1..newest + 3],
            ["! hands it to a person", "cause: the net is gone"]
        );
        assert!(at("── said by session s1 · ?").unwrap() > newest);
        assert!(
            at("── diagnosis").is_none(),
            "it is said already: {shown:#?}"
        );
        // The newest session did not say how it ends.
        detail.sessions.push(session("s3"));
        let shown = lines(&detail);
        assert!(shown.contains(&"── diagnosis".to_owned()), "{shown:#?}");
    }
}
