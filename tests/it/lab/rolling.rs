//! A rolling restart, as an upgrade does it: no ticket, though PD's last leader forgets on the way
//! what the one before it knew.

use super::harness::{LONG, Lab, executable, until};
use operator_lab::timing::MONITOR_TIMES;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

/// A monitor of a lab, and what its checks said. Dropping it ends it.
struct Monitor {
    process: Child,
    reports: Arc<Mutex<Vec<Value>>>,
}

impl Monitor {
    fn start(lab: &Lab) -> Self {
        let pd = lab.topology().pd_endpoints().join(",");
        let ledger = lab.dir().with_file_name("tickets.db");
        let mut process = Command::new(executable())
            .args(["monitor", "run", "--json", "--pd", &pd, "--db"])
            .arg(ledger)
            .args(MONITOR_TIMES)
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

    fn reports(&self) -> Vec<Value> {
        self.reports.lock().unwrap().clone()
    }

    /// Waits for so many checks, from now on, that find nothing at all.
    fn finds_nothing(&self, checks: usize) {
        let seen = self.reports().len();
        until("the monitor finds nothing", LONG, || {
            let clear = |report: &&Value| report["violations"].as_array().unwrap().is_empty();
            let newer = self.reports().split_off(seen);
            newer.iter().rev().take_while(clear).count() >= checks
        });
    }

    fn tickets(&self) -> Vec<Value> {
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

fn leader(lab: &Lab) -> Option<String> {
    let members = ["pd0", "pd1", "pd2"].iter();
    let mut said = members.filter_map(|member| lab.pd(member, "leader"));
    said.find_map(|leader| leader["name"].as_str().map(str::to_owned))
}

#[test]
fn a_rolling_restart_opens_no_ticket_and_a_store_lost_in_its_last_minute_one() {
    let lab = Lab::up(&["--fresh"]);
    // A store may be away for longer than it takes this machine to start one.
    let patient = r#"{"schedule.max-store-disconnect-time":"15s"}"#;
    assert_eq!(lab.ask("pd0", "POST", "config", patient).0, 200);
    let monitor = Monitor::start(&lab);
    monitor.finds_nothing(2);
    for store in ["tikv0", "tikv1", "tikv2"] {
        lab.ok(&["stop", store]);
        lab.ok(&["start", store]);
        until("leaders are back", LONG, || lab.is_balanced());
        monitor.finds_nothing(2);
    }
    let old = leader(&lab).unwrap();
    lab.ok(&["stop", &old]);
    until("another PD member leads", LONG, || {
        leader(&lab).is_some_and(|new| new != old)
    });
    lab.ok(&["start", &old]);
    monitor.finds_nothing(3);
    let opened = monitor.tickets();
    assert!(opened.is_empty(), "{opened:#?}");

    // The one that leads now goes too, and with it a store for good.
    let second = leader(&lab).unwrap();
    lab.ok(&["kill", "tikv1"]);
    lab.ok(&["kill", &second]);
    let lost = |report: &Value| {
        let violations = report["violations"].as_array().unwrap().iter();
        let mut down =
            violations.filter(|v| v["invariant"] == "store_down" && v["reading"] == "violated");
        down.all(|v| v["store_id"] == "2")
            && !report["outcome"]["opened"].as_array().unwrap().is_empty()
    };
    until("the lost store, and no other, is a ticket", LONG, || {
        monitor.reports().iter().any(lost)
    });
    let stores: Vec<String> = monitor
        .reports()
        .iter()
        .flat_map(|report| report["violations"].as_array().unwrap().clone())
        .filter(|v| v["invariant"] == "store_down" && v["reading"] == "violated")
        .map(|v| v["store_id"].to_string())
        .filter(|id| id != "\"2\"")
        .collect();
    assert!(stores.is_empty(), "{stores:?}");
}
