//! What the ledger knows about one session besides its entries, and times in it as people read
//! them.

use super::verify;
use crate::{
    app::model::detail::alert_lines,
    history::{account::Account, changes, impact},
    span,
};
use jiff::Timestamp;
use operator_ledger::{
    ChainReport, CommandRow, Fault, FinishRow, LedgerError, Payment, Reader, Resolution,
    ServiceRow, SessionRow, Status, Stored, Ticket, TicketEvent, TicketEventKind, clean::one_line,
};
use std::time::Duration;

/// A session and everything around it.
pub(super) struct Story {
    pub session: SessionRow,
    pub ticket: Option<Ticket>,
    pub events: Vec<TicketEvent>,
    /// The incident it is of, with its proofs, its finishes, and what people said.
    pub account: Option<Account>,
    /// Faults that were injected into the cluster while the ticket was there.
    pub faults: Vec<Fault>,
    /// What people told the agent through the ledger.
    pub commands: Vec<CommandRow>,
    /// What its commands left running on purpose, the oldest first.
    pub services: Vec<ServiceRow>,
    /// What was paid for.
    pub payments: Vec<Payment>,
    pub chain: ChainReport,
}

/// A fault this long before the first sighting may have been its cause.
const BEFORE: Duration = Duration::from_secs(600);

impl Story {
    pub(super) fn read(ledger: &Reader, id: &str) -> color_eyre::Result<Self> {
        let session = ledger
            .session(id)
            .wait()?
            .ok_or_else(|| LedgerError::NoSession(id.to_owned()))?;
        let ticket = match session.ticket_id {
            Some(ticket) => ledger.ticket(ticket).wait()?,
            None => None,
        };
        let mut events = Vec::new();
        if let Some(ticket) = &ticket {
            events = ledger.ticket_events(ticket.id).wait()?;
        }
        let of_ticket = ticket.as_ref().and_then(|t| t.incident_id);
        let account = match session.incident_id.or(of_ticket) {
            Some(incident) => Account::read(ledger, incident)?,
            None => None,
        };
        let faults = match (&session.cluster_id, &ticket) {
            (Some(cluster), Some(ticket)) => {
                let from = ticket.first_seen_at.map(|t| t - BEFORE);
                let to = ticket.resolved_at;
                let mut faults = ledger.faults(cluster).wait()?;
                faults.retain(|f| {
                    f.at.is_some_and(|at| {
                        from.is_none_or(|t| at >= t) && to.is_none_or(|t| at <= t)
                    })
                });
                faults
            }
            _ => Vec::new(),
        };
        let mut services = ledger.services().wait()?;
        services.retain(|service| service.session_id == session.session_id);
        services.reverse();
        Ok(Self {
            services,
            commands: ledger.commands(id).wait()?,
            payments: ledger.payments(id).wait()?,
            chain: ledger.verify_session(id).wait()?,
            session,
            ticket,
            events,
            account,
            faults,
        })
    }

    pub(super) fn title(&self) -> String {
        match &self.ticket {
            Some(ticket) => {
                let title = agent_lab::session::title(ticket);
                format!("Ticket #{}: {}", ticket.id, one_line(&title))
            }
            None => format!("Session {}", one_line(&self.session.session_id)),
        }
    }

    /// Facts in two columns.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let s = &self.session;
        let mut facts = Vec::new();
        if let Some(t) = &self.ticket {
            facts.push(("What was seen", one_line(&t.message)));
            if let Some(worst) = t.was_worse() {
                let text = format!("{}, at {}", one_line(&worst.message), time(Some(worst.at)));
                facts.push(("At its worst", text));
            }
            facts.push(("Severity", one_line(t.severity.as_str())));
            facts.push(("First seen", time(t.first_seen_at)));
            for (title, lines) in t.alert.iter().flat_map(alert_lines) {
                facts.push((title, lines.join("; ")));
            }
            facts.push(("How it ended", Self::ending(t)));
            if let (Some(from), Some(to)) = (self.began(t), t.resolved_at) {
                facts.push((
                    "From first sight to end",
                    span::exact(span::between(from, to)),
                ));
            }
        }
        if let Some(account) = &self.account {
            let incident = &account.report.incident;
            let tickets = account.report.tickets.iter().map(|t| format!("#{}", t.id));
            let tickets: Vec<String> = tickets.collect();
            let text = format!("#{}, with ticket {}", incident.id, tickets.join(", "));
            facts.push(("Incident", text));
            facts.push(("Sessions on it", account.sessions.len().to_string()));
            for (name, text) in account.impact.iter().flat_map(impact::words::words) {
                facts.push(("Impact", format!("{name}: {text}")));
            }
        }
        facts.push(("This session", one_line(&s.session_id)));
        facts.push(("It ended", one_line(s.status.as_str())));
        if let (Some(from), Some(to)) = (s.started_at, s.ended_at) {
            let took = span::exact(span::between(from, to));
            facts.push(("It lasted", format!("{took}, from {}", time(Some(from)))));
        }
        let model = s.model.as_deref().unwrap_or("unknown");
        facts.push(("Model", one_line(model)));
        facts.push((
            "Mode",
            one_line(s.mode.as_ref().map_or("unknown", Stored::as_str)),
        ));
        let usage = &s.usage;
        if let (Some(input), Some(output)) = (usage.input, usage.output) {
            let cached = usage.cache_read.unwrap_or(0);
            let cost = usage.cost_usd.map_or_else(
                || "cost unknown".into(),
                |usd| format!("{usd:.2} US dollars"),
            );
            let turns = usage.turns.unwrap_or(0);
            facts.push((
                "Used",
                format!(
                    "{turns} turns; {input} tokens in, {cached} from cache, {output} out; {cost}"
                ),
            ));
        }
        facts.push(("Record", verify::in_words(&self.chain)));
        facts
    }

    /// When the outage that ended began: one that a person reopened is another.
    fn began(&self, ticket: &Ticket) -> Option<Timestamp> {
        let reopened = self.events.iter().rev().find(|e| {
            let was_over = e.from.as_ref().is_some_and(|f| *f == Status::Resolved);
            let kind = e.kind.as_ref().and_then(Stored::known);
            was_over && kind == Some(TicketEventKind::Reopened)
        });
        reopened.and_then(|e| e.at).or(ticket.first_seen_at)
    }

    fn finishes(&self) -> &[FinishRow] {
        self.account.as_ref().map_or(&[], |a| &a.finishes)
    }

    fn ending(t: &Ticket) -> String {
        let claim = if t.claimed {
            "the agent claimed a repair"
        } else {
            "no repair was claimed"
        };
        match (t.status, t.resolution) {
            (Status::Resolved, Some(Resolution::Proven)) => {
                "proven: the monitor's evidence bore the claim out".into()
            }
            (Status::Resolved, Some(r)) => format!("{r}; {claim}, none was proven"),
            (Status::Resolved, None) => format!("resolved, nobody recorded why; {claim}"),
            (status, _) => format!(
                "not resolved: {}; {claim}, none was proven",
                status.as_str()
            ),
        }
    }

    /// What sessions said, each with whose word it is: a title, and its fields.
    pub(super) fn said(&self) -> Vec<(String, Vec<(&'static str, String)>)> {
        let said = self.finishes().iter().map(|row| {
            let title = format!(
                "Session {} {}, at {}",
                one_line(&row.session_id),
                one_line(row.finish.headline()),
                time(row.at)
            );
            (title, row.finish.fields())
        });
        said.collect()
    }

    /// What was left on the ticket, unless this session said it when it finished.
    pub(super) fn diagnosis(&self) -> Option<&str> {
        let finished = self
            .finishes()
            .iter()
            .any(|row| row.session_id == self.session.session_id);
        let ticket = self.ticket.as_ref()?;
        ticket.diagnosis.as_deref().filter(|_| !finished)
    }

    /// What it left running, and what is known of how that ended.
    pub(super) fn left(&self) -> Vec<(Option<Timestamp>, String)> {
        let left = self.services.iter().map(|s| {
            let what = format!("pid {} on {}: {}", s.pid, s.host, s.command);
            let end = match &s.ended_by {
                Some(by) => format!("ended by {by}, {}", time(s.ended_at)),
                None => "nobody ended it by a command of Operator".to_owned(),
            };
            (s.began_at.or(s.at), one_line(&format!("{what} ({end})")))
        });
        left.collect()
    }

    /// What this record does not say, or cannot prove.
    pub(super) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if let Some(t) = &self.ticket
            && t.resolution != Some(Resolution::Proven)
        {
            gaps.push("That the cause was removed is not proven by the monitor.".into());
        }
        if self.session.ended_at.is_none() || self.session.head_hash.is_none() {
            gaps.push("The session wrote no end: what it did last may be missing.".into());
        }
        if self.session.usage.cost_usd.is_none() {
            gaps.push("What the session cost is not known.".into());
        }
        if self.services.iter().any(|s| s.ended_by.is_none()) {
            gaps.push("Whether what it left still runs is not recorded.".into());
        }
        gaps.push(verify::CANNOT.into());
        gaps
    }

    /// What happened to the ticket, in order, with whoever did it.
    pub(super) fn timeline(&self) -> Vec<(Option<Timestamp>, String)> {
        let mut line: Vec<(Option<Timestamp>, String)> = Vec::new();
        for f in &self.faults {
            let text = format!("fault injected by {}: {} {}", f.by, f.kind, f.target);
            line.push((f.at, one_line(&text)));
        }
        for e in &self.events {
            let text = format!("{} ({}): {}", e.to, e.by, e.why);
            line.push((e.at, one_line(&text)));
        }
        let account = self.account.iter();
        for (account, p) in account.flat_map(|a| a.proofs.iter().map(move |p| (a, p))) {
            let who = account.claimed_by(p);
            let text = format!("{who} claimed a repair and asked for proof");
            line.push((p.requested_at, text));
            let text = format!("the monitor decided: {:?}: {}", p.state, p.detail);
            if p.decided_at.is_some() {
                line.push((p.decided_at, one_line(&text)));
            }
        }
        if let Some(account) = &self.account {
            Self::around(account, &mut line);
        }
        line.sort_by_key(|(at, _)| *at);
        line
    }
}

impl Story {
    /// What people said, and what the monitor saw change.
    fn around(account: &Account, line: &mut Vec<(Option<Timestamp>, String)>) {
        for o in &account.report.orders {
            let text = format!("{} told agents: {}", o.by, o.text);
            line.push((o.at, one_line(&text)));
            if let Some(by) = &o.ended_by {
                let text = format!("{by} took back: {}", o.text);
                line.push((o.ended_at, one_line(&text)));
            }
        }
        for h in &account.report.holds {
            let (what, why) = (h.words(), h.why.as_str());
            let text = match why {
                "" => format!("{} held {what}", h.by),
                why => format!("{} held {what}: {why}", h.by),
            };
            line.push((h.at, one_line(&text)));
            if let Some(by) = &h.ended_by {
                line.push((h.ended_at, one_line(&format!("{by} let go of {what}"))));
            }
        }
        for change in &account.observed_changes {
            let text = format!("the monitor saw a change: {}", changes::words(change));
            line.push((Some(change.at), one_line(&text)));
        }
    }
}

/// A time to the second, UTC.
pub(super) fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "unknown".into(),
        |t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// Only the time of day.
pub(super) fn clock(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "--:--:--".into(), |t| t.strftime("%H:%M:%S").to_string())
}
