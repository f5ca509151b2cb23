//! Redaction of text that comes in chunks, without missing what an edge cuts in two: however a text is
//! cut, what comes out is the same. Gives on whole lines; a line that does not end is given on in
//! parts, whose edges are where no secret is.

use super::{
    Redactor,
    judge::MARK,
    line::{Scan, Span},
    lines::{Block, Lines},
    places::{is_key_body, is_key_header, key_body},
    rules::{Hit, RULES},
    value::Open,
};

/// A line longer than this is given on in parts.
pub(super) const MAX_LINE: usize = 16 * 1024;
/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The line ends with it.
    Last,
    /// Words that are given on whole, as nothing more came.
    Words,
    /// All that is looked at, at once, of a line that is too long.
    Window,
}

/// How much of an overlong line is kept back, so that a secret at the cut is still seen whole.
const KEPT_BACK: usize = 4 * 1024;

#[derive(Debug)]
pub struct RedactStream {
    redactor: Redactor,
    shell: bool,
    /// The beginning of a line that has not ended.
    pub(super) pending: String,
    lines: Lines,
    /// Inside a line: its beginning was given on.
    inside: bool,
    /// A secret goes on that was hidden already: what ends it, and how many backslashes came last.
    hidden: Option<(Open, usize)>,
    /// Of one call, kept for their room.
    hits: Vec<Hit>,
}

impl RedactStream {
    pub fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            shell: false,
            pending: String::new(),
            lines: Lines::default(),
            inside: false,
            hidden: None,
            hits: Vec::new(),
        }
    }

    pub(super) fn of_command(redactor: Redactor) -> Self {
        Self {
            shell: true,
            ..Self::new(redactor)
        }
    }

    /// What can be given on after one more chunk.
    pub fn push(&mut self, chunk: &str) -> String {
        let mut out = String::new();
        let end = chunk.rfind('\n').map_or(0, |i| i + 1);
        let (ended, rest) = chunk.split_at(end);
        if !ended.is_empty() && self.pending.is_empty() {
            self.whole_lines(ended, &mut out);
        } else if !ended.is_empty() {
            let mut text = std::mem::take(&mut self.pending);
            text.push_str(ended);
            self.whole_lines(&text, &mut out);
        }
        self.pending.push_str(rest);
        let mut pending = std::mem::take(&mut self.pending);
        let used = self.parts(&pending, &mut out);
        pending.drain(..used);
        self.pending = pending;
        out
    }

    /// Nothing has come for a while: gives on the words of an unfinished line (a prompt, a
    /// progress line) unless one of them could announce a secret. The last word stays: it may go on.
    pub fn idle(&mut self) -> String {
        if !self.lines.is_plain() || self.hidden.is_some() {
            return String::new();
        }
        let Some(end) = self.pending.rfind(' ') else {
            return String::new();
        };
        // A line that begins with blanks may yet say something of its place, and one that names a
        // thing may name a secret.
        let words = self.pending[..end].trim();
        let key = words.trim_end_matches([':', '=', '"', '\'']);
        let names = key.len() < words.len() && (key.ends_with("name") || key.ends_with("key"));
        if words.is_empty()
            || words.ends_with('>')
            || names
            || RULES.may_begin(&self.pending[..=end])
            || RULES.hits(&self.pending).any(|hit| hit.start <= end)
        {
            return String::new();
        }
        let rest = self.pending.split_off(end + 1);
        let words = std::mem::replace(&mut self.pending, rest);
        let mut out = String::new();
        self.part(&words, Part::Words, &mut out);
        out
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.pending);
        let mut out = String::new();
        self.whole_lines(&rest, &mut out);
        self.lines = Lines::default();
        self.inside = false;
        self.hidden = None;
        out
    }

    /// Lines with their ends, but for the last one, which may be without.
    fn whole_lines(&mut self, text: &str, out: &mut String) {
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        hits.extend(RULES.hits(text));
        let own: Vec<(usize, usize)> = self.own(text);
        let (mut at, mut hit, mut ours) = (0, 0, 0);
        while at < text.len() {
            // Lines that say nothing and are told nothing go as they are.
            if self.lines.is_plain() && self.hidden.is_none() && !self.inside {
                let first = hits.get(hit).map_or(text.len(), |h| h.start);
                let first = first.min(own.get(ours).map_or(text.len(), |o| o.0));
                let line = text[at..first].rfind('\n').map_or(at, |i| at + i + 1);
                let line = if first == text.len() { first } else { line };
                if line > at {
                    out.push_str(&text[at..line]);
                    at = line;
                    continue;
                }
            }
            let end = text[at..].find('\n').map_or(text.len(), |i| at + i + 1);
            let line = &text[at..end];
            let last = hit + hits[hit..].iter().take_while(|h| h.start < end).count();
            let ours_last = ours + own[ours..].iter().take_while(|o| o.0 < end).count();
            if line.len() > MAX_LINE || self.hidden.is_some() || self.inside {
                let content = line.strip_suffix('\n').unwrap_or(line);
                let used = self.parts(content, out);
                self.part(&line[used..], Part::Last, out);
            } else {
                let moved = hits[hit..last].iter().map(|h| Hit {
                    start: h.start - at,
                    end: h.end - at,
                    ..*h
                });
                let own: Vec<Span> = own[ours..ours_last]
                    .iter()
                    .map(|(a, b)| Span::new(a - at, b - at))
                    .collect();
                self.line(line, moved, own, Part::Last, out);
            }
            if line.ends_with('\n') {
                self.inside = false;
                self.hidden = None;
            }
            (hit, ours, at) = (last, ours_last, end);
        }
        self.hits = hits;
    }

    fn own(&self, text: &str) -> Vec<(usize, usize)> {
        let Some(own) = &self.redactor.own else {
            return Vec::new();
        };
        own.find_iter(text).map(|m| (m.start(), m.end())).collect()
    }

    /// Gives on what can be given on of a line that is too long; says how much that is.
    fn parts(&mut self, text: &str, out: &mut String) -> usize {
        let mut at = 0;
        loop {
            at += self.skip_hidden(&text[at..]);
            let rest = &text[at..];
            if rest.len() <= MAX_LINE {
                return at;
            }
            let window = &rest[..rest.floor_char_boundary(MAX_LINE)];
            at += self.part(window, Part::Window, out);
        }
    }

    /// Passes over what belongs to a secret that is hidden already.
    fn skip_hidden(&mut self, text: &str) -> usize {
        let Some((open, mut run)) = self.hidden else {
            return 0;
        };
        for (i, b) in text.bytes().enumerate() {
            let ends = match open {
                Open::Word => matches!(
                    b,
                    b' ' | b'\t'
                        | b'\n'
                        | b'"'
                        | b'\''
                        | b'`'
                        | b'<'
                        | b'>'
                        | b'\\'
                        | b','
                        | b';'
                        | b'&'
                ),
                Open::Quote(quote, slashes) => {
                    b == b'\n'
                        || (b == quote
                            && if slashes == 0 {
                                run % 2 == 0
                            } else {
                                run <= slashes
                            })
                }
            };
            if ends {
                self.hidden = None;
                return i;
            }
            run = if b == b'\\' { run + 1 } else { 0 };
        }
        self.hidden = Some((open, run));
        text.len()
    }

    /// A part of a line; says how much of it was given on.
    fn part(&mut self, text: &str, part: Part, out: &mut String) -> usize {
        let skipped = self.skip_hidden(text);
        let text = &text[skipped..];
        if text.is_empty() {
            return skipped;
        }
        let hits: Vec<Hit> = RULES.hits(text).collect();
        let own = self
            .own(text)
            .iter()
            .map(|(a, b)| Span::new(*a, *b))
            .collect();
        skipped + self.line(text, hits.into_iter(), own, part, out)
    }

    /// A line or a part of one, with what is suspicious in it.
    fn line(
        &mut self,
        text: &str,
        hits: impl Iterator<Item = Hit>,
        own: Vec<Span>,
        part: Part,
        out: &mut String,
    ) -> usize {
        let begins = !self.inside;
        let last = part == Part::Last;
        if self.in_block(text, begins, last, out) {
            self.inside = !last;
            return text.len();
        }
        let mut scan = Scan::new(text, begins, self.shell);
        scan.spans = own;
        if begins {
            scan.told(&mut self.lines);
        }
        for hit in hits {
            scan.hit(hit, &mut self.lines);
        }
        let mut spans = scan.spans;
        spans.sort_by_key(|s| (s.start, std::cmp::Reverse(s.end)));
        spans.dedup_by(|next, one| {
            let joins = next.start <= one.end;
            if joins {
                one.from = one.from.min(next.from);
            }
            if joins && next.end > one.end {
                one.end = next.end;
                one.open = next.open;
            }
            joins
        });
        let cut = match part {
            Part::Last | Part::Words => text.len(),
            Part::Window => edge(text, &spans),
        };
        let mut at = 0;
        for span in spans.iter().take_while(|s| s.end <= cut) {
            out.push_str(&text[at..span.start]);
            let quote = span.quotes.map(|n| "\\".repeat(n) + "\"");
            let quote = quote.as_deref().unwrap_or_default();
            out.push_str(quote);
            out.push_str(MARK);
            out.push_str(quote);
            at = span.end;
            if part == Part::Window && span.end == text.len() {
                self.hidden = Some((span.open.unwrap_or(Open::Word), 0));
            }
        }
        out.push_str(&text[at..cut]);
        self.inside = !last;
        cut
    }

    /// A line inside a value that goes over lines; false: it is none of it.
    fn in_block(&mut self, text: &str, begins: bool, last: bool, out: &mut String) -> bool {
        let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
        let mark = |marked: &mut bool, out: &mut String| {
            if !*marked {
                out.push_str(&text[..indent]);
                out.push_str(MARK);
                out.push_str(if last && text.ends_with('\n') {
                    "\n"
                } else {
                    ""
                });
                *marked = true;
            }
        };
        match &mut self.lines.block {
            Block::None => false,
            Block::Indented {
                indent: base,
                marked,
            } => {
                if text.trim().is_empty() && begins {
                    out.push_str(text);
                } else if indent > *base || !begins {
                    mark(marked, out);
                } else {
                    self.lines.block = Block::None;
                    return false;
                }
                true
            }
            Block::Quoted { quotes, marked } => {
                if let Some(end) = text.find(*quotes) {
                    if !*marked && end > 0 {
                        out.push_str(MARK);
                    }
                    out.push_str(&text[end..]);
                    self.lines.block = Block::None;
                } else {
                    mark(marked, out);
                }
                true
            }
            Block::Key { marked } => {
                if let Some(end) = text.find("-----END") {
                    let (skip, length) = key_body(&text[..end]);
                    out.push_str(&text[..skip.min(end)]);
                    if length > 0 && !*marked {
                        out.push_str(MARK);
                    }
                    out.push_str(&text[skip + length..]);
                    self.lines.block = Block::None;
                    return true;
                }
                if is_key_header(text) {
                    out.push_str(text);
                    return true;
                }
                if is_key_body(text) {
                    mark(marked, out);
                    return true;
                }
                self.lines.block = Block::None;
                false
            }
        }
    }
}

/// Where a window of an overlong line is given on to: not between what a secret is known by and its
/// end, but where that is all there is.
fn edge(text: &str, spans: &[Span]) -> usize {
    let mut cut = text.floor_char_boundary(text.len().saturating_sub(KEPT_BACK));
    for span in spans.iter().rev() {
        if span.from < cut && span.end > cut {
            if span.from == 0 {
                return span.end;
            }
            cut = span.from;
        }
    }
    cut
}
