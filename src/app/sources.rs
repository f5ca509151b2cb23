//! Where news come from: the cluster, looked at by a task, and the ledger, read by a thread.
//!
//! Both only read. A send that waits for the main loop is fine here: the next look can wait too.

use super::{
    cluster::INTERVAL,
    event::Event,
    tickets::{LIMIT, LedgerView},
};
use crate::cluster::client::{Client, Options};
use agent_lab::ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc as std_mpsc,
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

/// The ledger is asked whether it changed this often; it costs microseconds.
const LEDGER_INTERVAL: Duration = Duration::from_millis(250);
/// Whoever waits for news hears this often that there are none.
const STILL_THERE: Duration = Duration::from_secs(2);

/// Looks at the cluster until it is dropped.
#[derive(Debug)]
pub struct Observer(JoinHandle<()>);

impl Observer {
    pub fn start(pd: &str, events: mpsc::Sender<Event>) -> Self {
        let mut client = Client::new(Options::new(pd));
        Self(tokio::spawn(async move {
            loop {
                let next = Instant::now() + INTERVAL;
                let snapshot = Box::new(client.observe().await);
                if events.send(Event::Cluster(snapshot)).await.is_err() {
                    return;
                }
                tokio::time::sleep_until(next).await;
            }
        }))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The thread that reads the ledger; it ends when this is dropped.
#[derive(Debug)]
pub struct LedgerReader {
    _stop: std_mpsc::Sender<()>,
}

impl LedgerReader {
    pub fn start(path: PathBuf, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (keep, stopped) = std_mpsc::channel();
        std::thread::Builder::new()
            .name("ledger reader".into())
            .spawn(move || {
                Reading {
                    path,
                    open: None,
                    told: None,
                    said: Instant::now(),
                    events,
                }
                .run(&stopped);
            })?;
        Ok(Self { _stop: keep })
    }
}

struct Reading {
    path: PathBuf,
    /// The connection, and the file it is on: it may be deleted or replaced.
    open: Option<(Ledger, (u64, u64))>,
    /// The error that was last told, so that it is told once.
    told: Option<String>,
    /// When anything was said.
    said: Instant,
    events: mpsc::Sender<Event>,
}

impl Reading {
    fn run(mut self, stopped: &std_mpsc::Receiver<()>) {
        let timeout = Err(std_mpsc::RecvTimeoutError::Timeout);
        while self.look() && stopped.recv_timeout(LEDGER_INTERVAL) == timeout {}
    }

    fn send(&self, event: Event) -> bool {
        self.events.blocking_send(event).is_ok()
    }

    /// Reads what changed. False: nobody listens any more.
    fn look(&mut self) -> bool {
        let view = match self.read() {
            Ok(None) if self.said.elapsed() < STILL_THERE => return true,
            Ok(None) => {
                self.said = Instant::now();
                return self.send(Event::LedgerSame);
            }
            Ok(Some(view)) => {
                self.told = None;
                view
            }
            Err(error) => {
                self.open = None;
                let text = error.as_ref().map_or(String::new(), ToString::to_string);
                if self.told.as_ref() == Some(&text) {
                    return true;
                }
                self.told = Some(text);
                LedgerView {
                    at: Timestamp::now(),
                    missing: error.is_none(),
                    error: error.map(|e| e.to_string()),
                    tickets: Vec::new(),
                    open: 0,
                    done: 0,
                    heartbeat: None,
                    running: Vec::new(),
                }
            }
        };
        self.said = Instant::now();
        self.send(Event::Ledger(Box::new(view)))
    }

    /// `Ok(None)`: nothing changed. `Err(None)`: there is no file.
    fn read(&mut self) -> Result<Option<LedgerView>, Option<LedgerError>> {
        let file = identity(&self.path).ok_or(None)?;
        if self.open.as_ref().is_none_or(|(_, id)| *id != file) {
            self.open = Some((Ledger::open_reader(&self.path)?, file));
        }
        let Some((ledger, _)) = &self.open else {
            return Ok(None);
        };
        if !ledger.changed()? {
            return Ok(None);
        }
        let tickets = ledger.tickets(LIMIT)?;
        let (done, open) = ledger.ticket_counts()?;
        Ok(Some(LedgerView {
            at: Timestamp::now(),
            error: None,
            missing: false,
            tickets,
            open,
            done,
            heartbeat: ledger.heartbeat(None)?,
            running: ledger.running_sessions(None)?,
        }))
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}
