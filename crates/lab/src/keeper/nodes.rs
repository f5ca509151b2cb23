//! The keeper's children: started, watched, signalled, ended.

use crate::{
    exe, http,
    keeper::{
        logs,
        ports::Ports,
        protocol::{NodeState, NodeStatus, Reply, Request},
    },
    timing::STOP_GRACE,
    topology::{Files, Node, Role, Topology},
};
use jiff::Timestamp;
use operator_process::{proc, start::ChildSetup};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::{process::ChildStdin, sync::watch, time::timeout};

/// A node that has been started, and perhaps has ended.
struct Process {
    pid: Pid,
    /// The node's lifeline: it ends itself when this closes.
    _lifeline: Option<ChildStdin>,
    exit: watch::Receiver<Option<Exit>>,
    started: Moment,
    paused: Option<Moment>,
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Timestamp,
    instant: Instant,
}

impl Moment {
    fn now() -> Self {
        Self {
            at: Timestamp::now(),
            instant: Instant::now(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Exit {
    status: Option<ExitStatus>,
    when: Moment,
}

impl Process {
    fn exited(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Whether the kernel says that the process is stopped; `None` where it cannot be asked.
    fn is_stopped(&self) -> Option<bool> {
        proc::is_stopped(self.pid)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.exited().is_some() {
            return Ok(());
        }
        match kill_process(self.pid, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => Ok(other?),
        }
    }

    async fn wait(&mut self, limit: Duration) -> bool {
        timeout(limit, self.exit.wait_for(Option::is_some))
            .await
            .is_ok()
    }
}

/// All nodes of the lab and what the keeper knows of them.
pub struct Nodes {
    files: Files,
    topology: Topology,
    processes: Vec<Option<Process>>,
    _ports: Ports,
}

impl Nodes {
    pub fn new(files: Files, topology: Topology, ports: Ports) -> Self {
        let processes = topology.nodes.iter().map(|_| None).collect();
        Self {
            files,
            topology,
            processes,
            _ports: ports,
        }
    }

    pub fn start_all(&mut self) {
        for index in 0..self.topology.nodes.len() {
            if let Err(error) = self.start(index) {
                eprintln!("{}: {error}", self.topology.nodes[index].name);
            }
        }
    }

    /// TERM to all, the grace, KILL to those that are left.
    pub async fn stop_all(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        // A stopped process does not see a TERM before it runs again.
        for process in self.processes.iter().flatten() {
            let _ = process.signal(Signal::TERM);
            let _ = process.signal(Signal::CONT);
        }
        for process in self.processes.iter_mut().flatten() {
            process
                .wait(deadline.saturating_duration_since(Instant::now()))
                .await;
        }
        self.kill_all().await;
    }

    pub async fn kill_all(&mut self) {
        for process in self.processes.iter().flatten() {
            let _ = process.signal(Signal::KILL);
        }
        for process in self.processes.iter_mut().flatten() {
            process.wait(STOP_GRACE).await;
        }
    }

    pub async fn answer(&mut self, request: Request) -> Reply {
        let result = match request {
            Request::Ps => {
                return Reply::Nodes {
                    nodes: self.status(),
                };
            }
            Request::Start { node } => match self.find(&node) {
                Ok(index) => self.start(index),
                Err(error) => Err(error),
            },
            Request::Stop { node } => self.stop(&node).await,
            Request::Kill { node } => self.kill(&node).await,
            Request::Pause { node } => self.pause(&node).await,
            Request::Resume { node } => self.resume(&node),
            Request::Load { rate } => return self.set_rate(rate).await,
            Request::Down => Err(io::Error::other("not for the nodes")),
        };
        match result {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Error {
                message: error.to_string(),
            },
        }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.topology
            .nodes
            .iter()
            .position(|n| n.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = self
                    .topology
                    .nodes
                    .iter()
                    .map(|n| n.name.as_str())
                    .collect();
                io::Error::other(format!("no node `{name}`; there are {}", names.join(", ")))
            })
    }

    fn running(&mut self, name: &str) -> io::Result<&mut Process> {
        let index = self.find(name)?;
        self.processes[index]
            .as_mut()
            .filter(|p| p.exited().is_none())
            .ok_or_else(|| io::Error::other(format!("{name} is not running")))
    }

    fn start(&mut self, index: usize) -> io::Result<()> {
        let node = &self.topology.nodes[index];
        if self.processes[index]
            .as_ref()
            .is_some_and(|p| p.exited().is_none())
        {
            return Err(io::Error::other(format!(
                "{} is already running",
                node.name
            )));
        }
        self.processes[index] = Some(spawn(node, &self.files)?);
        Ok(())
    }

    async fn stop(&mut self, name: &str) -> io::Result<()> {
        let process = self.running(name)?;
        process.signal(Signal::TERM)?;
        process.signal(Signal::CONT)?;
        if !process.wait(STOP_GRACE).await {
            process.signal(Signal::KILL)?;
            process.wait(STOP_GRACE).await;
        }
        process.paused = None;
        Ok(())
    }

    async fn kill(&mut self, name: &str) -> io::Result<()> {
        let process = self.running(name)?;
        process.signal(Signal::KILL)?;
        if process.wait(STOP_GRACE).await {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "{name} is still there after KILL"
            )))
        }
    }

    async fn pause(&mut self, name: &str) -> io::Result<()> {
        let process = self.running(name)?;
        process.signal(Signal::STOP)?;
        let deadline = Instant::now() + Duration::from_millis(500);
        while process.is_stopped() == Some(false) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.paused.get_or_insert(Moment::now());
        Ok(())
    }

    fn resume(&mut self, name: &str) -> io::Result<()> {
        let process = self.running(name)?;
        process.signal(Signal::CONT)?;
        process.paused = None;
        Ok(())
    }

    async fn set_rate(&mut self, rate: Option<u32>) -> Reply {
        let rate = rate.unwrap_or(self.topology.default_rate);
        self.topology.rate = rate;
        if let Err(error) = self.topology.save(&self.files.topology()) {
            return Reply::Error {
                message: error.to_string(),
            };
        }
        let Some(load) = self.topology.of_role(Role::Load).next() else {
            return Reply::Error {
                message: "this lab has no load".into(),
            };
        };
        let (url, name) = (
            format!("http://{}/rate/{rate}", load.address()),
            load.name.clone(),
        );
        if self.running(&name).is_err() {
            return match self.find(&name).and_then(|index| self.start(index)) {
                Ok(()) => Reply::Rate { rate },
                Err(error) => Reply::Error {
                    message: error.to_string(),
                },
            };
        }
        let limit = Duration::from_secs(2);
        match http::client(limit)
            .post(url)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
        {
            Ok(_) => Reply::Rate { rate },
            Err(error) => Reply::Error {
                message: format!("load does not answer: {error}"),
            },
        }
    }

    fn status(&mut self) -> Vec<NodeStatus> {
        let rows = self.topology.nodes.iter().zip(&mut self.processes);
        rows.map(|(node, process)| status_of(node, process.as_mut()))
            .collect()
    }
}

fn status_of(node: &Node, process: Option<&mut Process>) -> NodeStatus {
    let mut state = NodeState::Exited;
    let (mut pid, mut exit_code, mut signal) = (None, None, None);
    let mut since = Moment::now();
    if let Some(process) = process {
        if let Some(exit) = process.exited() {
            since = exit.when;
            exit_code = exit.status.and_then(|s| s.code());
            signal = exit.status.and_then(|s| s.signal());
        } else {
            // Others can stop a process too: the kernel knows better than our own note.
            match process.is_stopped() {
                Some(true) => {
                    process.paused.get_or_insert(Moment::now());
                }
                Some(false) => process.paused = None,
                None => {}
            }
            state = if process.paused.is_some() {
                NodeState::Paused
            } else {
                NodeState::Running
            };
            since = process.paused.unwrap_or(process.started);
            pid = Some(process.pid.as_raw_nonzero().get() as u32);
        }
    }
    NodeStatus {
        node: node.name.clone(),
        role: node.role,
        state,
        pid,
        exit_code,
        signal,
        since: format!("{:.3}", since.at),
        since_seconds: (since.instant.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        address: node.address(),
        status_address: node.second_address(),
    }
}

fn spawn(node: &Node, files: &Files) -> io::Result<Process> {
    let mut command = exe::command();
    command
        .arg("lab")
        .arg("node")
        .arg(&node.name)
        .arg("--home")
        .arg(files.home());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    ChildSetup {
        own_session: true,
        on_parent_death: Some(Signal::KILL),
        ..ChildSetup::default()
    }
    .apply(&mut command);
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pid = child
        .id()
        .and_then(|pid| Pid::from_raw(pid as i32))
        .ok_or_else(|| io::Error::other("the process has no id"))?;
    if let Some(output) = child.stderr.take() {
        tokio::spawn(logs::copy(output, files.log(&node.name)));
    }
    let lifeline = child.stdin.take();
    let (ended, exit) = watch::channel(None);
    let name = node.name.clone();
    tokio::spawn(async move {
        let status = child.wait().await.ok();
        match status {
            Some(status) => eprintln!("{name} ended: {status}"),
            None => eprintln!("{name} ended, nobody knows how"),
        }
        let _ = ended.send(Some(Exit {
            status,
            when: Moment::now(),
        }));
    });
    Ok(Process {
        pid,
        _lifeline: lifeline,
        exit,
        started: Moment::now(),
        paused: None,
    })
}
