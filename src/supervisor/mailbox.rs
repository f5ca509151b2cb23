//! Between the task that reads a child and the main loop: in order, bounded, never in the way of
//! the reader.
//!
//! Lines and deltas are kept while they are among the newest; older ones are dropped and counted.
//! Facts and events that carry state are all kept; if the main loop stands still for thousands of
//! them, and only then, the reader waits.

use super::droppable::{Droppable, LineBuffer};
use operator_ledger::event::{self, Event, delta};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Facts and state events kept before the reader waits.
const MAX_RELIABLE: usize = 8192;

/// What the supervisor knows of the process itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Started {
        pid: u32,
    },
    StartFailed {
        why: String,
    },
    /// The process ended; its output may still be held open by another.
    Exited {
        how: String,
        success: bool,
    },
    /// It exited a while ago, and something it started still holds its output open.
    PipeHeld,
    OutputEnded,
    Restarting {
        after: Duration,
    },
    /// It will not be restarted. `stderr` are its last lines there, raw bytes made text.
    GaveUp {
        why: String,
        stderr: Vec<String>,
    },
    /// A control line did not reach it.
    ControlLost {
        why: String,
    },
    /// It was asked to end, and it and its group are gone.
    Stopped,
}

/// What one child said or did.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Fact(Fact),
    /// An event that carries state.
    State(Event),
    /// A line that may be an event without state: parsed only now that it is still wanted.
    Delta(Vec<u8>),
    Plain {
        line: Vec<u8>,
        stderr: bool,
        omitted: u64,
    },
    /// So many lines were dropped here.
    Lost(u64),
}

#[derive(Debug, Clone)]
pub struct Mailbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Notified when something arrives; shared by all children of a dashboard.
    wake_up: Arc<Notify>,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    droppable: LineBuffer,
    reliable: VecDeque<(u64, Item)>,
}

impl Mailbox {
    pub fn new(wake_up: Arc<Notify>) -> Self {
        let inner = Mutex::default();
        Self(Arc::new(Shared {
            inner,
            wake_up,
            drained: Notify::new(),
        }))
    }

    pub fn fact(&self, fact: Fact) {
        self.lock().reliable(Item::Fact(fact));
        self.0.wake_up.notify_one();
    }

    /// For lines of the child.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            inner: self.lock(),
            pushed: false,
            mailbox: self,
        }
    }

    /// Waits until the main loop has drained.
    pub async fn room(&self) {
        loop {
            let drained = self.0.drained.notified();
            if self.lock().reliable.len() < MAX_RELIABLE {
                return;
            }
            drained.await;
        }
    }

    /// Takes everything, in order.
    pub fn drain(&self) -> Vec<Item> {
        let (droppable, reliable, lost) = {
            let mut inner = self.lock();
            (
                inner.droppable.take(),
                std::mem::take(&mut inner.reliable),
                std::mem::take(&mut inner.droppable.lost),
            )
        };
        self.0.drained.notify_one();
        let mut items = Vec::with_capacity(droppable.len() + reliable.len() + 1);
        let mut reliable = reliable.into_iter().peekable();
        let mut lost = (lost > 0).then_some(Item::Lost(lost));
        for (seq, what, line) in droppable {
            while let Some((_, item)) = reliable.next_if(|(s, _)| *s < seq) {
                items.push(item);
            }
            items.extend(lost.take());
            items.push(match what {
                Droppable::Delta => Item::Delta(line),
                Droppable::Plain { stderr, omitted } => Item::Plain {
                    line,
                    stderr,
                    omitted,
                },
            });
        }
        items.extend(lost);
        items.extend(reliable.map(|(_, item)| item));
        items
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn reliable(&mut self, item: Item) {
        self.reliable.push_back((self.next, item));
        self.next += 1;
    }

    fn droppable(&mut self, what: Droppable, line: &[u8]) {
        self.droppable.push(self.next, what, line);
        self.next += 1;
    }
}

/// Several lines under one lock.
pub struct Batch<'a> {
    inner: MutexGuard<'a, Inner>,
    pushed: bool,
    mailbox: &'a Mailbox,
}

impl Batch<'_> {
    /// A line without its newline, and how many of its bytes were left out.
    pub fn line(&mut self, line: &[u8], omitted: u64, stderr: bool) {
        self.pushed = true;
        if !stderr && delta::may_be_event(line) {
            if delta::is_delta(line) {
                return self.inner.droppable(Droppable::Delta, line);
            }
            if let Some(event) = std::str::from_utf8(line).ok().and_then(event::parse) {
                return if event.kind.is_state() {
                    self.inner.reliable(Item::State(event));
                } else {
                    self.inner.droppable(Droppable::Delta, line);
                };
            }
        }
        self.inner
            .droppable(Droppable::Plain { stderr, omitted }, line);
    }

    /// True: the reader should wait for [`Mailbox::room`] before it goes on.
    #[must_use]
    pub fn finish(self) -> bool {
        let full = self.inner.reliable.len() >= MAX_RELIABLE;
        drop(self.inner);
        if self.pushed {
            self.mailbox.0.wake_up.notify_one();
        }
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{supervisor::droppable::PIECES, transcript::ring::CAPACITY};

    fn mailbox() -> Mailbox {
        Mailbox::new(Arc::default())
    }

    fn plain(n: usize) -> Vec<u8> {
        format!("line {n}").into_bytes()
    }

    fn json(body: &str) -> Vec<u8> {
        format!(r#"{{"v":1,"seq":1,"at":"2026-01-30T10:00:00Z",{body}}}"#).into_bytes()
    }

    #[test]
    fn the_newest_lines_are_kept_and_the_rest_counted() {
        let mailbox = mailbox();
        let mut batch = mailbox.batch();
        for n in 0..1000 {
            batch.line(&plain(n), 0, false);
        }
        assert!(!batch.finish());
        let items = mailbox.drain();
        assert_eq!(items[0], Item::Lost(1000 - CAPACITY as u64));
        assert_eq!(items.len(), CAPACITY + 1);
        assert!(matches!(&items[CAPACITY], Item::Plain { line, .. } if *line == plain(999)));
        assert!(mailbox.drain().is_empty());
    }

    #[test]
    fn state_events_survive_a_flood_in_order() {
        let mailbox = mailbox();
        let mut batch = mailbox.batch();
        for n in 0..2000 {
            batch.line(
                &json(r#""type":"tool_output","call":"c","stream":"stdout","text":"x\n""#),
                0,
                false,
            );
            if n % 500 == 0 {
                let verify = format!(r#""type":"verify","state":"waiting","detail":"{n}""#);
                batch.line(&json(&verify), 0, false);
            }
        }
        batch.line(&json(r#""type":"text","delta":"bye","end":true"#), 0, false);
        let _ = batch.finish();
        let items = mailbox.drain();
        let states = items.iter().filter(|i| matches!(i, Item::State(_))).count();
        assert_eq!(states, 5);
        assert!(matches!(items.last(), Some(Item::State(e))
            if matches!(&e.kind, event::Kind::Text { end: true, .. })));
        assert_eq!(
            items.iter().filter(|i| matches!(i, Item::Delta(_))).count(),
            PIECES
        );
    }

    #[test]
    fn what_only_looks_like_an_event_is_plain() {
        let mailbox = mailbox();
        let mut batch = mailbox.batch();
        for line in [&b"{"[..], b"{\"a\":1}", b"{\"type\":\"hello\"}", b"{\xff}"] {
            batch.line(line, 0, false);
        }
        batch.line(
            &json(r#""type":"session_start","ticket":1,"title":"t""#),
            0,
            true,
        );
        let _ = batch.finish();
        assert!(
            mailbox
                .drain()
                .iter()
                .all(|i| matches!(i, Item::Plain { .. }))
        );
    }
}
