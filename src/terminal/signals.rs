//! Signals to the dashboard, as values in the main loop.
//!
//! It decides nothing: what a signal means is for `app::update`.

use std::io;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Interrupt,
    Quit,
    /// The terminal is gone.
    Hangup,
    /// The terminal has another size.
    Resize,
    /// Stop, as by `kill -TSTP`; Ctrl-Z arrives as a key.
    Stop,
    Continue,
}

impl Signal {
    /// The exit code a shell would report for a process this signal ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Hangup => 129,
            Self::Interrupt => 130,
            Self::Quit => 131,
            Self::Terminate | Self::Resize | Self::Stop | Self::Continue => 143,
        }
    }
}

#[derive(Debug)]
pub struct Signals {
    term: Stream,
    int: Stream,
    quit: Stream,
    hup: Stream,
    winch: Stream,
    tstp: Stream,
    cont: Stream,
}

impl Signals {
    /// Takes the signals over from their default actions. Needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        let tstp = rustix::process::Signal::TSTP.as_raw();
        let cont = rustix::process::Signal::CONT.as_raw();
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hup: signal(SignalKind::hangup())?,
            winch: signal(SignalKind::window_change())?,
            tstp: signal(SignalKind::from_raw(tstp))?,
            cont: signal(SignalKind::from_raw(cont))?,
        })
    }

    /// The next signal. Can be dropped and called again without losing one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.term.recv() => Signal::Terminate,
            _ = self.int.recv() => Signal::Interrupt,
            _ = self.quit.recv() => Signal::Quit,
            _ = self.hup.recv() => Signal::Hangup,
            _ = self.winch.recv() => Signal::Resize,
            _ = self.tstp.recv() => Signal::Stop,
            _ = self.cont.recv() => Signal::Continue,
        }
    }
}
