//! A session as a post-mortem in Markdown: the outcome first, then what happened, what was done,
//! and what is not known.

use super::{
    item::{self, AuditItem, items},
    story::{Story, clock},
};
use operator_ledger::{
    EntryKind, EntryRow, Reader,
    clean::{clean, one_line},
};
use std::io::Write;

/// Lines of a result that are given.
const MAX_LINES: usize = 12;

pub(super) fn write(
    out: &mut impl Write,
    story: &Story,
    ledger: &Reader,
) -> color_eyre::Result<()> {
    writeln!(out, "# {}\n", escape(&story.title()))?;
    writeln!(out, "|   |   |\n|---|---|")?;
    for (name, value) in story.facts() {
        writeln!(out, "| {name} | {} |", escape(&value))?;
    }
    writeln!(out, "\n## What happened\n")?;
    for (at, text) in story.timeline() {
        writeln!(out, "- `{}` {}", clock(at), escape(&text))?;
    }
    for (title, fields) in story.said() {
        writeln!(out, "\n## {}\n\n|   |   |\n|---|---|", escape(&title))?;
        for (name, text) in fields {
            writeln!(out, "| {name} | {} |", escape(&one_line(&text)))?;
        }
    }
    if let Some(text) = story.diagnosis() {
        writeln!(out, "\n## What was left on the ticket\n")?;
        for line in clean(text).lines() {
            writeln!(out, "> {}", escape(line))?;
        }
    }
    let left = story.left();
    if !left.is_empty() {
        writeln!(out, "\n## What it left running\n")?;
    }
    for (at, text) in left {
        writeln!(out, "- `{}` {}", clock(at), escape(&text))?;
    }
    writeln!(out, "\n## What it did\n")?;
    for item in items(ledger, &story.session.session_id) {
        match item? {
            AuditItem::Call(e) => {
                let why = escape(&one_line(e.reasoning()));
                let effect = item::effect_line(&e).map(|effect| format!("**{effect}** "));
                let effect = effect.unwrap_or_default();
                writeln!(out, "`{}` {effect}{why}", clock(e.at))?;
                fence(out, &item::call_line(&e))?;
            }
            AuditItem::Result(e) => {
                writeln!(out, "{}", escape(&item::ending(&e)))?;
                fence(out, &beginning(&e))?;
            }
            AuditItem::Text(e) => match e.entry_type.known() {
                Some(EntryKind::Reasoning) => writeln!(out, "{}\n", escape(&one_line(&e.content)))?,
                Some(
                    EntryKind::Usage | EntryKind::System | EntryKind::Ticket | EntryKind::Thinking,
                ) => {}
                Some(EntryKind::Finish) => {
                    let said = e.finish();
                    writeln!(out, "**finish** {}\n", escape(&one_line(said.headline())))?;
                }
                _ => {
                    let kind = escape(e.entry_type.as_str());
                    let text = escape(&one_line(&e.content));
                    writeln!(out, "**{kind}** {text}\n")?;
                }
            },
            AuditItem::CutOff(printed) => {
                writeln!(out, "{}", item::NO_END)?;
                fence(out, &item::text_of(&printed))?;
            }
        }
    }
    writeln!(out, "## What this does not say\n")?;
    for gap in story.gaps() {
        writeln!(out, "- {}", escape(&gap))?;
    }
    Ok(())
}

/// The first lines of a result.
fn beginning(result: &EntryRow) -> String {
    let lines: Vec<&str> = result.text().lines().skip(1).collect();
    let mut text = lines[..lines.len().min(MAX_LINES)].join("\n");
    if lines.len() > MAX_LINES {
        text.push_str(&format!("\n... {} more lines", lines.len() - MAX_LINES));
    }
    text
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
