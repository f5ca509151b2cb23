//! The terminal front end: keys in, frames out.

use super::{draw, theme::Theme};
use crate::{
    app::{Event, Frontend, State, state::Geometry},
    terminal::{Guard, guard::GuardError},
};
use crossterm::{
    clipboard::CopyToClipboard,
    event::{Event as Input, EventStream},
    execute, queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use futures_util::StreamExt;
use ratatui::{Terminal, backend::CrosstermBackend};
use std::io::{self, BufWriter, Stdout, Write};

/// Larger than a full frame of a large screen: a frame is one write, or few.
const BUFFER: usize = 64 * 1024;

pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    input: EventStream,
    theme: Theme,
    // Last, so that it restores when everything else is gone.
    guard: Guard,
}

impl Screen {
    /// Takes the terminal. Needs a tokio runtime.
    pub fn open(theme: Theme) -> Result<Self, GuardError> {
        let guard = Guard::enter()?;
        let out = BufWriter::with_capacity(BUFFER, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        Ok(Self {
            terminal,
            input: EventStream::new(),
            theme,
            guard,
        })
    }
}

impl Frontend for Screen {
    fn draw(&mut self, state: &State) -> io::Result<Geometry> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let mut geometry = Geometry::default();
        let theme = self.theme;
        self.terminal
            .draw(|frame| geometry = draw(frame, state, theme))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.terminal.backend_mut().flush()?;
        Ok(geometry)
    }

    async fn next(&mut self) -> Event {
        loop {
            match self.input.next().await {
                Some(Ok(Input::Key(key))) => return Event::Key(key),
                Some(Ok(Input::Paste(text))) => return Event::Paste(text),
                Some(Ok(Input::Resize(..))) => return Event::Resize,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Event::TerminalGone,
            }
        }
    }

    fn suspend(&mut self) {
        self.guard.suspend();
    }

    fn resume(&mut self) -> io::Result<()> {
        self.guard.resume()?;
        // Not `clear`: that asks the terminal where the cursor is, and waits for the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    fn copy(&mut self, text: &str) {
        let _ = execute!(
            self.terminal.backend_mut(),
            CopyToClipboard::to_clipboard_from(text)
        );
    }

    fn bell(&mut self) {
        let out = self.terminal.backend_mut();
        let _ = out.write_all(b"\x07").and_then(|()| Write::flush(out));
    }
}
