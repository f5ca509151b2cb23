//! The way to a terminal, or to whatever reads instead of one.

use super::{Cleaner, ascii, ascii_only};
use std::{
    fmt::Arguments,
    io::{self, IsTerminal, Write},
};

/// A line on stderr. Where that is gone, for nobody.
pub fn complain(text: Arguments<'_>) {
    let mut out = CleanWriter::of(io::stderr().lock());
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Passes on what is harmless: whoever wrote the text, no escape sequence gets through.
///
/// A sequence may be cut in two by writes; what is open at the end is left out by [`Write::flush`].
#[derive(Debug)]
pub struct CleanWriter<W> {
    out: W,
    cleaner: Cleaner,
    /// Of what it reads, a terminal without UTF-8 gets no more than ASCII.
    ascii: bool,
}

impl<W: Write> CleanWriter<W> {
    pub fn new(out: W) -> Self {
        Self {
            out,
            cleaner: Cleaner::default(),
            ascii: false,
        }
    }

    /// For people: in ASCII, where it is a terminal that has nothing else.
    #[must_use]
    pub fn for_people(mut self, terminal: bool) -> Self {
        self.ascii = terminal && ascii_only();
        self
    }

    fn pass(&mut self, clean: &str) -> io::Result<()> {
        if self.ascii {
            return self.out.write_all(ascii(clean).as_bytes());
        }
        self.out.write_all(clean.as_bytes())
    }
}

impl<W: Write + IsTerminal> CleanWriter<W> {
    pub fn of(out: W) -> Self {
        let terminal = out.is_terminal();
        Self::new(out).for_people(terminal)
    }
}

impl<W: Write> Write for CleanWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let clean = self.cleaner.push(bytes);
        self.pass(&clean)?;
        Ok(bytes.len())
    }

    /// Also the end of what was written so far: nothing that comes later continues a sequence.
    fn flush(&mut self) -> io::Result<()> {
        let clean = std::mem::take(&mut self.cleaner).finish();
        self.pass(&clean)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sequence_gets_through_however_it_is_written() {
        let mut out = Vec::new();
        let mut writer = CleanWriter::new(&mut out);
        for piece in ["a\x1b]52;c;", "aGk=\x07b\x1b[2", "Jc\n", "\u{9b}2J\x1b"] {
            write!(writer, "{piece}").unwrap();
        }
        writer.flush().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "abc\n<9b>2J");
    }
}
