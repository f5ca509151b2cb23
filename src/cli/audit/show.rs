//! `audit show`: one session for a reader, its short forms or all of it.

use super::item::{self, AuditItem, items};
use crate::{
    cli::{incidents::sections, out, tickets::indent},
    history::account::Account,
};
use operator_ledger::{
    EntryKind, EntryRow, LedgerError, Reader,
    clean::{one_line, visible_json},
};
use std::io::Write;

/// Lines of output that are shown whole without being asked for.
const MAX_SHORT: usize = 24;

pub(super) fn run(id: &str, all: bool, json: bool, ledger: &Reader) -> color_eyre::Result<()> {
    let session = ledger
        .session(id)
        .wait()?
        .ok_or_else(|| LedgerError::NoSession(id.to_owned()))?;
    let account = match session.incident_id {
        Some(incident) => Account::read(ledger, incident)?,
        None => None,
    };
    let mut out = out::stdout();
    if json {
        // Entry by entry: all of them at once may be more than memory.
        let mut head = serde_json::to_value(&session)?;
        if let Some(account) = &account {
            let mut account = serde_json::to_value(account)?;
            if let Some(fields) = account.as_object_mut() {
                // What is left is the incident's, by the names of `incidents show --json`.
                fields.retain(|name, _| name != "sessions" && name != "tickets");
            }
            head["of_incident"] = account;
        }
        let head = serde_json::to_string(&head)?;
        let head = visible_json(&head);
        write!(
            out,
            "{},\"entries\":[",
            head.strip_suffix('}').unwrap_or(&head)
        )?;
        let mut first = true;
        for item in items(ledger, id) {
            let item = item?;
            let Some(entry) = item.entry() else { continue };
            out.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            out.write_all(visible_json(&serde_json::to_string(entry)?).as_bytes())?;
        }
        writeln!(out, "\n]}}")?;
        return Ok(out.flush()?);
    }
    let usage = &session.usage;
    writeln!(
        out,
        "Session {}  ticket {}  {}  model {}{}",
        one_line(id),
        session
            .ticket_id
            .map_or_else(|| "-".into(), |t| format!("#{t}")),
        one_line(session.status.as_str()),
        one_line(session.model.as_deref().unwrap_or("unknown")),
        usage
            .cost_usd
            .filter(|usd| *usd > 0.0)
            .map(|usd| format!("  {} turns  ${usd:.2}", usage.turns.unwrap_or(0)))
            .unwrap_or_default(),
    )?;
    if let Some(summary) = &session.outcome_summary {
        writeln!(out, "{}", indent(summary))?;
    }
    for item in items(ledger, id) {
        print(&mut out, &item?, all, ledger)?;
    }
    if let Some(account) = &account {
        let incident = &account.report.incident;
        writeln!(out, "\nOf incident #{}", incident.id)?;
        sections::write(&mut out, account)?;
    }
    Ok(out.flush()?)
}

fn print(
    out: &mut impl Write,
    item: &AuditItem,
    all: bool,
    ledger: &Reader,
) -> color_eyre::Result<()> {
    match item {
        AuditItem::Call(e) => {
            let call = indent(&item::call_line(e));
            // By its id the evidence of a finish names it.
            let id = one_line(e.call_id.as_deref().unwrap_or_default());
            writeln!(out, "\n{}  {id}  {}", time(e), call.trim_start())?;
            if let Some(effect) = item::effect_line(e) {
                writeln!(out, "          {effect}")?;
            }
            let why = e.reasoning();
            if !why.is_empty() {
                writeln!(out, "          why: {}", one_line(why))?;
            }
            if let Some(hash) = &e.original_hash {
                let hash = one_line(hash);
                writeln!(out, "          a secret was taken out; the whole: {hash}")?;
            }
        }
        AuditItem::Result(e) => {
            let text = match &e.raw_content {
                Some(raw) if all || raw.lines().count() <= MAX_SHORT => raw,
                _ => &e.content,
            };
            if all && item::hidden_from_model(e) > 0 {
                for chunk in item::output(ledger, e)? {
                    write!(out, "{}", indent(&chunk.text))?;
                }
                writeln!(out)?;
            } else if !text.is_empty() {
                writeln!(out, "{}", indent(text))?;
            }
            writeln!(out, "          {}", item::ending(e))?;
        }
        AuditItem::Text(e) => {
            // The prompt and the ticket are long; their first line says which they are.
            let shown = match e.entry_type.known() {
                Some(EntryKind::Finish) => e.text(),
                _ if all => e.text(),
                Some(EntryKind::System | EntryKind::Ticket) => {
                    e.content.lines().next().unwrap_or_default()
                }
                _ => &e.content,
            };
            let kind = one_line(e.entry_type.as_str());
            writeln!(out, "\n{}  [{kind}]\n{}", time(e), indent(shown))?;
        }
        AuditItem::CutOff(printed) => {
            let text = indent(&item::text_of(printed));
            writeln!(out, "{text}\n          {}", item::NO_END)?;
        }
    }
    Ok(())
}

fn time(e: &EntryRow) -> String {
    e.at.map_or_else(
        || "--:--:--".to_owned(),
        |t| t.strftime("%H:%M:%S").to_string(),
    )
}
