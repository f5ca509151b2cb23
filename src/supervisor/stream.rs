//! The one file that knows `tokio-process-stream`.
//!
//! Its chunk stream panics on a read error and its line stream on bytes that are not UTF-8; it
//! reports the end only when every holder of the pipes is gone. So: chunks only, panics contained
//! and taken as the end of output, exit asked of the child itself.

use crate::terminal::guard::contained;
use futures_util::Stream as _;
use std::{future::poll_fn, io, pin::Pin, process::ExitStatus, task::Poll};
use tokio::process::{Child, ChildStdin};
use tokio_process_stream::{Item, ProcessChunkStream};

pub(super) struct Output {
    stream: Option<ProcessChunkStream>,
    status: Option<ExitStatus>,
}

/// What came out.
pub(super) enum Chunk {
    Stdout(Box<dyn AsRef<[u8]> + Send>),
    Stderr(Box<dyn AsRef<[u8]> + Send>),
    /// Both pipes are closed, by everybody who held them, and the child is gone.
    End,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Stdout(bytes) | Self::Stderr(bytes) => (**bytes).as_ref().len(),
            Self::End => 0,
        }
    }
}

impl Output {
    pub(super) fn new(child: Child) -> Self {
        Self {
            stream: Some(ProcessChunkStream::from(child)),
            status: None,
        }
    }

    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stream.as_mut()?.child_mut()?.stdin.take()
    }

    /// The exit status, as soon as there is one, whoever still holds the pipes.
    pub(super) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none()
            && let Some(child) = self.stream.as_mut().and_then(ProcessChunkStream::child_mut)
        {
            self.status = child.try_wait()?;
        }
        Ok(self.status)
    }

    /// The next piece of output. Can be dropped and called again without losing any. Pends for
    /// ever after [`Chunk::End`].
    pub(super) async fn next(&mut self) -> Chunk {
        let item = poll_fn(|cx| {
            let Some(stream) = &mut self.stream else {
                return Poll::Pending;
            };
            contained(|| Pin::new(stream).poll_next(cx)).unwrap_or(Poll::Ready(None))
        })
        .await;
        match item {
            Some(Item::Stdout(bytes)) => Chunk::Stdout(Box::new(bytes)),
            Some(Item::Stderr(bytes)) => Chunk::Stderr(Box::new(bytes)),
            Some(Item::Done(status)) => {
                self.status = self.status.or(status.ok());
                self.stream = None;
                Chunk::End
            }
            None => {
                // A read error: what the child does is still asked through its status.
                self.status = self.exited().ok().flatten();
                self.stream = None;
                Chunk::End
            }
        }
    }
}
