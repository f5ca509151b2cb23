//! The contract between `agent_lab` and whoever watches it: one JSON object a line on stdout,
//! one control line a request on stdin.
//!
//! This file only says what the lines look like. It does not write them (see [`agent_lab::emit`]) and
//! does not decide when they are sent. Readers ignore unknown types and fields; a line that is not
//! an event is plain text, not an error.

pub mod delta;

use crate::{Effect, Finish, IncidentState, Resolution, Stored, stored::words};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// Version of the contract, the `v` of every line.
pub const VERSION: u32 = 1;

/// Longest message of a person to an agent, bytes. A longer one is refused, never cut.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// One line of the agent's stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Contract version, [`VERSION`].
    pub v: u32,
    /// Rises by one for every event the agent made, sent or dropped.
    pub seq: u64,
    /// When it happened, RFC 3339 in UTC with milliseconds.
    pub at: Timestamp,
    /// The session it belongs to, where one is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened; `type` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// First line of a process.
    Hello {
        agent: String,
        version: String,
        pid: u32,
        /// `rehearsal`, or a model id.
        model: String,
        mode: Mode,
        /// Where commands run. Empty: an agent that does not say.
        #[serde(default)]
        cell: String,
        /// Path of the ledger it works on.
        ledger: String,
    },
    SessionStart {
        /// The worst of the incident's tickets.
        ticket: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<i64>,
        title: String,
    },
    SessionEnd {
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolution: Option<Stored<Resolution>>,
        #[serde(default)]
        summary: String,
        #[serde(default)]
        duration_ms: u64,
        /// Head of the session's hash chain, hex.
        #[serde(default)]
        head_hash: String,
    },
    /// Text of the model, as it streams.
    Text {
        delta: String,
        #[serde(default, skip_serializing_if = "is_false")]
        end: bool,
    },
    /// Reasoning of the model, as it streams.
    Thinking {
        delta: String,
        #[serde(default, skip_serializing_if = "is_false")]
        end: bool,
    },
    ToolCall {
        call: String,
        tool: String,
        /// The command, the query or the url.
        input: String,
        #[serde(default)]
        reasoning: String,
        /// None: not judged, by an agent that does not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effect: Option<Stored<Effect>>,
        /// What the server calls it. `call` is the agent's own, and no other call of the session has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server_call: Option<String>,
    },
    /// A call that waits for a person.
    Proposal { call: String, why: String },
    Decision {
        call: String,
        approved: bool,
        by: String,
        #[serde(default)]
        why: String,
    },
    /// Output of a running call, in order of arrival.
    ToolOutput {
        call: String,
        stream: Stream,
        text: String,
    },
    ToolResult {
        call: String,
        /// None when the call was ended before it had one. For the web 0 or 1: read, or not.
        exit_code: Option<i32>,
        duration_ms: u64,
        #[serde(default)]
        timed_out: bool,
        #[serde(default)]
        omitted_bytes: u64,
    },
    /// How the session says that it ends. Only `repaired` is a claim.
    Finish(Finish),
    Verify {
        state: VerifyState,
        #[serde(default)]
        detail: String,
    },
    /// How the incident of the session stands.
    Incident {
        id: i64,
        state: IncidentState,
        tickets: Vec<i64>,
        #[serde(default)]
        held: bool,
        #[serde(default)]
        paused: bool,
    },
    /// Totals of the session so far.
    Usage {
        input: u64,
        output: u64,
        cache_read: u64,
        cache_write: u64,
        /// None: the price of this model is not known.
        cost_usd: Option<f64>,
    },
    Retry {
        /// HTTP status, where there was one.
        status: Option<u16>,
        /// Which try comes next, the first being 1.
        attempt: u32,
        /// Tries there will be in all; 0 where that is not known.
        #[serde(default)]
        of: u32,
        wait_ms: u64,
        reason: String,
    },
    Notice {
        level: Level,
        text: String,
        /// Events lost to a full queue since the last notice that said so.
        #[serde(default)]
        dropped: u64,
        /// The agent does nothing until a person says something.
        #[serde(default, skip_serializing_if = "is_false")]
        waits: bool,
    },
    /// A type this version does not know.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// Whether the event changes what a reader believes about the state of the agent. Such events
    /// are never dropped; all others are deltas.
    pub fn is_state(&self) -> bool {
        !matches!(
            self,
            Self::Text { end: false, .. }
                | Self::Thinking { end: false, .. }
                | Self::ToolOutput { .. }
                | Self::Unknown
        )
    }
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    Autonomous,
    Propose,
    Observe,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    Resolved,
    Escalated,
    Failed,
    Interrupted,
    /// Nothing was wrong by the monitor's word too, and the ticket was left to it.
    Released,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum VerifyState {
    Waiting,
    Proven,
    /// Gone by the word of another system, which proves nothing of the claim.
    External,
    Failed,
    Unverifiable,
    /// Taken back before there was a verdict: one more ticket joined, or somebody else has it.
    Withdrawn,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    Info,
    Warn,
    Error,
}

words!(Mode, Outcome, Stream, VerifyState, Level);

/// One line of the agent's stdin, or one row of the ledger's `commands`. `by` is who wants it, empty
/// where nobody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Control {
    /// Stop the running command and turn.
    Interrupt {
        #[serde(default)]
        by: String,
    },
    /// Words for the model, given at the next tool boundary.
    Message {
        text: String,
        #[serde(default)]
        by: String,
    },
    Approve {
        call: String,
        #[serde(default)]
        why: String,
        #[serde(default)]
        by: String,
    },
    Reject {
        call: String,
        #[serde(default)]
        why: String,
        #[serde(default)]
        by: String,
    },
    /// Release the ticket, mark the session, end.
    Shutdown,
    #[serde(other)]
    Unknown,
}

/// A retry in words: `529 overloaded, try 3 of 8, 4 s`.
pub fn retry(status: Option<u16>, reason: &str, attempt: u32, of: u32, wait_ms: u64) -> String {
    let status = status
        .map(|s| format!("{s} "))
        .filter(|s| !reason.starts_with(s.as_str()))
        .unwrap_or_default();
    let of = if of > 0 {
        format!(" of {of}")
    } else {
        String::new()
    };
    let wait = wait_ms as f64 / 1000.0;
    let digits = usize::from(wait < 10.0);
    format!("{status}{reason}, try {attempt}{of}, {wait:.digits$} s")
}

/// Reads one line as an event. `None`: it is plain text.
pub fn parse(line: &str) -> Option<Event> {
    if !line.starts_with('{') {
        return None;
    }
    serde_json::from_str(line).ok()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(b: &bool) -> bool {
    !*b
}

#[cfg(test)]
mod tests;
