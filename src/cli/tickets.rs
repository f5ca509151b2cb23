//! `operator-tui tickets`: list, show, open, resolve, hold, unhold.

use super::{
    CliResult,
    confirm::{self, Agreed},
    out, table,
    target::{self, LedgerArgs},
};
use crate::{app::model::detail::alert_lines, history::impact, span};
use agent_lab::{control::person, redact::Redactor};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use color_eyre::eyre::eyre;
use operator_ledger::{NewTicket, PersonLedger, Reader, Severity, Status, Ticket, clean::one_line};
use std::{process::ExitCode, time::Duration};

/// Why a ticket is not for an agent to end.
const ONLY_PEOPLE: &str = "only the monitor or a person closes a ticket";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List tickets, unresolved first, newest first
    List {
        /// Only those with this status: open, acknowledged, resolved or escalated
        #[arg(short, long)]
        status: Option<String>,
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Show one ticket with what happened to it
    Show {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Open a ticket by hand
    Open {
        /// What is wrong
        #[arg(short, long)]
        message: String,
        #[arg(long, default_value = "warning", value_parser = severities())]
        severity: Severity,
        /// More for the agent to know
        #[arg(long)]
        context: Option<String>,
        /// The incident it belongs to; else it is one of its own
        #[arg(long, value_name = "ID")]
        incident: Option<i64>,
        #[command(flatten)]
        common: Common,
    },
    /// Say, as a person, that a ticket is done
    Resolve {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Give a ticket that is over to agents again
    Reopen {
        id: i64,
        #[command(flatten)]
        agreed: Agreed,
        #[command(flatten)]
        common: Common,
    },
    /// Keep agents and the monitor away from a ticket
    Hold {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Let agents and the monitor have a ticket again
    Unhold {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
}

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
struct Common {
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

fn severities() -> impl TypedValueParser<Value = Severity> {
    let words = [Severity::Critical, Severity::Warning, Severity::Info].map(Severity::as_str);
    PossibleValuesParser::new(words).try_map(|word| word.parse::<Severity>())
}

pub fn run(args: Args) -> CliResult {
    match args.command {
        Command::List {
            status,
            limit,
            common,
        } => list(status.as_deref(), limit, &common)?,
        Command::Show { id, common } => show(id, &common)?,
        Command::Open {
            message,
            severity,
            context,
            incident,
            common,
        } => {
            let ledger = PersonLedger::open(&common.ledger.path()?).wait()?;
            let redactor = Redactor::default();
            let id = ledger
                .open_ticket(NewTicket {
                    message: redactor.apply(&message),
                    severity,
                    context: context.map(|text| redactor.apply(&text)),
                    cluster_id: None,
                    incident,
                    by: person(),
                })
                .wait()?;
            answer(&ledger, id, common.json, &format!("Opened ticket #{id}"))?;
        }
        Command::Resolve { id, common } => {
            target::refuse_in_agent_shell("resolving a ticket", ONLY_PEOPLE)?;
            let ledger = common.open_for_change()?;
            let said = if ledger.resolve_by_person(id, &person()).wait()? {
                format!("Resolved ticket #{id}")
            } else {
                format!("Ticket #{id} already was resolved")
            };
            answer(&ledger, id, common.json, &said)?;
        }
        Command::Reopen { id, agreed, common } => {
            target::refuse_in_agent_shell("reopening a ticket", ONLY_PEOPLE)?;
            let ledger = common.open_for_change()?;
            let ticket = ledger.ticket(id).wait()?;
            if let Some(not_done) = confirm::reopening(&agreed, ticket.as_slice())? {
                return not_done;
            }
            let said = if ledger.reopen_by_person(id, &person()).wait()? {
                format!("Reopened ticket #{id}, with the whole of its budget")
            } else {
                format!("Ticket #{id} is still open")
            };
            answer(&ledger, id, common.json, &said)?;
        }
        Command::Hold { id, common } => {
            target::refuse_in_agent_shell("holding a ticket", ONLY_PEOPLE)?;
            let ledger = common.open_for_change()?;
            let word = if ledger.set_held(id, true, &person()).wait()? {
                "Holding"
            } else {
                "Already holding"
            };
            let said =
                format!("{word} ticket #{id}: no agent takes it, the monitor does not close it");
            answer(&ledger, id, common.json, &said)?;
        }
        Command::Unhold { id, common } => {
            target::refuse_in_agent_shell("releasing a ticket", ONLY_PEOPLE)?;
            let ledger = common.open_for_change()?;
            let said = if ledger.set_held(id, false, &person()).wait()? {
                "is open to agents and to the monitor again"
            } else {
                "was not held, and waits for no person"
            };
            answer(&ledger, id, common.json, &format!("Ticket #{id} {said}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// After a change: the ticket as it is now for programs, words for people.
fn answer(ledger: &Reader, id: i64, json: bool, said: &str) -> color_eyre::Result<()> {
    if json {
        outln!(
            "{}",
            serde_json::to_string_pretty(&ledger.ticket(id).wait()?)?
        )?;
    } else {
        outln!("{said}")?;
    }
    Ok(())
}

impl Common {
    /// Opens for writing a ledger that must exist.
    fn open_for_change(&self) -> color_eyre::Result<PersonLedger> {
        self.ledger.open()?;
        Ok(PersonLedger::open(&self.ledger.path()?).wait()?)
    }
}

fn list(status: Option<&str>, limit: usize, common: &Common) -> color_eyre::Result<()> {
    let ledger = common.ledger.open()?;
    let tickets = match status {
        None => ledger.tickets(limit).wait()?,
        Some(word) => {
            let status = match word {
                // The reference's word.
                "diagnosed" => Status::Escalated,
                word => word.parse().map_err(|_| {
                    eyre!("no status {word}: it is open, acknowledged, resolved or escalated")
                })?,
            };
            ledger.tickets_with_status(status, limit).wait()?
        }
    };
    if common.json {
        out::json(&tickets)?;
        return Ok(());
    }
    if tickets.is_empty() {
        outln!("No tickets.")?;
        return Ok(());
    }
    let rows: Vec<[String; 8]> = tickets
        .iter()
        .map(|t| {
            [
                format!("#{}", t.id),
                state(t),
                t.invariant.clone(),
                t.store_id.clone().unwrap_or_else(|| "-".into()),
                t.severity.to_string(),
                t.occurrence_count.to_string(),
                t.first_seen_at
                    .map_or_else(|| "?".into(), |at| span::short(span::since(at))),
                t.message.clone(),
            ]
        })
        .collect();
    table::print(
        [
            "ID",
            "STATE",
            "INVARIANT",
            "STORE",
            "SEVERITY",
            "SEEN",
            "AGE",
            "MESSAGE",
        ],
        &rows,
    )?;
    Ok(())
}

/// Status in one word, with what makes it more than that.
fn state(t: &Ticket) -> String {
    let mut text = match (t.status, t.resolution) {
        (Status::Resolved, Some(r)) => r.as_str().to_owned(),
        (status, _) if t.claimed && status == Status::Acknowledged => "claimed".to_owned(),
        (status, _) => status.as_str().to_owned(),
    };
    if t.held {
        text.push_str(", held");
    }
    if t.needs_person && t.status != Status::Resolved {
        text.push_str(", needs a person");
    }
    if t.flaps > 0 {
        text.push_str(&format!(", came back (time {})", t.flaps + 1));
    }
    text
}

fn show(id: i64, common: &Common) -> color_eyre::Result<()> {
    let ledger = common.ledger.open()?;
    let ticket = ledger
        .ticket(id)
        .wait()?
        .ok_or(operator_ledger::LedgerError::NoTicket(id))?;
    let events = ledger.ticket_events(id).wait()?;
    let sessions = ledger.sessions_of_ticket(id).wait()?;
    let proofs = ledger.verifications(id).wait()?;
    let finishes = ledger.finishes(id).wait()?;
    let impact = impact::read::of_ticket(&ledger, &ticket)?;
    if common.json {
        let mut value = serde_json::to_value(&ticket)?;
        value["events"] = serde_json::to_value(&events)?;
        value["sessions"] = serde_json::to_value(&sessions)?;
        value["proofs"] = serde_json::to_value(&proofs)?;
        value["finishes"] = serde_json::to_value(&finishes)?;
        value["impact"] = serde_json::to_value(&impact)?;
        out::json(&value)?;
        return Ok(());
    }
    let time = |t: Option<jiff::Timestamp>| t.map_or_else(|| "-".to_owned(), |t| format!("{t:.0}"));
    outln!("Ticket #{id}  {}", one_line(&ticket.message))?;
    outln!("  state       {}", state(&ticket))?;
    if let Some(incident) = ticket.incident_id {
        outln!("  incident    #{incident}")?;
    }
    outln!("  key         {}", one_line(&ticket.violation_key))?;
    outln!("  severity    {}", one_line(ticket.severity.as_str()))?;
    outln!("  first seen  {}", time(ticket.first_seen_at))?;
    outln!(
        "  last seen   {}  ({} times)",
        time(ticket.last_seen_at),
        ticket.occurrence_count
    )?;
    if let Some(worst) = ticket.was_worse() {
        outln!(
            "  at worst    {}  {}",
            time(Some(worst.at)),
            one_line(&worst.message)
        )?;
    }
    outln!("  resolved    {}", time(ticket.resolved_at))?;
    if let Some(at) = ticket.retry_at {
        outln!("  next try    {}", time(Some(at)))?;
    }
    if let Some(about) = &ticket.store_id {
        outln!("  about       {}", one_line(about))?;
    }
    for (title, lines) in ticket.alert.iter().flat_map(alert_lines) {
        outln!("\n{}", heading(title))?;
        for line in lines {
            outln!("  {line}")?;
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
    outln!("\nWhat happened")?;
    for e in &events {
        outln!(
            "  {}  {:<13} {}: {}",
            time(e.at),
            one_line(e.to.as_str()),
            one_line(&e.by),
            one_line(&e.why)
        )?;
    }
    for s in &sessions {
        let took = match (s.started_at, s.ended_at) {
            (Some(a), Some(b)) => span::exact(span::between(a, b)),
            _ => "-".into(),
        };
        let (id, status) = (one_line(&s.session_id), one_line(s.status.as_str()));
        outln!("\nSession {id}  {status}  {took}")?;
        if let Some(summary) = &s.outcome_summary {
            outln!("  {}", one_line(summary))?;
        }
    }
    for v in &proofs {
        outln!("\nProof  {:?}: {}", v.state, one_line(&v.detail))?;
    }
    for row in &finishes {
        let at = time(row.at);
        outln!("\nSaid by session {}  {at}", one_line(&row.session_id))?;
        outln!("  {}", one_line(row.finish.headline()))?;
        for (name, text) in row.finish.fields() {
            outln!("{}", indent(&format!("{name}: {text}")))?;
        }
    }
    let newest = sessions.last().map(|s| &s.session_id);
    let finished = finishes.iter().any(|f| Some(&f.session_id) == newest);
    match &ticket.diagnosis {
        Some(text) if !finished => outln!("\nDiagnosis\n{}", indent(text))?,
        None if !finished => outln!("\nNo diagnosis yet.")?,
        _ => {}
    }
    Ok(())
}

/// With a capital letter.
fn heading(title: &str) -> String {
    let mut letters = title.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Lines of others' text, indented and without control characters.
pub fn indent(text: &str) -> String {
    operator_ledger::clean::clean(text)
        .lines()
        .map(|l| format!("  {}", one_line(l)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A duration in milliseconds, as tables show it.
pub fn took(ms: u64) -> String {
    span::exact(Duration::from_millis(ms))
}
