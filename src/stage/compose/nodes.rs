//! What `lab ps|logs|start|stop|kill|pause|resume|load` do to containers of the compose project.

use crate::stage::{
    compose::{
        PROJECT_LABEL, ROLE_LABEL, SERVICE_LABEL,
        docker::{Docker, DockerError, GRACE},
    },
    control::{Control, ControlError, Lines, Verb},
};
use bollard::{
    models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary},
    query_parameters::{
        InspectContainerOptions, KillContainerOptions, ListContainersOptions, LogsOptions,
        StartContainerOptions, StopContainerOptions,
    },
};
use futures_util::{
    StreamExt, TryStreamExt,
    future::{BoxFuture, try_join_all},
};
use jiff::Timestamp;
use operator_lab::{NodeRole, NodeState, NodeStatus};
use std::{collections::HashMap, path::PathBuf, time::Duration};

/// Where the load looks for its rate, in operations a second.
pub const LOAD_FILE_VAR: &str = "OPERATOR_LOAD_FILE";
/// The load's rate where nobody says.
const DEFAULT_RATE: u32 = 500;
/// A log is read up to this many bytes.
const MAX_LOG_BYTES: usize = 8 << 20;

/// The containers of one compose project, as a lab.
#[derive(Debug, Clone)]
pub struct Compose {
    pub docker: Docker,
    /// None where the load cannot be set from.
    load_file: Option<PathBuf>,
}

/// A container that is a node of the lab.
#[derive(Debug, Clone)]
struct Node {
    id: String,
    name: String,
    role: NodeRole,
}

impl Compose {
    /// From the environment of a container of the project.
    pub fn from_env() -> Result<Self, DockerError> {
        let load_file = std::env::var_os(LOAD_FILE_VAR).filter(|v| !v.is_empty());
        Ok(Self::new(Docker::from_env()?, load_file.map(PathBuf::from)))
    }

    pub fn new(docker: Docker, load_file: Option<PathBuf>) -> Self {
        Self { docker, load_file }
    }

    /// The containers of the project whose role is `role`.
    pub(super) async fn of_role(&self, role: &str) -> Result<Vec<ContainerSummary>, DockerError> {
        self.list(&[format!("{ROLE_LABEL}={role}")]).await
    }

    /// The id of the container of the project whose role is `role`.
    pub async fn container_of(&self, role: &str) -> Result<String, DockerError> {
        let id = self.of_role(role).await?.into_iter().find_map(|c| c.id);
        match id {
            Some(id) => Ok(id),
            None => Err(DockerError::NoNode {
                node: format!("container with the role {role}"),
                project: self.docker.project().await?.into(),
                known: "only others".into(),
            }),
        }
    }

    async fn list(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, DockerError> {
        let mut labels = labels.to_vec();
        labels.push(format!("{PROJECT_LABEL}={}", self.docker.project().await?));
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_string(), labels)])),
            ..ListContainersOptions::default()
        };
        let list = self.docker.api.list_containers(Some(options));
        self.docker.call("listing the containers", list).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, DockerError> {
        let found = self.list(&[ROLE_LABEL.to_string()]).await?;
        let mut nodes: Vec<Node> = found.into_iter().filter_map(node).collect();
        nodes.sort_by(|a, b| (a.role.name(), &a.name).cmp(&(b.role.name(), &b.name)));
        Ok(nodes)
    }

    async fn node(&self, name: &str) -> Result<Node, DockerError> {
        let nodes = self.nodes().await?;
        let known: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
        let known = known.join(", ");
        match nodes.into_iter().find(|n| n.name == name) {
            Some(node) => Ok(node),
            None => Err(DockerError::NoNode {
                node: name.into(),
                project: self.docker.project().await?.into(),
                known,
            }),
        }
    }

    async fn status(&self, node: Node) -> Result<NodeStatus, DockerError> {
        let what = format!("looking at {}", node.name);
        let ask = self
            .docker
            .api
            .inspect_container(&node.id, None::<InspectContainerOptions>);
        let seen = self.docker.call(&what, ask).await?;
        Ok(status(node, &seen, Timestamp::now()))
    }

    async fn act_on(&self, verb: Verb, name: &str) -> Result<(), DockerError> {
        let node = self.node(name).await?;
        let (api, id) = (&self.docker.api, node.id.as_str());
        let what = format!("{} {name}", verb.name());
        let done = match verb {
            Verb::Start => {
                let start = api.start_container(id, None::<StartContainerOptions>);
                self.docker.call(&what, start).await
            }
            Verb::Stop => {
                let options = StopContainerOptions {
                    t: i32::try_from(GRACE).ok(),
                    ..StopContainerOptions::default()
                };
                let limit = Duration::from_secs(GRACE + 15);
                let stop = api.stop_container(id, Some(options));
                self.docker.call_within(limit, &what, stop).await
            }
            Verb::Kill => {
                let options = KillContainerOptions {
                    signal: "SIGKILL".into(),
                };
                let kill = api.kill_container(id, Some(options));
                self.docker.call(&what, kill).await
            }
            Verb::Pause => self.docker.call(&what, api.pause_container(id)).await,
            Verb::Resume => self.docker.call(&what, api.unpause_container(id)).await,
        };
        match done {
            // It is as it was to be.
            Err(DockerError::Refused { status: 304, .. }) => Ok(()),
            other => other,
        }
    }

    fn set_load(&self, rate: Option<u32>) -> Result<u32, DockerError> {
        let Some(file) = &self.load_file else {
            return Err(DockerError::Settings(format!(
                "the load cannot be set from here: {LOAD_FILE_VAR} is not set"
            )));
        };
        let rate = rate.unwrap_or(DEFAULT_RATE);
        std::fs::write(file, format!("{rate}\n")).map_err(|e| DockerError::Broken {
            what: "setting the load".into(),
            why: format!("{}: {e}", file.display()),
        })?;
        Ok(rate)
    }

    async fn lines_of(&self, name: &str, tail: usize, follow: bool) -> Result<Lines, DockerError> {
        let node = self.node(name).await?;
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            follow,
            tail: tail.to_string(),
            ..LogsOptions::default()
        };
        let docker = self.docker.clone();
        let what = format!("reading the log of {name}");
        let stream = docker.api.logs(&node.id, Some(options));
        Ok(stream
            .map_ok(|piece| piece.into_bytes().to_vec())
            .map_err(move |e| ControlError::from(docker.explain(&what, &e)))
            .boxed())
    }
}

impl Control for Compose {
    fn ps(&self) -> BoxFuture<'_, Result<Vec<NodeStatus>, ControlError>> {
        Box::pin(async move {
            let nodes = self.nodes().await?;
            Ok(try_join_all(nodes.into_iter().map(|n| self.status(n))).await?)
        })
    }

    fn act<'a>(&'a self, verb: Verb, node: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { Ok(self.act_on(verb, node).await?) })
    }

    fn load(&self, rate: Option<u32>) -> BoxFuture<'_, Result<u32, ControlError>> {
        Box::pin(async move { Ok(self.set_load(rate)?) })
    }

    fn logs<'a>(
        &'a self,
        node: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<String, ControlError>> {
        Box::pin(async move {
            let mut stream = self.lines_of(node, lines, false).await?;
            let mut log = Vec::new();
            while let Some(piece) = stream.try_next().await? {
                log.extend_from_slice(&piece);
                if log.len() > MAX_LOG_BYTES {
                    break;
                }
            }
            Ok(String::from_utf8_lossy(&log).into_owned())
        })
    }

    fn follow<'a>(
        &'a self,
        node: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<Lines, ControlError>> {
        Box::pin(async move { Ok(self.lines_of(node, lines, true).await?) })
    }
}

/// The node that a container is. None: it is none, or one without a name.
fn node(container: ContainerSummary) -> Option<Node> {
    let labels = container.labels?;
    let role = match labels.get(ROLE_LABEL)?.as_str() {
        "pd" => NodeRole::Pd,
        "store" => NodeRole::Store,
        "load" => NodeRole::Load,
        _ => return None,
    };
    Some(Node {
        id: container.id?,
        name: labels.get(SERVICE_LABEL)?.clone(),
        role,
    })
}

fn status(node: Node, seen: &ContainerInspectResponse, now: Timestamp) -> NodeStatus {
    let state = seen.state.clone().unwrap_or_default();
    let word = match state.status {
        Some(ContainerStateStatusEnum::RUNNING) => NodeState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => NodeState::Paused,
        _ => NodeState::Exited,
    };
    let alive = word != NodeState::Exited;
    let since = if alive {
        state.started_at
    } else {
        state.finished_at
    };
    let since: Option<Timestamp> = since.and_then(|t| t.parse().ok());
    let code = state.exit_code.and_then(|c| i32::try_from(c).ok());
    // A shell's way of saying that a signal ended it.
    let signal = code.filter(|c| (129..=192).contains(c)).map(|c| c - 128);
    let (port, status_port) = match node.role {
        NodeRole::Pd => (2379, Some(2380)),
        NodeRole::Store => (20160, Some(20180)),
        NodeRole::Load => (0, None),
    };
    NodeStatus {
        ready: word == NodeState::Running,
        state: word,
        pid: state
            .pid
            .and_then(|p| u32::try_from(p).ok())
            .filter(|p| alive && *p > 0),
        exit_code: code.filter(|_| !alive && signal.is_none()),
        signal: signal.filter(|_| !alive),
        since: since.map(|t| t.to_string()).unwrap_or_default(),
        since_seconds: since.map_or(0.0, |t| now.duration_since(t).as_secs_f64().max(0.0)),
        address: if port == 0 {
            node.name.clone()
        } else {
            format!("{}:{port}", node.name)
        },
        status_address: status_port.map(|p| format!("{}:{p}", node.name)),
        node: node.name,
        role: node.role.name().into(),
    }
}
