//! Asking a lab's keeper, from any process that knows the lab's folder.

use crate::{
    dir::LabDir,
    keeper::{
        logs::{self, Follower},
        protocol::{Asked, NodeStatus, Reply, Request},
        socket,
    },
    timing::KEEPER_CALL,
};
use operator_process::proc;
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, io, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{Instant, sleep},
};

/// A keeper that is found stopped so many times in a row is frozen.
const FROZEN_CHECKS: u32 = 4;
const FROZEN_CHECK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no lab is up in {}; `operator-tui lab up` starts one", .dir.display())]
    NotUp { dir: PathBuf },
    #[error("the lab's keeper does not answer ({source}); its log is {log}")]
    Silent { log: String, source: io::Error },
    #[error(
        "the lab's keeper, process {}, is frozen: `kill -CONT {}` lets it go on, `operator-tui lab down` ends the lab",
        .0.as_raw_nonzero(), .0.as_raw_nonzero()
    )]
    Frozen(Pid),
    #[error("{0}")]
    Refused(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

/// A way to the keeper of one lab. Each call makes a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    dir: LabDir,
}

impl Client {
    /// A client of the lab in `dir`, whether it is up or not.
    pub fn new(dir: LabDir) -> Self {
        Self { dir }
    }

    pub fn dir(&self) -> &LabDir {
        &self.dir
    }

    /// Whether a keeper holds the lock: whether the lab is up, going up or going down.
    pub fn is_held(&self) -> bool {
        match fs::File::open(self.dir.lock()) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(_) => false,
        }
    }

    /// All nodes and how they are.
    pub async fn ps(&self) -> Result<Vec<NodeStatus>, ClientError> {
        match self.ask(&Request::Ps).await? {
            Reply::Nodes { nodes } => Ok(nodes),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn start(&self, node: &str) -> Result<(), ClientError> {
        self.done(&Request::Start { node: node.into() }).await
    }

    pub async fn stop(&self, node: &str) -> Result<(), ClientError> {
        self.done(&Request::Stop { node: node.into() }).await
    }

    pub async fn kill(&self, node: &str) -> Result<(), ClientError> {
        self.done(&Request::Kill { node: node.into() }).await
    }

    pub async fn pause(&self, node: &str) -> Result<(), ClientError> {
        self.done(&Request::Pause { node: node.into() }).await
    }

    pub async fn resume(&self, node: &str) -> Result<(), ClientError> {
        self.done(&Request::Resume { node: node.into() }).await
    }

    /// The last lines of a node's log. Works without a keeper.
    pub fn logs(&self, node: &str, lines: usize) -> Result<String, ClientError> {
        let path = self.log_path(node)?;
        logs::tail(&path, lines).map_err(|source| ClientError::Io {
            what: path.display().to_string(),
            source,
        })
    }

    /// Follows a node's log from its end.
    pub fn follow(&self, node: &str) -> Result<Follower, ClientError> {
        Ok(Follower::new(&self.log_path(node)?))
    }

    /// The log of a node, or of the keeper itself; it is there also when they are not.
    fn log_path(&self, node: &str) -> Result<PathBuf, ClientError> {
        let logs = fs::read_dir(self.dir.logs()).map_err(|_| self.not_up())?;
        let mut names: Vec<String> = logs
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Some(name.strip_suffix(".log")?.to_owned())
            })
            .collect();
        if names.iter().any(|name| name == node) {
            return Ok(self.dir.log(node));
        }
        names.sort();
        Err(ClientError::Refused(format!(
            "no node `{node}`; there are {}",
            names.join(", ")
        )))
    }

    /// Ends the lab and waits until all of it is gone. A keeper that is frozen is woken, one that
    /// does not answer is killed, and its nodes die with it.
    pub async fn down(&self) -> Result<(), ClientError> {
        let keeper = self.keeper().await;
        if let Some(pid) = keeper.filter(|pid| proc::is_stopped(*pid) == Some(true)) {
            let _ = kill_process(pid, Signal::CONT);
        }
        match (self.done(&Request::Down).await, keeper) {
            (Err(ClientError::Silent { .. } | ClientError::Frozen(_)), Some(pid))
                if self.is_held() =>
            {
                let _ = kill_process(pid, Signal::KILL);
            }
            (result, _) => result?,
        }
        let deadline = Instant::now() + KEEPER_CALL;
        while self.is_held() {
            if Instant::now() > deadline {
                let source = io::Error::from(io::ErrorKind::TimedOut);
                return Err(self.silent(source));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The process that answers, where the system tells.
    pub async fn keeper(&self) -> Option<Pid> {
        keeper_of(&socket::connect(&self.dir.socket()).await.ok()?)
    }

    fn not_up(&self) -> ClientError {
        ClientError::NotUp {
            dir: self.dir.path().to_path_buf(),
        }
    }

    fn silent(&self, source: io::Error) -> ClientError {
        ClientError::Silent {
            log: self.dir.log("keeper").display().to_string(),
            source,
        }
    }

    async fn done(&self, request: &Request) -> Result<(), ClientError> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, ClientError> {
        if !self.is_held() {
            return Err(self.not_up());
        }
        let stream = socket::connect(&self.dir.socket())
            .await
            .map_err(|source| self.silent(source))?;
        let keeper = keeper_of(&stream);
        let asked = Asked::within(request.clone(), KEEPER_CALL);
        let reply = tokio::select! {
            reply = converse(stream, &asked) => reply,
            pid = frozen(keeper) => return Err(ClientError::Frozen(pid)),
            () = sleep(KEEPER_CALL) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        let reply = reply.map_err(|source| self.silent(source))?;
        match reply {
            Reply::Error { message } => Err(ClientError::Refused(message)),
            reply => Ok(reply),
        }
    }
}

async fn converse(mut stream: UnixStream, asked: &Asked) -> io::Result<Reply> {
    let mut line = serde_json::to_string(asked).map_err(io::Error::other)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    if BufReader::new(stream).read_line(&mut answer).await? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it ended before it answered",
        ));
    }
    serde_json::from_str(&answer).map_err(io::Error::other)
}

/// The process that listens at the other end.
fn keeper_of(stream: &UnixStream) -> Option<Pid> {
    Pid::from_raw(stream.peer_cred().ok()?.pid()?)
}

/// Ends when a process has been stopped for a while.
async fn frozen(pid: Option<Pid>) -> Pid {
    let Some(pid) = pid else {
        return std::future::pending().await;
    };
    let mut seen = 0;
    loop {
        sleep(FROZEN_CHECK_INTERVAL).await;
        seen = if proc::is_stopped(pid) == Some(true) {
            seen + 1
        } else {
            0
        };
        if seen == FROZEN_CHECKS {
            return pid;
        }
    }
}

fn unexpected(reply: &Reply) -> ClientError {
    ClientError::Refused(format!("the keeper answered {reply:?}"))
}
