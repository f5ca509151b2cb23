//! Sessions of an agent and their entries: the record of what was thought, run and seen.
//!
//! Entries are append-only and linked by [`super::chain`]. Output of commands is kept apart, in
//! chunks that are written behind the work.

use super::{Lease, Ledger, LedgerError, Result, chain, claim, clock, clock::parse_time};
use crate::event::{Mode, Outcome, Stream};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
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
            Self::End => "end",
        }
    }
}

#[derive(Debug)]
pub struct NewSession<'a> {
    pub lease: &'a Lease,
    /// `rehearsal` or a model id.
    pub model: &'a str,
    pub mode: Mode,
    pub cluster_id: Option<&'a str>,
    pub holder: &'a super::Holder,
}

/// An open session: its id, the lease it works under and the head of its chain.
#[derive(Debug)]
pub struct SessionWriter {
    pub id: String,
    pub lease: Lease,
    head: String,
}

/// One entry to append.
#[derive(Debug)]
pub struct NewEntry<'a> {
    pub kind: EntryKind,
    /// The whole text; for a call, its short form (the whole is in `params`).
    pub text: &'a str,
    /// Shown to people instead of the text; may be filled in later.
    pub summary: Option<&'a str>,
    pub tool: Option<&'a str>,
    pub params: Option<&'a serde_json::Value>,
    pub call: Option<&'a str>,
    pub exit_code: Option<i32>,
    pub duration_ms: Option<u64>,
    pub timed_out: bool,
    pub omitted_bytes: u64,
    pub meta: Option<&'a serde_json::Value>,
}

impl<'a> NewEntry<'a> {
    pub fn new(kind: EntryKind, text: &'a str) -> Self {
        Self {
            kind,
            text,
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

/// One row of `agent_sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    pub session_id: String,
    pub ticket_id: Option<i64>,
    /// running, resolved, escalated, failed or interrupted; `completed` in old files.
    pub status: String,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub outcome_summary: Option<String>,
    pub model: Option<String>,
    pub mode: Option<String>,
    pub cluster_id: Option<String>,
    pub resolution: Option<String>,
    pub head_hash: Option<String>,
    pub usage: UsageTotals,
}

/// Totals of a session. None: not known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UsageTotals {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
    pub cost_usd: Option<f64>,
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

/// A piece of a command's output, in order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputChunk {
    pub call: String,
    /// Rises within the call.
    pub seq: u64,
    pub stream: Stream,
    pub text: String,
    pub at: Timestamp,
}

const SESSION_COLUMNS: &str = "session_id, ticket_id, status, started_at, ended_at, outcome_summary, \
    model, mode, cluster_id, resolution, head_hash, input_tokens, output_tokens, \
    cache_read_tokens, cache_write_tokens, cost_usd";

fn session_from_row(r: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let time = |i: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(r.get::<_, Option<String>>(i)?
            .as_deref()
            .and_then(parse_time))
    };
    Ok(SessionRow {
        session_id: r.get(0)?,
        ticket_id: r.get(1)?,
        status: r.get(2)?,
        started_at: time(3)?,
        ended_at: time(4)?,
        outcome_summary: r.get(5)?,
        model: r.get(6)?,
        mode: r.get(7)?,
        cluster_id: r.get(8)?,
        resolution: r.get(9)?,
        head_hash: r.get(10)?,
        usage: UsageTotals {
            input: r.get(11)?,
            output: r.get(12)?,
            cache_read: r.get(13)?,
            cache_write: r.get(14)?,
            cost_usd: r.get(15)?,
        },
    })
}

const ENTRY_COLUMNS: &str = "id, session_id, entry_type, content, raw_content, tool_name, \
    tool_params, call_id, exit_code, duration_ms, timed_out, omitted_bytes, meta, timestamp, hash";

fn entry_from_row(r: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let json = |i: usize| -> rusqlite::Result<Option<serde_json::Value>> {
        Ok(r.get::<_, Option<String>>(i)?
            .and_then(|s| serde_json::from_str(&s).ok()))
    };
    Ok(EntryRow {
        id: r.get(0)?,
        session_id: r.get(1)?,
        entry_type: r.get(2)?,
        content: r.get(3)?,
        raw_content: r.get(4)?,
        tool_name: r.get(5)?,
        tool_params: json(6)?,
        call_id: r.get(7)?,
        exit_code: r.get(8)?,
        duration_ms: r.get(9)?,
        timed_out: r.get::<_, Option<bool>>(10)?.unwrap_or(false),
        omitted_bytes: r.get::<_, Option<u64>>(11)?.unwrap_or(0),
        meta: json(12)?,
        at: parse_time(&r.get::<_, String>(13)?),
        hash: r.get(14)?,
    })
}

impl Ledger {
    /// Opens a session on a claimed ticket.
    pub fn begin_session(&mut self, new: &NewSession<'_>) -> Result<SessionWriter> {
        let started = clock::stamp();
        let random = uuid::Uuid::now_v7().simple().to_string();
        let id = format!(
            "{}-{}",
            clock::wall().strftime("%Y-%m-%dT%H-%M-%S"),
            // The first digits of a v7 id are the time; the last are random.
            &random[random.len() - 8..]
        );
        let ticket = new.lease.ticket;
        let mode = serde_json::to_value(new.mode)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned));
        self.write(|tx| {
            claim::hold(tx, new.lease)?;
            tx.execute(
                "INSERT INTO agent_sessions (session_id, ticket_id, status, started_at, model, mode,
                   cluster_id, fence, holder, created_at)
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?8, ?3)",
                params![
                    id,
                    ticket,
                    started,
                    new.model,
                    mode,
                    new.cluster_id,
                    new.lease.fence,
                    new.holder.to_string()
                ],
            )?;
            Ok(())
        })?;
        let head = chain::genesis(&id, Some(ticket), &started, Some(new.model));
        Ok(SessionWriter {
            id,
            lease: new.lease.clone(),
            head,
        })
    }

    /// Appends an entry. Durable when it returns; refused when the lease is lost.
    pub fn append(&mut self, session: &mut SessionWriter, entry: &NewEntry<'_>) -> Result<i64> {
        let (id, head) = self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            insert(tx, session, entry)
        })?;
        session.head = head;
        Ok(id)
    }

    /// Appends output of commands of a session. Behind the work: asks for no lease, since what it
    /// stores has already happened.
    pub fn append_output(&mut self, session: &str, chunks: &[OutputChunk]) -> Result<()> {
        self.write(|tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO session_output (session_id, call_id, seq, stream, text, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for c in chunks {
                let stream = match c.stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                };
                insert.execute(params![
                    session,
                    c.call,
                    c.seq,
                    stream,
                    c.text,
                    clock::text(c.at)
                ])?;
            }
            Ok(())
        })
    }

    /// Fills in an entry's short form. The chain does not cover it.
    pub fn set_summary(&mut self, entry: i64, summary: &str) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE agent_log_entries SET content = ?2 WHERE id = ?1",
                params![entry, summary],
            )?;
            Ok(())
        })
    }

    pub fn session_usage(&mut self, session: &SessionWriter, usage: &UsageTotals) -> Result<()> {
        self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            tx.execute(
                "UPDATE agent_sessions SET input_tokens = ?2, output_tokens = ?3,
                   cache_read_tokens = ?4, cache_write_tokens = ?5, cost_usd = ?6
                 WHERE session_id = ?1",
                params![
                    session.id,
                    usage.input,
                    usage.output,
                    usage.cache_read,
                    usage.cache_write,
                    usage.cost_usd
                ],
            )?;
            Ok(())
        })
    }

    /// Ends the session with its last entry. Returns the head of its chain, hex. The ticket keeps
    /// its status and its lease: end the session first, then release, escalate or leave it.
    pub fn end_session(
        &mut self,
        session: &mut SessionWriter,
        outcome: Outcome,
        summary: &str,
    ) -> Result<String> {
        let head = self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            let meta = serde_json::json!({ "outcome": outcome.as_str() });
            let entry = NewEntry {
                meta: Some(&meta),
                ..NewEntry::new(EntryKind::End, summary)
            };
            let (_, head) = insert(tx, session, &entry)?;
            let (status, resolution): (String, Option<String>) = tx.query_row(
                "SELECT status, resolution FROM tickets WHERE id = ?1",
                [session.lease.ticket],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )?;
            tx.execute(
                "UPDATE agent_sessions SET status = ?2, ended_at = ?3, outcome_summary = ?4,
                   head_hash = ?5, resolution = ?6 WHERE session_id = ?1",
                params![
                    session.id,
                    outcome.as_str(),
                    clock::stamp(),
                    summary,
                    head,
                    resolution
                ],
            )?;
            if status == "resolved" {
                claim::drop_lease(tx, session.lease.ticket)?;
            }
            Ok(head)
        })?;
        session.head.clone_from(&head);
        Ok(head)
    }

    pub fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS} FROM agent_sessions WHERE session_id = ?1"
            ))?
            .query_row([id], session_from_row)
            .optional()?)
    }

    /// The newest `limit` sessions, newest first.
    pub fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS} FROM agent_sessions ORDER BY id DESC LIMIT ?1"
            ))?
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Sessions on one ticket, oldest first.
    pub fn sessions_of_ticket(&self, ticket: i64) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS} FROM agent_sessions WHERE ticket_id = ?1 ORDER BY id"
            ))?
            .query_map([ticket], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Entries of a session after entry `after` (0: from the first), oldest first.
    pub fn entries(&self, session: &str, after: i64, limit: usize) -> Result<Vec<EntryRow>> {
        let rows = self
            .conn
            .prepare_cached(&format!(
                "SELECT {ENTRY_COLUMNS} FROM agent_log_entries
                 WHERE session_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
            ))?
            .query_map(
                params![session, after, i64::try_from(limit).unwrap_or(i64::MAX)],
                entry_from_row,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Stored output of one call, in order, up to `limit` chunks.
    pub fn output(&self, session: &str, call: &str, limit: usize) -> Result<Vec<OutputChunk>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT call_id, seq, stream, text, at FROM session_output
                 WHERE session_id = ?1 AND call_id = ?2 ORDER BY seq LIMIT ?3",
            )?
            .query_map(
                params![session, call, i64::try_from(limit).unwrap_or(i64::MAX)],
                |r| {
                    let stream: String = r.get(2)?;
                    let at: String = r.get(4)?;
                    Ok(OutputChunk {
                        call: r.get(0)?,
                        seq: r.get(1)?,
                        stream: if stream == "stderr" {
                            Stream::Stderr
                        } else {
                            Stream::Stdout
                        },
                        text: r.get(3)?,
                        at: parse_time(&at).unwrap_or_default(),
                    })
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// The session an unambiguous beginning of its id names.
    pub fn find_session(&self, prefix: &str) -> Result<String> {
        let found: Vec<String> = self
            .conn
            .prepare_cached(
                "SELECT session_id FROM agent_sessions
                 WHERE substr(session_id, 1, length(?1)) = ?1 ORDER BY id DESC LIMIT 2",
            )?
            .query_map([prefix], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(LedgerError::NoSession(prefix.to_owned())),
            _ if found.iter().any(|f| f == prefix) => Ok(prefix.to_owned()),
            _ => Err(LedgerError::Refused(format!(
                "more than one session begins with {prefix}"
            ))),
        }
    }
}

fn insert(tx: &Connection, session: &SessionWriter, entry: &NewEntry<'_>) -> Result<(i64, String)> {
    let at = clock::stamp();
    let params_text = entry.params.map(ToString::to_string);
    let meta = entry.meta.map(ToString::to_string);
    // The reference leaves the raw text of a call empty; its parameters say it all.
    let raw = (entry.kind != EntryKind::ToolCall).then_some(entry.text);
    let link = chain::Link {
        kind: entry.kind.as_str(),
        text: raw,
        tool: entry.tool,
        params: params_text.as_deref(),
        call: entry.call,
        exit_code: entry.exit_code.map(i64::from),
        duration_ms: entry
            .duration_ms
            .map(|d| i64::try_from(d).unwrap_or(i64::MAX)),
        timed_out: entry.timed_out,
        omitted_bytes: i64::try_from(entry.omitted_bytes).unwrap_or(i64::MAX),
        meta: meta.as_deref(),
        at: &at,
    };
    let hash = link.hash(&session.head);
    tx.prepare_cached(
        "INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, tool_name,
           tool_params, exit_code, timestamp, created_at, call_id, duration_ms, timed_out,
           omitted_bytes, meta, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        session.id,
        link.kind,
        entry.summary.unwrap_or(entry.text),
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

/// Calls `f` with each entry of a session, in order, until it says stop.
pub(super) fn for_each_link(
    conn: &Connection,
    session: &str,
    mut f: impl FnMut(i64, &chain::Link<'_>, Option<&str>) -> bool,
) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT id, entry_type, raw_content, tool_name, tool_params, call_id, exit_code, duration_ms,
           timed_out, omitted_bytes, meta, timestamp, hash
         FROM agent_log_entries WHERE session_id = ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([session])?;
    while let Some(r) = rows.next()? {
        let text = |i: usize| r.get_ref(i).and_then(|v| Ok(v.as_str_or_null()?));
        let link = chain::Link {
            kind: text(1)?.unwrap_or_default(),
            text: text(2)?,
            tool: text(3)?,
            params: text(4)?,
            call: text(5)?,
            exit_code: r.get(6)?,
            duration_ms: r.get(7)?,
            timed_out: r.get::<_, Option<bool>>(8)?.unwrap_or(false),
            omitted_bytes: r.get::<_, Option<i64>>(9)?.unwrap_or(0),
            meta: text(10)?,
            at: text(11)?.unwrap_or_default(),
        };
        if !f(r.get(0)?, &link, text(12)?) {
            break;
        }
    }
    Ok(())
}
