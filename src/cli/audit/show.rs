//! `audit show`: one session for a reader, its short forms or all of it.

use super::{PIECES, Running, each_entry, stdout};
use crate::cli::{
    table,
    tickets::{indent, took},
};
use operator_ledger::{EntryKind, EntryRow, Ledger, LedgerError};
use std::io::Write;

/// Lines of output that are shown whole without being asked for.
const SHORT: usize = 24;
/// Of a call whose agent died while it ran.
pub const NO_END: &str = "its end was never recorded; this is what it had printed";

pub fn run(id: &str, all: bool, json: bool, ledger: &Ledger) -> color_eyre::Result<()> {
    let session = ledger
        .session(id)?
        .ok_or_else(|| LedgerError::NoSession(id.to_owned()))?;
    let mut out = stdout();
    if json {
        // Entry by entry: all of them at once may be more than memory.
        let head = serde_json::to_string(&session)?;
        write!(
            out,
            "{},\"entries\":[",
            head.strip_suffix('}').unwrap_or(&head)
        )?;
        let mut first = true;
        each_entry(ledger, id, |entry| {
            out.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            Ok(serde_json::to_writer(&mut out, entry)?)
        })?;
        writeln!(out, "\n]}}")?;
        return Ok(out.flush()?);
    }
    let usage = &session.usage;
    writeln!(
        out,
        "Session {}  ticket {}  {}  model {}{}",
        table::one_line(id),
        session
            .ticket_id
            .map_or_else(|| "-".into(), |t| format!("#{t}")),
        table::one_line(session.status.as_str()),
        table::one_line(session.model.as_deref().unwrap_or("unknown")),
        usage
            .cost_usd
            .filter(|usd| *usd > 0.0)
            .map(|usd| format!("  {} turns  ${usd:.2}", usage.turns.unwrap_or(0)))
            .unwrap_or_default(),
    )?;
    if let Some(summary) = &session.outcome_summary {
        writeln!(out, "{}", indent(summary))?;
    }
    let mut running = Running::default();
    each_entry(ledger, id, |entry| {
        running.see(entry);
        print_entry(&mut out, entry, all, ledger)
    })?;
    let cut: String = running
        .output(ledger)?
        .iter()
        .map(|c| c.text.as_str())
        .collect();
    if !cut.is_empty() {
        writeln!(out, "{}\n          {NO_END}", indent(&cut))?;
    }
    Ok(out.flush()?)
}

fn print_entry(
    out: &mut impl Write,
    e: &EntryRow,
    all: bool,
    ledger: &Ledger,
) -> color_eyre::Result<()> {
    let at = e.at.map_or_else(
        || "--:--:--".to_owned(),
        |t| t.strftime("%H:%M:%S").to_string(),
    );
    match e.entry_type.known() {
        Some(EntryKind::ToolCall) => {
            writeln!(out, "\n{at}  {}", indent(&call_line(e)).trim_start())?;
            let why = param(e, "reasoning");
            if !why.is_empty() {
                writeln!(out, "          why: {}", table::one_line(why))?;
            }
        }
        Some(EntryKind::ToolResult) => {
            let text = match &e.raw_content {
                Some(raw) if all || raw.lines().count() <= SHORT => raw,
                _ => &e.content,
            };
            if all && hidden_from_model(e) > 0 {
                for chunk in ledger.output_of(e, PIECES)? {
                    write!(out, "{}", indent(&chunk.text))?;
                }
                writeln!(out)?;
            } else if !text.is_empty() {
                writeln!(out, "{}", indent(text))?;
            }
            writeln!(out, "          {}", ending(e))?;
        }
        kind => {
            // The prompt and the ticket are long; their first line says which they are.
            let long = matches!(kind, Some(EntryKind::System | EntryKind::Ticket)) && !all;
            let text = if all { e.text() } else { &e.content };
            let shown = if long {
                text.lines().next().unwrap_or_default()
            } else {
                text
            };
            writeln!(
                out,
                "\n{at}  [{}]\n{}",
                table::one_line(e.entry_type.as_str()),
                indent(shown)
            )?;
        }
    }
    Ok(())
}

/// A parameter of a call.
pub fn param<'e>(e: &'e EntryRow, name: &str) -> &'e str {
    e.tool_params
        .as_ref()
        .and_then(|p| p.get(name)?.as_str())
        .unwrap_or_default()
}

/// A call as it would be typed.
pub fn call_line(e: &EntryRow) -> String {
    let input = ["command", "url", "query"]
        .map(|name| param(e, name))
        .concat();
    match e.tool_name.as_deref() {
        None | Some("shell") => format!("$ {input}"),
        Some(tool) => format!("[{tool}] {input}"),
    }
}

/// Bytes of an output that its model was not shown.
pub fn hidden_from_model(e: &EntryRow) -> u64 {
    let hidden = e.meta.as_ref().and_then(|m| m.not_shown_to_model);
    hidden.unwrap_or(0)
}

/// How a call ended, in one line.
pub fn ending(e: &EntryRow) -> String {
    let meta = e.meta.as_ref();
    let mut text = match (e.exit_code, meta.and_then(|m| m.signal)) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    text.push_str(&format!(", {}", took(e.duration_ms.unwrap_or(0))));
    if e.timed_out {
        text.push_str(", time limit");
    }
    if hidden_from_model(e) > 0 {
        text.push_str(&format!(
            ", {} bytes not shown to the model",
            hidden_from_model(e)
        ));
    }
    if e.omitted_bytes > 0 {
        text.push_str(&format!(", {} bytes not in the ledger", e.omitted_bytes));
    }
    if let Some(file) = meta.and_then(|m| m.file.as_deref()) {
        text.push_str(&format!(", whole in {}", table::one_line(file)));
    }
    text
}
