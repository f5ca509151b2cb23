//! What a call of the ledger comes to, once its thread has answered.

use crate::{LedgerError, Result};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

/// The answer of the ledger's thread: `.await` it in async code, [`wait`](Self::wait) for it
/// elsewhere. The call is carried out whether anybody waits or not.
#[derive(Debug)]
#[must_use = "whether the call succeeded is in its reply"]
pub struct Reply<T>(oneshot::Receiver<Result<T>>);

impl<T> Reply<T> {
    pub(crate) fn new() -> (oneshot::Sender<Result<T>>, Self) {
        let (answer, reply) = oneshot::channel();
        (answer, Self(reply))
    }

    /// Blocks until the answer is there. Panics on a thread of an async runtime: nothing else would
    /// run there meanwhile.
    pub fn wait(self) -> Result<T> {
        self.0.blocking_recv().unwrap_or(Err(LedgerError::Closed))
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(LedgerError::Closed)))
    }
}
