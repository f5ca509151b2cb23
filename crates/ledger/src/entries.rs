//! Entries of a session: what they are, and appending one to its chain.

use crate::{
    Effect, EntryMeta, Finish, Stored, Tool, chain, clock, engine::Result, prose, stored::words,
};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// What an entry is. The first three are the reference's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EntryKind {
    Reasoning,
    ToolCall,
    ToolResult,
    System,
    Ticket,
    Thinking,
    Verify,
    /// How the session says that it ends, field by field in `tool_params`.
    Finish,
    Usage,
    Notice,
    Message,
    Proposal,
    Decision,
    Retry,
    Compaction,
    End,
}

words!(EntryKind);

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
    /// Of a call.
    pub effect: Option<Effect>,
    /// Of a call whose input is not kept as it ran: a hash of the whole, under a key.
    pub original_hash: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<u64>,
    pub timed_out: bool,
    pub omitted_bytes: u64,
    pub meta: Option<EntryMeta>,
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
            effect: None,
            original_hash: None,
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
    pub entry_type: Stored<EntryKind>,
    /// Short, for people.
    pub content: String,
    /// The whole text. None for a call: see `tool_params`.
    pub raw_content: Option<String>,
    pub tool_name: Option<String>,
    pub tool_params: Option<serde_json::Value>,
    pub call_id: Option<String>,
    /// Of a call. None: not judged, in older files.
    #[serde(default)]
    pub effect: Option<Stored<Effect>>,
    /// Of a call whose input held a secret, which was replaced: a hash of the whole under
    /// `record.key`. None: it is as it ran, or there was no key.
    #[serde(default)]
    pub original_hash: Option<String>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<u64>,
    pub timed_out: bool,
    pub omitted_bytes: u64,
    pub meta: Option<EntryMeta>,
    pub at: Option<Timestamp>,
    pub hash: Option<String>,
}

impl EntryRow {
    /// The whole of it, as far as it is text.
    pub fn text(&self) -> &str {
        self.raw_content.as_deref().unwrap_or(&self.content)
    }

    /// Of a notice: whether the agent does nothing until a person says something.
    pub fn waits(&self) -> bool {
        match &self.meta {
            Some(meta) => meta.waits == Some(true),
            None => prose::waits(self.text()),
        }
    }

    /// Of a claim: what the monitor saw.
    pub fn detail(&self) -> &str {
        let said = self.meta.as_ref().and_then(|m| m.detail.as_deref());
        said.or_else(|| prose::verify_detail(self.text()))
            .unwrap_or_default()
    }

    /// Of a finish: what was said, field by field; one that cannot be read by field is told by its
    /// text.
    pub fn finish(&self) -> Finish {
        let fields = self.tool_params.clone();
        fields
            .and_then(|fields| serde_json::from_value(fields).ok())
            .unwrap_or_else(|| Finish::escalated(self.text()))
    }

    /// Of a result: what was printed, as its model saw it. The first line of a command's is ours and
    /// says how it ended; the reference wrote none, and no hash.
    pub fn printed(&self) -> &str {
        if self.hash.is_none() || self.tool() != Tool::Shell.name() {
            return self.text();
        }
        self.text().split_once('\n').map_or("", |(_, rest)| rest)
    }
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
    let meta = entry.meta.as_ref().map(EntryMeta::text);
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
        effect: entry.effect.map(Effect::as_str),
        original_hash: entry.original_hash.as_deref(),
    };
    let hash = link.hash(head);
    tx.prepare_cached(
        "INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, tool_name,
           tool_params, exit_code, timestamp, created_at, call_id, duration_ms, timed_out,
           omitted_bytes, meta, hash, effect, original_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
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
        hash,
        link.effect,
        link.original_hash
    ])?;
    Ok((tx.last_insert_rowid(), hash))
}
