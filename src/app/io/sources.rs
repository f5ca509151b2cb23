//! Where news come from: the cluster, looked at by a task, and the ledger, read by a thread. While a
//! monitor of the cluster lives, what it saw is taken from the ledger, and PD is left alone.
//!
//! Both only read. A send that waits for the main loop is fine here: the next look can wait too.

use crate::{
    app::{
        event::Event,
        io::{
            ended::Ended,
            ledger_file::LedgerFile,
            ledger_watch::{LedgerWatch, Stop},
            monitor_look::{Looked, MonitorLook, MonitorLooks},
        },
        model::{
            cluster::{HISTORY, INTERVAL, MAX_INTERVAL, STALE},
            tickets::{LIMIT, LedgerView},
        },
    },
    cluster::{
        ClusterSnapshot,
        client::{Client, Options},
    },
};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::LedgerError;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

/// Whoever waits for news hears this often that there are none.
const STILL_THERE: Duration = Duration::from_secs(2);
/// So long the first look waits to hear whether a monitor looks already.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Looks at the cluster until it is dropped.
#[derive(Debug)]
pub(super) struct Observer(JoinHandle<()>);

impl Observer {
    pub(super) fn start(look: Options, looks: &MonitorLooks, events: mpsc::Sender<Event>) -> Self {
        let mut monitor = looks.follow(&look.pd);
        let client = Client::new(look);
        Self(tokio::spawn(async move {
            let client = match client {
                Ok(client) => client,
                Err(e) => {
                    let unknown = Box::new(ClusterSnapshot::unknown(&e.to_string()));
                    let _ = events.send(Event::Cluster(unknown, STALE)).await;
                    return;
                }
            };
            let mut eyes = Eyes {
                client,
                missed: 0,
                past_is_known: false,
                events,
            };
            let heard = monitor.wait_for(|looked| !matches!(looked, Looked::NotYet));
            let _ = timeout(FIRST_WORD, heard).await;
            while let Some(next) = eyes.look(&mut monitor).await {
                tokio::select! {
                    () = sleep_until(next) => {}
                    Ok(()) = changed_to_a_look(&mut monitor) => {}
                }
            }
        }))
    }
}

/// There is a look of a monitor that was not there before.
async fn changed_to_a_look(
    monitor: &mut watch::Receiver<Looked>,
) -> Result<(), watch::error::RecvError> {
    loop {
        monitor.changed().await?;
        if matches!(*monitor.borrow(), Looked::Saw(_)) {
            return Ok(());
        }
    }
}

/// Sees the cluster: by a monitor, else by itself.
struct Eyes {
    client: Client,
    /// Looks in a row that nobody answered.
    missed: u32,
    past_is_known: bool,
    events: mpsc::Sender<Event>,
}

impl Eyes {
    /// One look. When the next is due; None: nobody wants one.
    async fn look(&mut self, monitor: &mut watch::Receiver<Looked>) -> Option<Instant> {
        let began = Instant::now();
        let looked = monitor.borrow_and_update().clone();
        let (snapshot, patience, next) = match looked {
            Looked::Saw(MonitorLook {
                snapshot,
                good_until,
                patience,
            }) if Instant::from_std(good_until) > began => {
                let patience = SignedDuration::try_from(patience).unwrap_or(STALE);
                ((*snapshot).clone(), patience.max(STALE), good_until.into())
            }
            _ => {
                let snapshot = self.client.observe().await;
                let answered = answered(&snapshot);
                self.missed = if answered { 0 } else { self.missed + 1 };
                let next = began + pause(began.elapsed(), self.missed);
                (snapshot, STALE, next)
            }
        };
        if !self.past_is_known && snapshot.stores.fresh().is_some() {
            // What was before the first look; tried again until somebody says.
            match self.client.history(&snapshot, HISTORY).await {
                Some(Err(_)) => {}
                Some(Ok(past)) => {
                    self.past_is_known = true;
                    self.events.send(Event::Past(past)).await.ok()?;
                }
                None => self.past_is_known = true,
            }
        }
        let told = Event::Cluster(Box::new(snapshot), patience);
        self.events.send(told).await.ok()?;
        Some(next)
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
    ended: Ended,
}

impl LedgerReader {
    pub(super) fn start(
        path: PathBuf,
        looks: Arc<MonitorLooks>,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (mut watch, stop) = LedgerWatch::new(&path)?;
        let (ends, ended) = Ended::new();
        std::thread::Builder::new()
            .name("ledger reader".into())
            .spawn(move || {
                let mut reading = Reading {
                    file: LedgerFile::new(path),
                    looks,
                    sample: 0,
                    told: None,
                    said: Instant::now(),
                    events,
                };
                while watch.wait() && reading.look() {}
                drop(reading);
                drop(ends);
            })?;
        Ok(Self { _stop: stop, ended })
    }
}

impl LedgerReader {
    /// Tells it to end.
    pub(super) fn end(self) -> Ended {
        self.ended
    }
}

struct Reading {
    file: LedgerFile,
    looks: Arc<MonitorLooks>,
    /// The look of a monitor that was told last.
    sample: i64,
    /// The error that was last told, so that it is told once.
    told: Option<String>,
    /// When anything was said.
    said: Instant,
    events: mpsc::Sender<Event>,
}

impl Reading {
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
                self.file.close(&error);
                self.looks.nobody();
                let text = error.to_string();
                if self.told.as_ref() == Some(&text) {
                    return true;
                }
                let missing = matches!(error, LedgerError::Missing { .. });
                self.told = Some(text.clone());
                LedgerView {
                    at: Timestamp::now(),
                    missing,
                    fate: self.file.fate(),
                    error: (!missing).then_some(text),
                    tickets: Vec::new(),
                    open: 0,
                    done: 0,
                    heartbeat: None,
                    in_grace: Vec::new(),
                    running: Vec::new(),
                }
            }
        };
        self.said = Instant::now();
        self.send(Event::Ledger(Box::new(view)))
    }

    /// None: nothing changed.
    fn read(&mut self) -> Result<Option<LedgerView>, LedgerError> {
        let lost = self.file.look()?;
        let ledger = self.file.ledger()?.clone();
        if !ledger.changed().wait()? && !lost {
            return Ok(None);
        }
        self.looks.read(&ledger, &mut self.sample)?;
        let tickets = ledger.tickets(LIMIT).wait()?;
        let (done, open) = ledger.ticket_counts().wait()?;
        let heartbeat = ledger.heartbeat(None).wait()?;
        let in_grace = match &heartbeat {
            Some(beat) => ledger.in_grace(&beat.cluster_id).wait()?,
            None => Vec::new(),
        };
        Ok(Some(LedgerView {
            at: Timestamp::now(),
            error: None,
            missing: false,
            fate: self.file.fate(),
            tickets,
            open,
            done,
            heartbeat,
            in_grace,
            running: ledger.running_sessions(None).wait()?,
        }))
    }

    fn send(&self, event: Event) -> bool {
        self.events.blocking_send(event).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Observed;
    use futures_util::FutureExt;
    use operator_ledger::{Check, MonitorLedger, NewSample, SystemId};
    use tokio::net::TcpListener;

    /// A monitor's check that saw this.
    async fn check(ledger: &MonitorLedger, pd: &str, snapshot: &ClusterSnapshot) {
        let check = Check {
            cluster_id: SystemId::new("7"),
            age: Duration::ZERO,
            observations: Vec::new(),
            metric_snapshot: None,
            subject_context: None,
            sample: Some(NewSample {
                snapshot: serde_json::to_string(snapshot).unwrap(),
                figures: None,
            }),
            changes: Vec::new(),
            place: format!("http://elsewhere,{pd}"),
            interval: Duration::from_millis(200),
            ok: true,
            detail: String::new(),
        };
        ledger.record_check(check).await.unwrap();
    }

    #[tokio::test]
    async fn pd_is_asked_only_where_no_monitor_looks() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tickets.db");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pd = format!("http://{}", listener.local_addr().unwrap());
        let ledger = MonitorLedger::open(&path).await.unwrap();
        let mut seen = ClusterSnapshot::unknown("not asked");
        for leader in ["first", "second"] {
            seen.pd_leader = Observed::known(Some(leader.into()), Timestamp::now());
            check(&ledger, &pd, &seen).await;
        }
        let (events, mut told) = mpsc::channel(64);
        let looks = Arc::new(MonitorLooks::default());
        let _eyes = Observer::start(Options::new(&pd), &looks, events.clone());
        let _reader = LedgerReader::start(path, looks, events).unwrap();
        let mut look = async || loop {
            if let Event::Cluster(snapshot, patience) = told.recv().await.unwrap() {
                return (snapshot, patience);
            }
        };
        let (first, patience) = look().await;
        assert_eq!(*first, seen);
        assert_eq!(patience, STALE);
        seen.pd_leader = Observed::known(None, Timestamp::now());
        check(&ledger, &pd, &seen).await;
        assert_eq!(*look().await.0, seen);
        assert!(listener.accept().now_or_never().is_none());
        // It ends, and after a while we look ourselves.
        drop(ledger);
        timeout(Duration::from_secs(30), listener.accept())
            .await
            .expect("PD is asked when no monitor looks any more")
            .unwrap();
    }

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
