//! The loop: observe, check, record; sooner when somebody waits for proof.
//!
//! One monitor watches a cluster of a ledger: a file lock beside the ledger says which. A second
//! one waits for it to end and then takes over.

use super::{
    Config, MonitorError, alerts as of_alerts,
    desk::{Desk, When},
    evaluate::{evaluate, known_keys},
    invariants::ViolationKey,
    listener::ListenerState,
    lock::{address_lock, lock_path, remember, remembered, take_lock},
    report::{Happened, Report},
    standing::Standing,
};
use crate::{
    cluster::{Client, ClusterSnapshot, UnknownReason},
    history::impact::Look,
};
use jiff::Timestamp;
use operator_ledger::{
    Check, LiveTicket, MonitorLedger, NewSample, Observation, Stopwatch, SystemId,
};
use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the loop looks whether somebody waits for an early check.
const EARLY_POLL: Duration = Duration::from_millis(200);

/// At most so many looks at alerts alone in an interval, whatever comes in.
const MAX_LOOKS: u32 = 4;

/// Between the two looks of a single check.
const BETWEEN_LOOKS: Duration = Duration::from_millis(600);

/// So many of the newest samples tell a monitor that starts how the cluster stood.
const SAMPLES: usize = 300;

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    pub ledger: PathBuf,
    pub config: Config,
    /// The cluster, if it is known before PD is asked.
    pub cluster_id: Option<SystemId>,
    pub once: bool,
    /// Where alerts come in.
    pub listener: Arc<ListenerState>,
}

/// What stands for a cluster where none is watched: alerts alone.
pub(super) const NO_CLUSTER: &str = "alerts";

/// What the record of a cluster is kept under.
enum Watched {
    /// Its id: given, told by PD, or told by it the last time.
    Known(SystemId),
    /// Its address, until PD can be asked.
    Address(SystemId),
}

impl Watched {
    fn id(&self) -> &SystemId {
        match self {
            Self::Known(id) | Self::Address(id) => id,
        }
    }
}

/// Observes, judges and records one cluster.
pub struct Monitor {
    client: Client,
    ledger: MonitorLedger,
    config: Config,
    watched: Watched,
    given: bool,
    provisional: bool,
    known: ClusterSnapshot,
    /// How the cluster of this id stood.
    standing: Option<(SystemId, Standing)>,
    /// The lock on the cluster's id, once that is known, and the id.
    lock: Option<(SystemId, File)>,
    listener: Arc<ListenerState>,
    desk: Desk,
}

impl Monitor {
    pub async fn new(client: Client, options: &RunOptions) -> Result<Self, MonitorError> {
        let ledger = MonitorLedger::open(&options.ledger).await?;
        let pd = &client.options().pd;
        let known = options
            .cluster_id
            .clone()
            .or_else(|| remembered(&address_lock(&options.ledger, pd)));
        let watched = match (known, pd.first()) {
            (Some(id), _) => Watched::Known(id),
            (None, Some(address)) => Watched::Address(SystemId::new(address.as_str())),
            (None, None) => Watched::Known(SystemId::new(NO_CLUSTER)),
        };
        let given = options.cluster_id.is_some() || pd.is_empty();
        Ok(Self {
            client,
            ledger,
            config: options.config.clone(),
            watched,
            given,
            provisional: !given,
            known: ClusterSnapshot::default(),
            standing: None,
            lock: None,
            listener: options.listener.clone(),
            desk: Desk::new(),
        })
    }

    /// Whether there is a cluster to look at, besides alerts.
    fn has_cluster(&self) -> bool {
        !self.client.options().pd.is_empty()
    }

    /// One check, recorded. What cannot be recorded is not looked at.
    pub async fn check(&mut self) -> Result<Report, MonitorError> {
        self.ledger.still_there().await?;
        let data = Stopwatch::start();
        let started = Instant::now();
        let snapshot = if self.has_cluster() {
            let mut snapshot = self.client.observe().await;
            self.learn_cluster(&mut snapshot).await?;
            Some(snapshot)
        } else {
            None
        };
        self.lock_cluster()?;
        let system = self.watched.id().clone();
        self.listener.watches(Some(&system));
        let live = self.ledger.live_keys(&system).await?;
        let alerts = self.alerts(When::Check, &live).await?;
        let mut observations = match &snapshot {
            Some(snapshot) => {
                // Subjects that were seen before read unknown, not nothing, while they cannot be
                // seen.
                let seen = known_keys(&self.known);
                let ticketed: Vec<_> = live.iter().filter_map(ViolationKey::of_ticket).collect();
                evaluate(snapshot, &self.config, &ticketed, &seen)
            }
            None => Vec::new(),
        };
        observations.extend(alerts);
        let failed = snapshot
            .iter()
            .flat_map(|s| [&s.stores.error, &s.pd.error, &s.regions.error])
            .flatten()
            .find(|why| **why != UnknownReason::NotBootstrapped);
        let detail = failed.map(ToString::to_string).unwrap_or_default();
        let failed = failed.is_some();
        let numbers = snapshot.as_ref().and_then(|s| serde_json::to_value(s).ok());
        let sample = snapshot.as_ref().zip(numbers.as_ref());
        let sample = sample.map(|(look, numbers)| NewSample {
            snapshot: numbers.to_string(),
            figures: Look::of(look.at, look).figures(),
        });
        let mut standing = self.standing(&system).await?;
        let changes = snapshot.as_ref().map(|look| standing.note(look));
        let changes = changes.unwrap_or_default();
        let mut context = None;
        if let Some(mut shown) = snapshot {
            shown.remember(&self.known);
            context = Some(self.context(&shown));
            self.known = shown;
        }
        let place = self.client.options().pd.join(",");
        let recorded = self.ledger.record_check(Check {
            cluster_id: system.clone(),
            age: data.elapsed(),
            observations: observations.clone(),
            metric_snapshot: numbers,
            subject_context: context,
            sample,
            changes: changes.clone(),
            place,
            interval: self.config.interval,
            ok: !failed,
            detail: detail.clone(),
        });
        let outcome = recorded.await?;
        // What could not be recorded is told by the next look.
        self.standing = Some((system.clone(), standing));
        let took_ms = started.elapsed().as_millis() as u64;
        tracing::debug!(cluster = %system, took_ms, ?outcome, "checked");
        Ok(Report {
            ok: !failed,
            detail,
            changes,
            ..Report::new(system, observations, outcome, started)
        })
    }

    /// How the cluster stood when it was last seen, by whichever monitor of this ledger.
    async fn standing(&self, system: &SystemId) -> Result<Standing, MonitorError> {
        if let Some((_, standing)) = self.standing.as_ref().filter(|(of, _)| of == system) {
            return Ok(standing.clone());
        }
        let mut standing = Standing::default();
        let samples = self.ledger.samples_upto(system, Timestamp::MAX, SAMPLES);
        for sample in samples.await? {
            if let Ok(look) = serde_json::from_str::<ClusterSnapshot>(&sample.snapshot) {
                standing.note(&look);
            }
        }
        Ok(standing)
    }

    /// What the alerts of this system read.
    async fn alerts(
        &mut self,
        when: When,
        live: &[LiveTicket],
    ) -> Result<Vec<Observation>, MonitorError> {
        let place = (&self.ledger, self.watched.id());
        let how = (&self.client, &self.config);
        let mut alerts = self.desk.look(when, how, place, live).await?;
        of_alerts::belong(&mut alerts, self.watched.id(), &self.known);
        Ok(alerts)
    }

    /// What was told since the last check becomes tickets: nobody is asked anything.
    async fn alerted(&mut self) -> Result<Report, MonitorError> {
        let data = Stopwatch::start();
        let started = Instant::now();
        let system = self.watched.id().clone();
        let live = self.ledger.live_keys(&system).await?;
        let observations = self.alerts(When::Told, &live).await?;
        // Of the cluster, as it was seen last.
        let seen = self.has_cluster().then_some(&self.known);
        let recorded = self.ledger.record_alerts(Check {
            cluster_id: system.clone(),
            age: data.elapsed(),
            observations: observations.clone(),
            metric_snapshot: seen.and_then(|seen| serde_json::to_value(seen).ok()),
            subject_context: seen.map(|seen| self.context(seen)),
            sample: None,
            changes: Vec::new(),
            place: self.client.options().pd.join(","),
            interval: self.config.interval,
            ok: true,
            detail: String::new(),
        });
        let outcome = recorded.await?;
        Ok(Report::new(system, observations, outcome, started))
    }

    /// Takes the id that PD gives. What another cluster says than the one asked for is not looked
    /// at; where none was asked for, the one that answers is watched.
    async fn learn_cluster(&mut self, snapshot: &mut ClusterSnapshot) -> Result<(), MonitorError> {
        let Some(id) = snapshot.cluster_id.clone() else {
            return Ok(());
        };
        if self.given {
            if id != *self.watched.id() {
                let pd = self.client.options().pd.join(", ");
                *snapshot = ClusterSnapshot::unknown(&format!(
                    "{pd} is cluster {id}, not {}",
                    self.watched.id()
                ));
            }
            return Ok(());
        }
        if id != *self.watched.id() {
            // An address stands for a cluster only until it says its name; an id may be that of
            // another cluster, made anew at the same address, whose record stays its own.
            if let Watched::Address(address) = &self.watched {
                self.ledger.adopt_cluster(address, &id).await?;
            }
            self.watched = Watched::Known(id.clone());
            self.known = ClusterSnapshot::default();
        }
        if self.provisional {
            // Best effort: only a monitor that starts while PD is away needs it.
            let path = address_lock(self.ledger.path(), &self.client.options().pd);
            let _ = remember(&path, &id);
            self.provisional = false;
        }
        Ok(())
    }

    /// The same cluster may be asked for by another of its addresses.
    fn lock_cluster(&mut self) -> Result<(), MonitorError> {
        let held = self
            .lock
            .as_ref()
            .is_some_and(|(id, _)| id == self.watched.id());
        if self.provisional || held {
            return Ok(());
        }
        let path = lock_path(self.ledger.path(), self.watched.id().as_str());
        let file = take_lock(&path)?.ok_or(MonitorError::Taken(path))?;
        self.lock = Some((self.watched.id().clone(), file));
        Ok(())
    }

    /// Where things are; never what is wrong with them.
    fn context(&self, snapshot: &ClusterSnapshot) -> String {
        use std::fmt::Write;
        let mut text = format!("PD: {}\n", self.client.options().pd.join(", "));
        for m in snapshot.pd.value.iter().flatten() {
            let _ = writeln!(text, "PD member {}: {}", m.name, m.address);
        }
        for s in snapshot.stores.value.iter().flatten() {
            let status = s.status_address.as_deref().unwrap_or("unknown");
            let _ = writeln!(
                text,
                "Store {} is {}: serves at {}, metrics and status at {status}",
                s.id, s.name, s.address
            );
        }
        text
    }

    async fn early_check_wanted(&self) -> Result<bool, MonitorError> {
        Ok(self.ledger.changed().await? && self.ledger.check_wanted(self.watched.id()).await?)
    }
}

/// Runs until it is cancelled, or for one check.
pub async fn run(
    client: Client,
    options: RunOptions,
    stop: CancellationToken,
    tell: impl FnMut(Happened<'_>),
) -> Result<(), MonitorError> {
    let mut monitor = Monitor::new(client, &options).await?;
    let ran = watch(&mut monitor, &options, stop, tell).await;
    let _ = monitor.ledger.close().await;
    ran
}

async fn watch(
    monitor: &mut Monitor,
    options: &RunOptions,
    stop: CancellationToken,
    mut tell: impl FnMut(Happened<'_>),
) -> Result<(), MonitorError> {
    let interval = options.config.interval;
    let mut lock = None;
    if options.once && monitor.has_cluster() {
        // A rate needs two looks, and a PD leader that is new in office a moment to be told.
        let patience = Instant::now() + options.config.heartbeat_limit;
        tokio::select! {
            () = async {
                loop {
                    let seen = monitor.client.observe().await;
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                    if !seen.unripe() || Instant::now() > patience {
                        break;
                    }
                }
            } => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
    loop {
        let started = Instant::now();
        if lock.is_none() {
            let path = address_lock(&options.ledger, &monitor.client.options().pd);
            lock = take_lock(&path)?;
            if lock.is_none() {
                options.listener.watches(None);
                tell(Happened::Waiting(&path));
                if options.once || sleep_or_stop(interval, &stop).await {
                    return Ok(());
                }
                continue;
            }
        }
        tokio::select! {
            checked = monitor.check() => match checked {
                Ok(report) => {
                    options.listener.records(Ok(()));
                    tell(Happened::Checked(&report));
                }
                Err(MonitorError::Ledger(e)) if e.is_of_the_file() && !options.once => {
                    options.listener.records(Err(&e));
                    tell(Happened::NotRecorded(&e));
                }
                Err(MonitorError::Taken(path)) => {
                    options.listener.watches(None);
                    tell(Happened::Waiting(&path));
                    if options.once {
                        return Ok(());
                    }
                }
                Err(e) => return Err(e),
            },
            () = stop.cancelled() => return Ok(()),
        }
        if options.once {
            return Ok(());
        }
        let mut told = Instant::now();
        loop {
            let left = interval.saturating_sub(started.elapsed());
            let (stopped, alerted) = tokio::select! {
                stopped = sleep_or_stop(left.min(EARLY_POLL), &stop) => (stopped, false),
                () = options.listener.alert_received.notified() => {
                    let pause = (interval / MAX_LOOKS).saturating_sub(told.elapsed());
                    (sleep_or_stop(pause.min(left), &stop).await, true)
                }
            };
            if stopped {
                return Ok(());
            }
            if started.elapsed() >= interval {
                break;
            }
            if monitor.early_check_wanted().await.unwrap_or(false) {
                monitor.client.count_anew();
                break;
            }
            if alerted && options.listener.cluster().is_some() {
                told = Instant::now();
                match monitor.alerted().await {
                    Ok(report) => tell(Happened::Alerted(&report)),
                    Err(MonitorError::Ledger(e)) => {
                        options.listener.records(Err(&e));
                        tell(Happened::NotRecorded(&e));
                    }
                    Err(e) => return Err(e),
                }
            }
        }
    }
}

async fn sleep_or_stop(length: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(length) => false,
        () = stop.cancelled() => true,
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
