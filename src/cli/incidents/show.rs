//! `operator-tui incidents show`: one incident on paper, each sentence with who said it.

use super::{state, word, worker};
use crate::{
    cli::out,
    history::{changes::words, impact},
    span,
};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{
    IncidentEventKind, IncidentReport, LedgerError, ObservedChange, OrderRow, Reader, SessionRow,
    Ticket, clean::one_line,
};
use serde_json::json;

pub(super) fn show(ledger: &Reader, id: i64, as_json: bool) -> color_eyre::Result<()> {
    let report = ledger
        .incident_report(id)
        .wait()?
        .ok_or(LedgerError::NoIncident(id))?;
    let first = report.tickets.first().map_or(id, |t| t.id);
    let sessions = ledger.sessions_of_ticket(first).wait()?;
    let proofs = ledger.verifications(first).wait()?;
    let finishes = ledger.finishes(first).wait()?;
    let impact = impact::read::of_incident(ledger, &report.tickets)?;
    let changes = changes(ledger, &report)?;
    if as_json {
        let mut value = serde_json::to_value(&report)?;
        value["sessions"] = json!(sessions);
        value["verifications"] = json!(proofs);
        value["finishes"] = json!(finishes);
        value["impact"] = json!(impact);
        value["changes"] = json!(changes);
        return Ok(out::json(&value)?);
    }
    head(&report)?;
    outln!("\nTickets")?;
    for ticket in &report.tickets {
        outln!("  {}", line(ticket))?;
    }
    if !report.incident.holds.is_empty() {
        outln!("\nHeld")?;
        for hold in &report.incident.holds {
            let why = reason(&hold.why);
            outln!(
                "  {}  {} by {}{why}",
                time(hold.at),
                one_line(&hold.words()),
                one_line(&hold.by)
            )?;
        }
    }
    if !report.orders.is_empty() {
        outln!("\nWhat people told agents")?;
        for order in &report.orders {
            outln!("  {}", said(order))?;
        }
    }
    outln!("\nImpact")?;
    match &impact {
        Some(impact) => {
            for (name, text) in impact::words::words(impact) {
                outln!("  {name:<11} {text}")?;
            }
        }
        None => outln!("  unknown: nothing was sampled then")?,
    }
    if !changes.is_empty() {
        outln!("\nWhat the monitor saw change, whoever changed it")?;
        for change in &changes {
            outln!("  {}  {}", time(Some(change.at)), one_line(&words(change)))?;
        }
    }
    outln!("\nWhat happened")?;
    for event in &report.events {
        let lasted = match (event.kind.known(), event.lasted_ms) {
            (Some(IncidentEventKind::ProofWithdrawn), Some(ms)) => {
                let ms = u64::try_from(ms).unwrap_or(0);
                format!(
                    ", held for {}",
                    span::exact(std::time::Duration::from_millis(ms))
                )
            }
            _ => String::new(),
        };
        outln!(
            "  {}  {:<15} {}: {}{lasted}",
            time(event.at),
            event.kind.as_str().replace('_', " "),
            one_line(&event.by),
            one_line(&event.why)
        )?;
    }
    for session in &sessions {
        outln!("\n{}", work(session))?;
        if let Some(summary) = &session.outcome_summary {
            outln!("  it ended: {}", one_line(summary))?;
        }
        let said = finishes
            .iter()
            .filter(|f| f.session_id == session.session_id);
        for finish in said {
            outln!("  {}  it {}", time(finish.at), finish.finish.headline())?;
            for (name, text) in finish.finish.fields() {
                outln!("    {name:<11} {}", one_line(&text))?;
            }
        }
    }
    for proof in &proofs {
        let of = match proof.session_id.as_str() {
            "" => "a person".to_owned(),
            session => format!("session {}", one_line(session)),
        };
        outln!(
            "\nProof  asked for by {of} at {}\n  the monitor: {}: {}",
            time(proof.requested_at),
            word(proof.state),
            one_line(&proof.detail)
        )?;
    }
    Ok(())
}

/// What changed from just before the incident to its end.
fn changes(ledger: &Reader, report: &IncidentReport) -> color_eyre::Result<Vec<ObservedChange>> {
    const BEFORE: SignedDuration = SignedDuration::from_mins(2);
    let incident = &report.incident;
    let seen = report.tickets.iter().filter_map(|t| t.first_seen_at).min();
    let (Some(system), Some(seen)) = (&incident.cluster_id, seen) else {
        return Ok(Vec::new());
    };
    let to = incident.ended_at.unwrap_or_else(Timestamp::now);
    Ok(ledger.observed_changes(system, seen - BEFORE, to).wait()?)
}

fn head(report: &IncidentReport) -> color_eyre::Result<()> {
    let incident = &report.incident;
    let worst = report.tickets.first().map_or("", |t| t.message.as_str());
    outln!("Incident #{}  {}", incident.id, one_line(worst))?;
    outln!("  state       {}", state(incident))?;
    outln!("  severity    {}", one_line(incident.severity.as_str()))?;
    if let Some(system) = &incident.cluster_id {
        outln!("  system      {}", one_line(system.as_str()))?;
    }
    outln!("  opened      {}", time(incident.opened_at))?;
    match (incident.opened_at, incident.ended_at) {
        (Some(from), Some(to)) => {
            outln!(
                "  ended       {}  after {}",
                time(Some(to)),
                span::exact(span::between(from, to))
            )?;
        }
        _ => outln!("  ended       -")?,
    }
    if let Some(holder) = &incident.worker {
        outln!("  worker      {}", one_line(&worker(holder)))?;
    }
    if let Some(at) = incident.retry_at {
        outln!("  next try    {}", time(Some(at)))?;
    }
    if !report.earlier.is_empty() {
        let numbers: Vec<String> = report.earlier.iter().map(|id| format!("#{id}")).collect();
        outln!("  before      the same was wrong in {}", numbers.join(", "))?;
    }
    Ok(())
}

fn line(ticket: &Ticket) -> String {
    let about = ticket
        .subject_name
        .as_deref()
        .or(ticket.store_id.as_deref());
    let about = about.map_or(String::new(), |name| format!(" {}", one_line(name)));
    let end = match (ticket.resolution, ticket.resolved_at) {
        (Some(resolution), at) => format!("{} {}", resolution.as_str(), time(at)),
        _ if ticket.held => format!("{}, held", ticket.status.as_str()),
        _ => ticket.status.as_str().to_owned(),
    };
    format!(
        "#{}  {}{about}  {}  since {}: {}",
        ticket.id,
        one_line(&ticket.invariant),
        end,
        time(ticket.first_seen_at),
        one_line(&ticket.message)
    )
}

fn said(order: &OrderRow) -> String {
    let back = order.ended_by.as_ref().map_or(String::new(), |by| {
        format!(
            "  (taken back by {} {})",
            one_line(by),
            time(order.ended_at)
        )
    });
    format!(
        "{}  {}  {}: {}{back}",
        order.id,
        time(order.at),
        one_line(&order.by),
        one_line(&order.text)
    )
}

fn work(session: &SessionRow) -> String {
    let took = match (session.started_at, session.ended_at) {
        (Some(a), Some(b)) => span::exact(span::between(a, b)),
        _ => "-".into(),
    };
    format!(
        "Session {}  {}  {}  {took}",
        one_line(&session.session_id),
        one_line(session.model.as_deref().unwrap_or("model unknown")),
        one_line(session.status.as_str())
    )
}

fn reason(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {}", one_line(why))
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |t| format!("{t:.0}"))
}
