//! A lab with a monitor, and what that said.

use super::harness::{LONG, Lab, executable, until};
use operator_lab::timing::MONITOR_LIMITS;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

/// A monitor of a lab, and what its checks said. Dropping it ends it.
pub(super) struct Monitor {
    process: Child,
    reports: Arc<Mutex<Vec<Value>>>,
}

impl Monitor {
    pub(super) fn start(lab: &Lab) -> Self {
        let pd = lab.topology().pd_endpoints().join(",");
        let ledger = lab.dir().with_file_name("tickets.db");
        let mut process = Command::new(executable())
            .args(["monitor", "run", "--json", "--pd", &pd, "--db"])
            .arg(ledger)
            .args(MONITOR_LIMITS)
            .env("OPERATOR_HOME", lab.dir().with_file_name("record"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let (lines, told) = (process.stdout.take().unwrap(), reports.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let report = serde_json::from_str(&line).unwrap();
                told.lock().unwrap().push(report);
            }
        });
        Self { process, reports }
    }

    pub(super) fn reports(&self) -> Vec<Value> {
        self.reports.lock().unwrap().clone()
    }

    /// Waits for so many checks, from now on, that find nothing at all.
    pub(super) fn finds_nothing(&self, checks: usize) {
        let seen = self.reports().len();
        until("the monitor finds nothing", LONG, || {
            let clear = |report: &&Value| report["violations"].as_array().unwrap().is_empty();
            let newer = self.reports().split_off(seen);
            newer.iter().rev().take_while(clear).count() >= checks
        });
    }

    pub(super) fn tickets(&self) -> Vec<Value> {
        let opened = |report: &Value| !report["outcome"]["opened"].as_array().unwrap().is_empty();
        self.reports().into_iter().filter(opened).collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What some reports say has changed, in order.
pub(super) fn changes(reports: &[Value]) -> Vec<Value> {
    let lists = reports
        .iter()
        .filter_map(|report| report["changes"].as_array());
    lists.flatten().cloned().collect()
}
