//! What the TiKV lab consists of: its nodes and their addresses, kept in `lab.json`.
//!
//! It is written before the nodes start, and every node reads it. Raft membership holds ids only, so
//! ports may change between two runs.

use crate::dir::LabDir;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io, path::PathBuf};

/// PD members, and stores, and replicas of a region: three of each.
pub const MEMBERS: u64 = 3;
pub const REGIONS: u64 = 6;
/// Records of the load; each region holds an equal share of them.
pub const RECORDS: u64 = 3000;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    Pd,
    Store,
    Load,
}

impl NodeRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pd => "pd",
            Self::Store => "store",
            Self::Load => "load",
        }
    }
}

/// One process of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub role: NodeRole,
    /// Raft id, and store id or PD member number: 1 to 3. Zero for the load.
    pub id: u64,
    /// Where the others find it: this machine, unless the lab is spread over several hosts.
    #[serde(default = "loopback", skip_serializing_if = "is_loopback")]
    pub host: String,
    /// PD: client URL. Store: where regions are served. Load: metrics and control.
    pub port: u16,
    /// PD: peer address. Store: status address. Load: none.
    pub second_port: Option<u16>,
}

/// The host of a node that nobody outside this machine is to reach.
const LOOPBACK: &str = "127.0.0.1";

fn loopback() -> String {
    LOOPBACK.into()
}

fn is_loopback(host: &String) -> bool {
    host == LOOPBACK
}

impl Node {
    /// What clients connect to.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A store's status address, a PD member's peer address.
    pub fn second_address(&self) -> Option<String> {
        self.second_port.map(|port| format!("{}:{port}", self.host))
    }

    /// What it listens on for one of its ports: where others have to reach it, all addresses of
    /// its host.
    pub fn listens_on(&self, port: u16) -> String {
        let host = if is_loopback(&self.host) {
            LOOPBACK
        } else {
            "0.0.0.0"
        };
        format!("{host}:{port}")
    }

    /// Where Raft messages for this node go.
    pub fn raft_address(&self) -> String {
        match self.role {
            NodeRole::Pd => self.second_address().unwrap_or_else(|| self.address()),
            NodeRole::Store | NodeRole::Load => self.address(),
        }
    }
}

/// `lab.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    pub version: u32,
    pub cluster_id: u64,
    pub nodes: Vec<Node>,
    /// Operations a second that `lab load on` asks for, from a measured fsync.
    pub default_rate: u32,
    /// Operations a second now; zero is off.
    pub rate: u32,
    /// Median time of an fsync in the lab's folder when it was made, in microseconds.
    pub fsync_us: u64,
}

/// Version of the shape of `lab.json`.
pub const FORMAT: u32 = 1;

/// The TiKV that PD members and stores say they are.
pub const TIKV_VERSION: &str = "8.5.7";

#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}; `operator-tui lab up --fresh` starts over", .path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{}: made by another version ({found}, this is {FORMAT}); `operator-tui lab up --fresh` starts over", .path.display())]
    Version { path: PathBuf, found: u32 },
}

impl Topology {
    /// The nodes of a new lab, with the ports that `next_port` yields.
    pub fn new<E>(
        cluster_id: u64,
        mut next_port: impl FnMut() -> Result<u16, E>,
    ) -> Result<Self, E> {
        let mut nodes = Vec::new();
        for (role, prefix) in [(NodeRole::Pd, "pd"), (NodeRole::Store, "tikv")] {
            for id in 1..=MEMBERS {
                nodes.push(Node {
                    name: format!("{prefix}{}", id - 1),
                    role,
                    id,
                    host: loopback(),
                    port: next_port()?,
                    second_port: Some(next_port()?),
                });
            }
        }
        nodes.push(Node {
            name: "load".into(),
            role: NodeRole::Load,
            id: 0,
            host: loopback(),
            port: next_port()?,
            second_port: None,
        });
        Ok(Self {
            version: FORMAT,
            cluster_id,
            nodes,
            default_rate: 0,
            rate: 0,
            fsync_us: 0,
        })
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }

    pub fn of_role(&self, role: NodeRole) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |n| n.role == role)
    }

    /// Raft ids and addresses of the PD members or of the stores.
    pub fn peers(&self, role: NodeRole) -> BTreeMap<u64, String> {
        self.of_role(role)
            .map(|n| (n.id, n.raft_address()))
            .collect()
    }

    /// Client URLs of the PD members.
    pub fn pd_endpoints(&self) -> Vec<String> {
        self.of_role(NodeRole::Pd)
            .map(|n| format!("http://{}", n.address()))
            .collect()
    }

    /// That of the lab in `dir`.
    pub fn load(dir: &LabDir) -> Result<Self, TopologyError> {
        let path = dir.topology();
        let text = fs::read_to_string(&path).map_err(|source| TopologyError::Io {
            path: path.clone(),
            source,
        })?;
        let json = |source| TopologyError::Json {
            path: path.clone(),
            source,
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(json)?;
        let found = value["version"].as_u64().unwrap_or(0) as u32;
        if found != FORMAT {
            return Err(TopologyError::Version { path, found });
        }
        serde_json::from_value(value).map_err(json)
    }

    /// Writes the file whole or not at all.
    pub fn save(&self, dir: &LabDir) -> Result<(), TopologyError> {
        let path = dir.topology();
        let io = |source| TopologyError::Io {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_string_pretty(self).map_err(|source| TopologyError::Json {
            path: path.clone(),
            source,
        })?;
        // Two processes may set the load at once.
        let temporary = path.with_extension(format!("json.{}", std::process::id()));
        fs::write(&temporary, text).map_err(io)?;
        fs::rename(&temporary, &path).map_err(io)
    }
}

/// First key of a region, empty for the first region; `None` past the last one.
pub fn start_key(region: u64) -> Option<String> {
    match region {
        1 => Some(String::new()),
        2..=REGIONS => Some(record_key((region - 1) * RECORDS / REGIONS)),
        _ => None,
    }
}

/// The region that holds a key.
pub fn region_of(key: &str) -> u64 {
    (2..=REGIONS)
        .rev()
        .find(|&region| start_key(region).is_some_and(|start| start.as_str() <= key))
        .unwrap_or(1)
}

pub fn record_key(record: u64) -> String {
    format!("user{record:08}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_all_records_evenly() {
        let mut counts = BTreeMap::new();
        for record in 0..RECORDS {
            *counts.entry(region_of(&record_key(record))).or_insert(0) += 1;
        }
        assert_eq!(counts.len() as u64, REGIONS);
        assert!(
            counts.values().all(|&n| n == RECORDS / REGIONS),
            "{counts:?}"
        );
        assert_eq!(region_of(""), 1);
        assert_eq!(region_of("zzz"), REGIONS);
        assert_eq!(start_key(REGIONS + 1), None);
    }

    #[test]
    fn a_node_may_live_on_a_host_of_its_own() {
        let mut port = 100;
        let next = || {
            port += 1;
            Ok::<_, io::Error>(port)
        };
        let mut topology = Topology::new(7, next).unwrap();
        let written = serde_json::to_value(&topology.nodes[0]).unwrap();
        assert!(written.get("host").is_none(), "{written}");
        let here: Node = serde_json::from_value(written).unwrap();
        assert_eq!((here.address(), here.listens_on(101)), {
            let at = "127.0.0.1:101".to_string();
            (at.clone(), at)
        });
        topology.nodes[3].host = "tikv0".into();
        let there = &topology.nodes[3];
        assert_eq!(there.address(), format!("tikv0:{}", there.port));
        assert_eq!(
            there.listens_on(there.port),
            format!("0.0.0.0:{}", there.port)
        );
        assert_eq!(topology.peers(NodeRole::Store)[&1], there.address());
    }

    #[test]
    fn a_topology_survives_its_file_and_says_what_is_wrong_with_a_broken_one() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = LabDir::at(tmp.path());
        let mut port = 100;
        let topology = Topology::new(7, || {
            port += 1;
            Ok::<_, io::Error>(port)
        })
        .unwrap();
        assert_eq!(topology.nodes.len(), 7);
        topology.save(&dir).unwrap();
        assert_eq!(Topology::load(&dir).unwrap(), topology);
        fs::write(dir.topology(), "{").unwrap();
        assert!(
            Topology::load(&dir)
                .unwrap_err()
                .to_string()
                .contains("lab.json")
        );
        fs::write(dir.topology(), r#"{"version":99}"#).unwrap();
        assert!(
            Topology::load(&dir)
                .unwrap_err()
                .to_string()
                .contains("another version")
        );
    }
}
