//! What a judgement may cost, and what is not even parsed. The parser is a stranger's: what could
//! make it slow, deep or panic is counted before it sees the text, and a panic is an answer.

use super::{Effect, script};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Longest command that is parsed, bytes.
const MAX_BYTES: usize = 8 * 1024;
/// Brackets within brackets, quoted ones too.
const MAX_DEPTH: usize = 16;
/// Compound commands that begin in one text.
const MAX_COMPOUNDS: usize = 24;
/// Dollars and backquotes in one text.
const MAX_EXPANSIONS: usize = 128;
/// Longest numbers, of anything and of a descriptor: the parser panics over longer ones.
const MAX_DIGITS: usize = 18;
const MAX_DESCRIPTOR: usize = 9;
/// Commands that are judged for one text: loops are gone through more than once.
const MAX_COMMANDS: u32 = 400;
/// Texts within texts: `sh -c`, `$(…)`, `ssh`.
const MAX_TEXTS: u32 = 6;

/// What is left for one judgement.
#[derive(Debug)]
pub(super) struct Budget {
    commands: Cell<u32>,
    texts: Cell<u32>,
}

impl Budget {
    /// Whether one more command may be judged.
    pub(super) fn command(&self) -> bool {
        let left = self.commands.get();
        self.commands.set(left.saturating_sub(1));
        left > 0
    }

    /// Judges a text within the text, if it may be.
    pub(super) fn text(&self, judge: impl FnOnce() -> Effect) -> Effect {
        let left = self.texts.get();
        if left == 0 {
            return Effect::Unknown;
        }
        self.texts.set(left - 1);
        let effect = judge();
        self.texts.set(left);
        effect
    }
}

pub(super) fn guarded(command: &str) -> Effect {
    let budget = Budget {
        commands: Cell::new(MAX_COMMANDS),
        texts: Cell::new(MAX_TEXTS),
    };
    catch_unwind(AssertUnwindSafe(|| script::judge(command, &budget))).unwrap_or(Effect::Unknown)
}

/// Whether a text is so short, flat and plain that it can be parsed.
pub(super) fn is_parsed(text: &str) -> bool {
    if text.len() > MAX_BYTES {
        return false;
    }
    let (mut depth, mut expansions, mut digits) = (0usize, 0, 0);
    for c in text.chars() {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth = depth.saturating_sub(1),
            '$' | '`' => expansions += 1,
            // A descriptor: the parser panics where it cannot hold one.
            '<' | '>' if digits > MAX_DESCRIPTOR => return false,
            // What a terminal shows as another text, and what a shell takes for no character.
            c if c.is_control() && !matches!(c, '\n' | '\t') => return false,
            _ => {}
        }
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        if depth > MAX_DEPTH || expansions > MAX_EXPANSIONS || digits > MAX_DIGITS {
            return false;
        }
    }
    // The parser panics where such an expression does not end.
    let ends = |open: char, close: char| text.matches(open).count() <= text.matches(close).count();
    if (text.contains("$((") || text.contains("$[")) && !(ends('(', ')') && ends('[', ']')) {
        return false;
    }
    // A line that goes on in the middle of something: the parser and the shell part it differently.
    let joined = text
        .match_indices("\\\n")
        .any(|(at, _)| !text[..at].ends_with([' ', '\t']));
    if joined || !here_documents_are_plain(text) {
        return false;
    }
    let compounds = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| matches!(*word, "if" | "for" | "while" | "until" | "case" | "coproc"));
    compounds.count() <= MAX_COMPOUNDS
}

/// A here-document is one, with a plain word at its end and nothing on its line but plain words: of
/// others the parser makes what no shell does.
fn here_documents_are_plain(text: &str) -> bool {
    let text = text.replace("<<<", "   ");
    let Some((_, rest)) = text.split_once("<<") else {
        return true;
    };
    let Some((line, body)) = rest.split_once('\n') else {
        return false;
    };
    let line = line.trim_start_matches(' ');
    let quote = line.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let start = line.trim_start_matches(['\'', '"']);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = start.find(|c| !word(c)).unwrap_or(start.len());
    let (tag, after) = start.split_at(end);
    let after = match quote {
        Some(quote) => match after.strip_prefix(quote) {
            Some(after) => after,
            None => return false,
        },
        None => after,
    };
    let plain = |c: char| word(c) || " ./|>&;-=:,".contains(c);
    !tag.is_empty()
        && after.chars().all(plain)
        && !after.starts_with(|c: char| !" |>&;".contains(c))
        && !body.contains("<<")
        && body.split('\n').any(|line| line == tag)
}
