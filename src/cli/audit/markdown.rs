//! A session as a post-mortem in Markdown: the outcome first, then what happened, what was done,
//! and what is not known.

use super::{
    Running, each_entry, show,
    story::{Story, clock, one_line},
};
use operator_ledger::{EntryKind, Ledger, clean::clean};
use std::io::Write;

/// Lines of a result that are given.
const LINES: usize = 12;

pub fn write(out: &mut impl Write, story: &Story, ledger: &Ledger) -> color_eyre::Result<()> {
    writeln!(out, "# {}\n", escape(&story.title()))?;
    writeln!(out, "|   |   |\n|---|---|")?;
    for (name, value) in story.facts() {
        writeln!(out, "| {name} | {} |", escape(&value))?;
    }
    writeln!(out, "\n## What happened\n")?;
    for (at, text) in story.timeline() {
        writeln!(out, "- `{}` {}", clock(at), escape(&text))?;
    }
    let diagnosis = story.ticket.as_ref().and_then(|t| t.diagnosis.as_deref());
    if let Some(text) = diagnosis {
        writeln!(out, "\n## What the agent found\n")?;
        for line in clean(text).lines() {
            writeln!(out, "> {}", escape(line))?;
        }
    }
    writeln!(out, "\n## What it did\n")?;
    let mut running = Running::default();
    each_entry(ledger, &story.session.session_id, |e| {
        running.see(e);
        match e.entry_type.known() {
            Some(EntryKind::Reasoning) => writeln!(out, "{}\n", escape(&one_line(&e.content)))?,
            Some(EntryKind::ToolCall) => {
                writeln!(
                    out,
                    "`{}` {}",
                    clock(e.at),
                    escape(&one_line(show::param(e, "reasoning")))
                )?;
                fence(out, &show::call_line(e))?;
            }
            Some(EntryKind::ToolResult) => {
                writeln!(out, "{}", escape(&show::ending(e)))?;
                let lines: Vec<&str> = e.text().lines().skip(1).collect();
                let mut text = lines
                    .iter()
                    .take(LINES)
                    .copied()
                    .collect::<Vec<_>>()
                    .join("\n");
                if lines.len() > LINES {
                    text.push_str(&format!("\n... {} more lines", lines.len() - LINES));
                }
                fence(out, &text)?;
            }
            Some(
                EntryKind::Usage | EntryKind::System | EntryKind::Ticket | EntryKind::Thinking,
            ) => {}
            _ => writeln!(
                out,
                "**{}** {}\n",
                escape(e.entry_type.as_str()),
                escape(&one_line(&e.content))
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
        writeln!(out, "{}", show::NO_END)?;
        fence(out, &cut)?;
    }
    writeln!(out, "## What this does not say\n")?;
    for gap in story.gaps() {
        writeln!(out, "- {}", escape(&gap))?;
    }
    Ok(())
}

/// Text of others between fences that it cannot end.
fn fence(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    let text = clean(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(out, "\n{fence}text\n{}\n{fence}\n", text.trim_end())
}

/// Text of others that is no markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '!'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_no_markup() {
        assert_eq!(
            escape("a|b *c* <img> [x](y)"),
            r"a\|b \*c\* \<img\> \[x\](y)"
        );
        let mut out = Vec::new();
        fence(&mut out, "```\nescaped\n````").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("\n`````text\n") && text.ends_with("\n`````\n\n"),
            "{text}"
        );
    }
}
