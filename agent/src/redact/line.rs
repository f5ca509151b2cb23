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
    pub(super) secret: Option<bool>,
    /// Names up to here were looked at.
    pub(super) named: usize,
    /// Up to here all is hidden that could be.
    pub(super) covered: usize,
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

    pub(super) fn bytes(&self) -> &'t [u8] {
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
            Suspect::Name | Suspect::LastWord => self.name(hit, lines),
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
