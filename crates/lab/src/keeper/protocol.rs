//! What is asked of the keeper and what it answers: one line of JSON each way.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request on its way. Whoever asks waits only so long; a keeper that was frozen meanwhile must
/// not do later what nobody waits for any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    #[serde(flatten)]
    pub request: Request,
    /// On the clock of this boot. None: whenever it can.
    #[serde(default)]
    pub until_ms: Option<i64>,
}

impl Asked {
    pub fn within(request: Request, limit: Duration) -> Self {
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        Self {
            request,
            until_ms: Some(now_ms().saturating_add(limit)),
        }
    }

    pub fn is_late(&self) -> bool {
        self.until_ms.is_some_and(|until| now_ms() > until)
    }
}

/// Milliseconds on a clock that all processes of this boot share.
fn now_ms() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let t = clock_gettime(clock);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    Ps,
    Start {
        node: String,
    },
    /// The node is asked to end (TERM), and ended (KILL) after a grace.
    Stop {
        node: String,
    },
    /// The node is ended at once (KILL).
    Kill {
        node: String,
    },
    /// The process freezes (STOP); its connections stay open.
    Pause {
        node: String,
    },
    Resume {
        node: String,
    },
    Down,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Done,
    Nodes { nodes: Vec<NodeStatus> },
    Error { message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Running,
    Paused,
    Exited,
}

impl NodeState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        }
    }
}

/// One row of `lab ps`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub node: String,
    pub role: String,
    pub state: NodeState,
    /// Whether it has been seen to be ready since it was started.
    #[serde(default)]
    pub ready: bool,
    pub pid: Option<u32>,
    /// How it ended: one of the two, if it has.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// Since when it is in this state, RFC 3339.
    pub since: String,
    pub since_seconds: f64,
    /// What clients connect to, empty for a node without a port.
    pub address: String,
    /// The second of its ports: a store's status address, a PD member's peer address.
    pub status_address: Option<String>,
}

impl NodeStatus {
    /// `signal 9`, `code 1`, or nothing.
    pub fn exit(&self) -> String {
        match (self.signal, self.exit_code) {
            (Some(signal), _) => format!("signal {signal}"),
            (None, Some(code)) => format!("code {code}"),
            (None, None) => String::new(),
        }
    }
}
