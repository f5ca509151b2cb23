//! Keys, from a thread of their own that waits for them: nobody who draws ever waits for the
//! terminal, whatever comes from it or does not.
//!
//! It reads; `frames` cuts what was read into pieces, `meaning` tells what they are. Changes of size
//! arrive as a signal (see [`super::signals`]).

use super::{frames::Frames, meaning::Meaning};
use crossterm::event::Event;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{io, thread, time::Instant};
use tokio::sync::mpsc;

/// Events that may wait; who sends more waits.
const QUEUE: usize = 256;
/// Bytes of one read.
const READ: usize = 16 * 1024;

#[derive(Debug)]
pub struct Input(mpsc::Receiver<Event>);

impl Input {
    pub fn start() -> io::Result<Self> {
        let (sender, events) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("keys".into())
            .spawn(move || read(&sender))?;
        Ok(Self(events))
    }

    /// The next event; `None`, for ever: the terminal is gone. Can be dropped and called again
    /// without losing one.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// Until the terminal is gone, or nobody wants to know.
fn read(events: &mpsc::Sender<Event>) {
    let (mut frames, mut meaning) = (Frames::default(), Meaning::default());
    let (mut pieces, mut came) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; READ];
    loop {
        let left = frames
            .deadline()
            .map(|at| at.saturating_duration_since(Instant::now()));
        match wait(left.and_then(|left| Timespec::try_from(left).ok())) {
            Some(true) => match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) => return,
                Ok(n) => frames.push(&buffer[..n], Instant::now(), &mut pieces),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return,
            },
            Some(false) => frames.late(Instant::now(), &mut pieces),
            None => return,
        }
        for piece in pieces.drain(..) {
            meaning.read(&piece, &mut came);
        }
        for event in came.drain(..) {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
    }
}

/// Whether there is something to read. None: the terminal is gone.
fn wait(limit: Option<Timespec>) -> Option<bool> {
    let stdin = rustix::stdio::stdin();
    let mut ask = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut ask, limit.as_ref()) {
        Ok(0) | Err(Errno::INTR) => return Some(false),
        Ok(_) => {}
        Err(_) => return None,
    }
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    (!ask[0].revents().intersects(gone)).then_some(true)
}
