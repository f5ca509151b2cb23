//! Where a value begins and ends, in whatever quoting it stands: JSON, JSON in JSON, YAML, TOML, shell,
//! XML, URLs. Finds the value alone, never the syntax around it; whether it is a secret is for
//! `judge.rs`.

/// Spaces between a name, its sign and its value that are passed over, as in aligned files.
const SPACES: usize = 40;

/// How a name and its value are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// `=`, `:=`, `=>`
    Is,
    Colon,
    /// `: ` as in YAML and in sentences.
    ColonSpace,
    /// `<name>`
    Tag,
    /// `--name value`
    Flag,
    /// ` is `
    Word,
}

/// What stands between a name and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    pub value: usize,
    pub join: Join,
    /// The name is in double quotes with so many backslashes, so a bare value is a number of JSON.
    pub json: Option<usize>,
    /// Nothing of a name is on both sides of the sign but spaces, as in TOML.
    pub spaced: bool,
}

fn blanks(t: &[u8], at: usize) -> usize {
    let n = t[at..]
        .iter()
        .take(SPACES)
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    at + n
}

/// After a name that began at `start` and ended before `end`.
pub(super) fn between(t: &[u8], start: usize, end: usize) -> Option<Between> {
    let found = |value: usize, join: Join, json, spaced| Between {
        value,
        join,
        json,
        spaced,
    };
    if t.get(end) == Some(&b'>') && in_tag(t, start) {
        return Some(found(end + 1, Join::Tag, None, false));
    }
    // The end of the name's own quoting.
    let slashes = t[end..].iter().take_while(|b| **b == b'\\').count();
    let quote = t.get(end + slashes).copied();
    let quoted = matches!(quote, Some(b'"' | b'\''));
    let mut at = if quoted { end + slashes + 1 } else { end };
    let json = (quote == Some(b'"')).then_some(slashes);
    if t.get(at) == Some(&b']') {
        at += 1;
    }
    // A pair of name and value: `"name":"PASSWORD","value":"…"`.
    if quoted && t.get(at) == Some(&b',') {
        return pair(t, at + 1).map(|value| found(value, Join::Is, json, false));
    }
    let sign = blanks(t, at);
    let rest = &t[sign..];
    let encoded = rest
        .get(..3)
        .is_some_and(|s| s.eq_ignore_ascii_case(b"%3d") || s.eq_ignore_ascii_case(b"%3a"));
    let (join, long) = match rest {
        [b'=', b'>', ..] | [b':', b'=', ..] => (Join::Is, 2),
        [b'=', b'=' | b'~', ..] | [b':', b':', ..] => return None,
        [b'=', ..] => (Join::Is, 1),
        [b':', b' ' | b'\t', ..] => (Join::ColonSpace, 1),
        [b':', ..] => (Join::Colon, 1),
        _ if encoded => (Join::Is, 3),
        _ if sign > at && !quoted && t[start] == b'-' => {
            return Some(found(sign, Join::Flag, None, false));
        }
        [b'i', b's', b' ', ..] if sign > at => {
            return Some(found(sign + 3, Join::Word, None, false));
        }
        _ => return None,
    };
    let value = blanks(t, sign + long);
    let spaced = sign > at && value > sign + long;
    Some(found(value, join, json, spaced))
}

/// Whether a name is that of an XML element: `<name` or `<ns:name`.
fn in_tag(t: &[u8], start: usize) -> bool {
    let before = t[..start]
        .iter()
        .rev()
        .take(40)
        .find(|b| !(b.is_ascii_alphanumeric() || **b == b':'));
    before == Some(&b'<')
}

/// The value of `"value":` or `"value"=`, after a comma.
fn pair(t: &[u8], at: usize) -> Option<usize> {
    let mut at = blanks(t, at);
    at += t[at..].iter().take_while(|b| **b == b'\\').count();
    let quote = *t.get(at)?;
    if !matches!(quote, b'"' | b'\'') {
        return None;
    }
    let word = t.get(at + 1..at + 6)?;
    if !word.eq_ignore_ascii_case(b"value") {
        return None;
    }
    at += 6;
    at += t[at..].iter().take_while(|b| **b == b'\\').count();
    if t.get(at) != Some(&quote) {
        return None;
    }
    at = blanks(t, at + 1);
    matches!(t.get(at)?, b':' | b'=').then(|| blanks(t, at + 1))
}

/// What ends a value that went on to the end of what is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// A blank or a quote.
    Word,
    /// This quote, with at most so many backslashes before it.
    Quote(u8, usize),
}

/// A value without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub start: usize,
    pub end: usize,
    pub quoted: bool,
    pub open: Option<Open>,
    /// Where text goes on after it: past its closing quote.
    pub next: usize,
}

/// How a text is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// A command that somebody may have to judge: what the shell would act on is never a value.
    pub shell: bool,
    /// The quotes that are open where the value would begin.
    pub inside: Quotes,
    /// In the query of a URL.
    pub query: bool,
}

/// The value that begins at `at`.
pub(super) fn read(t: &[u8], at: usize, how: Reading) -> Option<Value> {
    let slashes = t[at..].iter().take_while(|b| **b == b'\\').count();
    let quote = t.get(at + slashes).copied();
    match quote {
        Some(q @ (b'"' | b'\'')) => {
            // What closes a quote that was open before is no beginning of one.
            if slashes == 0 && how.inside.open(q) {
                return None;
            }
            quoted(t, at + slashes + 1, q, slashes, how)
        }
        _ => bare(t, at, how),
    }
}

fn quoted(t: &[u8], start: usize, quote: u8, slashes: usize, how: Reading) -> Option<Value> {
    let mut run = 0;
    let mut i = start;
    while let Some(&b) = t.get(i) {
        if b == b'\n' {
            break;
        }
        if b == quote {
            let escaped = match (quote, slashes) {
                (b'"', _) => run > slashes && (slashes > 0 || run % 2 == 1),
                // A shell and YAML know no escape here; others do.
                (_, 0) => {
                    run % 2 == 1
                        && !how.shell
                        && t.get(i + 1).is_some_and(u8::is_ascii_alphanumeric)
                }
                _ => run > slashes,
            };
            // `''` is an apostrophe of YAML and SQL, and nothing at all in a shell.
            let doubled = quote == b'\'' && slashes == 0 && t.get(i + 1) == Some(&b'\'');
            if doubled && i > start {
                i += 2;
                run = 0;
                continue;
            }
            if !escaped {
                let end = i - run.min(slashes);
                let end = end.max(start);
                return (end > start || slashes == 0).then_some(Value {
                    start,
                    end,
                    quoted: true,
                    open: None,
                    next: i + 1,
                });
            }
        }
        run = if b == b'\\' { run + 1 } else { 0 };
        i += 1;
    }
    if how.shell {
        return None;
    }
    if quote == b'\'' || slashes > 0 {
        return bare(t, start, how);
    }
    Some(Value {
        start,
        end: i,
        quoted: true,
        open: (i == t.len()).then_some(Open::Quote(quote, slashes)),
        next: i,
    })
}

fn bare(t: &[u8], start: usize, how: Reading) -> Option<Value> {
    let mut open = [0usize; 3];
    let mut i = start;
    while let Some(&b) = t.get(i) {
        match b {
            b'<' if shown(&t[i..]) > 0 => i += shown(&t[i..]) - 1,
            b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b'`' | b'<' | b'>' => break,
            b'\\' => match t.get(i + 1) {
                Some(b'n' | b'r' | b't' | b'"' | b'\'' | b'\\' | b'u') | None => break,
                Some(_) => i += 1,
            },
            b'|' if how.shell => break,
            b';' | b'&' | b',' | b'|' if how.shell && b != b',' || stops(t, i + 1) => break,
            b'#' if how.query => break,
            b'%' if is_ampersand(t, i) => break,
            b'$' if matches!(t.get(i + 1), Some(b'(')) => break,
            b'(' if how.shell => break,
            b')' if how.shell => break,
            b'(' | b'[' | b'{' => open[kind(b)] += 1,
            b')' | b']' | b'}' => {
                let depth = &mut open[kind(b)];
                if *depth > 0 {
                    *depth -= 1;
                } else if stops(t, i + 1) {
                    break;
                }
            }
            _ => {}
        }
        i += 1;
    }
    let mut end = i.min(t.len());
    // The end of a sentence.
    if end > start + 1 && matches!(t[end - 1], b'.' | b',') && end < t.len() {
        end -= 1;
    }
    (end > start).then_some(Value {
        start,
        end,
        quoted: false,
        open: (end == t.len()).then_some(Open::Word),
        next: end,
    })
}

/// The length of a character that nobody sees, as the cleaner shows it: `<200b>`. 0: it is none.
fn shown(t: &[u8]) -> usize {
    let hex = t[1..]
        .iter()
        .take(6)
        .take_while(|b| b.is_ascii_hexdigit())
        .count();
    let ends = t.get(hex + 1) == Some(&b'>');
    if hex >= 2 && ends { hex + 2 } else { 0 }
}

fn kind(b: u8) -> usize {
    match b {
        b'(' | b')' => 0,
        b'[' | b']' => 1,
        _ => 2,
    }
}

fn is_ampersand(t: &[u8], at: usize) -> bool {
    t.get(at..at + 3).is_some_and(|s| s == b"%26")
}

/// Whether what comes after a `;`, `&`, `,` or bracket is not the rest of a value: nothing, a blank,
/// more of the kind, or another name.
fn stops(t: &[u8], at: usize) -> bool {
    let rest = &t[at..];
    match rest.first() {
        None => true,
        Some(b) if b.is_ascii_whitespace() => true,
        Some(
            b'"' | b'\'' | b'`' | b';' | b'&' | b',' | b'|' | b')' | b']' | b'}' | b'\\' | b'<',
        ) => true,
        Some(b) if b.is_ascii_alphabetic() || *b == b'_' => {
            let name = rest
                .iter()
                .take(48)
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
                .count();
            match &rest[name..] {
                // What base64 ends with is no sign.
                [b'=', b'=' | b' ' | b'\n', ..] => false,
                [b'=' | b':', _, ..] => true,
                _ => false,
            }
        }
        _ => false,
    }
}

/// Which quotes are open at a place of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quotes {
    at: usize,
    double: bool,
    single: bool,
}

impl Quotes {
    fn open(self, quote: u8) -> bool {
        match quote {
            b'"' => self.double,
            _ => self.single,
        }
    }

    /// Goes on to `to`, from where it is.
    pub(super) fn advance(&mut self, t: &[u8], to: usize) {
        if to < self.at {
            *self = Self::default();
        }
        while self.at < to {
            let i = self.at;
            let before = i.checked_sub(1).map(|i| t[i]);
            match t[i] {
                b'"' if before != Some(b'\\') && !self.single => self.double = !self.double,
                b'\'' if !self.double && before != Some(b'\\') => {
                    // Not an apostrophe.
                    let word = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
                    if self.single || !(word(before) && word(t.get(i + 1).copied())) {
                        self.single = !self.single;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}
