//! The terminal front end: keys in, frames out.

use super::draw;
use crate::{
    app::{
        event::{Event, Frontend},
        model::{app::App, pane::Drawn},
    },
    terminal::{Backend, Guard, Input, Mouse, Output, guard::GuardError},
};
use crossterm::{
    Command, clipboard::CopyToClipboard, event::Event as Came, queue, terminal::SetTitle,
};
use operator_ledger::clean::{ascii, ascii_only};
use ratatui::Terminal;
use std::io;

pub struct Screen {
    terminal: Terminal<Backend>,
    output: Output,
    input: Input,
    mouse: bool,
    // Last, so that it restores when everything else is gone.
    guard: Guard,
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> Result<Self, GuardError> {
        let guard = Guard::enter()?;
        Ok(Self {
            terminal: Terminal::new(Backend::of_locale())?,
            output: Output::default(),
            input: Input::start()?,
            mouse: false,
            guard,
        })
    }

    /// Something besides frames. Lost where the terminal is: nobody is told.
    fn tell(&mut self, command: impl Command) {
        let mut bytes = Vec::new();
        let _ = queue!(bytes, command);
        let _ = self.output.send(&bytes);
    }

    async fn input(input: &mut Input) -> Event {
        loop {
            match input.next().await {
                Some(Came::Key(key)) => return Event::Key(key),
                Some(Came::Mouse(mouse)) => return Event::Mouse(mouse),
                Some(Came::Paste(text)) => return Event::Paste(text),
                Some(_) => {}
                None => return Event::TerminalGone,
            }
        }
    }
}

impl Frontend for Screen {
    fn ready(&self) -> bool {
        self.output.done()
    }

    fn draw(&mut self, app: &App) -> io::Result<Drawn> {
        let mut drawn = Drawn::default();
        self.terminal.draw(|frame| drawn = draw(frame, app))?;
        self.output.send(self.terminal.backend_mut().take()?)?;
        Ok(drawn)
    }

    async fn next(&mut self) -> Option<Event> {
        if self.output.done() {
            return Some(Self::input(&mut self.input).await);
        }
        tokio::select! {
            biased;
            drained = self.output.drained() => drained.err().map(|_| Event::TerminalGone),
            event = Self::input(&mut self.input) => Some(event),
        }
    }

    fn suspend(&mut self) {
        self.output.forget();
        self.guard.suspend();
    }

    fn resume(&mut self) -> io::Result<()> {
        self.output.forget();
        self.guard.resume()?;
        self.terminal.backend_mut().reset();
        if self.mouse {
            self.tell(Mouse(true));
        }
        // Not `clear`: that asks the terminal where the cursor is, and waits for the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    fn copy(&mut self, text: &str) {
        self.tell(CopyToClipboard::to_clipboard_from(text));
    }

    fn bell(&mut self) {
        let _ = self.output.send(b"\x07");
    }

    fn title(&mut self, text: &str) {
        if ascii_only() {
            return self.tell(SetTitle(ascii(text)));
        }
        self.tell(SetTitle(text));
    }

    fn mouse(&mut self, on: bool) {
        self.mouse = on;
        self.tell(Mouse(on));
    }
}
