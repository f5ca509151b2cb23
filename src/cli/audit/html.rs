//! A session as one HTML page that needs nothing else: no script, no font, no picture from
//! elsewhere. Every output is in it, folded.

use super::{
    PIECES, Running, each_entry, show,
    story::{Story, clock},
};
use operator_ledger::{EntryKind, Ledger, clean::clean};
use std::io::Write;

/// Lines of a result that are shown unfolded.
const OPEN: usize = 6;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #8884}\
table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top}\
td:first-child{opacity:.7;white-space:nowrap}\
pre{font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;\
background:#8881;padding:.5rem .75rem;border-radius:4px;margin:.25rem 0}\
.entry{margin:1rem 0;padding-left:.75rem;border-left:3px solid #8884}\
.call{border-color:#48f8}.bad{border-color:#d448}.good{border-color:#2a48}\
.at{font:12px ui-monospace,monospace;opacity:.7;margin-right:.5rem}\
.why,.end{opacity:.8;font-size:.9em}summary{cursor:pointer}";

pub fn write(out: &mut impl Write, story: &Story, ledger: &Ledger) -> color_eyre::Result<()> {
    let title = escape(&story.title());
    writeln!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<table>"
    )?;
    for (name, value) in story.facts() {
        writeln!(out, "<tr><td>{name}</td><td>{}</td></tr>", escape(&value))?;
    }
    writeln!(out, "</table>\n<h2>What happened</h2>")?;
    for (at, text) in story.timeline() {
        let (at, text) = (clock(at), escape(&text));
        writeln!(out, "<div><span class=\"at\">{at}</span>{text}</div>")?;
    }
    if let Some(text) = story.ticket.as_ref().and_then(|t| t.diagnosis.as_deref()) {
        writeln!(
            out,
            "<h2>What the agent found</h2>\n<pre>{}</pre>",
            escape(text)
        )?;
    }
    writeln!(out, "<h2>Every entry</h2>")?;
    let mut running = Running::default();
    each_entry(ledger, &story.session.session_id, |e| {
        running.see(e);
        let at = format!("<span class=\"at\">{}</span>", clock(e.at));
        let raw = e.text();
        let kind = e.entry_type.as_str();
        match e.entry_type.known() {
            Some(EntryKind::ToolCall) => writeln!(
                out,
                "<div class=\"entry call\">{at}<span class=\"why\">{}</span><pre>{}</pre></div>",
                escape(show::param(e, "reasoning")),
                escape(&show::call_line(e))
            )?,
            Some(EntryKind::ToolResult) => {
                let class = if e.exit_code == Some(0) {
                    "good"
                } else {
                    "bad"
                };
                writeln!(
                    out,
                    "<div class=\"entry {class}\">{at}<span class=\"end\">{}</span>",
                    escape(&show::ending(e))
                )?;
                let mut whole = String::new();
                if show::hidden_from_model(e) > 0 {
                    for chunk in ledger.output_of(e, PIECES)? {
                        whole.push_str(&chunk.text);
                    }
                }
                let text = if whole.is_empty() { raw } else { &whole };
                folded(out, &e.content, text)?;
                writeln!(out, "</div>")?;
            }
            Some(
                EntryKind::System | EntryKind::Ticket | EntryKind::Compaction | EntryKind::Thinking,
            ) => {
                writeln!(out, "<div class=\"entry\">{at}{}", escape(kind))?;
                folded(out, &e.content, raw)?;
                writeln!(out, "</div>")?;
            }
            Some(EntryKind::Reasoning) => writeln!(
                out,
                "<div class=\"entry\">{at}<pre>{}</pre></div>",
                escape(raw)
            )?,
            _ => writeln!(
                out,
                "<div class=\"entry\">{at}<b>{}</b> {}</div>",
                escape(kind),
                escape(raw)
            )?,
        }
        Ok(())
    })?;
    let cut: String = running
        .output(ledger)?
        .iter()
        .map(|c| c.text.as_str())
        .collect();
    if !cut.is_empty() {
        writeln!(
            out,
            "<div class=\"entry bad\"><span class=\"end\">{}</span>",
            show::NO_END
        )?;
        folded(out, show::NO_END, &cut)?;
        writeln!(out, "</div>")?;
    }
    writeln!(out, "<h2>What this does not say</h2><ul>")?;
    for gap in story.gaps() {
        writeln!(out, "<li>{}</li>", escape(&gap))?;
    }
    Ok(writeln!(out, "</ul></body></html>")?)
}

/// A text that unfolds, if it is long.
fn folded(out: &mut impl Write, short: &str, text: &str) -> std::io::Result<()> {
    let text = escape(text);
    if text.lines().count() <= OPEN {
        return writeln!(out, "<pre>{text}</pre>");
    }
    writeln!(
        out,
        "<details><summary>{}</summary><pre>{text}</pre></details>",
        escape(short)
    )
}

/// Text of others that is no markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
