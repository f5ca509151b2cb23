//! Secrets out of text, once, where it enters: our own credentials exactly, and the common shapes
//! of tokens. Works on a stream of chunks without missing what an edge cuts in two.
//!
//! Hex keys of regions, hashes and ids are no secrets and stay.

use regex::{Captures, Regex};
use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

const MARK: &str = "[redacted]";
/// A line longer than this is given on in parts.
const MAX_LINE: usize = 16 * 1024;
/// How much of an overlong line is kept back, so that a token at the cut is still seen whole.
const KEPT_BACK: usize = 2 * 1024;
/// Lines after the head of a private key that are taken to belong to it.
const KEY_LINES: u32 = 200;

/// Whole tokens, recognised by their own shape.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?x)
        (?-u:\b)(?:
        sk-[A-Za-z0-9_-]{20,}
        | (?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}
        | whsec_[A-Za-z0-9+/=]{20,}
        | (?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)
        | gh[pousr]_[A-Za-z0-9]{30,}
        | github_pat_[A-Za-z0-9_]{30,}
        | gl(?:pat|dt|rt|soat)-[A-Za-z0-9_-]{20,}
        | glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}
        | xox[abeoprs]-[A-Za-z0-9-]{10,}
        | xapp-[0-9]-[A-Za-z0-9-]{20,}
        | AIza[A-Za-z0-9_-]{35}
        | GOCSPX-[A-Za-z0-9_-]{20,}
        | ya29\.[A-Za-z0-9_-]{20,}
        | npm_[A-Za-z0-9]{36}
        | pypi-[A-Za-z0-9_-]{50,}
        | hf_[A-Za-z0-9]{30,}
        | hv[sb]\.[A-Za-z0-9_-]{24,}
        | dop_v1_[a-f0-9]{64}
        | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}
        | [0-9]{8,10}:AA[A-Za-z0-9_-]{33}
        | AGE-SECRET-KEY-1[A-Z0-9]{50,}
        | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
        )",
    )
});

/// A name that says a secret follows; what comes after it goes: to the closing quote, if there is
/// one, else to the end of the word.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r#"(?ix)
        (?P<name>
            (?-u:\b)[a-z0-9_.-]*(?:password|passwd|passphrase|secret|api[_-]?key|apikey
                |access[_-]?key|account[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token
                |refresh[_-]?token|session[_-]?token|bot[_-]?token|x-api-key|x-subscription-token)
            ["']?[\ \t]{0,4}(?::|=>?)[\ \t]{0,4}
            | (?-u:\b)authorization["']?[\ \t]{0,4}[:=][\ \t]{0,4}["']?(?:bearer|basic|token)[\ \t]+
            | (?-u:\b)bearer[\ \t]+
            | --(?:password|passwd|token|secret|api-key)[\ \t]+
        )
        (?: "(?P<double>(?:[^"\\\n]|\\.)+)"?
          | '(?P<single>[^'\n]+)'?
          | (?P<bare>[^\s"',;&}\])<>]{6,}) )"#,
    )
});

/// A word that may be anything, but is long and called a token.
static CALLED_TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r#"(?i)(?P<name>(?-u:\b)token["']?[ \t]{0,4}[:=][ \t]{0,4}["']?)(?P<value>[a-z0-9_.+/=-]{24,})"#,
    )
});

/// The password in `scheme://user:password@host`.
static IN_URL: LazyLock<Regex> = LazyLock::new(|| {
    rule(r"(?P<name>[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@]*:)(?P<value>[^\s/@]+)@")
});

/// Something of which each match of a rule above has one. Text without any is clean: most is, and
/// this is fast.
static SUSPECT: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?i)sk-|sk_|rk_|whsec_|AKIA|ASIA|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|soat)-|glsa_|xox|xapp-|AIza|GOCSPX|ya29\.|npm_|pypi-|hf_|hv[sb]\.|dop_v1_|SG\.|:AA|AGE-SECRET|eyJ|passw|passphrase|secret|key|token|bearer|authorization|://",
    )
});

fn rule(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|e| unreachable!("a rule in this file is broken: {e}"))
}

/// What to hide. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor {
    own: Arc<[String]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} own)", self.own.len())
    }
}

impl Redactor {
    /// Hides `own` exactly, beside what the rules find. Shorter than eight characters is ignored:
    /// it would hide ordinary words.
    pub fn new(own: impl IntoIterator<Item = String>) -> Self {
        let mut own: Vec<String> = own.into_iter().filter(|s| s.len() >= 8).collect();
        own.sort_by_key(|s| std::cmp::Reverse(s.len()));
        own.dedup();
        Self { own: own.into() }
    }

    /// A whole text, secrets hidden.
    pub fn apply(&self, text: &str) -> String {
        let mut stream = RedactStream::new(self.clone());
        let mut out = stream.push(text);
        out.push_str(&stream.finish());
        out
    }

    /// Lines, or a part of one, with their secrets hidden.
    fn part<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in self.own.iter() {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MARK));
            }
        }
        if !SUSPECT.is_match(&text) {
            return text;
        }
        replace(&mut text, &TOKENS, |_| MARK.to_string());
        replace(&mut text, &IN_URL, |c| format!("{}{MARK}@", &c["name"]));
        replace(&mut text, &NAMED, |c| {
            // Hidden already.
            if c.name("bare").is_some_and(|v| MARK.starts_with(v.as_str())) {
                return c[0].to_string();
            }
            let name = &c["name"];
            let closed = |quote: char| {
                let end = if c[0].ends_with(quote) {
                    &c[0][c[0].len() - 1..]
                } else {
                    ""
                };
                format!("{name}{quote}{MARK}{end}")
            };
            if c.name("double").is_some() {
                closed('"')
            } else if c.name("single").is_some() {
                closed('\'')
            } else {
                format!("{name}{MARK}")
            }
        });
        replace(&mut text, &CALLED_TOKEN, |c| {
            format!("{}{MARK}", &c["name"])
        });
        text
    }
}

fn replace(text: &mut Cow<'_, str>, rule: &Regex, with: impl Fn(&Captures<'_>) -> String) {
    if let Cow::Owned(new) = rule.replace_all(text, |c: &Captures<'_>| with(c)) {
        *text = Cow::Owned(new);
    }
}

/// Redaction of text that comes in chunks. Gives on whole lines; the rest of a line waits for its
/// end, for [`RedactStream::idle`] or for [`RedactStream::finish`].
#[derive(Debug)]
pub struct RedactStream {
    redactor: Redactor,
    pending: String,
    /// Inside a private key: lines that may still belong to it.
    in_key: u32,
}

impl RedactStream {
    pub fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            pending: String::new(),
            in_key: 0,
        }
    }

    /// What can be given on after one more chunk.
    pub fn push(&mut self, chunk: &str) -> String {
        self.pending.push_str(chunk);
        let mut out = String::new();
        if let Some(end) = self.pending.rfind('\n') {
            let rest = self.pending.split_off(end + 1);
            let lines = std::mem::replace(&mut self.pending, rest);
            self.lines(&lines, &mut out);
        }
        if self.pending.len() > MAX_LINE {
            let redacted = self.redactor.part(&self.pending);
            let cut = redacted.floor_char_boundary(redacted.len().saturating_sub(KEPT_BACK));
            out.push_str(if self.in_key > 0 {
                ""
            } else {
                &redacted[..cut]
            });
            let rest = redacted[cut..].to_string();
            self.pending = rest;
        }
        out
    }

    /// Nothing has come for a while: gives on the words of an unfinished line (a prompt, a
    /// progress line) unless one of them announces a secret. The last word stays: it may go on.
    pub fn idle(&mut self) -> String {
        static ANNOUNCES: LazyLock<Regex> =
            LazyLock::new(|| rule(r"(?i)pass|secret|key|token|auth|bearer|://|BEGIN"));
        if self.in_key > 0 || ANNOUNCES.is_match(&self.pending) {
            return String::new();
        }
        let Some(end) = self.pending.rfind(' ') else {
            return String::new();
        };
        let rest = self.pending.split_off(end + 1);
        let words = std::mem::replace(&mut self.pending, rest);
        self.redactor.part(&words).into_owned()
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.pending);
        let mut out = String::new();
        self.lines(&rest, &mut out);
        out
    }

    /// Whole lines: all of them at once, unless a private key is among them.
    fn lines(&mut self, text: &str, out: &mut String) {
        if self.in_key == 0 && !text.contains("-----BEGIN") {
            out.push_str(&self.redactor.part(text));
            return;
        }
        for line in text.split_inclusive('\n') {
            if self.in_key > 0 {
                self.in_key -= 1;
                if line.contains("-----END") {
                    self.in_key = 0;
                }
                continue;
            }
            if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
                out.push_str(MARK);
                out.push_str(if line.ends_with('\n') { "\n" } else { "" });
                self.in_key = if line.contains("-----END") {
                    0
                } else {
                    KEY_LINES
                };
                continue;
            }
            out.push_str(&self.redactor.part(line));
        }
    }
}

#[cfg(test)]
mod tests;
