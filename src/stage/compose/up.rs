//! Waiting until the lab in Docker Compose is well: what is around the cluster runs, every node
//! is started, PD led, all stores up.
//!
//! `docker compose` has started it; this starts again what an earlier demo left killed or frozen.

use crate::{
    cluster::{self, ClusterSnapshot, StoreState, http::HttpError},
    stage::{
        compose::{
            Compose, DockerError,
            around::{self, AroundError},
        },
        control::{Control, ControlError, Verb},
    },
};
use operator_lab::{NodeRole, NodeState, NodeStatus, Progress};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A cluster that is made needs this long at most.
const LIMIT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// What is waited for is said again after this long, with how long it has been.
const REMINDER: Duration = Duration::from_secs(10);
const STEPS: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error(transparent)]
    Control(Box<ControlError>),
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(transparent)]
    Around(#[from] AroundError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(
        "no container of a cluster in project {0}; `docker compose up -d` in the folder of compose.yaml makes them"
    )]
    NoCluster(String),
    #[error(
        "the cluster is not well after {} s: {waiting_for}; `docker compose ps` and `docker compose logs {look_at}` show more",
        LIMIT.as_secs()
    )]
    NotReady {
        waiting_for: String,
        look_at: String,
    },
}

impl From<ControlError> for UpError {
    fn from(e: ControlError) -> Self {
        Self::Control(Box::new(e))
    }
}

/// Waits; returns the cluster's id. `pd` are the addresses of PD, separated by commas.
pub async fn up(
    compose: &Compose,
    pd: &str,
    mut progress: impl FnMut(Progress),
) -> Result<u64, UpError> {
    let mut step = |text: &str, done| {
        progress(Progress {
            step: text.into(),
            done,
            total: STEPS,
        });
    };
    step("looking at the containers", 0);
    for notice in around::check(compose).await? {
        step(&notice, 0);
    }
    let nodes = compose.ps().await?;
    let stores = nodes
        .iter()
        .filter(|n| n.role == NodeRole::Store.name())
        .count();
    if stores == 0 {
        let project = compose.docker.project().await?;
        return Err(UpError::NoCluster(project.into()));
    }
    for node in &nodes {
        let verb = match node.state {
            NodeState::Running => continue,
            NodeState::Paused => Verb::Resume,
            NodeState::Exited => Verb::Start,
        };
        step(&format!("{} {}", verb.name(), node.node), 1);
        compose.act(verb, &node.node).await?;
    }
    let mut client = cluster::Client::new(cluster::Options::new(pd))?;
    let started = Instant::now();
    let mut said = (String::new(), started);
    loop {
        let (at, cluster) = match ready(&client.observe().await, stores) {
            Ok(id) => {
                step("ready", STEPS);
                return Ok(id);
            }
            Err(missing) => missing,
        };
        let down = down(&compose.ps().await?);
        let waiting_for = waiting_for(&cluster, &down);
        if said.0 != waiting_for || said.1.elapsed() >= REMINDER {
            let waited = started.elapsed().as_secs();
            step(&format!("waiting for {waiting_for} ({waited} s)"), at);
            said = (waiting_for.clone(), Instant::now());
        }
        if started.elapsed() > LIMIT {
            let look_at = down.into_iter().map(|(name, _)| name).next();
            return Err(UpError::NotReady {
                waiting_for: format!("waiting for {waiting_for}"),
                look_at: look_at.unwrap_or_else(|| if at < 3 { "pd0" } else { "tikv0" }.into()),
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Nodes that do not run, and how they are.
fn down(nodes: &[NodeStatus]) -> Vec<(String, String)> {
    nodes
        .iter()
        .filter(|n| n.state != NodeState::Running)
        .map(|n| (n.node.clone(), format!("{} {}", n.state.name(), n.exit())))
        .map(|(name, how)| (name, how.trim_end().to_string()))
        .collect()
}

/// What is waited for, with the nodes whose containers do not run.
fn waiting_for(cluster: &str, down: &[(String, String)]) -> String {
    down.iter().fold(cluster.to_string(), |text, (name, how)| {
        format!("{text}; {name} is {how}")
    })
}

/// The cluster's id if it is well, else which step is not reached and what is waited for.
fn ready(seen: &ClusterSnapshot, stores: usize) -> Result<u64, (usize, String)> {
    let led = seen.pd_leader.fresh().is_some_and(Option::is_some);
    let id = seen.cluster_id.as_ref();
    let id = id.and_then(|id| id.as_str().parse().ok());
    let (true, Some(id)) = (led, id) else {
        return Err((2, "PD to elect a leader".into()));
    };
    let all = seen.stores.fresh().map(Vec::as_slice).unwrap_or_default();
    let up = all.iter().filter(|s| s.state == StoreState::Up).count();
    if up < stores {
        return Err((3, format!("the stores to join, {up} of {stores} have")));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_known_is_not_ready() {
        let nothing = ClusterSnapshot::unknown("nobody answers");
        assert_eq!(ready(&nothing, 3).unwrap_err().0, 2);
    }

    #[test]
    fn what_is_waited_for_names_the_nodes_that_do_not_run() {
        let down = [("tikv1".to_string(), "exited 1".to_string())];
        assert_eq!(
            waiting_for("the stores to join, 2 of 3 have", &down),
            "the stores to join, 2 of 3 have; tikv1 is exited 1"
        );
    }
}
