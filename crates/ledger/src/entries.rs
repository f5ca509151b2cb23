//! Entries of a session: what they are, and appending one to its chain.

use crate::{chain, clock, engine::Result};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

/// What an entry is. The first three are the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Reasoning,
    ToolCall,
    ToolResult,
    System,
    Ticket,
    Thinking,
    Verify,
    Usage,
    Notice,
    Message,
    Proposal,
    Decision,
    Retry,
    Compaction,
    End,
}

impl EntryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::ToolCall => "tool_call",
            Self::ToolResult => "tool_result",
            Self::System => "system",
            Self::Ticket => "ticket",
            Self::Thinking => "thinking",
            Self::Verify => "verify",
            Self::Usage => "usage",
            Self::Notice => "notice",
            Self::Message => "message",
            Self::Proposal => "proposal",
            Self::Decision => "decision",
            Self::Retry => "retry",
            Self::Compaction => "compaction",
            Self::End => "end",
        }
    }
}

/// One entry to append.
#[derive(Debug, Clone)]
pub struct NewEntry {
    pub kind: EntryKind,
    /// The whole text; for a call, its short form (the whole is in `params`).
    pub text: String,
    /// Shown to people instead of the text; may be filled in later.
    pub summary: Option<String>,
    pub tool: Option<String>,
    pub params: Option<serde_json::Value>,
    pub call: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<u64>,
    pub timed_out: bool,
    pub omitted_bytes: u64,
    pub meta: Option<serde_json::Value>,
}

impl NewEntry {
    pub fn new(kind: EntryKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            summary: None,
            tool: None,
            params: None,
            call: None,
            exit_code: None,
            duration_ms: None,
            timed_out: false,
            omitted_bytes: 0,
            meta: None,
        }
    }
}

/// One row of `agent_log_entries`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntryRow {
    pub id: i64,
    pub session_id: String,
    /// As [`EntryKind::as_str`] gives it.
    pub entry_type: String,
    /// Short, for people.
    pub content: String,
    /// The whole text. None for a call: see `tool_params`.
    pub raw_content: Option<String>,
    pub tool_name: Option<String>,
    pub tool_params: Option<serde_json::Value>,
    pub call_id: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<u64>,
    pub timed_out: bool,
    pub omitted_bytes: u64,
    pub meta: Option<serde_json::Value>,
    pub at: Option<Timestamp>,
    pub hash: Option<String>,
}

/// Appends an entry after the `head` of a chain; returns its row and the new head.
pub(crate) fn insert(
    tx: &Connection,
    session: &str,
    head: &str,
    entry: &NewEntry,
) -> Result<(i64, String)> {
    let at = clock::stamp();
    let params_text = entry.params.as_ref().map(ToString::to_string);
    let meta = entry.meta.as_ref().map(ToString::to_string);
    // The reference leaves the raw text of a call empty; its parameters say it all.
    let raw = (entry.kind != EntryKind::ToolCall).then_some(entry.text.as_str());
    let link = chain::Link {
        kind: entry.kind.as_str(),
        text: raw,
        tool: entry.tool.as_deref(),
        params: params_text.as_deref(),
        call: entry.call.as_deref(),
        exit_code: entry.exit_code.map(i64::from),
        duration_ms: entry
            .duration_ms
            .map(|d| i64::try_from(d).unwrap_or(i64::MAX)),
        timed_out: entry.timed_out,
        omitted_bytes: i64::try_from(entry.omitted_bytes).unwrap_or(i64::MAX),
        meta: meta.as_deref(),
        at: &at,
    };
    let hash = link.hash(head);
    tx.prepare_cached(
        "INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, tool_name,
           tool_params, exit_code, timestamp, created_at, call_id, duration_ms, timed_out,
           omitted_bytes, meta, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        session,
        link.kind,
        entry.summary.as_deref().unwrap_or(&entry.text),
        link.text,
        link.tool,
        link.params,
        link.exit_code,
        at,
        link.call,
        link.duration_ms,
        link.timed_out,
        link.omitted_bytes,
        link.meta,
        hash
    ])?;
    Ok((tx.last_insert_rowid(), hash))
}
