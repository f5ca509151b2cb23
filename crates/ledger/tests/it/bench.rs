//! A ledger with a monitor whose clock can be turned on, for tests of tickets and proof.

#![allow(dead_code, reason = "the tests and the bench each use some of it")]

use operator_ledger::{
    AgentLedger, Check, CheckOutcome, ClaimRequest, Holder, MonitorLedger, NewSession, Observation,
    PersonLedger, Reader, Reading, SessionWriter, Severity, SystemId, event::Mode,
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

pub(crate) fn cluster() -> SystemId {
    SystemId::new("7001")
}

/// No grace, a hold of ten seconds.
pub(crate) fn observation(invariant: &str, subject: Option<&str>, reading: Reading) -> Observation {
    Observation {
        key: match subject {
            Some(subject) => format!("{invariant}:{subject}"),
            None => invariant.to_owned(),
        },
        invariant: invariant.into(),
        subject: subject.map(str::to_owned),
        subject_name: subject.map(|s| format!("tikv{s}")),
        reading,
        message: format!("{reading:?}"),
        extent: None,
        severity: Severity::Critical,
        grace: Duration::ZERO,
        hold: Duration::from_secs(10),
        outside: None,
    }
}

pub(crate) struct Bench {
    pub agent: AgentLedger,
    pub monitor: MonitorLedger,
    pub person: PersonLedger,
    pub ledger: Reader,
    /// Milliseconds that have passed, as the monitor sees it.
    pub shift: i64,
    /// Whether somebody did to it what no program of ours does.
    pub tampered: bool,
    pub dir: TempDir,
}

/// Whatever a test did through our programs, nothing of it looks as if somebody else had done it.
impl Drop for Bench {
    fn drop(&mut self) {
        if !self.tampered && !std::thread::panicking() {
            let report = self.ledger.verify_ledger().wait().unwrap();
            assert_eq!(report.findings, []);
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tickets.db");
        Self {
            agent: AgentLedger::open(&path).wait().unwrap(),
            monitor: MonitorLedger::open(&path).wait().unwrap(),
            person: PersonLedger::open(&path).wait().unwrap(),
            ledger: Reader::open(&path).wait().unwrap(),
            shift: 0,
            tampered: false,
            dir,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("tickets.db")
    }

    /// One check with one invariant: no grace, a hold of ten seconds.
    pub(crate) fn check(&mut self, reading: Reading) -> CheckOutcome {
        self.check_with(reading, Duration::ZERO)
    }

    /// The same with a grace of a minute.
    pub(crate) fn check_in_grace(&mut self, reading: Reading) -> CheckOutcome {
        self.check_with(reading, Duration::from_secs(60))
    }

    fn check_with(&mut self, reading: Reading, grace: Duration) -> CheckOutcome {
        let observation = Observation {
            grace,
            ..observation("store_down", Some("2"), reading)
        };
        self.look(vec![observation])
    }

    /// One check that reads this.
    pub(crate) fn look(&mut self, observations: Vec<Observation>) -> CheckOutcome {
        self.monitor
            .record_check(Check {
                cluster_id: cluster(),
                age: Duration::ZERO,
                observations,
                metric_snapshot: Some(serde_json::json!({"stores": 2})),
                subject_context: Some("PD is at http://127.0.0.1:1".into()),
                sample: None,
                changes: Vec::new(),
                place: "http://127.0.0.1:1,http://127.0.0.1:2".into(),
                interval: Duration::from_secs(1),
                ok: true,
                detail: String::new(),
            })
            .wait()
            .unwrap()
    }

    /// So many seconds pass for the monitor: what it has written is older by them.
    pub(crate) fn later(&mut self, seconds: i64) -> &mut Self {
        let ms = seconds * 1000;
        self.ledger_conn(&format!(
            "UPDATE invariant_states SET observed_ms = observed_ms - {ms},
               clear_since_ms = clear_since_ms - {ms}, violated_since_ms = violated_since_ms - {ms};
             UPDATE verifications SET since_ms = since_ms - {ms}, deadline_ms = deadline_ms - {ms};"
        ));
        self.shift += ms;
        self
    }

    pub(crate) fn claim(&mut self, lease: Duration) -> Option<operator_ledger::Claim> {
        let request = ClaimRequest {
            holder: Holder::this_process(),
            cluster_id: Some(cluster()),
            ticket: None,
            lease,
        };
        self.agent.claim(request).wait().unwrap()
    }

    pub(crate) fn session(&mut self, claim: &operator_ledger::Claim) -> SessionWriter {
        self.agent
            .begin_session(NewSession {
                lease: claim.lease.clone(),
                ticket: claim.ticket.id,
                model: "rehearsal".into(),
                mode: Mode::Autonomous,
                cluster_id: Some(cluster()),
                holder: Holder::this_process(),
            })
            .wait()
            .unwrap()
    }

    /// Does to the file what only another program would.
    pub(crate) fn ledger_conn(&self, sql: &str) {
        rusqlite::Connection::open(self.path())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}
