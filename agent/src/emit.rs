//! Events to stdout, by a thread of their own.
//!
//! Whoever emits never waits: the queue is bounded, and when the reader is slow deltas are dropped
//! and counted while events that change what a reader believes are kept. Decides the form of a
//! line, JSON or plain ([`human`]), not what is worth saying.

mod human;

use jiff::Timestamp;
use operator_ledger::{
    clean::{CleanWriter, json_line},
    event::{Event, Kind, Level, VERSION},
};
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Events that may wait for a slow reader, deltas included.
const CAPACITY: usize = 4096;
/// Events that may wait when all of them change state.
const HARD_CAPACITY: usize = 4 * CAPACITY;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line: the contract.
    Json,
    /// For a person in a terminal.
    Human,
}

/// Handle to the writing thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Emitter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    seq: u64,
    /// Dropped since the last notice that said so.
    dropped: u64,
    closed: bool,
    /// The reader is gone, or everything has been written.
    done: bool,
    writing: bool,
}

/// The writing thread; see [`Writer::close`].
#[derive(Debug)]
pub struct Writer {
    emitter: Emitter,
    thread: Option<JoinHandle<()>>,
}

impl Emitter {
    /// Starts the thread that writes to `out`. `broken` is called once if nobody reads any more.
    pub fn start(
        out: impl Write + Send + 'static,
        form: Form,
        broken: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, Writer)> {
        let emitter = Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                changed: Condvar::new(),
            }),
        };
        let shared = emitter.shared.clone();
        let thread = std::thread::Builder::new()
            .name("events".into())
            .spawn(move || {
                if shared.write_all(out, form).is_err() {
                    shared.lock().done = true;
                    broken();
                }
            })?;
        Ok((
            emitter.clone(),
            Writer {
                emitter,
                thread: Some(thread),
            },
        ))
    }

    /// An event outside any session.
    pub fn emit(&self, kind: Kind) {
        self.emit_in(None, kind);
    }

    /// An event of a session. Never waits.
    pub fn emit_in(&self, session: Option<&str>, kind: Kind) {
        let mut queue = self.shared.lock();
        queue.seq += 1;
        if queue.done || queue.closed {
            return;
        }
        let event = Event {
            v: VERSION,
            seq: queue.seq,
            at: now(),
            session: session.map(str::to_string),
            kind,
        };
        if queue.events.len() >= CAPACITY && !queue.make_room(&event) {
            queue.dropped += 1;
            return;
        }
        queue.events.push_back(event);
        self.shared.changed.notify_all();
    }

    pub fn notice(&self, session: Option<&str>, level: Level, text: impl Into<String>) {
        self.emit_in(
            session,
            Kind::Notice {
                level,
                text: text.into(),
                dropped: 0,
                waits: false,
            },
        );
    }
}

impl Queue {
    /// Drops the oldest delta for an event that must be kept. False: the new one goes instead.
    fn make_room(&mut self, new: &Event) -> bool {
        if !new.kind.is_state() {
            return false;
        }
        if let Some(oldest) = self.events.iter().position(|e| !e.kind.is_state()) {
            self.events.remove(oldest);
            self.dropped += 1;
            return true;
        }
        self.events.len() < HARD_CAPACITY
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, out: impl Write, form: Form) -> io::Result<()> {
        let mut out = io::BufWriter::with_capacity(64 * 1024, out);
        let mut human = human::Human::default();
        loop {
            let (batch, dropped) = {
                let mut queue = self.lock();
                queue.writing = false;
                while queue.events.is_empty() {
                    if queue.closed {
                        queue.done = true;
                        self.changed.notify_all();
                        return Ok(());
                    }
                    queue = self
                        .changed
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                queue.writing = true;
                let lost = std::mem::take(&mut queue.dropped);
                let dropped = (lost > 0).then(|| {
                    queue.seq += 1;
                    Event {
                        v: VERSION,
                        seq: queue.seq,
                        at: now(),
                        session: None,
                        kind: Kind::Notice {
                            level: Level::Warn,
                            text: format!("{lost} events lost: the reader was too slow"),
                            dropped: lost,
                            waits: false,
                        },
                    }
                });
                // In parts, so that a long queue keeps being bounded while it is written.
                let n = queue.events.len().min(256);
                (queue.events.drain(..n).collect::<Vec<_>>(), dropped)
            };
            for event in batch.iter().chain(&dropped) {
                match form {
                    Form::Json => {
                        json_line(&mut out, event)?;
                    }
                    Form::Human => {
                        let mut clean = CleanWriter::new(&mut out).for_people(true);
                        human.write(event, &mut clean)?;
                        clean.flush()?;
                    }
                }
            }
            out.flush()?;
        }
    }
}

impl Writer {
    /// Writes what is queued, but waits no longer than `limit` for whoever reads.
    pub fn close(mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut queue = self.emitter.shared.lock();
        queue.closed = true;
        self.emitter.shared.changed.notify_all();
        while !queue.done {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            queue = self
                .emitter
                .shared
                .changed
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(queue);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Now, in whole milliseconds.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::event::{Stream, parse};
    use std::sync::mpsc;

    /// A pipe nobody reads from until the gate opens.
    struct Slow {
        gate: mpsc::Receiver<()>,
        open: bool,
        out: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.open {
                let _ = self.gate.recv();
                self.open = true;
            }
            self.out.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn delta(n: usize) -> Kind {
        Kind::ToolOutput {
            call: "c".into(),
            stream: Stream::Stdout,
            text: n.to_string(),
        }
    }

    #[test]
    fn a_slow_reader_loses_deltas_but_no_state_and_nobody_waits() {
        let (gate, wait) = mpsc::channel();
        let out = Arc::new(Mutex::new(Vec::new()));
        let slow = Slow {
            gate: wait,
            open: false,
            out: out.clone(),
        };
        let (emitter, writer) = Emitter::start(slow, Form::Json, || ()).unwrap();
        // Whoever waited for the reader would wait for ever: the gate opens after all of this.
        for n in 0..50_000 {
            emitter.emit_in(Some("s"), delta(n));
        }
        for n in 0..2000 {
            emitter.emit(Kind::SessionStart {
                ticket: n,
                incident: None,
                title: String::new(),
            });
        }
        gate.send(()).unwrap();
        writer.close(Duration::from_secs(30));
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        let events: Vec<Event> = text.lines().map(|l| parse(l).unwrap()).collect();
        let tickets: Vec<i64> = events
            .iter()
            .filter_map(|e| match e.kind {
                Kind::SessionStart { ticket, .. } => Some(ticket),
                _ => None,
            })
            .collect();
        assert_eq!(tickets, (0..2000).collect::<Vec<_>>());
        let deltas = events
            .iter()
            .filter(|e| matches!(e.kind, Kind::ToolOutput { .. }))
            .count();
        let dropped: u64 = events
            .iter()
            .map(|e| match e.kind {
                Kind::Notice { dropped, .. } => dropped,
                _ => 0,
            })
            .sum();
        assert_eq!(deltas as u64 + dropped, 50_000, "every loss is counted");
        assert!(dropped > 40_000);
    }

    #[test]
    fn closing_does_not_wait_for_a_reader_that_is_stuck() {
        let (_gate, wait) = mpsc::channel();
        let slow = Slow {
            gate: wait,
            open: false,
            out: Arc::default(),
        };
        let (emitter, writer) = Emitter::start(slow, Form::Json, || ()).unwrap();
        emitter.emit(delta(1));
        // Comes back, though the gate stays shut.
        writer.close(Duration::from_millis(200));
    }

    #[test]
    fn a_person_reads_what_was_said_and_their_terminal_obeys_none_of_it() {
        let evil = "\x1b]52;c;aGk=\x07\x1b[?1049h\u{9b}2J";
        let said = |n: usize| format!("{n}{evil}");
        let (open, gate) = mpsc::channel();
        let out = Arc::new(Mutex::new(Vec::new()));
        let terminal = Slow {
            gate,
            open: false,
            out: out.clone(),
        };
        open.send(()).unwrap();
        let (emitter, writer) = Emitter::start(terminal, Form::Human, || ()).unwrap();
        emitter.emit(Kind::SessionStart {
            ticket: 1,
            incident: None,
            title: said(1),
        });
        for (n, end) in [(2, false), (3, true)] {
            emitter.emit(Kind::Text {
                delta: said(n),
                end,
            });
        }
        emitter.emit(Kind::Notice {
            level: Level::Warn,
            text: said(4),
            dropped: 0,
            waits: false,
        });
        writer.close(Duration::from_secs(30));
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
        for n in 1..=4 {
            assert!(text.contains(&format!("{n}<9b>2J")), "{text}");
        }
    }

    #[test]
    fn a_broken_pipe_is_told_once_and_then_nothing_queues() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (tell, told) = mpsc::channel();
        let (emitter, writer) =
            Emitter::start(Broken, Form::Json, move || tell.send(()).unwrap()).unwrap();
        emitter.emit(delta(1));
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        emitter.emit(delta(2));
        writer.close(Duration::from_secs(10));
    }
}
