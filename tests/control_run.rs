//! The control run: a lab under load that nobody breaks is left alone by the monitor. Before
//! that, with the load off, it costs next to nothing.

use operator_lab::{NodeStatus, timing::MONITOR_TIMES};
use operator_process::proc::{Stat, resident_bytes};
use rustix::process::Pid;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-tui");
const LENGTH: Duration = Duration::from_mins(3);
const FIRST_CHECKS: u64 = 2;
/// Idle, in cores and bytes, times three: other tests may be at work on this machine.
const IDLE_CORES: f64 = 3.0 * 0.1;
const IDLE_BYTES: u64 = 3 * (400 << 20);
const IDLE_LENGTH: Duration = Duration::from_secs(20);

/// The unit of times in `/proc`: hundredths of a second, whatever the kernel's own clock.
const TICKS: u64 = 100;

struct Lab(tempfile::TempDir);

impl Lab {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(OPERATOR);
        command
            .args(arguments)
            .env("OPERATOR_HOME", self.0.path())
            .env_remove("PD_ENDPOINT")
            .env_remove("PROMETHEUS_URL")
            .stdin(Stdio::null());
        command
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    fn pd(&self) -> String {
        let file = fs::read(self.0.path().join("lab/lab.json")).unwrap();
        let topology: Value = serde_json::from_slice(&file).unwrap();
        format!("http://127.0.0.1:{}", topology["nodes"][0]["port"])
    }

    /// Keeper and nodes.
    fn pids(&self) -> Vec<u32> {
        let nodes: Vec<NodeStatus> =
            serde_json::from_str(&self.ok(&["lab", "ps", "--json"])).unwrap();
        let mut pids: Vec<u32> = nodes.iter().filter_map(|n| n.pid).collect();
        assert_eq!(pids.len(), 7);
        let parent = Stat::of(pid_of(pids[0])).unwrap().parent.cast_unsigned();
        pids.push(parent);
        pids
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.command(&["lab", "down"]).output();
    }
}

/// Ends the monitor, whatever becomes of the test.
struct Monitor(Child);

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// User and system time of a process so far.
fn cpu(pid: u32) -> Duration {
    let ticks = Stat::of(pid_of(pid)).unwrap().cpu_ticks;
    Duration::from_millis(1000 / TICKS * ticks)
}

fn resident(pid: u32) -> u64 {
    resident_bytes(pid_of(pid)).unwrap()
}

/// Which store leads each region, as PD tells it.
fn leaders(lab: &Lab) -> BTreeMap<u64, u64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let regions: Value = runtime.block_on(async {
        let client = operator_lab::http::client(Duration::from_secs(5));
        let url = format!("{}/pd/api/v1/regions", lab.pd());
        let answer = client.get(url).send().await.unwrap();
        answer.json().await.unwrap()
    });
    regions["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let leader = r["leader"]["store_id"].as_u64();
            (r["id"].as_u64().unwrap(), leader.unwrap_or(0))
        })
        .collect()
}

fn says(violation: &Value, words: &str) -> bool {
    violation["message"]
        .as_str()
        .is_some_and(|m| m.contains(words))
}

#[test]
fn a_lab_that_nobody_breaks_opens_no_ticket_and_idles_cheaply() {
    let lab = Lab(tempfile::tempdir().unwrap());
    lab.ok(&["lab", "up", "--no-load"]);

    let pids = lab.pids();
    let used = |pids: &[u32]| pids.iter().map(|pid| cpu(*pid)).sum::<Duration>();
    let (before, since) = (used(&pids), Instant::now());
    // A measurement over a time, not a wait for something.
    std::thread::sleep(IDLE_LENGTH);
    let spent = used(&pids).saturating_sub(before);
    let cores = spent.as_secs_f64() / since.elapsed().as_secs_f64();
    let bytes: u64 = pids.iter().map(|pid| resident(*pid)).sum();
    println!("idle: {cores:.3} cores, {} MB", bytes >> 20);
    assert!(cores < IDLE_CORES, "{cores:.3} cores");
    assert!(bytes < IDLE_BYTES, "{} MB", bytes >> 20);

    lab.ok(&["lab", "load", "on"]);
    let first = leaders(&lab);
    assert_eq!(first.len(), 6);
    let ledger = lab.0.path().join("lab/tickets.db");
    let mut monitor = lab
        .command(&["monitor", "run", "--json", "--pd", &lab.pd(), "--db"])
        .arg(&ledger)
        .args(MONITOR_TIMES)
        .stdout(Stdio::piped())
        .spawn()
        .map(Monitor)
        .unwrap();
    let started = Instant::now();
    let mut checks = 0;
    for line in BufReader::new(monitor.0.stdout.take().unwrap()).lines() {
        let report: Value = serde_json::from_str(&line.unwrap()).unwrap();
        checks += 1;
        assert_eq!(report["ok"], true, "check {checks}: {report:#}");
        let violated: Vec<_> = report["violations"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|v| v["reading"] == "violated")
            // A rate takes two samples: the first checks cannot have one.
            .filter(|v| checks > FIRST_CHECKS || !says(v, "no rate yet"))
            .collect();
        assert!(violated.is_empty(), "check {checks}: {violated:#?}");
        assert_eq!(leaders(&lab), first, "after {:?}", started.elapsed());
        if started.elapsed() > LENGTH {
            break;
        }
    }
    assert!(started.elapsed() > LENGTH, "the monitor ended");
    // A check each second; a busy machine may lose some.
    assert!(checks > LENGTH.as_secs() / 3, "{checks} checks");
    drop(monitor);
    let tickets = lab.json(&["tickets", "list", "--lab", "--json"]);
    assert_eq!(tickets.as_array().unwrap().len(), 0, "{tickets:#}");
    let verified = lab.ok(&["lab", "verify"]);
    assert!(
        verified.contains(" 0 lost") && !verified.starts_with("0 "),
        "{verified}"
    );
}
