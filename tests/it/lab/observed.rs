//! What a monitor observes of a store that is killed and started again: what changed, and what it cost,
//! beside what the load itself counted.

use super::{
    harness::{LONG, Lab, executable, until},
    watched::{Monitor, changes},
};
use operator_ledger::{Reader, SystemId};
use serde_json::Value;
use std::process::Command;

/// What the load counted so far: done, and given up or not begun.
fn counted(lab: &Lab) -> (f64, f64) {
    let done = lab.metric("load", "load_operations_total", "result=\"ok\"");
    let failed = lab.metric("load", "load_operations_total", "result=\"error\"");
    (done, failed + lab.metric("load", "load_skipped_total", ""))
}

#[test]
fn a_kill_and_a_start_are_seen_and_cost_what_the_load_says() {
    let lab = Lab::up(&["--fresh"]);
    until("the cluster is balanced", LONG, || lab.is_balanced());
    let monitor = Monitor::start(&lab);
    // Of less than half a minute there is no usual.
    until("half a minute was seen", LONG, || {
        monitor.reports().len() > 36
    });
    let target = lab.metric("load", "load_target_rate", "");
    let (_, failed) = counted(&lab);
    lab.ok(&["kill", "tikv1"]);
    let path = lab.dir().with_file_name("tickets.db");
    let ledger = Reader::open(&path).wait().unwrap();
    // A busy machine may be slow besides.
    let ticket = || {
        let all = ledger.tickets(50).wait().unwrap();
        all.into_iter().find(|t| t.violation_key == "store_down:2")
    };
    until("the lost store is a ticket", LONG, || ticket().is_some());
    let seen = |kind: &str, to: Option<&str>| {
        let changes = changes(&monitor.reports());
        let is =
            |c: &Value| c["kind"] == kind && c["thing"] == "2" && to.is_none_or(|to| c["to"] == to);
        changes.iter().filter(|c| is(c)).count()
    };
    until("PD calls it down", LONG, || {
        seen("state", Some("down")) == 1
    });
    lab.ok(&["start", "tikv1"]);
    until("it is seen to be up again", LONG, || {
        seen("state", Some("up")) == 1
    });
    until("its ticket ends", LONG, || {
        ticket().is_some_and(|t| t.resolved_at.is_some())
    });
    let (_, failed_by_then) = counted(&lab);
    assert_eq!(seen("state", Some("disconnected")), 1);
    assert_eq!(seen("started", None), 1);

    // The ledger has the same.
    let told = changes(&monitor.reports());
    let system = monitor.reports()[0]["cluster_id"]
        .as_str()
        .map(SystemId::new)
        .unwrap();
    let all = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let stored = ledger
        .observed_changes(&system, all.0, all.1)
        .wait()
        .unwrap();
    let kinds: Vec<_> = stored.iter().map(|c| c.kind.as_str().to_owned()).collect();
    let said: Vec<_> = told
        .iter()
        .map(|c| c["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, said);

    let shown = Command::new(executable())
        .args([
            "tickets",
            "show",
            &ticket().unwrap().id.to_string(),
            "--json",
            "--db",
        ])
        .arg(&path)
        .env("OPERATOR_HOME", lab.dir().with_file_name("record"))
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let impact = &shown["impact"];
    let figure = |name: &str| {
        impact[name]["value"]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {impact:#}"))
    };
    let usual = impact["baseline"]["ops_per_s"].as_f64().unwrap();
    assert!(
        (usual - target).abs() < target * 0.1,
        "{usual} of {target}: {impact:#}"
    );
    assert!(figure("lowest_ops_per_s") < target * 0.8, "{impact:#}");
    // A store that is gone counts nothing that is asked of it.
    assert_eq!(impact["refused"]["is"], "at_least");
    // The load lost a third of its operations for some seconds, by its own count.
    let (lost, by_load) = (figure("lost_operations"), failed_by_then - failed);
    assert!(by_load > 0.0, "the load lost nothing: {impact:#}");
    assert!(
        lost > by_load / 3.0 && lost < by_load * 3.0,
        "{lost} of {by_load}: {impact:#}"
    );
    assert!(figure("refused") >= 1.0, "{impact:#}");
}
