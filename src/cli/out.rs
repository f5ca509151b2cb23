//! What commands print. One writer for all of it, which lets no escape sequence pass: what is printed
//! may have been written by anybody.
//!
//! An error of stdout ends the command (a full disk, a reader that left); one of stderr does not, for
//! nobody would hear of it.

use operator_ledger::clean::{CleanWriter, visible_json};
use serde::Serialize;
use std::{
    fmt::Arguments,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
};

/// A line on stdout. Its value is whether that could be written.
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::out::line(format_args!($($text)*)) };
}

/// A line on stderr.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::out::aside(format_args!($($text)*)) };
}

/// stdout, for much text.
pub(crate) type Out = CleanWriter<BufWriter<StdoutLock<'static>>>;

pub(crate) fn stdout() -> Out {
    let out = io::stdout().lock();
    let terminal = out.is_terminal();
    CleanWriter::new(BufWriter::with_capacity(64 * 1024, out)).for_people(terminal)
}

pub(crate) fn line(text: Arguments<'_>) -> io::Result<()> {
    let mut out = stdout();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(explain)
}

pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(explain)
}

/// What could not be written, and still its kind: a reader that left is not complained of.
fn explain(e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("cannot write to stdout: {e}"))
}

pub(crate) fn aside(text: Arguments<'_>) {
    operator_ledger::clean::complain(text);
}

/// A value as JSON that is laid out for people.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    line(format_args!("{}", visible_json(&json)))
}
