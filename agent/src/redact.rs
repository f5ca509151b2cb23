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
const LONGEST_LINE: usize = 16 * 1024;
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
        if self.pending.len() > LONGEST_LINE {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Built at run time, so that no scanner takes this file for a leak.
    fn samples() -> Vec<String> {
        let x = |n: usize| "aB3dE5gH7j".repeat(n / 10 + 1)[..n].to_string();
        let upper = |n: usize| "AB3DE5GH7J".repeat(n / 10 + 1)[..n].to_string();
        let hex = |n: usize| "0a1b2c3d4e5f".repeat(n / 12 + 1)[..n].to_string();
        vec![
            format!("sk-ant-api03-{}", x(40)),
            format!("sk-proj-{}", x(48)),
            format!("sk_{}_{}", "live", x(24)),
            format!("whsec_{}", x(32)),
            format!("AKIA{}", upper(16)),
            format!("ASIA{}", upper(16)),
            format!("ghp_{}", x(36)),
            format!("github_pat_{}", x(60)),
            format!("glpat-{}", x(20)),
            format!("glsa_{}_{}", x(32), hex(8)),
            format!("xoxb-{}", "1234567890-abcdef"),
            format!("xapp-1-{}", upper(30)),
            format!("AIza{}", x(35)),
            format!("GOCSPX-{}", x(28)),
            format!("ya29.{}", x(60)),
            format!("npm_{}", x(36)),
            format!("pypi-{}", x(80)),
            format!("hf_{}", x(34)),
            format!("hvs.{}", x(30)),
            format!("dop_v1_{}", hex(64)),
            format!("SG.{}.{}", x(22), x(43)),
            format!("123456789:AA{}", x(33)),
            format!("AGE-SECRET-KEY-1{}", upper(58)),
            format!("eyJ{}.eyJ{}.{}", x(20), x(30), x(40)),
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
                r#"{"password": "a, b & \"c\"", "n":1}"#,
                r#"{"password": "[redacted]", "n":1}"#,
            ),
            ("secret = 'two words' # x", "secret = '[redacted]' # x"),
            ("password = \"never closed", "password = \"[redacted]"),
            (
                "Authorization: Bearer abc.def-ghi",
                "Authorization: Bearer [redacted]",
            ),
            (
                "curl -H 'x-api-key: abc12345'",
                "curl -H 'x-api-key: [redacted]'",
            ),
            (
                "mysql --password hunter22 db",
                "mysql --password [redacted] db",
            ),
            (
                "AccountKey=abcd1234+/==;Endpoint=x",
                "AccountKey=[redacted];Endpoint=x",
            ),
            ("token: 0123456789abcdefghijklmnop", "token: [redacted]"),
            (
                "mysql://root:s3cret@db:3306/x",
                "mysql://root:[redacted]@db:3306/x",
            ),
            (
                "one\npassword: hunter22\nthree\n",
                "one\npassword: [redacted]\nthree\n",
            ),
        ] {
            assert_eq!(redactor.apply(line), safe);
            assert_eq!(redactor.apply(safe), safe, "once is enough");
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
            "password:\n  see the vault",
            "secretName: tls-certificate-of-the-cluster",
            "{\"token\": 17, \"tokens\": 123456789012345678901234567890}",
            "store_id=4 key=7A7480000000000000FF2D5F728000000000FF0000010000000000FA",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "https://docs.example/a:b/c@d and ask-me-anything-about-this-long-topic",
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
        fn no_edge_lets_a_secret_through(which in 0usize..24, cuts in proptest::collection::vec(0usize..120, 0..5), own in any::<bool>()) {
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
