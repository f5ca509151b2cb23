//! A lab of a test's own, driven through the executable.

pub(super) use crate::wait::until;
use operator_lab::{LabDir, NodeStatus, topology::Topology};
use operator_process::proc::{self, Stat};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// Three times what each of these is meant to take.
pub(super) const SHORT: Duration = Duration::from_secs(15);
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_operator-tui")
}

/// A lab of one test. Dropping it ends every process of the lab.
pub(super) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// A home with nothing in it.
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn up(arguments: &[&str]) -> Self {
        let lab = Self::new();
        let output = lab.run(&[&["up"], arguments].concat());
        assert!(output.status.success(), "up: {}", text(&output));
        lab
    }

    /// The folder of the lab; not of its record.
    pub(super) fn dir(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command
            .arg("lab")
            .args(arguments)
            .env("OPERATOR_HOME", self.folder.path())
            .env_remove("OPERATOR_LAB_DIR");
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn ps(&self) -> Vec<NodeStatus> {
        serde_json::from_str(&self.ok(&["ps", "--json"])).unwrap()
    }

    pub(super) fn node(&self, name: &str) -> NodeStatus {
        self.ps().into_iter().find(|n| n.node == name).unwrap()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.ps().iter().filter_map(|n| n.pid).collect()
    }

    pub(super) fn topology(&self) -> Topology {
        Topology::load(&LabDir::at(self.dir())).unwrap()
    }

    /// Status and body of a GET.
    pub(super) fn get(url: &str) -> Option<(u16, String)> {
        let runtime = runtime();
        runtime.block_on(async {
            let client = operator_lab::http::client(Duration::from_secs(3)).unwrap();
            let answer = client.get(url).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    pub(super) fn pd(&self, member: &str, path: &str) -> Option<Value> {
        let node = self.topology().node(member)?.clone();
        let (status, body) = Self::get(&format!("http://{}/pd/api/v1/{path}", node.address()))?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }

    /// Status and body of a request to a PD member.
    pub(super) fn ask(&self, member: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let address = self.topology().node(member).unwrap().address();
        runtime().block_on(async {
            let client = operator_lab::http::client(Duration::from_secs(5)).unwrap();
            let url = format!("http://{address}/pd/api/v1/{path}");
            let request = client
                .request(method.parse().unwrap(), url)
                .body(body.to_string());
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// Status and body of a POST to a store's `/config`, as `curl -d` sends it.
    pub(super) fn configure(&self, store: &str, body: &str) -> (u16, String) {
        let address = self.topology().node(store).unwrap().second_address();
        runtime().block_on(async {
            let client = operator_lab::http::client(Duration::from_secs(5)).unwrap();
            let request = client
                .post(format!("http://{}/config", address.unwrap()))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.to_string());
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// State and leaders of a store, as a PD member sees it.
    pub(super) fn store(&self, member: &str, name: &str) -> Option<(String, u64)> {
        let address = self.topology().node(name)?.address();
        let stores = self.pd(member, "stores")?;
        let store = stores["stores"]
            .as_array()?
            .iter()
            .find(|s| s["store"]["address"] == *address)?;
        let state = store["store"]["state_name"].as_str()?.to_string();
        Some((state, store["status"]["leader_count"].as_u64()?))
    }

    pub(super) fn is_balanced(&self) -> bool {
        ["tikv0", "tikv1", "tikv2"]
            .iter()
            .all(|name| self.store("pd0", name) == Some(("Up".into(), 2)))
    }

    /// Sum of the samples of a metric whose line contains `label`.
    pub(super) fn metric(&self, node: &str, name: &str, label: &str) -> f64 {
        let node = self.topology().node(node).unwrap().clone();
        let address = match node.role {
            operator_lab::NodeRole::Store => node.second_address().unwrap(),
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

    pub(super) fn verify(&self) {
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

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub(super) fn text(output: &Output) -> String {
    format!(
        "{} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Whether a process is there, and not merely waiting to be reaped by whoever adopted it.
pub(super) fn exists(pid: u32) -> bool {
    proc::is_alive(pid_of(pid))
}

pub(super) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(super) fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(pid_of(pid), signal).unwrap();
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// The keeper of a lab: the parent of its nodes.
pub(super) fn parent(pid: u32) -> u32 {
    Stat::of(pid_of(pid)).unwrap().parent.cast_unsigned()
}

/// A process that brings a lab up and holds its lifeline, as the demo does.
pub(super) fn demo_stand_in(lab: &Lab) -> (Child, Vec<u32>) {
    fs::create_dir_all(lab.dir().join("logs")).unwrap();
    let mut keeper = lab.command(&["keeper", "--lifeline", "--rate", "0", "--dir"]);
    keeper.arg(lab.dir()).stdin(Stdio::piped());
    let child = keeper.process_group(0).spawn().unwrap();
    until("the keeper answers", SHORT, || {
        lab.run(&["ps"]).status.success()
    });
    until("all nodes run", SHORT, || lab.pids().len() == 7);
    (child, lab.pids())
}
