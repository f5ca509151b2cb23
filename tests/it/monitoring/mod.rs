//! Operator in the monitoring people already have: the real Prometheus and Alertmanager, with the
//! configuration that compose mounts, around the embedded lab.
//!
//! Both come from Debian's packages `prometheus` and `prometheus-alertmanager`. Where they are not
//! installed these tests pass without looking, unless OPERATOR_TEST_ALL is set.

mod stage;

use operator_ledger::{Resolution, SessionStatus, Status, Stored};
use operator_tui::monitor::Invariant;
use serde_json::Value;
use stage::{Stage, root, until};
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(30);
const LATER: Duration = Duration::from_secs(120);

/// Whether these programs are there, or may be missing.
fn missing(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let gone: Vec<_> = programs.iter().filter(|p| !there(p)).collect();
    if gone.is_empty() {
        return false;
    }
    assert!(
        std::env::var_os("OPERATOR_TEST_ALL").is_none(),
        "{gone:?} are not installed"
    );
    eprintln!("not tested: {gone:?} are not installed");
    true
}

const ALL: [&str; 4] = [
    "prometheus",
    "prometheus-alertmanager",
    "promtool",
    "amtool",
];

/// Runs promtool; what it says if it is not content.
fn promtool(args: &[&str], input: Option<&str>) {
    let mut command = assert_cmd::Command::new("promtool");
    command
        .args(args)
        .current_dir(root().join("assets/prometheus"));
    if let Some(text) = input {
        command.write_stdin(text);
    }
    let done = command.output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(
        done.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn promtool_is_content_with_rules_their_tests_and_the_configuration() {
    if missing(&["promtool"]) {
        return;
    }
    promtool(&["check", "config", "prometheus.yml"], None);
    promtool(&["check", "rules", "rules/tikv.yml"], None);
    promtool(&["test", "rules", "tests/tikv.yml"], None);
    // Each invariant but one has a rule: what cannot be observed is not for Prometheus to say.
    let rules = fs::read_to_string(root().join("assets/prometheus/rules/tikv.yml")).unwrap();
    for name in <Invariant as strum::VariantNames>::VARIANTS {
        let there = rules.contains(&format!("- alert: {name}\n"));
        assert_eq!(there, *name != "observation_failed", "{name}");
    }
}

/// The queries of the dashboard, as Grafana would send them.
fn queries() -> Vec<String> {
    fn walk(value: &Value, out: &mut Vec<String>) {
        if let Some(expr) = value["expr"].as_str() {
            out.push(expr.replace("$__rate_interval", "20s"));
        }
        let inner: Vec<&Value> = match value {
            Value::Object(map) => map.values().collect(),
            Value::Array(list) => list.iter().collect(),
            _ => Vec::new(),
        };
        for value in inner {
            walk(value, out);
        }
    }
    let file = root().join("assets/grafana/dashboards/operator.json");
    let board: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut out = Vec::new();
    walk(&board, &mut out);
    assert!(out.len() > 20);
    out
}

/// Throughput of each store, and whether latency and errors are known.
fn seen(snapshot: &Value) -> Vec<(u64, f64, bool, bool)> {
    let stores = snapshot["stores"]["value"].as_array().unwrap().iter();
    stores
        .map(|s| {
            let traffic = &s["traffic"]["value"];
            (
                s["id"].as_u64().unwrap(),
                traffic["ops_per_s"].as_f64().unwrap_or(-1.0),
                traffic["p99_ms"].is_f64(),
                traffic["refused_per_s"].is_f64(),
            )
        })
        .collect()
}

#[test]
fn a_killed_store_goes_all_the_way_round() {
    if missing(&ALL) {
        return;
    }
    let mut stage = Stage::up();
    // What a scrape shows and what Prometheus shows is the same.
    until("Prometheus has a rate of every store", SOON, || {
        let snapshot = stage.cluster(true);
        seen(&snapshot).iter().all(|(_, ops, ..)| *ops > 0.0)
    });
    let (scraped, asked) = (stage.cluster(false), stage.cluster(true));
    assert_eq!(scraped["pd"]["value"], asked["pd"]["value"]);
    for (a, b) in seen(&scraped).iter().zip(seen(&asked)) {
        assert_eq!((a.0, a.2, a.3), (b.0, b.2, b.3), "{scraped}\n{asked}");
        assert!(a.1 > b.1 / 4.0 && b.1 > a.1 / 4.0, "{a:?} {b:?}");
    }
    stage.lab(&["kill", "tikv1"]);
    until("the alert is a ticket", LATER, || stage.ticket().is_some());
    let ticket = stage.ticket().unwrap();
    assert_eq!(ticket.invariant, "store_down");
    assert!(ticket.violation_key.starts_with("alert:"));
    let context = ticket.subject_context.clone().unwrap();
    assert!(context.contains("- seen_by: "), "{context}");
    assert!(ticket.batch_key.unwrap().contains("store_down"));

    stage.agent();
    until("the ticket ends", LATER, || {
        stage.tickets().iter().all(|t| t.status == Status::Resolved)
    });
    for ticket in stage.tickets() {
        assert_eq!(ticket.resolution, Some(Resolution::External), "{ticket:?}");
    }
    let ticket = stage.ticket().unwrap();
    assert!(ticket.claimed, "the agent said that it repaired it");
    until("the session has ended as its ticket", SOON, || {
        let sessions = stage.sessions();
        sessions[0].status == SessionStatus::Resolved
            && sessions[0].resolution == Some(Stored::Known(Resolution::External))
    });

    // Grafana has something to show in every panel: failures too, by now.
    let mut unanswered: Vec<String> = Vec::new();
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        unanswered = queries();
        unanswered.retain(|q| stage.query(q).is_empty());
        if unanswered.is_empty() {
            break;
        }
    }
    assert_eq!(unanswered, [""; 0]);

    // What the listener says of all that.
    let figures = stage.get("/metrics").1;
    promtool(&["check", "metrics"], Some(&figures));
    let has = |line: &str| assert!(figures.lines().any(|l| l == line), "{line}\n{figures}");
    has("operator_tickets_resolved_total{resolution=\"proven\"} 0");
    has("operator_incidents_ended_total{resolution=\"proven\"} 0");
    has("operator_agent_up 1");
    has("operator_webhook_notifications_total{result=\"malformed\"} 0");
    assert!(
        figures.contains("operator_claims_total{outcome=\"external\"} 1"),
        "{figures}"
    );
    assert_eq!(stage.get("/healthz").0, 200);
    // And people elsewhere were told.
    let told = stage.told();
    assert!(
        told[0].starts_with("{\"text\": \"[critical] Incident #1, ticket #1: store_down on "),
        "{told:?}"
    );
}

#[test]
fn a_prometheus_that_dies_repairs_nothing() {
    if missing(&ALL) {
        return;
    }
    let mut stage = Stage::up();
    until("the stores are scraped", SOON, || {
        stage.query("sum(up{job=\"tikv\"}) == 3").len() == 1
    });
    stage.lab(&["kill", "tikv2"]);
    until("the alert is a ticket", LATER, || stage.ticket().is_some());

    stage.kill_prometheus();
    // Alertmanager hears no more of the alert, and calls it resolved. The store is still dead.
    until("Alertmanager gives it up", LATER, || {
        stage.get("/metrics").1.lines().any(|line| {
            let resolved = line.strip_prefix("operator_webhook_alerts_total{kind=\"resolved\"} ");
            resolved.is_some_and(|n| n != "0")
        })
    });
    let looks = stage.looks();
    until("the monitor has looked since", SOON, || {
        stage.looks() > looks + 1
    });
    let ticket = stage.ticket().unwrap();
    assert_eq!(ticket.status, Status::Open, "{ticket:?}");

    // The agent repairs it. Nobody can say that it worked, so nobody does.
    stage.agent();
    until("the agent claims it", LATER, || {
        stage.ticket().unwrap().claimed
    });
    let looks = stage.looks();
    until("the monitor has looked since", SOON, || {
        stage.looks() > looks + 1
    });
    assert_eq!(stage.ticket().unwrap().status, Status::Acknowledged);

    stage.start_prometheus();
    until("the ticket ends", LATER, || {
        stage.ticket().unwrap().status == Status::Resolved
    });
    let ticket = stage.ticket().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::External), "{ticket:?}");
    let events = stage.ledger().ticket_events(ticket.id).wait().unwrap();
    let last = &events.last().unwrap().why;
    assert!(
        last.contains("Prometheus does not see it any more"),
        "{last}"
    );
}

#[test]
fn an_end_that_a_silence_swallows_is_seen_by_prometheus() {
    if missing(&ALL) {
        return;
    }
    let stage = Stage::up();
    until("the stores are scraped", SOON, || {
        stage.query("sum(up{job=\"tikv\"}) == 3").len() == 1
    });
    stage.lab(&["kill", "tikv2"]);
    until("the alert is a ticket", LATER, || stage.ticket().is_some());
    let first = stage.ticket().unwrap();
    stage.silence();
    stage.lab(&["start", "tikv2"]);
    until("the ticket ends", LATER, || {
        stage.tickets().iter().all(|t| t.status == Status::Resolved)
    });
    let ticket = stage.ticket().unwrap();
    assert_eq!(ticket.resolution, Some(Resolution::External), "{ticket:?}");
    let events = stage.ledger().ticket_events(ticket.id).wait().unwrap();
    let last = &events.last().unwrap().why;
    assert!(
        last.contains("Prometheus evaluates the rule and does not see it any more"),
        "{last}"
    );
    // It was spoken of once, however often the monitor looked.
    let seen = ticket.occurrence_count - first.occurrence_count;
    assert!(stage.looks() > 10 && seen <= 3, "{} {seen}", stage.looks());
}

#[test]
fn a_port_that_is_taken_is_an_error_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = tempfile::tempdir().unwrap();
    let done = Command::new(stage::operator())
        .args(["monitor", "run", "--no-cluster", "--listen"])
        .arg(taken.local_addr().unwrap().to_string())
        .env("OPERATOR_HOME", home.path())
        .env_remove("OPERATOR_LAB_DIR")
        // As people have it in their shells: no reason to refuse.
        .env("PD_ENDPOINT", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("in use"), "{said}");
}
