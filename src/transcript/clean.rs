//! Bytes from outside to text that is safe to show: whole escape sequences, control characters,
//! bidi controls and invisible characters out, invalid UTF-8 replaced, tabs expanded, colours
//! dropped.
//!
//! Works on one line at a time, in pieces if it must: an escape sequence may be cut in two by
//! whoever sent it, but never reaches past the end of its line.

use unicode_width::UnicodeWidthChar;
use vte::{Params, Parser, Perform};

/// Longest text of a line, bytes. What is over it is counted, not kept.
pub const LINE_CAP: usize = 8 * 1024;

const TAB: usize = 8;
/// Marks that may stack on one character; more is an attack on the reader's eyes.
const MARKS: u8 = 4;

/// Cleans one line, in pieces.
pub struct Cleaner {
    parser: Parser,
    column: usize,
    marks: u8,
    /// A carriage return was read: what comes next replaces the line.
    returned: bool,
    /// Bytes of clean text that did not fit under [`LINE_CAP`].
    pub omitted: u64,
}

impl Default for Cleaner {
    fn default() -> Self {
        Self {
            parser: Parser::new(),
            column: 0,
            marks: 0,
            returned: false,
            omitted: 0,
        }
    }
}

impl std::fmt::Debug for Cleaner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cleaner")
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}

impl Cleaner {
    /// Appends the clean form of `text` to `line`, which holds what earlier pieces gave. `text`
    /// holds no newline.
    pub fn feed(&mut self, text: &str, line: &mut String) {
        self.bytes(text.as_bytes(), line);
    }

    fn bytes(&mut self, bytes: &[u8], line: &mut String) {
        // Moved out while its performer borrows the rest.
        let mut parser = std::mem::take(&mut self.parser);
        parser.advance(
            &mut Performer {
                cleaner: self,
                line,
            },
            bytes,
        );
        self.parser = parser;
    }
}

/// Cleans a whole line. Returns the text and how many bytes of it were left out.
pub fn clean(bytes: &[u8]) -> (String, u64) {
    let mut line = String::with_capacity(bytes.len().min(LINE_CAP));
    let mut cleaner = Cleaner::default();
    cleaner.bytes(bytes, &mut line);
    // A line that ends inside a character: a space completes it as invalid, and is not kept.
    if bytes.last().is_some_and(|b| *b >= 0x80) {
        let before = line.len();
        cleaner.bytes(b" ", &mut line);
        if line.len() > before && line.ends_with(' ') {
            line.pop();
        }
    }
    (line, cleaner.omitted)
}

/// Cleans a short text in place, one line of it: a name, an address, an error.
pub fn clean_text(text: &mut String) {
    let plain = |b: &u8| matches!(b, b' '..=b'~');
    if !text.as_bytes().iter().all(plain) {
        *text = clean(text.replace('\n', " ").as_bytes()).0;
    }
}

struct Performer<'a> {
    cleaner: &'a mut Cleaner,
    line: &'a mut String,
}

impl Performer<'_> {
    fn put(&mut self, c: char) {
        if self.line.len() + c.len_utf8() > LINE_CAP {
            self.cleaner.omitted += c.len_utf8() as u64;
        } else {
            self.line.push(c);
        }
    }
}

impl Perform for Performer<'_> {
    fn print(&mut self, c: char) {
        if invisible(c) {
            return;
        }
        if self.cleaner.returned {
            self.cleaner.returned = false;
            self.cleaner.column = 0;
            self.line.clear();
        }
        match c.width() {
            Some(0) => {
                self.cleaner.marks += 1;
                if self.cleaner.marks > MARKS || self.line.is_empty() {
                    self.cleaner.marks = self.cleaner.marks.min(MARKS);
                    return;
                }
            }
            width => {
                self.cleaner.marks = 0;
                self.cleaner.column += width.unwrap_or(0);
            }
        }
        self.put(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => {
                let spaces = TAB - self.cleaner.column % TAB;
                for _ in 0..spaces {
                    self.print(' ');
                }
            }
            b'\r' => self.cleaner.returned = true,
            0x08 => {
                if let Some(c) = self.line.pop() {
                    let width = c.width().unwrap_or(0);
                    self.cleaner.column = self.cleaner.column.saturating_sub(width);
                }
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, _: &Params, _: &[u8], _: bool, _: char) {}
    fn esc_dispatch(&mut self, _: &[u8], _: bool, _: u8) {}
    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {}
}

/// Characters that show nothing, move text about or hide it.
fn invisible(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> String {
        clean(bytes).0
    }

    #[test]
    fn escape_sequences_go_whole() {
        assert_eq!(text(b"\x1b[31mred\x1b[0m done"), "red done");
        assert_eq!(text(b"a\x1b]52;c;aGk=\x07b"), "ab");
        assert_eq!(text(b"a\x1b]0;title\x1b\\b"), "ab");
        assert_eq!(text(b"a\x1bP+q544e\x1b\\b"), "ab");
        assert_eq!(text(b"a\x1b[2J\x1b[Hb\x1bc"), "ab");
        assert_eq!(text(b"a\x1b[?1049lb\x1b[6n"), "ab");
        assert_eq!(text(b"a\x1b]0;never ended"), "a");
    }

    #[test]
    fn an_escape_sequence_may_come_in_two_pieces() {
        let (mut cleaner, mut line) = (Cleaner::default(), String::new());
        cleaner.feed("a\x1b[3", &mut line);
        cleaner.feed("1mb", &mut line);
        assert_eq!(line, "ab");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text(b"caf\xc3"), "caf\u{fffd}");
        assert_eq!(text(b"\xc0\xfex"), "\u{fffd}\u{fffd}x");
    }

    #[test]
    fn controls_bidi_and_invisible_characters_are_dropped() {
        assert_eq!(
            text("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{9b}f".as_bytes()),
            "abcdef"
        );
        assert_eq!(text(b"a\x00\x07\x0bb\x7f"), "ab");
    }

    #[test]
    fn tabs_backspace_and_carriage_return_do_what_a_terminal_would_show() {
        assert_eq!(text(b"ab\tc"), "ab      c");
        assert_eq!(text("字\tc".as_bytes()), "字      c");
        assert_eq!(text(b"10%\r50%\r100%\r"), "100%");
        assert_eq!(text(b"N\x08NA\x08A"), "NA");
        assert_eq!(text(b"dos line\r"), "dos line");
    }

    #[test]
    fn marks_do_not_pile_up_and_a_line_is_capped() {
        let zalgo = format!("a{}b", "\u{301}".repeat(50));
        assert_eq!(text(zalgo.as_bytes()), format!("a{}b", "\u{301}".repeat(4)));
        let (line, omitted) = clean(&vec![b'x'; LINE_CAP + 10]);
        assert_eq!((line.len(), omitted), (LINE_CAP, 10));
    }

    proptest! {
        #[test]
        fn whatever_comes_in_no_control_character_comes_out(bytes: Vec<u8>) {
            let (line, _) = clean(&bytes);
            prop_assert!(!line.chars().any(invisible), "{line:?}");
        }

        #[test]
        fn pieces_give_what_the_whole_gives(
            text in "[a-c\u{1b}\\[\\];0-9m\u{7}é字\t\r]{0,40}",
            cut in 0usize..60,
        ) {
            let cut = text.floor_char_boundary(cut.min(text.len()));
            let (mut cleaner, mut line) = (Cleaner::default(), String::new());
            cleaner.feed(&text[..cut], &mut line);
            cleaner.feed(&text[cut..], &mut line);
            prop_assert_eq!(line, clean(text.as_bytes()).0);
        }
    }
}
