//! Where news come from: the cluster, looked at by a task, and the ledger, read by a thread.
//!
//! Both only read. A send that waits for the main loop is fine here: the next look can wait too.

use super::{
    cluster::INTERVAL,
    detail::{Detail, ENTRIES},
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

/// Orders for the thread that reads the ledger; it ends when this is dropped.
#[derive(Debug)]
pub struct LedgerReader(std_mpsc::Sender<i64>);

impl LedgerReader {
    pub fn start(path: PathBuf, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (sender, orders) = std_mpsc::channel();
        std::thread::Builder::new()
            .name("ledger reader".into())
            .spawn(move || {
                Reading {
                    path,
                    open: None,
                    told: None,
                    events,
                }
                .run(&orders);
            })?;
        Ok(Self(sender))
    }

    /// Asks for everything about a ticket.
    pub fn load(&self, ticket: i64) {
        let _ = self.0.send(ticket);
    }
}

struct Reading {
    path: PathBuf,
    /// The connection, and the file it is on: it may be deleted or replaced.
    open: Option<(Ledger, (u64, u64))>,
    /// The error that was last told, so that it is told once.
    told: Option<String>,
    events: mpsc::Sender<Event>,
}

impl Reading {
    fn run(mut self, orders: &std_mpsc::Receiver<i64>) {
        loop {
            if !self.look() {
                return;
            }
            match orders.recv_timeout(LEDGER_INTERVAL) {
                Ok(ticket) => {
                    if !self.send(Event::Detail(Box::new(self.detail(ticket)))) {
                        return;
                    }
                }
                Err(std_mpsc::RecvTimeoutError::Timeout) => {}
                Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn send(&self, event: Event) -> bool {
        self.events.blocking_send(event).is_ok()
    }

    /// Reads what changed. False: nobody listens any more.
    fn look(&mut self) -> bool {
        let view = match self.read() {
            Ok(None) => return true,
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
                }
            }
        };
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
        }))
    }

    fn detail(&self, id: i64) -> Detail {
        let mut detail = Detail {
            id,
            ticket: None,
            events: Vec::new(),
            sessions: Vec::new(),
            error: None,
        };
        let result = match &self.open {
            Some((ledger, _)) => fill(ledger, &mut detail).map_err(|e| e.to_string()),
            None => Err("the ledger cannot be read".into()),
        };
        if let Err(error) = result {
            detail.error = Some(error);
        } else if detail.ticket.is_none() {
            detail.error = Some(format!("ticket {id} is not in the ledger"));
        }
        detail
    }
}

fn fill(ledger: &Ledger, detail: &mut Detail) -> Result<(), LedgerError> {
    detail.ticket = ledger.ticket(detail.id)?;
    detail.events = ledger.ticket_events(detail.id)?;
    for session in ledger.sessions_of_ticket(detail.id)? {
        let entries = ledger.entries(&session.session_id, 0, ENTRIES)?;
        detail.sessions.push((session, entries));
    }
    Ok(())
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}
