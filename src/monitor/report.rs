//! What checks saw and did, for whoever prints it.

use operator_ledger::{CheckOutcome, LedgerError, Observation, ObservedChange, Reading, SystemId};
use serde::Serialize;
use std::path::Path;
use tokio::time::Instant;

/// What one check saw and did, for whoever prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub cluster_id: SystemId,
    pub ok: bool,
    pub detail: String,
    /// Those that do not read clear.
    pub violations: Vec<Observation>,
    pub outcome: CheckOutcome,
    /// What changed since earlier looks, whoever changed it.
    pub changes: Vec<ObservedChange>,
    pub took_ms: u64,
}

impl Report {
    pub(super) fn new(
        cluster_id: SystemId,
        observations: Vec<Observation>,
        outcome: CheckOutcome,
        started: Instant,
    ) -> Self {
        let violations = observations.into_iter();
        Self {
            cluster_id,
            ok: true,
            detail: String::new(),
            violations: violations.filter(|o| o.reading != Reading::Clear).collect(),
            outcome,
            changes: Vec::new(),
            took_ms: started.elapsed().as_millis() as u64,
        }
    }
}

/// What happens while a monitor runs, for whoever tells people.
#[derive(Debug)]
pub enum Happened<'a> {
    Checked(&'a Report),
    /// Something was told between two checks, and alerts alone were read.
    Alerted(&'a Report),
    /// The ledger was locked or full for a while, or is gone; the next check may do.
    NotRecorded(&'a LedgerError),
    /// Another monitor has the cluster, and with it this lock.
    Waiting(&'a Path),
}
