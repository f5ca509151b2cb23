//! Keys, from a thread of their own that waits for them: nobody who draws ever waits for the
//! terminal, whatever comes from it or does not.
//!
//! Reading and parsing is crossterm's; it is only asked when there is something to read, for it
//! does not see that a terminal is gone. Changes of size arrive as a signal (see
//! [`super::signals`]).

use crossterm::event::{self, Event};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use std::{io, thread, time::Duration};
use tokio::sync::mpsc;

/// Events that may wait; who sends more waits.
const QUEUE: usize = 256;
/// How long crossterm looks for more. Without a limit above zero it does not look at all; it does
/// not sleep meanwhile, and who waits for the key may wait for this processor.
const LOOK: Duration = Duration::from_micros(20);

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

fn read(events: &mpsc::Sender<Event>) {
    let stdin = rustix::stdio::stdin();
    loop {
        let mut ask = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut ask, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let told = ask[0].revents();
        if told.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return;
        }
        let mut came = Vec::new();
        let gone = loop {
            match event::poll(LOOK).and_then(|some| some.then(event::read).transpose()) {
                Ok(Some(event)) if came.len() + 1 < QUEUE => came.push(event),
                Ok(last) => {
                    came.extend(last);
                    break false;
                }
                Err(_) => break true,
            }
        };
        for event in came {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
        if gone {
            return;
        }
    }
}
