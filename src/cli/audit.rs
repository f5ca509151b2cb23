//! `operator-tui audit`: what agents did, from the ledger.

use super::{
    CliResult, table,
    target::LedgerArgs,
    tickets::{indent, took},
};
use crate::span;
use agent_lab::ledger::{EntryRow, Ledger, Verdict};
use std::process::ExitCode;

/// Entries read from the ledger at a time: a session may be longer than memory.
const PAGE: usize = 500;

/// Lines of output that are shown whole without being asked for.
const SHORT: usize = 24;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List sessions, newest first
    List {
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Show one session, entry by entry
    Show {
        /// Its id, or an unambiguous beginning; the newest if left out
        session: Option<String>,
        /// Whole texts and outputs, not their short forms
        #[arg(short, long)]
        all: bool,
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Check the hash chain of one session, or of all
    Verify {
        session: Option<String>,
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
}

pub fn run(args: Args) -> CliResult {
    match args.command {
        Command::List {
            limit,
            json,
            ledger,
        } => list(limit, json, &ledger.open()?)?,
        Command::Show {
            session,
            all,
            json,
            ledger,
        } => {
            let ledger = ledger.open()?;
            let id = match session {
                Some(prefix) => ledger.find_session(&prefix)?,
                None => match ledger.sessions(1)?.pop() {
                    Some(newest) => newest.session_id,
                    None => {
                        println!("No sessions.");
                        return Ok(ExitCode::SUCCESS);
                    }
                },
            };
            show(&id, all, json, &ledger)?;
        }
        Command::Verify {
            session,
            json,
            ledger,
        } => return verify(session, json, &ledger.open()?),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(limit: usize, json: bool, ledger: &Ledger) -> color_eyre::Result<()> {
    let sessions = ledger.sessions(limit)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&sessions)?);
        return Ok(());
    }
    if sessions.is_empty() {
        println!("No sessions.");
        return Ok(());
    }
    let rows: Vec<[String; 7]> = sessions
        .iter()
        .map(|s| {
            let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".into());
            [
                s.session_id.clone(),
                s.ticket_id.map_or_else(|| "-".into(), |t| format!("#{t}")),
                s.status.clone(),
                text(&s.resolution),
                text(&s.model),
                match (s.started_at, s.ended_at) {
                    (Some(a), Some(b)) => span::exact(span::between(a, b)),
                    _ => "-".into(),
                },
                text(&s.outcome_summary),
            ]
        })
        .collect();
    table::print(
        [
            "SESSION", "TICKET", "OUTCOME", "PROOF", "MODEL", "TOOK", "SUMMARY",
        ],
        &rows,
    );
    Ok(())
}

fn show(id: &str, all: bool, json: bool, ledger: &Ledger) -> color_eyre::Result<()> {
    let session = ledger
        .session(id)?
        .ok_or_else(|| agent_lab::ledger::LedgerError::NoSession(id.to_owned()))?;
    let mut after = 0;
    if json {
        let mut entries = Vec::new();
        loop {
            let page = ledger.entries(id, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            entries.extend(page);
        }
        let mut value = serde_json::to_value(&session)?;
        value["entries"] = serde_json::to_value(&entries)?;
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    println!(
        "Session {}  ticket {}  {}  model {}",
        table::one_line(id),
        session
            .ticket_id
            .map_or_else(|| "-".into(), |t| format!("#{t}")),
        table::one_line(&session.status),
        table::one_line(session.model.as_deref().unwrap_or("unknown")),
    );
    if let Some(summary) = &session.outcome_summary {
        println!("{}", indent(summary));
    }
    loop {
        let page = ledger.entries(id, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for entry in &page {
            print_entry(entry, all, ledger)?;
        }
    }
    Ok(())
}

fn print_entry(e: &EntryRow, all: bool, ledger: &Ledger) -> color_eyre::Result<()> {
    let at = e.at.map_or_else(
        || "--:--:--".to_owned(),
        |t| t.strftime("%H:%M:%S").to_string(),
    );
    match e.entry_type.as_str() {
        "tool_call" => {
            let field = |name: &str| {
                e.tool_params
                    .as_ref()
                    .and_then(|p| p.get(name)?.as_str())
                    .unwrap_or_default()
            };
            let input = ["command", "url", "query"].map(field).concat();
            println!("\n{at}  $ {}", indent(&input).trim_start());
            if !field("reasoning").is_empty() {
                println!("          why: {}", table::one_line(field("reasoning")));
            }
        }
        "tool_result" => {
            let text = match &e.raw_content {
                Some(raw) if all || raw.lines().count() <= SHORT => raw,
                _ => &e.content,
            };
            if all
                && e.omitted_bytes > 0
                && let Some(call) = &e.call_id
            {
                for chunk in ledger.output(&e.session_id, call, 100_000)? {
                    print!("{}", indent(&chunk.text));
                }
                println!();
            } else if !text.is_empty() {
                println!("{}", indent(text));
            }
            let exit = e
                .exit_code
                .map_or_else(|| "ended".to_owned(), |c| format!("exit {c}"));
            let limit = if e.timed_out { ", time limit" } else { "" };
            let omitted = match e.omitted_bytes {
                0 => String::new(),
                n => format!(", {n} bytes not given to the model"),
            };
            println!(
                "          {exit}, {}{limit}{omitted}",
                took(e.duration_ms.unwrap_or(0))
            );
        }
        kind => {
            // The prompt and the ticket are long; their first line says which they are.
            let long = matches!(kind, "system" | "ticket") && !all;
            let text = if all {
                e.raw_content.as_deref().unwrap_or(&e.content)
            } else {
                &e.content
            };
            let shown = if long {
                text.lines().next().unwrap_or_default()
            } else {
                text
            };
            println!("\n{at}  [{}]\n{}", table::one_line(kind), indent(shown));
        }
    }
    Ok(())
}

fn verify(session: Option<String>, json: bool, ledger: &Ledger) -> CliResult {
    let ids = match session {
        Some(prefix) => vec![ledger.find_session(&prefix)?],
        None => ledger
            .sessions(usize::MAX)?
            .into_iter()
            .map(|s| s.session_id)
            .collect(),
    };
    let mut reports = Vec::new();
    let mut bad = 0;
    for id in &ids {
        let report = ledger.verify_session(id)?;
        let (broken, text) = match &report.verdict {
            Verdict::Intact { head } => (
                false,
                format!("intact, head {}", &head[..16.min(head.len())]),
            ),
            Verdict::Unfinished { .. } => (
                false,
                "fits, but the session has no end: missing last entries would not show".to_owned(),
            ),
            Verdict::Broken { row } => (
                true,
                format!("BROKEN at row {row}: it, or one before it, was changed"),
            ),
            Verdict::Truncated { .. } => (
                true,
                "BROKEN: last entries are missing or were added".to_owned(),
            ),
            Verdict::Uncovered => (
                false,
                "not covered: recorded without a hash chain".to_owned(),
            ),
        };
        bad += usize::from(broken);
        if !json {
            println!(
                "{}  {} entries  {text}",
                table::one_line(id),
                report.entries
            );
        }
        reports.push(report);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        println!(
            "{} of {} sessions checked have a broken chain.",
            bad,
            reports.len()
        );
        println!(
            "This finds damage and casual edits. It cannot show that somebody with write access rewrote the whole file."
        );
    }
    Ok(if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
