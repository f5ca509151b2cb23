//! Follows one session in the ledger, by a thread of its own, for as long as this is kept.

use crate::{
    app::{
        event::Event,
        io::{
            ended::Ended,
            ledger_file::LedgerFile,
            ledger_watch::{LedgerWatch, Stop},
        },
    },
    history::Follow,
};
use std::path::PathBuf;
use tokio::sync::mpsc;

#[derive(Debug)]
pub(super) struct Follower {
    _stop: Stop,
    ended: Ended,
}

impl Follower {
    /// Tells it to end.
    pub(super) fn end(self) -> Ended {
        self.ended
    }

    pub(super) fn start(
        ledger: PathBuf,
        session: &str,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (mut watch, stop) = LedgerWatch::new(&ledger)?;
        let (ends, ended) = Ended::new();
        let mut follow = Follow::new(session);
        std::thread::Builder::new()
            .name("follower".into())
            .spawn(move || {
                let mut file = LedgerFile::new(ledger);
                while watch.wait() {
                    // A ledger that cannot be read is told of by whoever reads the tickets.
                    if let Ok(ledger) = file.ledger()
                        && ledger.changed().wait().unwrap_or(true)
                        && let Ok(Some(news)) = follow.look(ledger)
                        && events
                            .blocking_send(Event::Followed(Box::new(news)))
                            .is_err()
                    {
                        break;
                    }
                }
                drop(file);
                drop(ends);
            })?;
        Ok(Self { _stop: stop, ended })
    }
}
