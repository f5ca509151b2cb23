//! Where news come from: the cluster, looked at by a task, and the ledger, read by a thread.
//!
//! Both only read. A send that waits for the main loop is fine here: the next look can wait too.

use crate::{
    app::{
        event::Event,
        io::{
            ledger_file::LedgerFile,
            ledger_watch::{LedgerWatch, Stop},
        },
        model::{
            cluster::{HISTORY, INTERVAL, MAX_INTERVAL},
            tickets::{LIMIT, LedgerView},
        },
    },
    cluster::{
        ClusterSnapshot,
        client::{Client, Options},
    },
};
use jiff::Timestamp;
use operator_ledger::LedgerError;
use std::{path::PathBuf, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

/// Whoever waits for news hears this often that there are none.
const STILL_THERE: Duration = Duration::from_secs(2);

/// Looks at the cluster until it is dropped.
#[derive(Debug)]
pub(super) struct Observer(JoinHandle<()>);

impl Observer {
    pub(super) fn start(look: Options, events: mpsc::Sender<Event>) -> Self {
        let client = Client::new(look);
        Self(tokio::spawn(async move {
            let mut client = match client {
                Ok(client) => client,
                Err(e) => {
                    let unknown = ClusterSnapshot::unknown(&e.to_string());
                    let _ = events.send(Event::Cluster(Box::new(unknown))).await;
                    return;
                }
            };
            let mut missed = 0;
            let mut past_is_known = false;
            loop {
                let began = Instant::now();
                let snapshot = Box::new(client.observe().await);
                if !past_is_known && snapshot.stores.fresh().is_some() {
                    // What was before the first look; tried again until somebody says.
                    match client.history(&snapshot, HISTORY).await {
                        Some(Err(_)) => {}
                        Some(Ok(past)) => {
                            past_is_known = true;
                            if events.send(Event::Past(past)).await.is_err() {
                                return;
                            }
                        }
                        None => past_is_known = true,
                    }
                }
                missed = if answered(&snapshot) { 0 } else { missed + 1 };
                let next = began + pause(began.elapsed(), missed);
                if events.send(Event::Cluster(snapshot)).await.is_err() {
                    return;
                }
                tokio::time::sleep_until(next).await;
            }
        }))
    }
}

/// Whether anybody there said anything.
fn answered(snapshot: &ClusterSnapshot) -> bool {
    snapshot.pd.fresh().is_some() || snapshot.stores.fresh().is_some()
}

/// From one look to the next: a look that takes long is repeated less often, and so is one that
/// nobody answers.
fn pause(took: Duration, missed: u32) -> Duration {
    if missed > 0 {
        return (INTERVAL * 2u32.saturating_pow(missed - 1)).min(MAX_INTERVAL);
    }
    (took * 20).clamp(INTERVAL, INTERVAL * 2)
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The thread that reads the ledger; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct LedgerReader {
    _stop: Stop,
}

impl LedgerReader {
    pub(super) fn start(path: PathBuf, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (mut watch, stop) = LedgerWatch::new(&path)?;
        std::thread::Builder::new()
            .name("ledger reader".into())
            .spawn(move || {
                let mut reading = Reading {
                    file: LedgerFile::new(path),
                    told: None,
                    said: Instant::now(),
                    events,
                };
                while watch.wait() && reading.look() {}
            })?;
        Ok(Self { _stop: stop })
    }
}

struct Reading {
    file: LedgerFile,
    /// The error that was last told, so that it is told once.
    told: Option<String>,
    /// When anything was said.
    said: Instant,
    events: mpsc::Sender<Event>,
}

impl Reading {
    /// Reads what changed. False: nobody listens any more.
    fn look(&mut self) -> bool {
        let view = match read(&mut self.file) {
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
                self.file.close();
                let text = error.to_string();
                if self.told.as_ref() == Some(&text) {
                    return true;
                }
                let missing = matches!(error, LedgerError::Missing { .. });
                self.told = Some(text.clone());
                LedgerView {
                    at: Timestamp::now(),
                    missing,
                    error: (!missing).then_some(text),
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

    fn send(&self, event: Event) -> bool {
        self.events.blocking_send(event).is_ok()
    }
}

/// None: nothing changed.
fn read(file: &mut LedgerFile) -> Result<Option<LedgerView>, LedgerError> {
    let ledger = file.ledger()?;
    if !ledger.changed().wait()? {
        return Ok(None);
    }
    let tickets = ledger.tickets(LIMIT).wait()?;
    let (done, open) = ledger.ticket_counts().wait()?;
    Ok(Some(LedgerView {
        at: Timestamp::now(),
        error: None,
        missing: false,
        tickets,
        open,
        done,
        heartbeat: ledger.heartbeat(None).wait()?,
        running: ledger.running_sessions(None).wait()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_a_cluster_are_as_far_apart_as_they_are_dear_and_futile() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(Duration::from_millis(10), 0), second);
        assert_eq!(
            pause(Duration::from_millis(75), 0),
            Duration::from_millis(1500)
        );
        assert_eq!(pause(4 * second, 0), 2 * second);
        let missed: Vec<_> = (1..=5)
            .map(|n| pause(Duration::ZERO, n).as_secs())
            .collect();
        assert_eq!(missed, [1, 2, 4, 4, 4]);
        assert_eq!(pause(Duration::ZERO, u32::MAX), MAX_INTERVAL);
    }
}
