//! The rules of `rules.toml`, compiled, and where in a text each of them is worth a try. Knows no
//! values and changes no text.

use super::names::Names;
use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use std::sync::{LazyLock, OnceLock};

pub(super) static RULES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::compile(include_str!("rules.toml"))
        .unwrap_or_else(|e| unreachable!("redact/rules.toml is broken: {e}"))
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Rule>,
    leads: Vec<Rule>,
    names: Names,
}

/// What the value after a lead must look like.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Need {
    /// Anything that is not a word of a sentence.
    #[default]
    Some,
    /// Long, or of letters and digits.
    Token,
    /// A token, and no other word after it, as there would be after the name of a scheme.
    Whole,
    /// In quotes.
    Quoted,
    /// Right after what leads to it.
    Glued,
    /// To the end of the line.
    Redis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    starts: Vec<String>,
    shape: String,
    #[serde(default)]
    pub before: usize,
    #[serde(default)]
    pub alone: bool,
    #[serde(default)]
    pub ends: bool,
    #[serde(default)]
    pub mixed: bool,
    #[serde(default)]
    pub line: bool,
    #[serde(default)]
    pub need: Need,
    /// Most rules never meet a text that asks for them.
    #[serde(skip)]
    regex: OnceLock<Option<Regex>>,
}

impl Rule {
    fn regex(&self) -> Option<&Regex> {
        let compile = || {
            RegexBuilder::new(&format!("^(?:{})", self.shape))
                .unicode(false)
                .build()
                .ok()
        };
        self.regex.get_or_init(compile).as_ref()
    }

    /// How much of the beginning of `text` has the shape.
    pub(super) fn length(&self, text: &[u8]) -> Option<usize> {
        self.regex()?.find(text).map(|m| m.end())
    }

    /// The secret in what has the shape, and the end of that.
    pub(super) fn secret(&self, text: &[u8]) -> Option<(usize, usize, usize)> {
        let regex = self.regex()?;
        if regex.captures_len() == 1 {
            let end = regex.find(text)?.end();
            return Some((0, end, end));
        }
        let found = regex.captures(text)?;
        let value = found.iter().skip(1).flatten().next()?;
        Some((value.start(), value.end(), found.get(0)?.end()))
    }
}

/// What was found by its first letters, and is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    Token(usize),
    Lead(usize),
    /// A word of a name.
    Name,
    /// One that counts only where the name's last word ends.
    LastWord,
    Url,
    /// `-----BEGIN`
    Pem,
    /// `data:`, `kind:`, `apiVersion:` of a Kubernetes object.
    Kubernetes,
    Cookie,
    /// A word of netrc.
    Netrc,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub start: usize,
    pub end: usize,
    pub suspect: Suspect,
}

pub(super) struct Rules {
    pub tokens: Vec<Rule>,
    pub leads: Vec<Rule>,
    pub names: Names,
    find: AhoCorasick,
    suspects: Vec<Suspect>,
    /// What begins a rule of several words, up to each blank in it.
    openings: Vec<String>,
}

impl Rules {
    fn compile(text: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let file: File = toml::from_str(text)?;
        let mut starts: Vec<String> = Vec::new();
        let mut suspects = Vec::new();
        let mut add = |start: &str, suspect: Suspect| {
            starts.push(start.to_string());
            suspects.push(suspect);
        };
        for (i, rule) in file.tokens.iter().enumerate() {
            rule.starts.iter().for_each(|s| add(s, Suspect::Token(i)));
        }
        for (i, rule) in file.leads.iter().enumerate() {
            rule.starts.iter().for_each(|s| add(s, Suspect::Lead(i)));
        }
        for word in file.names.starts() {
            add(&word, Suspect::Name);
        }
        for word in file.names.last_words() {
            add(&word, Suspect::LastWord);
        }
        add("://", Suspect::Url);
        add("-----BEGIN", Suspect::Pem);
        add("Private-Lines:", Suspect::Pem);
        for word in ["data:", "data\":", "data\\\":", "kind", "apiVersion"] {
            add(word, Suspect::Kubernetes);
        }
        add("cookie", Suspect::Cookie);
        for word in ["machine ", "login "] {
            add(word, Suspect::Netrc);
        }
        let find = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .build(&starts)?;
        Ok(Self {
            tokens: file.tokens,
            leads: file.leads,
            names: file.names,
            find,
            suspects,
            openings: starts
                .iter()
                .flat_map(|s| {
                    s.match_indices(' ')
                        .map(|(i, _)| s[..=i].to_ascii_lowercase())
                })
                .collect(),
        })
    }

    /// Whether a text ends with words that a rule may begin with.
    pub(super) fn may_begin(&self, text: &str) -> bool {
        self.openings.iter().any(|opening| {
            text.len()
                .checked_sub(opening.len())
                .and_then(|at| text.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(opening))
        })
    }

    /// Where a rule is worth a try, by the end of what was found.
    pub(super) fn hits<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Hit> + 't {
        let bytes = text.as_bytes();
        self.find
            .find_overlapping_iter(text)
            .map(|m| Hit {
                start: m.start(),
                end: m.end(),
                suspect: self.suspects[m.pattern().as_usize()],
            })
            .filter(move |hit| match hit.suspect {
                Suspect::Token(i) => !self.tokens[i].alone || begins_word(bytes, hit.start),
                Suspect::Lead(i) => !self.leads[i].alone || begins_word(bytes, hit.start),
                Suspect::LastWord => !bytes.get(hit.end).is_some_and(u8::is_ascii_alphabetic),
                _ => true,
            })
    }
}

/// Whether no word goes on at a place; one that an escape ended (`\n`, `%3D`) does not.
fn begins_word(text: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).map(|i| text[i]);
    match before(1) {
        Some(b) if b.is_ascii_alphanumeric() => {
            (matches!(b, b'n' | b'r' | b't') && before(2) == Some(b'\\'))
                || (b.is_ascii_hexdigit() && before(3) == Some(b'%'))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles() {
        for rule in RULES.tokens.iter().chain(&RULES.leads) {
            assert!(rule.regex().is_some(), "{}", rule.shape);
        }
    }
}
