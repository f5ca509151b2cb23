//! Waiting until the lab in Docker Compose is well: every node started, PD led, all stores up.
//!
//! `docker compose` has started it; this starts again what an earlier demo left killed or frozen.

use crate::{
    cluster::{self, ClusterSnapshot, StoreState},
    stage::{
        compose::Compose,
        control::{Control, ControlError, Verb},
    },
};
use operator_lab::{NodeRole, NodeState, Progress};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A cluster that is made needs this long at most.
const LIMIT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const STEPS: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error(transparent)]
    Control(Box<ControlError>),
    #[error(
        "the cluster is not well after {} s: {waiting_for}; `docker compose ps` and `docker compose logs` show more",
        LIMIT.as_secs()
    )]
    NotReady { waiting_for: String },
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
    let nodes = compose.ps().await?;
    let stores = nodes
        .iter()
        .filter(|n| n.role == NodeRole::Store.name())
        .count();
    for node in &nodes {
        let verb = match node.state {
            NodeState::Running => continue,
            NodeState::Paused => Verb::Resume,
            NodeState::Exited => Verb::Start,
        };
        step(&format!("{} {}", verb.name(), node.node), 1);
        compose.act(verb, &node.node).await?;
    }
    let mut client = cluster::Client::new(cluster::Options::new(pd));
    let deadline = Instant::now() + LIMIT;
    let mut shown = 1;
    loop {
        match ready(&client.observe().await, stores) {
            Ok(id) => {
                step("ready", STEPS);
                return Ok(id);
            }
            Err((at, waiting_for)) => {
                if at > shown {
                    shown = at;
                    step(&waiting_for, at);
                }
                if Instant::now() > deadline {
                    return Err(UpError::NotReady { waiting_for });
                }
            }
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The cluster's id if it is well, else which step is not reached and what is waited for.
fn ready(seen: &ClusterSnapshot, stores: usize) -> Result<u64, (usize, String)> {
    let led = seen.pd_leader.fresh().is_some_and(Option::is_some);
    let id = seen.cluster_id.as_deref().and_then(|id| id.parse().ok());
    let (true, Some(id)) = (led, id) else {
        return Err((2, "waiting for PD to elect a leader".into()));
    };
    let all = seen.stores.fresh().map(Vec::as_slice).unwrap_or_default();
    let up = all.iter().filter(|s| s.state == StoreState::Up).count();
    if stores == 0 || up < stores {
        return Err((
            3,
            format!("waiting for the stores to join, {up} of {stores}"),
        ));
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
}
