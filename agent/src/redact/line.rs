//! The secrets of one line, as places in it. What a line means for those after it is kept in
//! [`Lines`]; how lines come is the stream's.

use super::{
    judge::{self, Found},
    lines::{Block, Lines, What},
    names::{Class, Names},
    rules::{Hit, Need, RULES, Rule, Suspect},
    value::{self, Join, Open, Quotes, Reading, Value},
};

/// What a lead looks at, at most: it is tried at each of its beginnings.
const LEAD: usize = 2048;

/// A secret's place, and what is put there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: usize,
    /// Where that begins by which it is known.
    pub from: usize,
    pub end: usize,
    /// In double quotes with so many backslashes: a number of JSON or TOML is none without them.
    pub quotes: Option<usize>,
    /// It went to the end of what is known.
    pub open: Option<Open>,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            from: start,
            end,
            quotes: None,
            open: None,
        }
    }
}

/// A line, or a part of one, on its way.
pub(super) struct Scan<'t> {
    pub text: &'t str,
    /// Whether the line begins here.
    pub begins: bool,
    pub shell: bool,
    pub spans: Vec<Span>,
    /// For names, and for leads, which are before what they lead to.
    quotes: [Quotes; 2],
    /// Whether the line is of a Kubernetes Secret, once somebody asked.
    secret: Option<bool>,
    /// Names up to here were looked at.
    named: usize,
    /// Up to here all is hidden that could be.
    covered: usize,
    /// What rules have matched up to here; one and the same is not looked for inside.
    matched: usize,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str, begins: bool, shell: bool) -> Self {
        Self {
            text,
            begins,
            shell,
            spans: Vec::new(),
            quotes: [Quotes::default(); 2],
            secret: None,
            named: 0,
            covered: 0,
            matched: 0,
        }
    }

    fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// How the value at `at` is to be read, whose name is at `name`; what leads to one has no name.
    fn reading(&mut self, at: usize, name: usize) -> Reading {
        let bytes = self.bytes();
        let quotes = &mut self.quotes[usize::from(name == at)];
        quotes.advance(bytes, at);
        Reading {
            shell: self.shell,
            inside: *quotes,
            query: name < at && name > 0 && matches!(bytes[name - 1], b'?' | b'&'),
        }
    }

    pub(super) fn hit(&mut self, hit: Hit, lines: &mut Lines) {
        match hit.suspect {
            Suspect::Token(i) => self.token(&RULES.tokens[i], hit),
            Suspect::Lead(i) => self.lead(&RULES.leads[i], hit),
            Suspect::Name => self.name(hit, lines),
            Suspect::Url => self.url(hit.end),
            Suspect::Cookie => self.cookie(hit),
            Suspect::Pem => self.pem(hit.start, lines),
            Suspect::Kubernetes => self.kubernetes(hit, lines),
            Suspect::Netrc => lines.netrc(self.text, hit.start),
        }
    }

    fn token(&mut self, rule: &Rule, hit: Hit) {
        let bytes = self.bytes();
        let start = self.extended(rule, hit.start);
        if hit.end <= self.matched && rule.before == 0 {
            return;
        }
        // What is before a shape may have a part of what it is made of.
        let last = if rule.before > 32 { start } else { hit.start };
        let Some((start, (from, to, end))) =
            (start..=last).find_map(|at| Some((at, rule.secret(&bytes[at..])?)))
        else {
            return;
        };
        let (from, to, end) = (start + from, start + to, start + end);
        if rule.ends && goes_on(bytes, end) || rule.mixed && !judge::is_mixed(&self.text[from..to])
        {
            return;
        }
        self.matched = self.matched.max(end);
        self.spans.push(Span {
            from: start,
            open: (to == bytes.len()).then_some(Open::Word),
            ..Span::new(from, to)
        });
    }

    /// Where a shape begins that has more before what it is looked for by.
    fn extended(&self, rule: &Rule, start: usize) -> usize {
        let more = self.bytes()[..start]
            .iter()
            .rev()
            .take(rule.before)
            .take_while(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'=' | b',' | b'`'))
            .count();
        start - more
    }

    fn lead(&mut self, rule: &Rule, hit: Hit) {
        let bytes = self.bytes();
        let start = self.extended(rule, hit.start);
        if rule.line {
            let before = self.text[..start].trim_end();
            if !self.begins || !(before.is_empty() || before.ends_with('>')) {
                return;
            }
        }
        let window = &bytes[start..bytes.len().min(start + LEAD)];
        let Some(length) = rule.length(window) else {
            return;
        };
        let at = start + length;
        if at < self.covered {
            return;
        }
        let reading = self.reading(at, at);
        let Some(value) = value::read(bytes, at, reading) else {
            return;
        };
        // What a lead says may be hidden by it once, whatever else is in the text.
        if rule.need == Need::Glued && matches!(bytes.get(at), None | Some(b' ' | b'\t')) {
            return;
        }
        let found = self.found(&value, Join::Is);
        if judge::is_led(&RULES.names, rule.need, &found) {
            self.hide(start, value, None);
        }
    }

    fn found(&self, value: &Value, join: Join) -> Found<'t> {
        Found {
            value: self.text.get(value.start..value.end).unwrap_or_default(),
            quoted: value.quoted,
            single: value.quoted && self.bytes()[value.start - 1] == b'\'',
            join,
            after: self.text.get(value.next..).unwrap_or_default(),
        }
    }

    fn hide(&mut self, from: usize, value: Value, quotes: Option<usize>) {
        let bytes = self.bytes();
        let mut end = value.end;
        let mut open = value.open;
        // What a shell would put in there stays to be read.
        let text = self.text.get(value.start..value.end).unwrap_or_default();
        if self.shell
            && value.quoted
            && bytes[value.start - 1] == b'"'
            && let Some(cut) = ["$(", "`"].iter().filter_map(|s| text.find(s)).min()
        {
            end = value.start + cut;
            open = None;
        }
        if end > value.start {
            self.covered = self.covered.max(end);
            self.spans.push(Span {
                from,
                quotes,
                open,
                ..Span::new(value.start, end)
            });
        }
        // `"one"'two'three` is one word to a shell.
        let more = bytes.get(value.next).copied();
        let word = value.quoted && value.next > value.end;
        if word
            && more.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'"' | b'\''))
            && let Some(rest) = value::read(
                bytes,
                value.next,
                Reading {
                    shell: self.shell,
                    inside: Quotes::default(),
                    query: false,
                },
            )
            && rest.next > value.next
        {
            self.hide(from, rest, None);
        }
    }

    fn name(&mut self, hit: Hit, lines: &mut Lines) {
        let bytes = self.bytes();
        let (start, end) = Names::around(bytes, hit.start, hit.end);
        if end <= self.named || start >= end || start < self.covered {
            return;
        }
        self.named = end;
        let name = &self.text[start..end];
        let Some(class) = RULES.names.class(name) else {
            return;
        };
        let Some(between) = value::between(bytes, start, end) else {
            lines.names_a_value(self.text, start, end);
            return;
        };
        let at = between.value;
        if self.block(start, at, between.join, lines) {
            return;
        }
        let reading = self.reading(at, start);
        let Some(value) = value::read(bytes, at, reading) else {
            return;
        };
        let found = self.found(&value, between.join);
        // A line that begins a private key, which has rules of its own.
        if found.value.contains("-----BEGIN") {
            return;
        }
        if !judge::is_secret(&RULES.names, class, name.trim_start_matches('-'), &found) {
            return;
        }
        let number = !value.quoted
            && found
                .value
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'+' | b'-'));
        let quotes = match between.json {
            Some(slashes) if number && between.join != Join::Is => Some(slashes),
            _ if number && between.join == Join::Is && between.spaced => Some(0),
            _ => None,
        };
        self.hide(start, value, quotes);
    }

    /// A value that goes over lines: of YAML (`|`) or in three quotes.
    fn block(&mut self, name: usize, at: usize, join: Join, lines: &mut Lines) -> bool {
        let rest = &self.text[at..];
        let line = rest.trim_end();
        let mut marks = line.bytes();
        if join == Join::ColonSpace
            && matches!(marks.next(), Some(b'|' | b'>'))
            && line.len() <= 3
            && marks.all(|b| matches!(b, b'-' | b'+' | b'0'..=b'9'))
        {
            let indent = self.text.len() - self.text.trim_start_matches([' ', '-', '"']).len();
            let indent = indent.min(name);
            lines.block = Block::Indented {
                indent,
                marked: false,
            };
            return true;
        }
        for quotes in ["\"\"\"", "'''"] {
            if let Some(inner) = rest.strip_prefix(quotes) {
                let start = at + quotes.len();
                if let Some(end) = inner.find(quotes) {
                    if end > 0 {
                        self.spans.push(Span::new(start, start + end));
                    }
                } else {
                    let end = start + inner.trim_end_matches('\n').len();
                    let marked = end > start;
                    if marked {
                        self.spans.push(Span::new(start, end));
                    }
                    lines.block = Block::Quoted { quotes, marked };
                }
                return true;
            }
        }
        false
    }

    /// `scheme://user:password@host`
    fn url(&mut self, start: usize) {
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

    fn cookie(&mut self, hit: Hit) {
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
    fn pem(&mut self, start: usize, lines: &mut Lines) {
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

    fn kubernetes(&mut self, hit: Hit, lines: &mut Lines) {
        let before = self.text[..hit.start].trim_matches([' ', '\t', '-', '"']);
        if self.begins && (before.is_empty() || before == "string") {
            lines.kubernetes(self.text);
        }
        // All in one line.
        let bytes = self.bytes();
        let slashes = bytes[hit.end.saturating_sub(2).max(hit.start)..hit.end]
            .iter()
            .filter(|b| **b == b'"')
            .count();
        if slashes == 0 {
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

    /// The value of a line that says nothing itself: after `name: PASSWORD`, in `data:` and so on.
    pub(super) fn told(&mut self, lines: &mut Lines) {
        let Some(told) = lines.told(self.text) else {
            return;
        };
        let at = told.at;
        let reading = Reading {
            shell: false,
            inside: Quotes::default(),
            query: false,
        };
        let Some(mut value) = value::read(self.bytes(), at, reading) else {
            return;
        };
        if value.open == Some(Open::Word) {
            value.open = None;
        }
        let found = self.found(&value, Join::Is);
        let secret = match told.what {
            What::Encoded => judge::is_encoded(found.value),
            What::Named => judge::is_secret(&RULES.names, Class::Password, "value", &found),
            What::Plain => judge::is_led(&RULES.names, Need::Some, &found),
        };
        if secret {
            self.hide(0, value, None);
        }
    }
}

/// Whether a word goes on.
fn goes_on(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'.') => text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b) => b.is_ascii_alphanumeric(),
        None => false,
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
