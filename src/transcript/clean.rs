//! One line of bytes from outside, as the screen shows it: tabs expanded, what goes back over the
//! line done, marks that pile up and all that is over the cap left out.
//!
//! What is harmless is told by [`operator_ledger::clean`], for all alike. A line may come in
//! pieces; an escape sequence may be cut in two by whoever sent it, but never reaches past the end
//! of its line.

use operator_ledger::clean::{Sink, Stripper};
use unicode_width::UnicodeWidthChar;

/// Longest text of a line, bytes. What is over it is counted, not kept.
pub const LINE_CAP: usize = 8 * 1024;

const TAB: usize = 8;
/// Marks that may stack on one character; more is an attack on the reader's eyes.
const MARKS: u8 = 4;

/// Cleans one line, in pieces.
#[derive(Debug, Default)]
pub struct Cleaner {
    stripper: Stripper,
    place: Place,
}

/// Where on its line the next character goes.
#[derive(Debug, Default)]
struct Place {
    column: usize,
    marks: u8,
    /// A carriage return was read: what comes next replaces the line.
    returned: bool,
    /// Bytes of clean text that did not fit under [`LINE_CAP`].
    omitted: u64,
}

impl Cleaner {
    /// Appends the clean form of `text` to `line`, which holds what earlier pieces gave. `text`
    /// holds no newline.
    pub fn feed(&mut self, text: &str, line: &mut String) {
        let place = &mut self.place;
        self.stripper
            .push(text.as_bytes(), &mut Cells { place, line });
    }

    /// Bytes of clean text that did not fit under [`LINE_CAP`].
    pub fn omitted(&self) -> u64 {
        self.place.omitted
    }
}

/// Cleans a whole line. Returns the text and how many bytes of it were left out.
pub fn clean(bytes: &[u8]) -> (String, u64) {
    let mut line = String::with_capacity(bytes.len().min(LINE_CAP));
    let (mut stripper, mut place) = (Stripper::default(), Place::default());
    let mut cells = Cells {
        place: &mut place,
        line: &mut line,
    };
    stripper.push(bytes, &mut cells);
    stripper.finish(&mut cells);
    (line, place.omitted)
}

/// Cleans a short text in place, one line of it: a name, an address, an error.
pub fn clean_text(text: &mut String) {
    let plain = |b: &u8| matches!(b, b' '..=b'~');
    if !text.as_bytes().iter().all(plain) {
        *text = clean(text.replace('\n', " ").as_bytes()).0;
    }
}

struct Cells<'a> {
    place: &'a mut Place,
    line: &'a mut String,
}

impl Sink for Cells<'_> {
    fn plain(&mut self, text: &str) {
        if self.place.returned || text.bytes().any(|b| matches!(b, b'\t' | b'\n')) {
            text.chars().for_each(|c| self.character(c));
            return;
        }
        let (kept, over) = text.split_at(text.len().min(LINE_CAP.saturating_sub(self.line.len())));
        self.line.push_str(kept);
        self.place.omitted += over.len() as u64;
        self.place.marks = 0;
        self.place.column += text.len();
    }

    fn character(&mut self, c: char) {
        match c {
            '\t' => {
                for _ in 0..TAB - self.place.column % TAB {
                    self.print(' ');
                }
            }
            '\r' => self.place.returned = true,
            '\x08' => {
                if let Some(c) = self.line.pop() {
                    let width = c.width().unwrap_or(0);
                    self.place.column = self.place.column.saturating_sub(width);
                }
            }
            c if c.is_control() => {}
            c => self.print(c),
        }
    }
}

impl Cells<'_> {
    fn print(&mut self, c: char) {
        if std::mem::take(&mut self.place.returned) {
            self.place.column = 0;
            self.line.clear();
        }
        match c.width() {
            Some(0) => {
                self.place.marks += 1;
                if self.place.marks > MARKS || self.line.is_empty() {
                    self.place.marks = self.place.marks.min(MARKS);
                    return;
                }
            }
            width => {
                self.place.marks = 0;
                self.place.column += width.unwrap_or(0);
            }
        }
        if self.line.len() + c.len_utf8() > LINE_CAP {
            self.place.omitted += c.len_utf8() as u64;
        } else {
            self.line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::clean::is_invisible;
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
    fn controls_are_dropped_and_what_is_invisible_is_seen() {
        assert_eq!(
            text("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{9b}f".as_bytes()),
            "a<202e>b<2066>c<200b>d<feff>e<9b>f"
        );
        assert_eq!(text(b"a\x00\x07\x0bb\x7f"), "ab<7f>");
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
            prop_assert!(!line.contains(|c: char| is_invisible(c) || c.is_control()), "{line:?}");
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
