//! Follows one session in the ledger, by a thread of its own, for as long as this is kept.

use super::{event::Event, ledger_file::LedgerFile};
use crate::history::Follow;
use std::{
    path::PathBuf,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    time::Duration,
};
use tokio::sync::mpsc;

/// How often the ledger is looked at. A look at an unchanged file costs microseconds.
const LOOK: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub struct Follower {
    _stop: Sender<()>,
}

impl Follower {
    pub fn start(
        ledger: PathBuf,
        session: &str,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (keep, stopped) = channel();
        let mut follow = Follow::new(session);
        std::thread::Builder::new()
            .name("follower".into())
            .spawn(move || {
                let mut file = LedgerFile::new(ledger);
                loop {
                    // A ledger that cannot be read is told of by whoever reads the tickets.
                    if let Ok(ledger) = file.ledger()
                        && ledger.changed().unwrap_or(true)
                        && let Ok(Some(news)) = follow.look(ledger)
                        && events
                            .blocking_send(Event::Followed(Box::new(news)))
                            .is_err()
                    {
                        return;
                    }
                    if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(Self { _stop: keep })
    }
}
