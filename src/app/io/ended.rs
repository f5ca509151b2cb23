//! Waiting for a thread that was told to end, for a while: one whose disk does not answer keeps nobody.

use std::{
    convert::Infallible,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

/// Longer than any look at a ledger takes.
const PATIENCE: Duration = Duration::from_secs(1);

/// The end of a thread, which drops the other end then.
#[derive(Debug)]
pub(super) struct Ended(Receiver<Infallible>);

impl Ended {
    pub(super) fn new() -> (Sender<Infallible>, Self) {
        let (ends, ended) = channel();
        (ends, Self(ended))
    }

    pub(super) fn wait(self) {
        let _ = self.0.recv_timeout(PATIENCE);
    }
}
