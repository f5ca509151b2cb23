//! The terminal front end: keys in, frames out.

use super::draw;
use crate::{
    app::{Event, Frontend, State, state::Geometry},
    terminal::{Guard, Mouse, guard::GuardError},
};
use crossterm::{
    clipboard::CopyToClipboard,
    event::{Event as Input, EventStream},
    execute, queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate, SetTitle},
};
use futures_util::StreamExt;
use ratatui::{Terminal, backend::CrosstermBackend};
use std::io::{self, BufWriter, Stdout, Write};

/// Larger than a full frame of a large screen: a frame is one write, or few.
const BUFFER: usize = 64 * 1024;

pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    input: EventStream,
    mouse: bool,
    // Last, so that it restores when everything else is gone.
    guard: Guard,
}

impl Screen {
    /// Takes the terminal. Needs a tokio runtime.
    pub fn open() -> Result<Self, GuardError> {
        let guard = Guard::enter()?;
        let out = BufWriter::with_capacity(BUFFER, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        Ok(Self {
            terminal,
            input: EventStream::new(),
            mouse: false,
            guard,
        })
    }
}

impl Frontend for Screen {
    fn draw(&mut self, state: &State) -> io::Result<Geometry> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let mut geometry = Geometry::default();
        self.terminal.draw(|frame| geometry = draw(frame, state))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.terminal.backend_mut().flush()?;
        Ok(geometry)
    }

    async fn next(&mut self) -> Event {
        loop {
            match self.input.next().await {
                Some(Ok(Input::Key(key))) => return Event::Key(key),
                Some(Ok(Input::Mouse(mouse))) => return Event::Mouse(mouse),
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
        self.mouse(self.mouse);
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

    fn title(&mut self, text: &str) {
        let _ = execute!(self.terminal.backend_mut(), SetTitle(text));
    }

    fn mouse(&mut self, on: bool) {
        self.mouse = on;
        let _ = execute!(self.terminal.backend_mut(), Mouse(on));
    }

    fn bell(&mut self) {
        let out = self.terminal.backend_mut();
        let _ = out.write_all(b"\x07").and_then(|()| Write::flush(out));
    }
}
