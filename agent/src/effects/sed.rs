//! `sed`: its script is read command by command; those that write a file or run something change.

use super::{Effect, arguments::Call};
use std::{iter::Peekable, str::Chars};

/// Commands that end where they began.
const ALONE: &str = "pPdDnNhHgGxlFz=";

pub(super) fn judge(call: &Call) -> Effect {
    let given: Vec<_> = call
        .flags
        .iter()
        .filter(|(name, _)| name == "-e" || name == "--expression")
        .map(|(_, value)| value.as_ref())
        .collect();
    let scripts = if given.is_empty() {
        vec![call.operands.first()]
    } else {
        given
    };
    // Several are lines of one, and a text that one begins the next goes on.
    let known: Option<Vec<&str>> = scripts.iter().map(|arg| (*arg)?.known()).collect();
    match known {
        Some(scripts) => script(&scripts.join("\n")),
        None => Effect::Unknown,
    }
}

fn script(text: &str) -> Effect {
    let mut chars = text.chars().peekable();
    loop {
        while chars
            .next_if(|c| c.is_whitespace() || matches!(c, ';' | '}'))
            .is_some()
        {}
        if chars.peek().is_none() {
            return Effect::Reads;
        }
        match one(&mut chars) {
            Some(Effect::Reads) => {}
            Some(other) => return other,
            None => return Effect::Unknown,
        }
    }
}

/// One command with its addresses. None: not understood.
fn one(chars: &mut Peekable<Chars>) -> Option<Effect> {
    addresses(chars)?;
    let command = chars.next()?;
    match command {
        '{' => {}
        '#' => line(chars),
        'w' | 'W' | 'e' => return Some(Effect::Changes),
        'a' | 'i' | 'c' => text(chars),
        'r' | 'R' => line(chars),
        ':' | 'b' | 't' | 'T' => {
            // A label ends at a space, and what comes then is a command.
            while chars.next_if_eq(&' ').is_some() {}
            while chars
                .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
                .is_some()
            {}
            return end(chars);
        }
        'q' | 'Q' | 'L' => {
            while chars.next_if(|c| c.is_ascii_digit() || *c == ' ').is_some() {}
            return end(chars);
        }
        'y' => {
            delimited(chars, 2)?;
            return end(chars);
        }
        's' => {
            delimited(chars, 2)?;
            while let Some(flag) = chars.next_if(char::is_ascii_alphanumeric) {
                match flag {
                    'w' | 'e' => return Some(Effect::Changes),
                    'g' | 'p' | 'i' | 'I' | 'm' | 'M' | '0'..='9' => {}
                    _ => return None,
                }
            }
            return end(chars);
        }
        c if ALONE.contains(c) => {
            // `l` takes a length.
            while chars.next_if(|c| c.is_ascii_digit() || *c == ' ').is_some() {}
            return end(chars);
        }
        _ => return None,
    }
    Some(Effect::Reads)
}

/// What comes after a command must be another, or nothing.
fn end(chars: &mut Peekable<Chars>) -> Option<Effect> {
    while chars.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
    matches!(chars.peek(), None | Some(';' | '}' | '\n' | '#')).then_some(Effect::Reads)
}

fn line(chars: &mut Peekable<Chars>) {
    while chars.next_if(|c| *c != '\n').is_some() {}
}

/// Text that is added: to the end of the line, and further where that is escaped.
fn text(chars: &mut Peekable<Chars>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        if c == '\\' {
            chars.next();
        }
    }
}

fn addresses(chars: &mut Peekable<Chars>) -> Option<()> {
    loop {
        match chars.peek()? {
            '0'..='9' | '$' | ',' | '~' | '+' | '!' | ' ' => {
                chars.next();
            }
            '/' => {
                delimited(chars, 1)?;
                while chars.next_if(|c| *c == 'I' || *c == 'M').is_some() {}
            }
            '\\' => {
                chars.next();
                delimited(chars, 1)?;
            }
            _ => return Some(()),
        }
    }
}

/// What is between delimiters, the first of which comes next. None: it does not end, or a bracket
/// holds one, which not every sed takes for the same.
fn delimited(chars: &mut Peekable<Chars>, parts: usize) -> Option<()> {
    let delimiter = chars
        .next()
        .filter(|c| !c.is_alphanumeric() && *c != '\\' && *c != '\n')?;
    let mut bracket = false;
    for part in 0..parts {
        loop {
            match chars.next()? {
                '\\' => {
                    chars.next()?;
                }
                c if c == delimiter && bracket => return None,
                c if c == delimiter => break,
                '\n' if part == 0 => return None,
                '[' if part == 0 => bracket = true,
                ']' => bracket = false,
                _ => {}
            }
        }
        bracket = false;
    }
    Some(())
}
