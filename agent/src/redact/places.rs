//! Secrets that have a place of their own in a line: in a URL, a cookie, a private key, the data of a
//! Kubernetes Secret.

use super::{
    judge,
    line::{Scan, Span},
    lines::{Block, Lines},
    names::Names,
    rules::{Hit, RULES},
    value::{self, Open},
};

impl Scan<'_> {
    /// `scheme://user:password@host`
    pub(super) fn url(&mut self, start: usize) {
        let bytes = self.bytes();
        let ends = |b: u8| {
            b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\')
        };
        let length = |stop: &dyn Fn(u8) -> bool| {
            bytes[start..]
                .iter()
                .take(1024)
                .take_while(|b| !stop(**b))
                .count()
        };
        let authority = start + length(&|b| ends(b) || matches!(b, b'/' | b'?' | b'#'));
        let mut at = bytes[start..authority].iter().rposition(|b| *b == b'@');
        if at.is_none() {
            // A `/` or `#` in a password that should have been written otherwise; not a port.
            let colon = bytes[start..authority].iter().position(|b| *b == b':');
            if let Some(colon) = colon
                && bytes[start] != b'['
                && start + colon + 1 < authority
                && !bytes[start + colon + 1..authority]
                    .iter()
                    .all(u8::is_ascii_digit)
            {
                let whole = start + length(&|b| ends(b) || matches!(b, b',' | b';'));
                at = bytes[start..whole].iter().rposition(|b| *b == b'@');
            }
        }
        let Some(at) = at else {
            return;
        };
        let end = start + at;
        let colon = bytes[start..end].iter().position(|b| *b == b':');
        let user = &self.text[start..colon.map_or(end, |c| start + c)];
        if judge::is_token_of_url(user) {
            self.spans.push(Span {
                from: start - 3,
                ..Span::new(start, start + user.len())
            });
        }
        if let Some(colon) = colon {
            let from = start + colon + 1;
            if judge::is_password_of_url(&RULES.names, &self.text[from..end]) {
                self.spans.push(Span {
                    from: start - 3,
                    ..Span::new(from, end)
                });
            }
        }
    }

    pub(super) fn cookie(&mut self, hit: Hit) {
        let bytes = self.bytes();
        let (start, end) = Names::around(bytes, hit.start, hit.end);
        if end <= self.named || start < self.covered {
            return;
        }
        self.named = end;
        let name = &self.text[start..end];
        let set = name.eq_ignore_ascii_case("set-cookie");
        if !set && !name.eq_ignore_ascii_case("cookie") {
            return;
        }
        let Some(between) = value::between(bytes, start, end) else {
            return;
        };
        let stop = |b: &u8| matches!(b, b'\n' | b'\r' | b'"' | b'\'' | b'\\');
        let mut at = between.value;
        at += bytes[at..]
            .iter()
            .take_while(|b| matches!(b, b'"' | b'\'' | b'\\' | b'['))
            .count();
        let last = at + bytes[at..].iter().take_while(|b| !stop(b)).count();
        let mut from = at;
        self.covered = self.covered.max(last);
        while from < last {
            let pair = from + bytes[from..last].iter().take_while(|b| **b != b';').count();
            if let Some(is) = bytes[from..pair].iter().position(|b| *b == b'=') {
                let value = from + is + 1;
                let whole = &self.text[value..pair];
                let text = whole.trim_end_matches([']', ')', '}']);
                if text.len() >= 6
                    && !whole.contains(judge::MARK)
                    && !RULES.names.is_nothing(text)
                    && !text.starts_with("${")
                {
                    self.spans.push(Span {
                        from: start,
                        open: (value + text.len() == bytes.len()).then_some(Open::Word),
                        ..Span::new(value, value + text.len())
                    });
                }
            }
            if set {
                break;
            }
            from = pair + 1;
        }
    }

    /// A private key that begins, and may end on the same line.
    pub(super) fn pem(&mut self, start: usize, lines: &mut Lines) {
        let rest = &self.text[start..];
        if rest
            .get(..14)
            .is_some_and(|s| s.eq_ignore_ascii_case("Private-Lines:"))
        {
            lines.block = Block::Key { marked: false };
            return;
        }
        let Some(label) = rest.strip_prefix("-----BEGIN ") else {
            return;
        };
        let Some(close) = label.find("-----") else {
            return;
        };
        if close > 64 || !label[..close].contains("PRIVATE KEY") {
            return;
        }
        let from = start + "-----BEGIN ".len() + close + "-----".len();
        let body = &self.text[from..];
        let end = body.find("-----END");
        let inner = &body[..end.unwrap_or(body.len())];
        let (skip, length) = key_body(inner);
        if length > 0 {
            self.spans
                .push(Span::new(from + skip, from + skip + length));
        }
        if end.is_none() {
            lines.block = Block::Key { marked: length > 0 };
        }
    }

    pub(super) fn kubernetes(&mut self, hit: Hit, lines: &mut Lines) {
        let before = self.text[..hit.start].trim_matches([' ', '\t', '-', '"']);
        if self.begins && (before.is_empty() || before == "string") {
            lines.kubernetes(self.text);
        }
        // All in one line.
        let bytes = self.bytes();
        if !bytes[hit.start..hit.end].contains(&b'"') {
            return;
        }
        let mut at = hit.end;
        let escaped = self.text[hit.start..hit.end].contains('\\');
        let quote = if escaped { "\\\"" } else { "\"" };
        let rest = self.text[at..].trim_start();
        if !rest.starts_with('{') || rest.len() < 3 {
            return;
        }
        let text = self.text;
        let secret = *self.secret.get_or_insert_with(|| {
            let dense = text.replace(": ", ":");
            dense.contains("\"kind\":\"Secret\"") || dense.contains("\\\"kind\\\":\\\"Secret\\\"")
        });
        if !secret {
            return;
        }
        at = self.text.len() - rest.len() + 1;
        // `"key":"value",…`
        loop {
            let Some(key) = self.text[at..].find(quote).map(|i| at + i + quote.len()) else {
                return;
            };
            if self.text[at..key].contains('}') {
                return;
            }
            let Some(colon) = self.text[key..].find(quote).map(|i| key + i + quote.len()) else {
                return;
            };
            let Some(open) = self.text[colon..]
                .find(quote)
                .map(|i| colon + i + quote.len())
            else {
                return;
            };
            let Some(close) = self.text[open..].find(quote).map(|i| open + i) else {
                return;
            };
            let value = &self.text[open..close];
            if !value.is_empty() && !value.contains(judge::MARK) {
                self.spans.push(Span::new(open, close));
            }
            at = close + quote.len();
        }
    }
}

/// The part of a text that is a private key's: not the line ends around it, escaped or not.
pub(super) fn key_body(text: &str) -> (usize, usize) {
    let mut rest = text;
    loop {
        let shorter = rest
            .trim_start()
            .trim_start_matches("\\n")
            .trim_start_matches("\\r");
        if shorter.len() == rest.len() {
            break;
        }
        rest = shorter;
    }
    let skip = text.len() - rest.len();
    loop {
        let shorter = rest
            .trim_end()
            .trim_end_matches(['"', '\'', ',', '+', ';'])
            .trim_end_matches("\\n")
            .trim_end_matches("\\r");
        if shorter.len() == rest.len() {
            break;
        }
        rest = shorter;
    }
    // Nothing but quotes.
    if rest.bytes().all(|b| matches!(b, b'"' | b'\'' | b'\\')) {
        return (skip, 0);
    }
    (skip, rest.len())
}

/// What may stand in a private key and is none: `Proc-Type: 4,ENCRYPTED`, an empty line.
pub(super) fn is_key_header(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || [
            "Proc-Type:",
            "DEK-Info:",
            "Version:",
            "Comment:",
            "Hash:",
            "Private-Lines:",
        ]
        .iter()
        .any(|h| line.starts_with(h))
}

/// A line of base64, with what a program or a log puts around it.
pub(super) fn is_key_body(line: &str) -> bool {
    let (skip, length) = key_body(line);
    let body = line[skip..skip + length].trim_start_matches(['"', '\'', ' ']);
    let coded = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\\'))
    };
    coded(body)
        || body
            .rsplit([' ', '\t'])
            .next()
            .is_some_and(|word| word.len() >= 24 && coded(word))
}
