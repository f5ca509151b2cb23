//! Bytes from outside to harmless text: UTF-8 made valid, whole escape sequences out, characters that
//! nobody would see written as their number, `<200b>`. The one rule of what is harmless, for the record, the model and the screen.
//!
//! [`Cleaner`] is what the record and the model get; what else a terminal would do with a line is
//! the screen's, which has a [`Sink`] of its own. Does not hide secrets and does not cut.

mod ascii;
mod json;
mod one_line;
mod writer;

pub use ascii::{ascii, ascii_only};
pub use json::{json_line, visible_json};
pub use one_line::one_line;
pub use writer::{CleanWriter, complain};

use vte::{Params, Parser, Perform};

/// A sequence that is longer than so many bytes is taken to be none, so that a stray beginning of
/// one cannot swallow the rest of the output.
const MAX_SEQUENCE: usize = 4096;

/// The C1 character that ends a string sequence.
const STRING_END: char = '\u{9c}';

/// Takes what is left of a text.
pub trait Sink {
    /// Printable ASCII, tabs and line ends.
    fn plain(&mut self, text: &str);
    /// One more character that is seen, or a control character that is no part of a sequence.
    fn character(&mut self, c: char);
}

/// Takes sequences out of a text and makes invisible characters visible, wherever its chunks end. The default is for
/// one line, which ends whatever is open and is bounded itself.
#[derive(Default)]
pub struct Stripper {
    /// Gives up a sequence that is longer than [`MAX_SEQUENCE`].
    impatient: bool,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    parser: Parser,
    /// The last character was one outside ASCII, which a selector may follow.
    selectable: bool,
    /// Bytes of the sequence that is open. None: none is, and the parser has nothing pending.
    sequence: Option<usize>,
}

impl std::fmt::Debug for Stripper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stripper")
            .field("partial", &self.partial)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Stripper {
    /// For a stream without an end.
    pub fn of_stream() -> Self {
        Self {
            impatient: true,
            ..Self::default()
        }
    }

    pub fn push(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        let joined;
        let mut rest = if self.partial.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.partial).as_slice(), bytes].concat();
            joined.as_slice()
        };
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => return self.text(text, sink),
                Err(e) => {
                    let (good, bad) = rest.split_at(e.valid_up_to());
                    self.text(std::str::from_utf8(good).unwrap_or_default(), sink);
                    let Some(n) = e.error_len() else {
                        self.partial = bad.to_vec();
                        return;
                    };
                    self.text("\u{fffd}", sink);
                    rest = &bad[n..];
                }
            }
        }
    }

    /// The end of the stream.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        if !std::mem::take(&mut self.partial).is_empty() {
            self.text("\u{fffd}", sink);
        }
    }

    fn text(&mut self, text: &str, sink: &mut impl Sink) {
        let mut rest = text;
        while !rest.is_empty() {
            rest = match self.sequence {
                None => self.outside(rest, sink),
                Some(length) => self.inside(rest, length, sink),
            };
        }
    }

    /// No sequence is open: what is left after a run of plain text and what ended it.
    fn outside<'t>(&mut self, text: &'t str, sink: &mut impl Sink) -> &'t str {
        // Most text has nothing to look at closely: it goes as it is.
        let plain = text.bytes().position(|b| !is_plain(b));
        let (run, rest) = text.split_at(plain.unwrap_or(text.len()));
        if !run.is_empty() {
            sink.plain(run);
            self.selectable = false;
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('\x1b') => {
                self.parser.advance(&mut Inside::default(), b"\x1b");
                self.sequence = Some(0);
            }
            // C1 controls stand alone: one that began a string would hide what comes after it.
            Some(c) => self.character(c, sink),
            None => {}
        }
        chars.as_str()
    }

    /// What is not seen is written as its number: a name that differs in it alone is another name, to
    /// whoever reads it, person or model.
    fn character(&mut self, c: char, sink: &mut impl Sink) {
        if !is_invisible(c) {
            sink.character(c);
            self.selectable = !c.is_ascii();
        } else if !(self.selectable && is_selector(c)) {
            sink.plain(&format!("<{:x}>", u32::from(c)));
            self.selectable = false;
        }
    }

    /// A sequence is open: what is left after one more character of it. One at a time, as the
    /// parser does not tell that a sequence it ignores has ended before something is printed.
    fn inside<'t>(&mut self, text: &'t str, length: usize, sink: &mut impl Sink) -> &'t str {
        let mut chars = text.chars();
        match chars.next() {
            // A line end closes what was left open: the next line is readable, whatever came
            // before it.
            Some('\n') => {
                self.close();
                return text;
            }
            Some(STRING_END) => self.advance(b"\x1b\\", length, sink),
            Some(c) if is_c1(c) => {}
            Some(c) => self.advance(c.encode_utf8(&mut [0; 4]).as_bytes(), length, sink),
            None => {}
        }
        chars.as_str()
    }

    fn advance(&mut self, bytes: &[u8], length: usize, sink: &mut impl Sink) {
        let mut inside = Inside::default();
        self.parser.advance(&mut inside, bytes);
        self.sequence = Some(length + bytes.len());
        if inside.ended {
            self.sequence = None;
        } else if self.impatient && length + bytes.len() >= MAX_SEQUENCE {
            self.close();
        }
        // Never part of it: a terminal obeys them at once.
        for c in inside.controls {
            self.character(c, sink);
        }
    }

    fn close(&mut self) {
        self.parser = Parser::new();
        self.sequence = None;
    }
}

/// What the parser says of a sequence.
#[derive(Default)]
struct Inside {
    ended: bool,
    controls: Vec<char>,
}

impl Perform for Inside {
    fn print(&mut self, c: char) {
        self.ended = true;
        self.controls.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            // They cancel it.
            0x18 | 0x1a => self.ended = true,
            _ => self.controls.push(char::from(byte)),
        }
    }

    fn csi_dispatch(&mut self, _: &Params, _: &[u8], _: bool, _: char) {
        self.ended = true;
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, _: u8) {
        self.ended = true;
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], by_bell: bool) {
        // Otherwise the backslash of its end is still to come.
        self.ended |= by_bell;
    }
}

fn is_c1(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}')
}

/// Chooses between two pictures of the character before it, and says nothing else.
fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

/// Bytes that mean themselves, whatever comes before them.
fn is_plain(b: u8) -> bool {
    matches!(b, b' '..=b'~' | b'\n' | b'\t')
}

/// Characters that show nothing, move text about or hide it: they change what a line seems to say.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A stream, cleaned for the record and the model: line ends made `\n`, tabs kept, other control
/// characters out.
#[derive(Debug)]
pub struct Cleaner {
    stripper: Stripper,
    after_return: bool,
}

impl Default for Cleaner {
    fn default() -> Self {
        Self {
            stripper: Stripper::of_stream(),
            after_return: false,
        }
    }
}

impl Cleaner {
    /// The clean text of one more chunk.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.give(bytes.len(), |stripper, lines| stripper.push(bytes, lines))
    }

    /// What is left at the end of the output.
    pub fn finish(&mut self) -> String {
        self.give(0, Stripper::finish)
    }

    fn give(&mut self, room: usize, by: impl FnOnce(&mut Stripper, &mut Lines)) -> String {
        let mut lines = Lines {
            out: String::with_capacity(room),
            after_return: self.after_return,
        };
        by(&mut self.stripper, &mut lines);
        self.after_return = lines.after_return;
        lines.out
    }
}

struct Lines {
    out: String,
    after_return: bool,
}

impl Sink for Lines {
    fn plain(&mut self, text: &str) {
        // CR LF is one line end.
        let after_return = std::mem::take(&mut self.after_return);
        let text = match text.strip_prefix('\n') {
            Some(rest) if after_return => rest,
            _ => text,
        };
        self.out.push_str(text);
    }

    fn character(&mut self, c: char) {
        self.after_return = c == '\r';
        match c {
            // A lone one (a progress line that redraws itself) is a line end too.
            '\r' => self.out.push('\n'),
            '\t' => self.out.push(c),
            c if c.is_control() => {}
            c => self.out.push(c),
        }
    }
}

/// One whole text, cleaned for the record and the model.
pub fn clean(text: &str) -> String {
    let mut cleaner = Cleaner::default();
    let mut out = cleaner.push(text.as_bytes());
    out.push_str(&cleaner.finish());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scribble::{inputs, scribbled};
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
            ("a\x1b[31\nb", "a\nb"),
            ("\x1bPdcs\x1b\\y", "y"),
            ("\x1b(Bz", "z"),
            ("a\u{9b}31mb", "a<9b>31mb"),
            ("a\u{9d}0;title ✓\u{9c}b", "a<9d>0;title ✓<9c>b"),
            ("a\x1b]0;title ✓\u{9c}b", "ab"),
            ("a\x1b[0;[xb\x1b[1mc", "axbc"),
            ("a\x1b[3\x18b\x1b\x1b[1mc", "abc"),
            ("one\r\ntwo\rthree", "one\ntwo\nthree"),
            ("tab\there", "tab\there"),
            ("bell\x07 back\x08", "bell back"),
            ("abc\u{202e}def\u{200b}", "abc<202e>def<200b>"),
            ("✔\u{fe0f} done a\u{fe0f}", "✔ done a<fe0f>"),
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

    #[test]
    fn letters_that_nobody_sees_are_written_as_their_number() {
        for hidden in [
            // Bidi controls and marks.
            "\u{61c}",
            "\u{200e}",
            "\u{200f}",
            "\u{202a}",
            "\u{202b}",
            "\u{202c}",
            "\u{202d}",
            "\u{202e}",
            "\u{2066}",
            "\u{2067}",
            "\u{2068}",
            "\u{2069}",
            "\u{206a}",
            "\u{206f}",
            // Soft hyphen, zero width, fillers.
            "\u{ad}",
            "\u{200b}",
            "\u{200c}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{3164}",
            "\u{115f}",
            "\u{ffa0}",
            // Variation selectors, tags.
            "\u{fe00}",
            "\u{fe0f}",
            "\u{180b}",
            "\u{e0100}",
            "\u{e0041}",
            // Line ends that are none, C1.
            "\u{2028}",
            "\u{2029}",
            "\u{85}",
            "\u{80}",
            "\u{7f}",
        ] {
            let number = u32::from(hidden.chars().next().unwrap());
            let seen = format!("a<{number:x}>b");
            assert_eq!(clean(&format!("a{hidden}b")), seen, "{hidden:?}");
        }
    }

    #[test]
    fn a_sequence_that_never_ends_hides_no_more_than_a_page() {
        let text = format!("a\x1b]0;{}seen\n", "x".repeat(2 * MAX_SEQUENCE));
        assert!(clean(&text).ends_with("xseen\n"));
    }

    const FUZZ: &str = include_str!("../tests/fuzz/terminal.txt");

    fn is_clean(text: &str) -> bool {
        !text.contains(|c: char| is_invisible(c) || (c.is_control() && c != '\n' && c != '\t'))
    }

    #[test]
    fn fuzz_inputs_are_clean_and_once_is_enough() {
        for input in inputs(FUZZ) {
            let out = all(&input);
            assert!(is_clean(&out) && clean(&out) == out, "{out:?}");
        }
    }

    proptest! {
        #[test]
        fn fuzz_no_terminal_output_is_too_odd(bytes in scribbled(FUZZ), cut in 0usize..200) {
            let whole = all(&bytes);
            let (one, two) = bytes.split_at(cut.min(bytes.len()));
            let mut cleaner = Cleaner::default();
            let parts = cleaner.push(one) + &cleaner.push(two) + &cleaner.finish();
            prop_assert!(is_clean(&whole), "{whole:?}");
            prop_assert_eq!(&parts, &whole);
            prop_assert_eq!(clean(&whole), whole);
        }

        #[test]
        fn chunk_edges_change_nothing(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "[a-c\u{1b}\\[\\];0-9mP\\\\\u{7}é字\u{9b}\u{9c}\t\r\n\u{18}]{0,60}"
                    .prop_map(String::into_bytes),
            ],
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let whole = all(&bytes);
            let mut cleaner = Cleaner::default();
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut out, mut at) = (String::new(), 0);
            for cut in cuts {
                let cut = cut.min(bytes.len()).max(at);
                out.push_str(&cleaner.push(&bytes[at..cut]));
                at = cut;
            }
            out.push_str(&cleaner.push(&bytes[at..]));
            out.push_str(&cleaner.finish());
            prop_assert!(is_clean(&out), "{out:?}");
            prop_assert_eq!(out, whole);
        }
    }
}
