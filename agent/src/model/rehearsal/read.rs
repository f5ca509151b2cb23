//! Reads what the commands the rehearsal relies on print. Strict about the fields it needs: what
//! does not read as expected is an error that says so, never a guess. Further fields are ignored.

use serde::Deserialize;

/// A node of the embedded lab, from `operator-tui lab ps --json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Node {
    #[serde(alias = "name")]
    pub node: String,
    pub role: String,
    pub state: String,
    #[serde(default)]
    pub exit_code: Option<i32>,
    #[serde(default)]
    pub signal: Option<i32>,
}

impl Node {
    pub fn is_pd(&self) -> bool {
        self.role == "pd"
    }

    /// `signal 9`, `code 1`.
    pub fn exit(&self) -> String {
        match (self.signal, self.exit_code) {
            (Some(signal), _) => format!("ended by signal {signal}"),
            (None, Some(code)) => format!("ended with code {code}"),
            (None, None) => "ended, nobody knows how".into(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Nodes {
    List(Vec<Node>),
    Named { nodes: Vec<Node> },
}

/// PD members and stores of the lab.
pub fn nodes(output: &str) -> Result<Vec<Node>, String> {
    let nodes = match serde_json::from_str(output.trim()) {
        Ok(Nodes::List(nodes) | Nodes::Named { nodes }) => nodes,
        Err(_) if output.trim().is_empty() => return Err("it printed nothing".into()),
        Err(_) => return Err("its output is not the list of nodes I know how to read".into()),
    };
    let nodes: Vec<Node> = nodes
        .into_iter()
        .filter(|n| matches!(n.role.as_str(), "pd" | "store"))
        .collect();
    if nodes.is_empty() {
        return Err("it lists no PD member and no store".into());
    }
    for node in &nodes {
        if !matches!(node.state.as_str(), "running" | "exited" | "paused") {
            return Err(format!(
                "{} is in a state I do not know: {}",
                node.node, node.state
            ));
        }
        // A name becomes part of a command.
        if !node
            .node
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        {
            return Err(format!(
                "a node has a name I would not type: {:?}",
                node.node
            ));
        }
    }
    Ok(nodes)
}

/// What `operator-tui cluster --json` says, as far as the rehearsal needs it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Look {
    pub pd: Known<Vec<Member>>,
    pub pd_leader: Known<Option<String>>,
    pub stores: Known<Vec<Store>>,
    pub regions: Known<Regions>,
    pub traffic: Known<Traffic>,
}

/// A value, unless the look failed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Known<T> {
    value: Option<T>,
    error: Option<String>,
}

impl<T> Known<T> {
    pub fn get(&self) -> Option<&T> {
        if self.error.is_some() {
            None
        } else {
            self.value.as_ref()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    pub name: String,
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Store {
    pub name: String,
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Regions {
    pub leaderless: u64,
    pub no_quorum: u64,
    pub down_peer: u64,
    pub miss_peer: u64,
    pub pending_peer: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Traffic {
    pub p99_ms: Option<f64>,
}

pub fn cluster(output: &str) -> Result<Look, String> {
    if output.trim().is_empty() {
        return Err("it printed nothing".into());
    }
    serde_json::from_str(output.trim())
        .map_err(|_| "its output is not the snapshot I know how to read".into())
}

/// p99 above which the cluster counts as slow, milliseconds; the monitor's own default.
const SLOW_MS: f64 = 100.0;

impl Look {
    /// What is not as it should be, in words; empty if all is well. What could not be observed
    /// counts as not well.
    pub fn complaints(&self, invariant: &str) -> Vec<String> {
        let mut out = Vec::new();
        match self.pd.get() {
            None => out.push("the PD members cannot be observed".into()),
            Some(members) => out.extend(
                members
                    .iter()
                    .filter(|m| !matches!(m.state.as_str(), "leader" | "follower"))
                    .map(|m| format!("PD member {} is {}", m.name, m.state)),
            ),
        }
        match self.pd_leader.get() {
            Some(Some(_)) => {}
            Some(None) => out.push("PD has no leader".into()),
            None => out.push("the leader of PD cannot be observed".into()),
        }
        match self.stores.get() {
            None => out.push("the stores cannot be observed".into()),
            Some(stores) if stores.is_empty() => out.push("PD knows no store".into()),
            Some(stores) => out.extend(
                stores
                    .iter()
                    .filter(|s| s.state != "up")
                    .map(|s| format!("PD sees {} as {}", s.name, s.state)),
            ),
        }
        match self.regions.get() {
            None => out.push("the regions cannot be observed".into()),
            Some(r) => {
                for (n, what) in [
                    (r.leaderless, "without a leader"),
                    (r.no_quorum, "without a quorum"),
                    (r.down_peer, "with a peer down"),
                    (r.miss_peer, "with a peer missing"),
                ] {
                    if n > 0 {
                        out.push(format!("{n} regions are {what}"));
                    }
                }
                if r.pending_peer > 0 && invariant == "under_replicated" {
                    out.push(format!("{} regions have a peer that lags", r.pending_peer));
                }
            }
        }
        if invariant == "high_latency" {
            match self.traffic.get().and_then(|t| t.p99_ms) {
                None => out.push("the latency cannot be observed".into()),
                Some(p99) if p99 > SLOW_MS => out.push(format!("p99 is {p99:.0} ms")),
                Some(_) => {}
            }
        }
        out
    }
}
