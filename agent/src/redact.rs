//! Secrets out of text, once, where it enters: our own credentials exactly, and the common shapes
//! of tokens. Works on a stream of chunks without missing what an edge cuts in two.
//!
//! Hex keys of regions, hashes and ids are no secrets and stay.

use regex::Regex;
use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

const MARK: &str = "[redacted]";
/// A line longer than this is given on in parts.
const LONGEST_LINE: usize = 16 * 1024;
/// How much of an overlong line is kept back, so that a token at the cut is still seen whole.
const KEPT_BACK: usize = 2 * 1024;
/// Lines after the head of a private key that are taken to belong to it.
const KEY_LINES: u32 = 200;

/// Whole tokens, recognised by their own shape.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"(?x)
        \bsk-[A-Za-z0-9_-]{20,}
        | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
        | \bgh[pousr]_[A-Za-z0-9]{30,}
        | \bgithub_pat_[A-Za-z0-9_]{30,}
        | \bglpat-[A-Za-z0-9_-]{20,}
        | \bxox[abeoprs]-[A-Za-z0-9-]{10,}
        | \bAIza[A-Za-z0-9_-]{35}\b
        | \bnpm_[A-Za-z0-9]{36}\b
        | \bhvs\.[A-Za-z0-9_-]{24,}
        | \beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
        ",
    )
});

/// A name that says a secret follows; what comes after it goes.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r#"(?ix)
        (?P<name>
            \b[a-z0-9_.-]*(?:password|passwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key
                |private[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token)
            ["']?\s{0,4}[:=]\s{0,4}["']?
            | \bx-api-key["']?\s{0,4}[:=]\s{0,4}["']?
            | \bauthorization["']?\s{0,4}[:=]\s{0,4}["']?(?:bearer|basic|token)\s+
            | \bbearer\s+
        )
        (?P<value>[^\s"',;&}\])<>]{6,})"#,
    )
});

/// The password in `scheme://user:password@host`.
static IN_URL: LazyLock<Regex> = LazyLock::new(|| {
    rule(r"(?P<name>[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@]*:)(?P<value>[^\s/@]+)@")
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

    fn part(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for secret in self.own.iter() {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MARK));
            }
        }
        for (rule, with) in [
            (&*TOKENS, MARK.to_string()),
            (&*IN_URL, format!("${{name}}{MARK}@")),
            (&*NAMED, format!("${{name}}{MARK}")),
        ] {
            if rule.is_match(&text) {
                text = Cow::Owned(rule.replace_all(&text, with.as_str()).into_owned());
            }
        }
        text.into_owned()
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
        if self.pending.len() > LONGEST_LINE {
            let redacted = self.redactor.part(&self.pending);
            let cut = redacted.floor_char_boundary(redacted.len().saturating_sub(KEPT_BACK));
            out.push_str(if self.in_key > 0 {
                ""
            } else {
                &redacted[..cut]
            });
            self.pending = redacted[cut..].to_string();
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
        self.redactor.part(&words)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.pending);
        let mut out = String::new();
        self.lines(&rest, &mut out);
        out
    }

    fn lines(&mut self, text: &str, out: &mut String) {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Built at run time, so that no scanner takes this file for a leak.
    fn samples() -> Vec<String> {
        let x = |n: usize| "aB3dE5gH7j".repeat(n / 10 + 1)[..n].to_string();
        vec![
            format!("sk-ant-api03-{}", x(40)),
            format!("ghp_{}", x(36)),
            format!("AKIA{}", "ABCDEFGH12345678"),
            format!("xoxb-{}", "1234567890-abcdef"),
            format!("eyJ{}.eyJ{}.{}", x(20), x(30), x(40)),
            format!("glpat-{}", x(20)),
        ]
    }

    #[test]
    fn tokens_are_hidden_and_their_surroundings_stay() {
        let redactor = Redactor::default();
        for secret in samples() {
            let line = format!("before {secret} after\n");
            assert_eq!(
                redactor.apply(&line),
                format!("before {MARK} after\n"),
                "{secret}"
            );
        }
        for (line, safe) in [
            ("password: hunter22", "password: [redacted]"),
            ("DB_PASSWORD=hunter22 x", "DB_PASSWORD=[redacted] x"),
            (
                r#"{"api_key":"abcdef123","n":1}"#,
                r#"{"api_key":"[redacted]","n":1}"#,
            ),
            (
                "Authorization: Bearer abc.def-ghi",
                "Authorization: Bearer [redacted]",
            ),
            (
                "mysql://root:s3cret@db:3306/x",
                "mysql://root:[redacted]@db:3306/x",
            ),
        ] {
            assert_eq!(redactor.apply(line), safe);
        }
    }

    #[test]
    fn what_looks_like_a_key_but_is_none_stays() {
        let redactor = Redactor::default();
        for line in [
            "start_key: 7480000000000000FF2D5F728000000000FF0000010000000000FA",
            "\"start_key\":\"7480000000000000ff0500000000000000f8\",\"end_key\":\"\"",
            "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3 commit",
            "cluster_id 7458123456789012345 session 0193a5b2-7c11-7def-8123-0123456789ab",
            "tokens: 12345, keyspace: default, http://127.0.0.1:2379/pd/api/v1/stores",
            "the password was wrong",
        ] {
            assert_eq!(redactor.apply(line), line);
        }
    }

    #[test]
    fn a_private_key_goes_as_a_whole() {
        let text =
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb\n";
        assert_eq!(Redactor::default().apply(text), "a\n[redacted]\nb\n");
    }

    #[test]
    fn an_unfinished_line_shows_its_words_but_not_its_last() {
        let mut stream = RedactStream::new(Redactor::default());
        assert_eq!(stream.push("waiting for tikv1 ... sk-"), "");
        assert_eq!(stream.idle(), "waiting for tikv1 ... ");
        let out = stream.push("ant-aB3dE5gH7jaB3dE5gH7j done\n");
        assert_eq!(out, "[redacted] done\n");
        stream.push("password: ");
        assert_eq!(stream.idle(), "");
        assert_eq!(stream.push("hunter22\n"), "password: [redacted]\n");
    }

    #[test]
    fn a_line_without_end_does_not_grow_without_end() {
        let mut stream = RedactStream::new(Redactor::default());
        let mut out = 0;
        for _ in 0..1000 {
            out += stream.push(&"x".repeat(1000)).len();
            assert!(stream.pending.len() <= LONGEST_LINE + 1000);
        }
        out += stream.finish().len();
        assert_eq!(out, 1_000_000);
    }

    proptest! {
        #[test]
        fn no_edge_lets_a_secret_through(which in 0usize..6, cuts in proptest::collection::vec(0usize..120, 0..5), own in any::<bool>()) {
            let secret = if own { "our-own-credential-1".to_string() } else { samples()[which].clone() };
            let text = format!("line one\nsome words {secret} and more\nlast");
            let mut stream = RedactStream::new(Redactor::new(["our-own-credential-1".to_string()]));
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut out, mut at) = (String::new(), 0);
            for cut in cuts {
                let cut = cut.clamp(at, text.len());
                out.push_str(&stream.push(&text[at..cut]));
                out.push_str(&stream.idle());
                at = cut;
            }
            out.push_str(&stream.push(&text[at..]));
            out.push_str(&stream.finish());
            prop_assert_eq!(out, format!("line one\nsome words {MARK} and more\nlast"));
        }
    }
}
