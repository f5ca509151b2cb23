//! What the living monitor of a cluster saw, read from the ledger: so that a hundred dashboards ask
//! PD no more often than one monitor does.
//!
//! It reads and passes on. Whether a look is young enough to go by is decided in `sources`.

use crate::cluster::ClusterSnapshot;
use operator_ledger::{LedgerError, Reader};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What one look takes, and its way here.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// What is known of the monitor's looks.
#[derive(Debug, Clone, Default)]
pub(super) enum Looked {
    /// The ledger was not read yet.
    #[default]
    NotYet,
    /// No monitor has looked at this cluster, or not lately.
    Nobody,
    Saw(MonitorLook),
}

/// One look of a monitor.
#[derive(Debug, Clone)]
pub(super) struct MonitorLook {
    pub(super) snapshot: Arc<ClusterSnapshot>,
    /// When it is too old to go by: the next was due, and did not come.
    pub(super) good_until: Instant,
    /// How old what is shown of it may become until then.
    pub(super) patience: Duration,
}

/// Where the looks of the monitor of these PD addresses are told.
#[derive(Debug, Default)]
pub(super) struct MonitorLooks {
    pd: Mutex<Vec<String>>,
    told: watch::Sender<Looked>,
}

impl MonitorLooks {
    /// From now on those at the cluster of these addresses.
    pub(super) fn follow(&self, pd: &[String]) -> watch::Receiver<Looked> {
        pd.clone_into(&mut self.pd.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.subscribe()
    }

    /// Reads what is new. `last` is the sample that was told last.
    pub(super) fn read(&self, ledger: &Reader, last: &mut i64) -> Result<(), LedgerError> {
        let pd = self
            .pd
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if pd.is_empty() {
            return Ok(());
        }
        match newest(ledger, &pd, *last)? {
            Newest::Nobody => {
                self.told.send_replace(Looked::Nobody);
            }
            Newest::Same => {}
            Newest::Saw(id, look) => {
                *last = id;
                self.told.send_replace(Looked::Saw(look));
            }
        }
        Ok(())
    }

    /// The ledger cannot be read: nobody knows what a monitor sees.
    pub(super) fn nobody(&self) {
        self.told.send_replace(Looked::Nobody);
    }
}

enum Newest {
    Nobody,
    Same,
    Saw(i64, MonitorLook),
}

fn newest(ledger: &Reader, pd: &[String], last: i64) -> Result<Newest, LedgerError> {
    let Some(cluster) = ledger.cluster_at(pd).wait()? else {
        return Ok(Newest::Nobody);
    };
    let Some(beat) = ledger.heartbeat(Some(&cluster)).wait()? else {
        return Ok(Newest::Nobody);
    };
    let patience = beat.interval * 2 + ON_ITS_WAY;
    let Some(left) = patience.checked_sub(beat.age) else {
        return Ok(Newest::Nobody);
    };
    let Some(sample) = ledger.newest_sample(&cluster).wait()? else {
        return Ok(Newest::Nobody);
    };
    if sample.id == last {
        return Ok(Newest::Same);
    }
    // One that is written by a version to come: look for ourselves.
    let Ok(snapshot) = serde_json::from_str::<ClusterSnapshot>(&sample.snapshot) else {
        return Ok(Newest::Nobody);
    };
    let look = MonitorLook {
        snapshot: Arc::new(snapshot),
        good_until: Instant::now() + left,
        patience,
    };
    Ok(Newest::Saw(sample.id, look))
}
