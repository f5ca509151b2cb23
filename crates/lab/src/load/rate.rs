//! Setting the load of a lab that is up.

use crate::{
    dir::LabDir,
    http,
    keeper::client::{Client, ClientError},
    topology::{NodeRole, Topology, TopologyError},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum RateError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("this lab has no load")]
    NoLoad,
    #[error("load does not answer: {0}")]
    Silent(#[from] reqwest::Error),
}

/// Sets the load, in operations a second: `None` is the measured default, zero is off. Returns what
/// is now asked for.
pub async fn set(dir: &LabDir, rate: Option<u32>) -> Result<u32, RateError> {
    let client = Client::new(dir.clone());
    let nodes = client.ps().await?;
    let mut topology = Topology::load(dir)?;
    let rate = rate.unwrap_or(topology.default_rate);
    topology.rate = rate;
    topology.save(dir)?;
    let load = topology.of_role(NodeRole::Load).next();
    let load = load.ok_or(RateError::NoLoad)?;
    if nodes.iter().any(|n| n.node == load.name && n.pid.is_some()) {
        let url = format!("http://{}/rate/{rate}", load.address());
        let answer = http::client(LIMIT)?.post(url).send().await?;
        answer.error_for_status()?;
    } else {
        // It reads its rate when it starts.
        client.start(&load.name).await?;
    }
    Ok(rate)
}
