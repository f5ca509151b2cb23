//! Bytes from outside to harmless text: UTF-8 made valid, escape sequences and invisible
//! direction marks out, line ends made `\n`. Works across chunk edges.
//!
//! Does not hide secrets ([`agent_lab::redact`]) and does not cut ([`agent_lab::tools::capture`]).

mod one_line;

pub use one_line::one_line;

/// Longest part of a sequence that may be incomplete at the end of a chunk; a string sequence that
/// is longer is taken to be none, so that a stray one cannot swallow the rest of the output.
const LONGEST_STRING: usize = 4096;

#[derive(Debug, Default)]
pub struct Cleaner {
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    state: State,
    string_length: usize,
    after_return: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// Escape and an intermediate: one more character.
    Intermediate,
    Csi,
    /// OSC, DCS, APC, PM, SOS: until BEL or ST.
    String,
    StringEscape,
}

impl Cleaner {
    /// The clean text of one more chunk.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len());
        let joined;
        let mut rest = if self.partial.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.partial).as_slice(), bytes].concat();
            joined.as_slice()
        };
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text(text, &mut out);
                    break;
                }
                Err(e) => {
                    let (good, bad) = rest.split_at(e.valid_up_to());
                    self.text(std::str::from_utf8(good).unwrap_or_default(), &mut out);
                    let Some(n) = e.error_len() else {
                        self.partial = bad.to_vec();
                        break;
                    };
                    self.character(char::REPLACEMENT_CHARACTER, &mut out);
                    rest = &bad[n..];
                }
            }
        }
        out
    }

    /// What is left at the end of the output.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        if !std::mem::take(&mut self.partial).is_empty() {
            self.character(char::REPLACEMENT_CHARACTER, &mut out);
        }
        out
    }

    fn text(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            // Most text has nothing to look at closely: it goes as it is.
            if self.state == State::Text && !self.after_return {
                let plain = rest
                    .bytes()
                    .position(|b| !is_plain(b))
                    .unwrap_or(rest.len());
                let (run, more) = rest.split_at(plain);
                out.push_str(run);
                rest = more;
            }
            let mut chars = rest.chars();
            if let Some(c) = chars.next() {
                self.character(c, out);
            }
            rest = chars.as_str();
        }
    }

    fn character(&mut self, c: char, out: &mut String) {
        // A line end closes what was left open: the next line is readable whatever came before.
        if c == '\n' && self.state != State::Text {
            self.state = State::Text;
        }
        match self.state {
            State::Text => self.plain(c, out),
            State::Escape => {
                self.state = match c {
                    '[' => State::Csi,
                    ']' | 'P' | 'X' | '^' | '_' => self.open_string(),
                    ' '..='/' => State::Intermediate,
                    '\x1b' => State::Escape,
                    _ => State::Text,
                };
            }
            State::Intermediate => {
                if !matches!(c, ' '..='/') {
                    self.state = State::Text;
                }
            }
            State::Csi => match c {
                '@'..='~' | '\x18' | '\x1a' => self.state = State::Text,
                '\x1b' => self.state = State::Escape,
                _ => {}
            },
            State::String => {
                self.string_length += 1;
                match c {
                    '\x07' | '\u{9c}' | '\x18' | '\x1a' => self.state = State::Text,
                    '\x1b' => self.state = State::StringEscape,
                    _ if self.string_length > LONGEST_STRING => self.state = State::Text,
                    _ => {}
                }
            }
            State::StringEscape => {
                self.state = State::Text;
                if c != '\\' {
                    self.state = State::Escape;
                    self.character(c, out);
                }
            }
        }
    }

    fn open_string(&mut self) -> State {
        self.string_length = 0;
        State::String
    }

    fn plain(&mut self, c: char, out: &mut String) {
        // CR LF is one line end; a lone CR (a progress line that redraws itself) is one too.
        let after_return = std::mem::take(&mut self.after_return);
        match c {
            '\n' if after_return => {}
            '\n' | '\t' => out.push(c),
            '\r' => {
                self.after_return = true;
                out.push('\n');
            }
            '\x1b' => self.state = State::Escape,
            '\u{9b}' => self.state = State::Csi,
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.state = self.open_string(),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
}

/// Bytes that mean themselves, whatever comes before them.
fn is_plain(b: u8) -> bool {
    matches!(b, b' '..=b'~' | b'\n' | b'\t')
}

/// Direction marks, zero-width characters and tags: they change what a line seems to say.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One whole text, cleaned.
pub fn clean(text: &str) -> String {
    let mut cleaner = Cleaner::default();
    let mut out = cleaner.push(text.as_bytes());
    out.push_str(&cleaner.finish());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> String {
        let mut cleaner = Cleaner::default();
        cleaner.push(bytes) + &cleaner.finish()
    }

    #[test]
    fn sequences_go_and_text_stays() {
        for (dirty, clean) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07x", "x"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("a\x1b]never ended\nb", "a\nb"),
            ("\x1bPdcs\x1b\\y", "y"),
            ("\x1b(Bz", "z"),
            ("a\u{9b}31mb", "ab"),
            ("one\r\ntwo\rthree", "one\ntwo\nthree"),
            ("tab\there", "tab\there"),
            ("bell\x07 back\x08", "bell back"),
            ("abc\u{202e}def\u{200b}", "abcdef"),
            ("[server.rs:123] [/data]", "[server.rs:123] [/data]"),
            ("日本 ✓", "日本 ✓"),
        ] {
            assert_eq!(all(dirty.as_bytes()), clean, "{dirty:?}");
        }
        assert_eq!(
            all(b"caf\xe9 \xff\xfe ok"),
            "caf\u{fffd} \u{fffd}\u{fffd} ok"
        );
        assert_eq!(all(b"cut \xe2\x9c"), "cut \u{fffd}");
    }

    proptest! {
        #[test]
        fn chunk_edges_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(0usize..200, 0..6)) {
            let whole = all(&bytes);
            let mut cleaner = Cleaner::default();
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut out, mut at) = (String::new(), 0);
            for cut in cuts {
                let cut = cut.clamp(at, bytes.len());
                out.push_str(&cleaner.push(&bytes[at..cut]));
                at = cut;
            }
            out.push_str(&cleaner.push(&bytes[at..]));
            out.push_str(&cleaner.finish());
            prop_assert!(!out.contains('\x1b'));
            prop_assert_eq!(out, whole);
        }
    }
}
