//! The keeper's children: started, watched, signalled, ended.

use crate::{
    dir::LabDir,
    exe,
    keeper::{
        logs,
        ports::Ports,
        protocol::{NodeState, NodeStatus, Reply, Request},
        spec::{NodeSpec, Program, Ready},
    },
    timing::STOP_GRACE,
};
use futures_util::future::join_all;
use jiff::Timestamp;
use operator_process::{proc, start::ChildSetup};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpStream, unix::pipe},
    process::ChildStdin,
    sync::watch,
    time::timeout,
};

/// A port on loopback accepts or refuses at once, unless its process is frozen.
const CONNECT_LIMIT: Duration = Duration::from_millis(100);

/// A node that has been started, and perhaps has ended.
struct Process {
    pid: Pid,
    /// One of our own nodes ends itself when this closes.
    _lifeline: Option<ChildStdin>,
    exit: watch::Receiver<Option<Exit>>,
    started: Moment,
    paused: Option<Moment>,
    /// Once it has been seen to be ready, it is until it ends.
    ready: bool,
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

    /// Signals the node, and what it started that is still in its process group.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.exited().is_some() {
            return Ok(());
        }
        match kill_process_group(self.pid, signal) {
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

struct Node {
    spec: NodeSpec,
    process: Option<Process>,
}

impl Node {
    fn running(&mut self) -> Option<&mut Process> {
        self.process.as_mut().filter(|p| p.exited().is_none())
    }

    /// Finds out whether a node that runs is ready by now.
    async fn update_ready(&mut self) {
        let ready = self.spec.ready;
        let Some(process) = self.running().filter(|p| !p.ready) else {
            return;
        };
        process.ready = match ready {
            Ready::Started => true,
            Ready::Listens(port) => {
                let connect = TcpStream::connect(("127.0.0.1", port));
                matches!(timeout(CONNECT_LIMIT, connect).await, Ok(Ok(_)))
            }
        };
    }
}

/// All nodes of the lab and what the keeper knows of them.
pub(super) struct Nodes {
    dir: LabDir,
    all: Vec<Node>,
    ports: Ports,
}

impl Nodes {
    pub(super) fn new(dir: LabDir, specs: Vec<NodeSpec>, ports: Ports) -> Self {
        let all = specs.into_iter().map(|spec| Node {
            spec,
            process: None,
        });
        Self {
            dir,
            all: all.collect(),
            ports,
        }
    }

    pub(super) fn start_all(&mut self) {
        for index in 0..self.all.len() {
            if let Err(error) = self.start(index) {
                eprintln!("{}: {error}", self.all[index].spec.name);
            }
        }
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.all.iter_mut().filter_map(|n| n.process.as_mut())
    }

    /// Asks all to end (TERM), and ends those (KILL) that are there after the grace.
    pub(super) async fn stop_all(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        // A stopped process does not see a TERM before it runs again.
        for process in self.processes() {
            let _ = process.signal(Signal::TERM);
            let _ = process.signal(Signal::CONT);
        }
        for process in self.processes() {
            process
                .wait(deadline.saturating_duration_since(Instant::now()))
                .await;
        }
        self.kill_all().await;
    }

    pub(super) async fn kill_all(&mut self) {
        for process in self.processes() {
            let _ = process.signal(Signal::KILL);
        }
        for process in self.processes() {
            process.wait(STOP_GRACE).await;
        }
    }

    pub(super) async fn answer(&mut self, request: Request) -> Reply {
        let result = match request {
            Request::Ps => {
                join_all(self.all.iter_mut().map(Node::update_ready)).await;
                return Reply::Nodes {
                    nodes: self.all.iter_mut().map(status_of).collect(),
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
        let found = self.all.iter().position(|n| n.spec.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.all.iter().map(|n| n.spec.name.as_str()).collect();
            io::Error::other(format!("no node `{name}`; there are {}", names.join(", ")))
        })
    }

    fn running(&mut self, name: &str) -> io::Result<&mut Process> {
        let index = self.find(name)?;
        self.all[index]
            .running()
            .ok_or_else(|| io::Error::other(format!("{name} is not running")))
    }

    fn start(&mut self, index: usize) -> io::Result<()> {
        let node = &mut self.all[index];
        if node.running().is_some() {
            let name = &node.spec.name;
            return Err(io::Error::other(format!("{name} is already running")));
        }
        if let Program::Other(_) = node.spec.program {
            // A foreign program may not know how to bind beside us.
            self.ports.release(&node.spec.ports);
        }
        node.process = Some(spawn(&node.spec, &self.dir)?);
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
}

fn status_of(node: &mut Node) -> NodeStatus {
    let spec = &node.spec;
    let mut state = NodeState::Exited;
    let (mut pid, mut exit_code, mut signal) = (None, None, None);
    let mut since = Moment::now();
    let mut ready = false;
    if let Some(process) = &mut node.process {
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
            ready = process.ready;
            since = process.paused.unwrap_or(process.started);
            pid = Some(process.pid.as_raw_nonzero().get() as u32);
        }
    }
    NodeStatus {
        node: spec.name.clone(),
        role: spec.role.clone(),
        state,
        ready,
        pid,
        exit_code,
        signal,
        since: format!("{:.3}", since.at),
        since_seconds: (since.instant.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        address: spec.address(0).unwrap_or_default(),
        status_address: spec.address(1),
    }
}

fn spawn(spec: &NodeSpec, dir: &LabDir) -> io::Result<Process> {
    let mut command = exe::command(&spec.program);
    let (output, theirs) = io::pipe()?;
    command
        .args(&spec.args)
        .envs(&spec.env)
        .stdin(Stdio::piped())
        .stdout(theirs.try_clone()?)
        .stderr(theirs);
    ChildSetup {
        own_session: true,
        on_parent_death: Some(Signal::KILL),
        ..ChildSetup::default()
    }
    .apply(&mut command);
    let log = dir.log(&spec.name);
    // There is a log to read even of a node that never says anything.
    logs::append(&log, b"")?;
    let output = pipe::Receiver::from_owned_fd(output.into())?;
    // Last of what can fail: a process that nobody knows of would not be ended.
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pid = child
        .id()
        .and_then(|pid| Pid::from_raw(pid as i32))
        .ok_or_else(|| io::Error::other("the process has no id"))?;
    tokio::spawn(logs::copy(output, log));
    let lifeline = child.stdin.take();
    let (ended, exit) = watch::channel(None);
    let name = spec.name.clone();
    tokio::spawn(async move {
        let status = child.wait().await.ok();
        // What it started may still be there, but a node lives as long as its first process.
        let _ = kill_process_group(pid, Signal::KILL);
        match status {
            Some(status) => eprintln!("{name} ended: {status}"),
            None => eprintln!("{name} exited with unknown status"),
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
        ready: false,
    })
}
