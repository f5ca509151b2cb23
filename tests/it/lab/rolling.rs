//! A rolling restart, as an upgrade does it: no ticket, though PD's last leader forgets on the way
//! what the one before it knew.

use super::{
    harness::{LONG, Lab, until},
    watched::{Monitor, changes},
};
use serde_json::Value;

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
    // Who was started again is known, and nobody else was.
    let seen = changes(&monitor.reports());
    let started = |thing: &Value| {
        let of = |c: &&Value| c["kind"] == "started" && c["name"] == *thing;
        seen.iter().filter(of).count()
    };
    for name in ["pd0", "pd1", "pd2", "tikv0", "tikv1", "tikv2"] {
        let again = name.starts_with("tikv") || name == old;
        assert_eq!(
            started(&name.into()),
            usize::from(again),
            "{name}: {seen:#?}"
        );
    }
    let led = |c: &&Value| c["kind"] == "leader" && c["from"] == *old;
    assert!(seen.iter().any(|c| led(&c)), "{seen:#?}");
    let odd = ["version", "joined", "gone"];
    assert!(
        !seen
            .iter()
            .any(|c| odd.iter().any(|kind| c["kind"] == *kind)),
        "{seen:#?}"
    );

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
