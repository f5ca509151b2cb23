//! The TiKV lab: which nodes the keeper is told of, and what each of them runs when it is started.

use crate::{
    dir::LabDir,
    keeper::{
        self,
        ports::{PortError, Ports},
        spec::{NodeSpec, Program, Ready},
    },
    load,
    node::{self, NodeError},
    pd, store,
    topology::{Node, NodeRole, Topology, TopologyError},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error(transparent)]
    Ports(#[from] PortError),
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Runs the keeper of a TiKV lab. The load is in operations a second; `None` is what suits the disk.
pub fn keep(options: &keeper::Options, rate: Option<u32>) -> ExitCode {
    keeper::run(options, |ports| prepare(&options.dir, rate, ports))
}

/// Reads or makes the topology and takes its ports, choosing others for those that are taken.
fn prepare(
    dir: &LabDir,
    rate: Option<u32>,
    ports: &mut Ports,
) -> Result<Vec<NodeSpec>, PrepareError> {
    let mut topology = if dir.topology().exists() {
        let mut topology = Topology::load(dir)?;
        for node in &mut topology.nodes {
            for port in std::iter::once(&mut node.port).chain(&mut node.second_port) {
                if let Err(error) = ports.hold(*port) {
                    let other = ports.hold_any()?;
                    eprintln!(
                        "{}: port {port} is taken ({error}), using {other}",
                        node.name
                    );
                    *port = other;
                }
            }
        }
        topology
    } else {
        let id = uuid::Uuid::now_v7().as_u128() as u64 >> 1;
        Topology::new(id, || ports.hold_any())?
    };
    topology.fsync_us = measure_fsync(dir)?.as_micros() as u64;
    topology.default_rate = load::default_rate(topology.fsync_us);
    topology.rate = rate.unwrap_or(topology.default_rate);
    topology.save(dir)?;
    Ok(topology.nodes.iter().map(|n| spec(dir, n)).collect())
}

fn spec(dir: &LabDir, node: &Node) -> NodeSpec {
    let args = ["lab", "node", &node.name, "--dir"].map(Into::into);
    NodeSpec {
        name: node.name.clone(),
        role: node.role.name().into(),
        program: Program::Own,
        args: args.into_iter().chain([dir.path().into()]).collect(),
        env: BTreeMap::new(),
        ports: std::iter::once(node.port).chain(node.second_port).collect(),
        ready: Ready::Listens(node.port),
    }
}

/// Median of a few small synced writes.
fn measure_fsync(dir: &LabDir) -> Result<Duration, PrepareError> {
    let path = dir.path().join("fsync.probe");
    let measure = || {
        let mut file = fs::File::create(&path)?;
        let mut times = Vec::new();
        for _ in 0..15 {
            let started = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        fs::remove_file(&path)?;
        times.sort();
        Ok(times[times.len() / 2])
    };
    measure().map_err(|source| PrepareError::Io {
        path: path.clone(),
        source,
    })
}

/// Runs the node `name` of the lab in `dir`.
pub fn run_node(dir: &LabDir, name: &str) -> ExitCode {
    node::run(name, async {
        let topology = Topology::load(dir).map_err(|e| NodeError::new(e.to_string()))?;
        let node = topology
            .node(name)
            .ok_or_else(|| NodeError::new(format!("no node `{name}` in this lab")))?;
        match node.role {
            NodeRole::Pd => pd::run(dir, &topology, node).await,
            NodeRole::Store => store::run(dir, &topology, node).await,
            NodeRole::Load => load::run(&topology, node).await,
        }
    })
}
