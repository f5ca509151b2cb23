//! `audit export`: one session and its ticket, whole, in a file of its own: JSON lines for
//! programs, a post-mortem in Markdown, or one self-contained HTML page.

use super::{
    html,
    item::{self, AuditItem, items},
    markdown,
    story::Story,
    verify,
};
use crate::cli::{out, target};
use color_eyre::eyre::Context;
use operator_ledger::{Reader, clean::json_line};
use serde_json::json;
use std::{
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line: everything, for programs
    Jsonl,
    /// A post-mortem, for people
    Markdown,
    /// One self-contained page, with every output
    Html,
}

impl Format {
    fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }
}

pub(super) fn run(
    session: &str,
    format: Option<Format>,
    to: Option<&Path>,
    ledger: &Reader,
) -> color_eyre::Result<()> {
    target::refuse_in_agent_shell(
        "exporting a session",
        "it names the faults that were injected",
    )?;
    let format = format
        .or_else(|| to.and_then(Format::of_file))
        .unwrap_or(Format::Jsonl);
    let story = Story::read(ledger, session)?;
    let Some(path) = to else {
        let mut out = out::stdout();
        write(&mut out, format, &story, ledger)?;
        return Ok(out.flush()?);
    };
    let name = path.display();
    // As private as the ledger, unless there is a file already, with a mode of its own.
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .wrap_err_with(|| format!("cannot write {name}"))?;
    let mut out = BufWriter::new(file);
    write(&mut out, format, &story, ledger)?;
    out.flush()
        .wrap_err_with(|| format!("cannot write {name}"))?;
    errln!("Wrote {name}");
    Ok(())
}

fn write(
    out: &mut impl Write,
    format: Format,
    story: &Story,
    ledger: &Reader,
) -> color_eyre::Result<()> {
    match format {
        Format::Jsonl => lines(out, story, ledger),
        Format::Markdown => markdown::write(out, story, ledger),
        Format::Html => html::write(out, story, ledger),
    }
}

/// Each line says what it is by `record`.
fn lines(out: &mut impl Write, story: &Story, ledger: &Reader) -> color_eyre::Result<()> {
    let mut line = |record: &str, value: serde_json::Value| -> color_eyre::Result<()> {
        let mut object = json!({ "record": record });
        match (object.as_object_mut(), value) {
            (Some(object), serde_json::Value::Object(fields)) => object.extend(fields),
            (Some(object), other) => {
                object.insert("value".into(), other);
            }
            (None, _) => {}
        }
        Ok(json_line(out, &object)?)
    };
    line(
        "export",
        json!({ "format": 1, "by": concat!("operator-tui ", env!("CARGO_PKG_VERSION")) }),
    )?;
    line("session", serde_json::to_value(&story.session)?)?;
    if let Some(ticket) = &story.ticket {
        line("ticket", serde_json::to_value(ticket)?)?;
    }
    for event in &story.events {
        line("ticket_event", serde_json::to_value(event)?)?;
    }
    if let Some(account) = &story.account {
        let report = &account.report;
        line("incident", serde_json::to_value(&report.incident)?)?;
        for event in &report.events {
            line("incident_event", serde_json::to_value(event)?)?;
        }
        for hold in &report.holds {
            line("hold", serde_json::to_value(hold)?)?;
        }
        for order in &report.orders {
            line("order", serde_json::to_value(order)?)?;
        }
        for proof in &account.proofs {
            line("proof", serde_json::to_value(proof)?)?;
        }
        for finish in &account.finishes {
            line("finish", serde_json::to_value(finish)?)?;
        }
        if let Some(impact) = &account.impact {
            line("impact", serde_json::to_value(impact)?)?;
        }
        for change in &account.observed_changes {
            line("observed_change", serde_json::to_value(change)?)?;
        }
    }
    for fault in &story.faults {
        line("fault", serde_json::to_value(fault)?)?;
    }
    for command in &story.commands {
        line("command", serde_json::to_value(command)?)?;
    }
    for service in &story.services {
        line("service", serde_json::to_value(service)?)?;
    }
    for payment in &story.payments {
        line("payment", serde_json::to_value(payment)?)?;
    }
    for item in items(ledger, &story.session.session_id) {
        let item = item?;
        if let Some(entry) = item.entry() {
            line("entry", serde_json::to_value(entry)?)?;
        }
        let output = match item {
            AuditItem::Result(entry) => item::output(ledger, &entry)?,
            AuditItem::CutOff(printed) => printed,
            AuditItem::Call(_) | AuditItem::Text(_) => Vec::new(),
        };
        for chunk in output {
            line("output", serde_json::to_value(&chunk)?)?;
        }
    }
    line("chain", serde_json::to_value(&story.chain)?)?;
    line("chain_means", json!(verify::CANNOT))
}
