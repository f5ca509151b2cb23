//! A ledger with a monitor whose clock can be turned on, for tests of tickets and proof.

#![allow(dead_code, reason = "the tests and the bench each use some of it")]

use operator_ledger::{
    Check, CheckOutcome, ClaimRequest, Holder, Ledger, Mono, NewSession, Observation, Reading,
    SessionWriter, Severity, event::Mode,
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

pub const CLUSTER: &str = "7001";

pub struct Bench {
    pub dir: TempDir,
    pub ledger: Ledger,
    /// Milliseconds that the monitor's clock has been turned on.
    pub shift: i64,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("tickets.db")).unwrap();
        Self {
            dir,
            ledger,
            shift: 0,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("tickets.db")
    }

    /// One check with one invariant: no grace, a hold of ten seconds.
    pub fn check(&mut self, reading: Reading) -> CheckOutcome {
        let observation = Observation {
            key: "store_down:2".into(),
            invariant: "store_down".into(),
            store_id: Some("2".into()),
            subject_name: None,
            reading,
            message: format!("{reading:?}"),
            severity: Severity::Critical,
            grace: Duration::ZERO,
            hold: Duration::from_secs(10),
            outside: None,
        };
        let mut data = Mono::now();
        data.ms += self.shift;
        self.ledger
            .record_check(&Check {
                cluster_id: CLUSTER,
                data,
                observations: &[observation],
                metric_snapshot: Some(&serde_json::json!({"stores": 2})),
                subject_context: Some("PD is at http://127.0.0.1:1"),
                sample: None,
                place: "http://127.0.0.1:1,http://127.0.0.1:2",
                interval: Duration::from_secs(1),
                ok: true,
                detail: "",
            })
            .unwrap()
    }

    pub fn later(&mut self, seconds: i64) -> &mut Self {
        self.shift += seconds * 1000;
        self
    }

    pub fn claim(&mut self, lease: Duration) -> Option<operator_ledger::Claim> {
        let holder = Holder::this_process();
        let request = ClaimRequest {
            holder: &holder,
            cluster_id: Some(CLUSTER),
            ticket: None,
            lease,
        };
        self.ledger.claim(&request).unwrap()
    }

    pub fn session(&mut self, claim: &operator_ledger::Claim) -> SessionWriter {
        self.ledger
            .begin_session(&NewSession {
                lease: &claim.lease,
                model: "rehearsal",
                mode: Mode::Autonomous,
                cluster_id: Some(CLUSTER),
                holder: &Holder::this_process(),
            })
            .unwrap()
    }

    /// Does to the file what only another program would.
    pub fn ledger_conn(&self, sql: &str) {
        rusqlite::Connection::open(self.path())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}
