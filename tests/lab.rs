//! The embedded lab as a whole, with the real executable: what happens when its processes are
//! killed, frozen, damaged or left alone.
//!
//! Each test has a lab in a home of its own; several can run beside each other.

use operator_tui::lab::{Client, NodeState, NodeStatus, topology::Topology};
use serde_json::Value;
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Three times what each of these is meant to take.
const SHORT: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(60);

fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_operator-tui")
}

/// A lab of one test. Dropping it ends every process of the lab.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// A home with nothing in it.
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn up(arguments: &[&str]) -> Self {
        let lab = Self::new();
        let started = Instant::now();
        let output = lab.run(&[&["up"], arguments].concat());
        assert!(output.status.success(), "up: {}", text(&output));
        assert!(started.elapsed() < 3 * Duration::from_secs(15));
        lab
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command
            .arg("lab")
            .args(arguments)
            .env("OPERATOR_HOME", self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn ps(&self) -> Vec<NodeStatus> {
        serde_json::from_str(&self.ok(&["ps", "--json"])).unwrap()
    }

    fn node(&self, name: &str) -> NodeStatus {
        self.ps().into_iter().find(|n| n.node == name).unwrap()
    }

    fn pids(&self) -> Vec<u32> {
        self.ps().iter().filter_map(|n| n.pid).collect()
    }

    fn topology(&self) -> Topology {
        Client::new(&self.home()).topology().unwrap()
    }

    /// Status and body of a GET.
    fn get(url: &str) -> Option<(u16, String)> {
        let runtime = runtime();
        runtime.block_on(async {
            let client = operator_tui::lab::http::client(Duration::from_secs(3));
            let answer = client.get(url).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    fn pd(&self, member: &str, path: &str) -> Option<Value> {
        let node = self.topology().node(member)?.clone();
        let (status, body) = Self::get(&format!("http://{}/pd/api/v1/{path}", node.address()))?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }

    /// State and leaders of a store, as a PD member sees it.
    fn store(&self, member: &str, name: &str) -> Option<(String, u64)> {
        let address = self.topology().node(name)?.address();
        let stores = self.pd(member, "stores")?;
        let store = stores["stores"]
            .as_array()?
            .iter()
            .find(|s| s["store"]["address"] == *address)?;
        let state = store["store"]["state_name"].as_str()?.to_string();
        Some((state, store["status"]["leader_count"].as_u64()?))
    }

    fn is_balanced(&self) -> bool {
        ["tikv0", "tikv1", "tikv2"]
            .iter()
            .all(|name| self.store("pd0", name) == Some(("Up".into(), 2)))
    }

    /// Sum of the samples of a metric whose line contains `label`.
    fn metric(&self, node: &str, name: &str, label: &str) -> f64 {
        let node = self.topology().node(node).unwrap().clone();
        let address = match node.role {
            operator_tui::lab::Role::Store => node.second_address().unwrap(),
            _ => node.address(),
        };
        let Some((200, text)) = Self::get(&format!("http://{address}/metrics")) else {
            return 0.0;
        };
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    fn verify(&self) {
        let output = self.run(&["verify"]);
        assert!(output.status.success(), "{}", text(&output));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let output = self.run(&["down"]);
        if std::thread::panicking() {
            eprintln!("down: {}", text(&output));
            for node in ["keeper", "pd0", "tikv0", "tikv1", "load"] {
                eprintln!(
                    "--- {node}\n{}",
                    text(&self.run(&["logs", node, "-n", "15"]))
                );
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Waits until a condition holds.
fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a process is there, and not merely waiting to be reaped by whoever adopted it.
fn exists(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The keeper of a lab: the parent of its nodes.
fn parent(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_killed_store_loses_no_acknowledged_write_and_gets_its_leaders_back() {
    let lab = Lab::up(&["--fresh"]);
    assert!(lab.is_balanced());
    let done = |lab: &Lab| lab.metric("load", "load_operations_total", "result=\"ok\"");

    // Up twice says so and changes nothing.
    let pids = lab.pids();
    let again = lab.run(&["up"]);
    assert!(
        again.status.success() && text(&again).contains("already up"),
        "{}",
        text(&again)
    );
    assert_eq!(lab.pids(), pids);

    // An agent's shell has the lab's home as its OPERATOR_HOME.
    let inside = Command::new(executable())
        .args(["lab", "ps"])
        .env("OPERATOR_HOME", lab.home())
        .output();
    assert!(text(&inside.unwrap()).contains("tikv1"));

    let before = done(&lab);
    until("the load is answered", SHORT, || {
        done(&lab) > before + 200.0
    });
    lab.ok(&["kill", "tikv1"]);
    let killed = lab.node("tikv1");
    assert_eq!((killed.state, killed.signal), (NodeState::Exited, Some(9)));
    assert!(lab.ok(&["ps"]).contains("signal 9"));
    until("PD calls it Disconnected", SHORT, || {
        lab.store("pd1", "tikv1")
            .is_some_and(|s| s == ("Disconnected".into(), 0))
    });
    until("its regions have leaders again", SHORT, || {
        let regions = lab.pd("pd0", "regions").unwrap();
        let mut leaders = regions["regions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["leader"]);
        leaders.all(|leader| leader["store_id"].is_u64() && leader["store_id"] != 2)
    });
    until("it is a down peer of all regions", LONG, || {
        lab.pd("pd2", "regions/check/down-peer")
            .is_some_and(|r| r["count"] == 6)
    });
    let without = done(&lab);
    until("the load goes on without it", SHORT, || {
        done(&lab) > without + 200.0
    });
    lab.verify();

    lab.ok(&["start", "tikv1"]);
    assert!(!lab.run(&["start", "tikv1"]).status.success());
    until("its leaders return", LONG, || lab.is_balanced());
    until("no peer is down", SHORT, || {
        lab.pd("pd0", "regions/check/down-peer")
            .is_some_and(|r| r["count"] == 0)
    });
    lab.verify();

    // All at once, and again: what was acknowledged is on disk.
    lab.ok(&["load", "off"]);
    for name in ["tikv0", "tikv1", "tikv2", "pd0", "pd1", "pd2"] {
        lab.ok(&["kill", name]);
    }
    for name in ["tikv0", "tikv1", "tikv2", "pd0", "pd1", "pd2"] {
        lab.ok(&["start", name]);
    }
    until("everything is back", LONG, || lab.is_balanced());
    lab.verify();
}

#[test]
fn a_frozen_store_is_seen_and_goes_on_when_resumed() {
    let lab = Lab::up(&[]);
    let pid = lab.node("tikv0").pid;
    lab.ok(&["pause", "tikv0"]);
    assert_eq!(lab.node("tikv0").state, NodeState::Paused);
    until("PD calls it Disconnected", SHORT, || {
        lab.store("pd1", "tikv0")
            .is_some_and(|s| s.0 == "Disconnected")
    });
    let stuck = lab.metric("load", "load_operations_total", "result=\"ok\"");
    until("the others take over", SHORT, || {
        lab.metric("load", "load_operations_total", "result=\"ok\"") > stuck + 300.0
    });
    lab.ok(&["resume", "tikv0"]);
    until("it is up", SHORT, || {
        lab.store("pd1", "tikv0").is_some_and(|s| s.0 == "Up")
    });
    until("its leaders return", LONG, || lab.is_balanced());
    assert_eq!(lab.node("tikv0").pid, pid);
    assert_eq!(lab.node("tikv0").state, NodeState::Running);
    lab.verify();

    // Ending a lab ends frozen processes too.
    lab.ok(&["pause", "tikv2"]);
    lab.ok(&["pause", "pd2"]);
    let pids = lab.pids();
    lab.ok(&["down"]);
    assert!(pids.iter().all(|pid| !exists(*pid)));
    let down = lab.run(&["ps"]);
    assert!(
        !down.status.success() && text(&down).contains("lab up"),
        "{}",
        text(&down)
    );
}

#[test]
fn pd_elects_another_leader_and_says_so_when_it_cannot() {
    let lab = Lab::up(&["--no-load"]);
    let leader = |from: &str| Some(lab.pd(from, "leader")?["name"].as_str()?.to_string());
    let first = leader("pd0").unwrap();
    let names = ["pd0", "pd1", "pd2"];
    let others: Vec<_> = names.into_iter().filter(|name| *name != first).collect();

    // A follower gives the leader's answers.
    assert_eq!(leader(others[0]), Some(first.clone()));
    assert_eq!(lab.pd(others[0], "stores").unwrap()["count"], 3);

    lab.ok(&["kill", &first]);
    until("another leads", LONG, || {
        leader(others[0]).is_some_and(|name| name != first)
    });
    // The new leader knows the stores at once: none of them is Disconnected meanwhile.
    let stores = lab.pd(others[1], "stores").unwrap();
    assert!(
        stores["stores"]
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["store"]["state_name"] == "Up")
    );
    let health = lab.pd(others[0], "health").unwrap();
    let healthy: Vec<_> = health
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["health"] == true)
        .collect();
    assert_eq!(healthy.len(), 2);

    lab.ok(&["pause", others[1]]);
    let address = lab.topology().node(others[0]).unwrap().address();
    until("no leader is known", LONG, || {
        Lab::get(&format!("http://{address}/pd/api/v1/stores")).is_some_and(|(status, body)| {
            status == 503 && body == "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader"
        })
    });
    assert_eq!(
        Lab::get(&format!("http://{address}/pd/api/v1/ping"))
            .unwrap()
            .0,
        200
    );
    lab.ok(&["resume", others[1]]);
    until("a leader is back", LONG, || leader(others[0]).is_some());
    assert_eq!(
        Lab::get(&format!("http://{address}/metrics")).unwrap().0,
        200
    );
}

#[test]
fn a_damaged_store_does_not_start_and_says_why() {
    let lab = Lab::up(&["--no-load"]);
    lab.ok(&["kill", "tikv1"]);
    let data = lab.home().join("data/tikv1");
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let length = fs::metadata(&path).unwrap().len() as usize;
            fs::write(&path, vec![0xA5; length]).unwrap();
        }
    }
    lab.ok(&["start", "tikv1"]);
    until("it ends", SHORT, || {
        lab.node("tikv1").state == NodeState::Exited
    });
    assert!(lab.node("tikv1").exit_code.is_some_and(|code| code != 0));
    let log = lab.ok(&["logs", "tikv1"]);
    assert!(
        log.contains("data is damaged") && log.contains("raft.db"),
        "{log}"
    );
    // It is not started again by itself, and the rest goes on.
    until("the others lead everything", LONG, || {
        let leaders = |name| lab.store("pd0", name).map_or(0, |s| s.1);
        leaders("tikv0") + leaders("tikv2") == 6
    });
}

#[test]
fn a_store_that_is_full_refuses_writes_until_there_is_room() {
    let lab = Lab::up(&["--rate", "60"]);
    let refused = || {
        lab.metric(
            "tikv0",
            "tikv_storage_engine_async_request_total",
            "err_disk_full",
        )
    };
    assert!(refused() == 0.0);
    let filler = lab.home().join("data/tikv0/filler");
    fs::File::create(&filler)
        .unwrap()
        .set_len(250 << 20)
        .unwrap();
    until("writes are refused", SHORT, || refused() > 0.0);
    let left = lab.metric("tikv0", "tikv_store_size_bytes", "available");
    assert!(left < f64::from(13 << 20), "{left}");
    fs::remove_file(&filler).unwrap();
    until("there is room again", SHORT, || {
        lab.metric("tikv0", "tikv_store_size_bytes", "available") > f64::from(200 << 20)
    });
    let (count, errors) = (
        refused(),
        lab.metric("load", "load_operations_total", "error"),
    );
    let done = lab.metric("load", "load_operations_total", "ok");
    until("the load goes on", SHORT, || {
        lab.metric("load", "load_operations_total", "ok") > done + 200.0
    });
    assert_eq!(
        (
            refused(),
            lab.metric("load", "load_operations_total", "error")
        ),
        (count, errors)
    );
}

#[test]
fn when_the_keeper_is_killed_nothing_is_left_and_the_next_lab_starts() {
    let lab = Lab::up(&["--no-load"]);
    lab.ok(&["pause", "tikv2"]);
    let pids = lab.pids();
    assert_eq!(pids.len(), 7);
    kill(parent(pids[0]));
    until("all nodes are gone", SHORT, || {
        pids.iter().all(|pid| !exists(*pid))
    });
    assert!(!lab.run(&["ps"]).status.success());

    // What it left behind is in nobody's way; a port that is now taken is replaced.
    let taken = lab.topology().node("pd0").unwrap().address();
    let _listener = std::net::TcpListener::bind(&taken).unwrap();
    lab.ok(&["up", "--no-load"]);
    assert_ne!(lab.topology().node("pd0").unwrap().address(), taken);
    assert!(lab.is_balanced());
}

/// A process that brings a lab up and holds its lifeline, as the demo does.
fn demo_stand_in(lab: &Lab) -> (Child, Vec<u32>) {
    fs::create_dir_all(lab.home().join("logs")).unwrap();
    let mut keeper = lab.command(&["keeper", "--lifeline", "--rate", "0", "--home"]);
    keeper.arg(lab.home()).stdin(Stdio::piped());
    let child = keeper.process_group(0).spawn().unwrap();
    until("the keeper answers", SHORT, || {
        lab.run(&["ps"]).status.success()
    });
    until("all nodes run", SHORT, || lab.pids().len() == 7);
    (child, lab.pids())
}

#[test]
fn when_the_lifeline_ends_nothing_is_left_not_even_frozen_nodes() {
    let lab = Lab::new();
    let (mut keeper, pids) = demo_stand_in(&lab);
    lab.ok(&["pause", "tikv1"]);
    lab.ok(&["pause", "pd0"]);
    drop(keeper.stdin.take());
    until("the keeper ends", SHORT, || {
        keeper.try_wait().unwrap().is_some()
    });
    assert!(pids.iter().all(|pid| !exists(*pid)));
    assert!(!Path::new(&lab.home().join("keeper.sock")).exists());
}

#[test]
fn commands_explain_what_is_wrong() {
    let lab = Lab::new();
    for arguments in [
        &["ps"][..],
        &["down"],
        &["kill", "tikv1"],
        &["logs", "tikv1"],
    ] {
        let output = lab.run(arguments);
        assert!(!output.status.success());
        assert!(
            text(&output).contains("operator-tui lab up"),
            "{arguments:?} {}",
            text(&output)
        );
    }
    fs::create_dir_all(lab.home()).unwrap();
    fs::write(lab.home().join("lab.json"), "{ not json").unwrap();
    let output = lab.run(&["up"]);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("lab.json") && text(&output).contains("--fresh"),
        "{}",
        text(&output)
    );
}
