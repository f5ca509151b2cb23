//! `operator-tui incidents show`: one incident on paper, each sentence with who said it.

use super::{
    sections::{self, time},
    state, word, worker,
};
use crate::{cli::out, history::account::Account, span};
use jiff::Timestamp;
use operator_ledger::{
    IncidentEventKind, IncidentReport, LedgerError, Reader, SessionRow, Ticket, clean::one_line,
};
use std::io::Write;

pub(super) fn show(ledger: &Reader, id: i64, as_json: bool) -> color_eyre::Result<()> {
    let account = Account::read(ledger, id)?.ok_or(LedgerError::NoIncident(id))?;
    if as_json {
        return Ok(out::json(&account)?);
    }
    let Account {
        report,
        sessions,
        proofs,
        finishes,
        ..
    } = &account;
    head(report)?;
    outln!("\nTickets")?;
    for ticket in &report.tickets {
        outln!("  {}", line(ticket))?;
        if let Some(worst) = ticket.was_worse() {
            let (at, text) = (time(Some(worst.at)), one_line(&worst.message));
            outln!("      at its worst {at}: {text}")?;
        }
    }
    let mut out = out::stdout();
    sections::write(&mut out, &account)?;
    out.flush()?;
    drop(out);
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
    for session in sessions {
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
    for proof in proofs {
        let of = account.claimed_by(proof);
        outln!(
            "\nProof  asked for by {of} at {}\n  the monitor: {}: {}",
            time(proof.requested_at),
            word(proof.state),
            one_line(&proof.detail)
        )?;
    }
    Ok(())
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
    for (from, to) in earlier_outages(report) {
        let lasted = span::exact(span::between(from, to));
        outln!("  was over    {}  after {lasted}", time(Some(to)))?;
    }
    if let Some(at) = incident.returned_at {
        outln!("  again       {}", time(Some(at)))?;
    }
    match (incident.since(), incident.ended_at) {
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

/// Outages of it before the present one, or the last: from when to when. Their lengths are not added up.
fn earlier_outages(report: &IncidentReport) -> Vec<(Timestamp, Timestamp)> {
    let mut outages = Vec::new();
    let (mut from, mut to) = (report.incident.opened_at, None);
    for event in &report.events {
        match event.kind.known() {
            Some(IncidentEventKind::Ended) => to = event.at,
            Some(IncidentEventKind::Returned | IncidentEventKind::Reopened) => {
                if let Some(outage) = from.zip(to.take()) {
                    outages.push(outage);
                    from = event.at;
                }
            }
            _ => {}
        }
    }
    outages
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
