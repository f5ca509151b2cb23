//! What ratatui draws on: cells become bytes, kept until somebody takes them as one frame. A
//! frame in which nothing changed is no bytes at all.
//!
//! Writes to no terminal itself; asks it for its size only.

use super::tty;
use crossterm::{
    queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use operator_ledger::clean::{ascii, ascii_only};
use ratatui::{
    backend::{Backend as Draw, ClearType, CrosstermBackend, WindowSize},
    buffer::Cell,
    layout::{Position, Size},
};
use std::io;

/// The guard has hidden the cursor.
#[derive(Debug, Default)]
pub struct Backend {
    /// Whether the terminal has no more characters than ASCII.
    ascii: bool,
    /// What was drawn since it was last taken.
    bytes: Vec<u8>,
    /// Where the cursor is shown; `None`: nowhere, or not known.
    cursor: Option<Position>,
    shown: bool,
    /// The bytes of the last frame, kept for their room.
    frame: Vec<u8>,
}

impl Backend {
    /// For a terminal with the characters of the locale.
    pub fn of_locale() -> Self {
        Self {
            ascii: ascii_only(),
            ..Self::default()
        }
    }

    /// The bytes since the last call, to be shown at once or not at all. Empty: nothing changed.
    pub fn take(&mut self) -> io::Result<&[u8]> {
        self.frame.clear();
        if !self.bytes.is_empty() {
            queue!(self.frame, BeginSynchronizedUpdate)?;
            self.frame.append(&mut self.bytes);
            queue!(self.frame, EndSynchronizedUpdate)?;
        }
        Ok(&self.frame)
    }

    /// The terminal was given back meanwhile, with its cursor; the guard hides it again.
    pub fn reset(&mut self) {
        self.bytes.clear();
        self.cursor = None;
        self.shown = false;
    }

    fn cells(&mut self) -> CrosstermBackend<&mut Vec<u8>> {
        CrosstermBackend::new(&mut self.bytes)
    }
}

impl Draw for Backend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        // It is where the last cell was written.
        self.cursor = None;
        if !self.ascii {
            return self.cells().draw(content);
        }
        let plain: Vec<(u16, u16, Cell)> = content
            .map(|(x, y, cell)| {
                let mut plain = cell.clone();
                plain.set_symbol(&ascii(cell.symbol()));
                (x, y, plain)
            })
            .collect();
        self.cells()
            .draw(plain.iter().map(|(x, y, cell)| (*x, *y, cell)))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.cursor = None;
        if std::mem::take(&mut self.shown) {
            return self.cells().hide_cursor();
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.shown, true) {
            return Ok(());
        }
        self.cells().show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Asking a terminal that does not answer would wait.
        Ok(self.cursor.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.cursor.replace(position) == Some(position) {
            return Ok(());
        }
        self.cells().set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.cells().clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.cells().clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        tty::size().map(Size::from)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::default(),
        })
    }

    /// A frame is taken, not flushed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{Terminal, TerminalOptions, Viewport, layout::Rect};

    fn terminal() -> Terminal<Backend> {
        let viewport = Viewport::Fixed(Rect::new(0, 0, 20, 3));
        Terminal::with_options(Backend::default(), TerminalOptions { viewport }).unwrap()
    }

    fn frame(terminal: &mut Terminal<Backend>, text: &str, cursor: Option<u16>) -> String {
        terminal
            .draw(|frame| {
                frame.render_widget(text, frame.area());
                if let Some(x) = cursor {
                    frame.set_cursor_position((x, 0));
                }
            })
            .unwrap();
        String::from_utf8(terminal.backend_mut().take().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn only_what_changed_is_written_and_nothing_is_no_bytes() {
        let mut terminal = terminal();
        let first = frame(&mut terminal, "one two", None);
        assert!(first.starts_with("\x1b[?2026h") && first.ends_with("\x1b[?2026l"));
        assert!(first.contains("one"), "{first:?}");
        assert_eq!(frame(&mut terminal, "one two", None), "");
        let third = frame(&mut terminal, "one too", None);
        assert!(third.contains('o') && !third.contains("one"), "{third:?}");
    }

    #[test]
    fn where_the_locale_has_no_more_a_frame_is_of_ascii_and_nothing_moves() {
        let mut terminal = terminal();
        terminal.backend_mut().ascii = true;
        let drawn = frame(&mut terminal, "╭─✓字up─╮", None);
        assert!(drawn.is_ascii() && drawn.contains("+-+??"), "{drawn:?}");
        // What follows a wide character stands where it stood.
        assert!(drawn.contains("up-+"), "{drawn:?}");
    }

    #[test]
    fn a_cursor_that_stays_where_it_is_costs_nothing() {
        let mut terminal = terminal();
        let shown = frame(&mut terminal, "ab", Some(2));
        assert!(shown.contains("\x1b[?25h") && shown.contains("\x1b[1;3H"));
        assert_eq!(frame(&mut terminal, "ab", Some(2)), "");
        // Cells that are written take the cursor with them.
        assert!(frame(&mut terminal, "ac", Some(2)).contains("\x1b[1;3H"));
        assert!(frame(&mut terminal, "ac", None).contains("\x1b[?25l"));
        assert_eq!(frame(&mut terminal, "ac", None), "");
    }
}
