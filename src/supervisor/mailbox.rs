//! Between the task that reads a child and the main loop: in order, bounded, never in the way of
//! the reader.
//!
//! Lines and deltas are kept while they are among the newest; older ones are dropped and counted.
//! Facts and events that carry state are all kept; if the main loop stands still for thousands of
//! them, and only then, the reader waits.

use agent_lab::event::{self, Event};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Lines kept. More than a transcript shows, as some only end a line that is shown.
const LOOSE: usize = 256;
/// Bytes kept in lines.
const LOOSE_BYTES: usize = 4 * 1024 * 1024;
/// Facts and state events kept before the reader waits.
const FIRM: usize = 8192;

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
    /// A line that may be an event without state: parsed only if it is still wanted.
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
    /// Rung when something arrives; shared by all children of a dashboard.
    bell: Arc<Notify>,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    loose: VecDeque<(u64, Item)>,
    loose_bytes: usize,
    firm: VecDeque<(u64, Item)>,
    lost: u64,
}

impl Mailbox {
    pub fn new(bell: Arc<Notify>) -> Self {
        let inner = Mutex::default();
        Self(Arc::new(Shared {
            inner,
            bell,
            drained: Notify::new(),
        }))
    }

    /// Adds what came. True: the reader should wait for [`Self::room`] before it goes on.
    #[must_use]
    pub fn push(&self, items: impl IntoIterator<Item = Item>) -> bool {
        let mut inner = self.lock();
        for item in items {
            inner.push(item);
        }
        let full = inner.firm.len() >= FIRM;
        drop(inner);
        self.0.bell.notify_one();
        full
    }

    /// A line of the child, without its newline.
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
            if self.lock().firm.len() < FIRM {
                return;
            }
            drained.await;
        }
    }

    /// Takes everything, in order.
    pub fn drain(&self) -> Vec<Item> {
        let (loose, firm, lost) = {
            let mut inner = self.lock();
            inner.loose_bytes = 0;
            (
                std::mem::take(&mut inner.loose),
                std::mem::take(&mut inner.firm),
                std::mem::take(&mut inner.lost),
            )
        };
        self.0.drained.notify_one();
        let mut items = Vec::with_capacity(loose.len() + firm.len() + 1);
        let mut firm = firm.into_iter().peekable();
        let mut lost = (lost > 0).then_some(Item::Lost(lost));
        for (seq, item) in loose {
            while let Some((_, item)) = firm.next_if(|(s, _)| *s < seq) {
                items.push(item);
            }
            items.extend(lost.take());
            items.push(item);
        }
        items.extend(lost);
        items.extend(firm.map(|(_, item)| item));
        items
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, item: Item) {
        let seq = self.next;
        self.next += 1;
        let bytes = match &item {
            Item::Fact(_) | Item::State(_) => {
                self.firm.push_back((seq, item));
                return;
            }
            Item::Lost(count) => {
                self.lost += count;
                return;
            }
            Item::Delta(line) | Item::Plain { line, .. } => line.len(),
        };
        self.loose.push_back((seq, item));
        self.loose_bytes += bytes;
        while self.loose.len() > LOOSE || self.loose_bytes > LOOSE_BYTES {
            match self.loose.pop_front() {
                Some((_, Item::Delta(line) | Item::Plain { line, .. })) => {
                    self.loose_bytes -= line.len();
                    self.lost += 1;
                }
                _ => break,
            }
        }
    }
}

/// Several lines under one lock.
pub struct Batch<'a> {
    inner: MutexGuard<'a, Inner>,
    pushed: bool,
    mailbox: &'a Mailbox,
}

impl Batch<'_> {
    pub fn line(&mut self, line: &[u8], omitted: u64, stderr: bool) {
        self.pushed = true;
        let item = if stderr { None } else { read_event(line) };
        self.inner.push(item.unwrap_or_else(|| Item::Plain {
            line: line.to_vec(),
            stderr,
            omitted,
        }));
    }

    /// True: the reader should wait for [`Mailbox::room`] before it goes on.
    #[must_use]
    pub fn finish(self) -> bool {
        let full = self.inner.firm.len() >= FIRM;
        drop(self.inner);
        if self.pushed {
            self.mailbox.0.bell.notify_one();
        }
        full
    }
}

/// An event line, parsed if it may carry state; None: plain text.
fn read_event(line: &[u8]) -> Option<Item> {
    if line.first() != Some(&b'{') {
        return None;
    }
    // A flood of deltas must not cost a parse each: most will never be seen.
    if looks_like_delta(line) {
        return Some(Item::Delta(line.to_vec()));
    }
    let event = event::parse(std::str::from_utf8(line).ok()?)?;
    Some(if event.kind.is_state() {
        Item::State(event)
    } else {
        Item::Delta(line.to_vec())
    })
}

/// Whether the line is certainly no state event. Quotes inside JSON strings are escaped, so
/// `"type":"` can only be a key; two of them are left to the parser.
fn looks_like_delta(line: &[u8]) -> bool {
    const KEY: &[u8] = b"\"type\":\"";
    let Some(at) = find(line, KEY) else {
        return false;
    };
    let value = &line[at + KEY.len()..];
    if find(value, KEY).is_some() {
        return false;
    }
    value.starts_with(b"tool_output\"")
        || ((value.starts_with(b"text\"") || value.starts_with(b"thinking\""))
            && find(line, b"\"end\"").is_none())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for n in 0..1_000_000 {
            batch.line(&plain(n), 0, false);
        }
        assert!(!batch.finish());
        let items = mailbox.drain();
        assert_eq!(items[0], Item::Lost(1_000_000 - LOOSE as u64));
        assert_eq!(items.len(), LOOSE + 1);
        assert!(matches!(&items[LOOSE], Item::Plain { line, .. } if *line == plain(999_999)));
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
            LOOSE
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

    #[test]
    fn huge_lines_are_bounded_in_bytes() {
        let mailbox = mailbox();
        let mut batch = mailbox.batch();
        for _ in 0..100 {
            batch.line(&vec![b'x'; 64 * 1024], 5, false);
        }
        let _ = batch.finish();
        let bytes: usize = mailbox
            .drain()
            .iter()
            .map(|i| {
                if let Item::Plain { line, .. } = i {
                    line.len()
                } else {
                    0
                }
            })
            .sum();
        assert!(bytes <= LOOSE_BYTES);
    }
}
