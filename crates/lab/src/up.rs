//! Bringing a lab up, and holding it.

use crate::{
    dir::LabDir,
    exe,
    keeper::{
        EXIT_LOCKED,
        client::{Client, ClientError},
        logs,
        spec::Program,
    },
    ready::{self, NotReady},
    timing::UP_LIMIT,
    topology::{Node, NodeRole, Topology, TopologyError},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, ChildStdin},
    time::{Instant, sleep, timeout},
};

/// A keeper that does not answer because it ended is known to have ended by then.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// There is a step for the keeper and one for its nodes before those of the cluster.
const STEPS: usize = ready::STEPS + 2;

/// A lab of another that is going up answers by then, or one that is going down is gone.
const OTHER_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct UpOptions {
    pub dir: LabDir,
    /// Tie the lab to this process: it ends when the [`Lab`] is dropped or this process dies.
    pub lifeline: bool,
    /// Remove what an earlier lab stored: its data, its logs, its ports.
    pub fresh: bool,
    /// Operations a second: zero is no load, `None` what suits the disk, from a measured fsync.
    pub load: Option<u32>,
}

/// A step on the way up: `done` of `total` are behind us, `step` says what is being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub step: String,
    pub done: usize,
    pub total: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("a lab is already up in {}; `operator-tui lab down` ends it", .0.display())]
    AlreadyUp(PathBuf),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("cannot ask the lab's PD: {0}")]
    Http(#[from] reqwest::Error),
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the lab's keeper: {0}")]
    Keeper(String),
    #[error(
        "{node} ended while the lab was starting ({exit}): {last_line}; see `operator-tui lab logs {node}`"
    )]
    NodeEnded {
        node: String,
        exit: String,
        last_line: String,
    },
    #[error("the lab is not ready after {} s: {waiting_for}; see `operator-tui lab ps`", .limit.as_secs())]
    NotReady {
        limit: Duration,
        waiting_for: String,
    },
}

/// Where everything of a lab is.
#[derive(Debug, Clone)]
pub struct LabInfo {
    pub cluster_id: u64,
    /// `http://127.0.0.1:port`, one for each PD member.
    pub pd_endpoints: Vec<String>,
    /// URL of the load's `/metrics`.
    pub load_metrics: String,
    pub nodes: Vec<Node>,
}

/// A lab that is up. With a lifeline, dropping it ends the lab.
#[derive(Debug)]
pub struct Lab {
    pub info: LabInfo,
    client: Client,
    keeper: Option<Keeper>,
}

/// The keeper's process. Dropping it cuts its lifeline, if it has one, and wakes it, so that it
/// ends even if somebody froze it.
#[derive(Debug)]
struct Keeper {
    child: Child,
    /// Apart from the child, which would close it when it is waited for.
    lifeline: Option<ChildStdin>,
}

impl Keeper {
    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|pid| Pid::from_raw(pid as i32))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if self.lifeline.take().is_some()
            && let Some(pid) = self.pid()
        {
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}

impl Lab {
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the lab and waits until all of it is gone.
    pub async fn down(mut self) -> Result<(), ClientError> {
        self.client.down().await?;
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.child.wait().await;
        }
        Ok(())
    }

    /// Waits until the keeper has ended by itself, and with it the lab. Returns how.
    pub async fn ended(&mut self) -> String {
        match &mut self.keeper {
            Some(keeper) => describe(keeper.child.wait().await.ok()),
            None => std::future::pending().await,
        }
    }

    /// Lets the lab run on after this process. Only for a lab without a lifeline.
    pub fn leave(mut self) {
        self.keeper.take();
    }
}

/// Information on the lab in a folder, whether it is up or not.
pub fn info(dir: &LabDir) -> Result<LabInfo, TopologyError> {
    Ok(info_of(Topology::load(dir)?))
}

fn info_of(topology: Topology) -> LabInfo {
    let load = topology.of_role(NodeRole::Load).next();
    LabInfo {
        cluster_id: topology.cluster_id,
        pd_endpoints: topology.pd_endpoints(),
        load_metrics: load
            .map(|node| format!("http://{}/metrics", node.address()))
            .unwrap_or_default(),
        nodes: topology.nodes,
    }
}

/// Starts a lab and waits until PD has a leader, all stores are up, leaders are spread and the
/// load, if any, is answered. Reports each step. On an error a lab with a lifeline is gone; one
/// without stays as far as it came, for `lab ps`, `lab logs` and `lab down`.
pub async fn up(options: &UpOptions, mut progress: impl FnMut(Progress)) -> Result<Lab, LabError> {
    let dir = &options.dir;
    let client = Client::new(dir.clone());
    let patience = Instant::now() + OTHER_LIMIT;
    while client.is_held() {
        match client.ps().await {
            Ok(_) => return Err(LabError::AlreadyUp(dir.path().into())),
            // Another one is just going up or down.
            Err(ClientError::Silent { .. }) if Instant::now() < patience => {}
            Err(error) if client.is_held() => return Err(error.into()),
            Err(_) => {}
        }
        sleep(Duration::from_millis(30)).await;
    }
    dir.create().map_err(|source| LabError::Io {
        path: dir.path().into(),
        source,
    })?;
    let mut report = |step: &str, done| {
        progress(Progress {
            step: step.into(),
            done,
            total: STEPS,
        });
    };
    report("starting the keeper", 0);
    let mut keeper = start_keeper(options)?;
    let deadline = Instant::now() + UP_LIMIT;
    loop {
        match keeper.child.try_wait() {
            // Somebody else was faster.
            Ok(Some(status)) if status.code() == Some(EXIT_LOCKED) => {
                return Err(LabError::AlreadyUp(dir.path().into()));
            }
            Ok(Some(_)) => return Err(LabError::Keeper(last_line(dir, "keeper"))),
            _ => {}
        }
        // Another one may answer, which holds the lock that ours is still trying to get.
        let answers = client
            .keeper()
            .await
            .is_none_or(|pid| Some(pid) == keeper.pid());
        if answers && client.ps().await.is_ok() {
            break;
        }
        if Instant::now() > deadline {
            return Err(LabError::Keeper("it does not answer".into()));
        }
        sleep(Duration::from_millis(30)).await;
    }
    let topology = Topology::load(dir)?;
    let probe = ready::Probe::new(&topology)?;
    let mut lab = Lab {
        info: info_of(topology),
        client,
        keeper: Some(keeper),
    };
    let mut shown = 0;
    loop {
        let nodes = match lab.client.ps().await {
            Ok(nodes) => nodes,
            // Why it does not answer is worth more than that it does not.
            Err(error) => match timeout(EXIT_LIMIT, lab.ended()).await {
                Ok(exit) => return Err(LabError::Keeper(exit)),
                Err(_) => return Err(error.into()),
            },
        };
        if let Some(node) = nodes.iter().find(|n| n.pid.is_none()) {
            return Err(LabError::NodeEnded {
                node: node.node.clone(),
                exit: node.exit(),
                last_line: last_line(dir, &node.node),
            });
        }
        let missing = match nodes.iter().find(|n| !n.ready) {
            Some(node) => Err(NotReady {
                step: 0,
                waiting_for: format!("waiting for {} to listen", node.node),
            }),
            None => probe.check().await,
        };
        match missing {
            Ok(()) => break,
            Err(NotReady { step, waiting_for }) => {
                let at = step + 1;
                if at > shown {
                    shown = at;
                    report(&waiting_for, at);
                }
                if Instant::now() > deadline {
                    return Err(LabError::NotReady {
                        limit: UP_LIMIT,
                        waiting_for,
                    });
                }
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    report("ready", STEPS);
    Ok(lab)
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|s| (s.code(), s.signal())) {
        Some((Some(code), _)) => format!("keeper ended: exit code {code}"),
        Some((None, Some(signal))) => format!("keeper ended: signal {signal}"),
        _ => "keeper exited with unknown status".into(),
    }
}

fn start_keeper(options: &UpOptions) -> Result<Keeper, LabError> {
    let dir = &options.dir;
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| LabError::Io { path, source }
    };
    fs::create_dir_all(dir.logs()).map_err(at(&dir.logs()))?;
    let path = dir.log("keeper");
    // It has a few lines for each start and end of a node, but labs may go up and down often.
    if fs::metadata(&path).is_ok_and(|data| data.len() > 1 << 20) {
        let _ = fs::remove_file(&path);
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(at(&path))?;
    let errors = log.try_clone().map_err(at(&path))?;
    let mut command = exe::command(&Program::Own);
    command.args(["lab", "keeper", "--dir"]).arg(dir.path());
    if options.lifeline {
        command.arg("--lifeline").stdin(Stdio::piped());
    } else {
        command.stdin(Stdio::null());
    }
    if let Some(rate) = options.load {
        command.arg("--rate").arg(rate.to_string());
    }
    command.stdout(log).stderr(errors);
    if options.fresh {
        command.arg("--fresh");
    }
    // Woken, it sees that its lifeline is cut. A keeper that is not frozen takes no harm.
    exe::own_session(&mut command, options.lifeline.then_some(Signal::CONT));
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .map_err(|e| LabError::Keeper(format!("cannot start: {e}")))?;
    let lifeline = child.stdin.take();
    Ok(Keeper { child, lifeline })
}

fn last_line(dir: &LabDir, node: &str) -> String {
    let text = logs::tail(&dir.log(node), 1).unwrap_or_default();
    text.trim().to_string()
}
