//! What a reader needs who follows a session, pages through one of any length, or plays one back:
//! few rows at a time, found by an index.

use crate::{
    EntryKind, EntryRow, OutputChunk, Sample, SessionRow, SessionStatus, Stored, SystemId, Ticket,
    clock::{self, parse_time},
    engine::{Engine, Result},
    event::{Stream, VerifyState},
    samples,
    session_reads::{entry_from_row, session_from_row},
    tickets,
};
use jiff::Timestamp;
use rusqlite::{Row, params};

/// A session that is marked running, and who runs it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningSession {
    pub session: SessionRow,
    pub ticket: Option<Ticket>,
    /// Process id of its agent, on the machine it runs on.
    pub pid: Option<u32>,
    /// The call that waits for a person, if one does.
    pub proposal: Option<WaitingProposal>,
}

/// A call that is not run before a person approves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingProposal {
    pub call: String,
    pub tool: String,
    /// The command, the address or the query.
    pub input: String,
    pub reasoning: String,
    /// Why it waits.
    pub why: String,
    pub since: Option<Timestamp>,
}

/// A session in a list, with its place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedSession {
    pub row: i64,
    pub session: SessionRow,
    pub ticket: Option<Ticket>,
}

/// What an entry is and when it was made, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryMark {
    pub id: i64,
    pub at: Option<Timestamp>,
    pub kind: Stored<EntryKind>,
    pub call: Option<String>,
    pub tool: Option<String>,
    /// Of a command: its beginning.
    pub command: Option<String>,
    pub exit_code: Option<i32>,
    /// Of a claim: how it stands.
    pub claim: Option<Stored<VerifyState>>,
    /// The first of it, for people.
    pub text: String,
}

/// Throughput and latency of a cluster at one moment. None: not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub at: Timestamp,
    pub ops_per_s: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl Engine {
    pub(crate) fn running_sessions(
        &self,
        cluster_id: Option<&SystemId>,
    ) -> Result<Vec<RunningSession>> {
        let rows: Vec<(SessionRow, Option<String>)> = self
            .conn
            .prepare_cached(
                "SELECT * FROM agent_sessions WHERE status = 'running'
                   AND (?1 IS NULL OR cluster_id IS NULL OR cluster_id = ?1) ORDER BY id LIMIT 50",
            )?
            .query_map([cluster_id.map(SystemId::as_str)], |r| {
                Ok((session_from_row(r)?, r.get("holder")?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        rows.into_iter()
            // One whose agent is gone does not run, whatever is written.
            .filter(|(session, _)| session.status == SessionStatus::Running)
            .map(|(session, holder)| {
                Ok(RunningSession {
                    ticket: self.ticket_of(&session)?,
                    pid: holder.and_then(|h| h.split('/').nth(1)?.parse().ok()),
                    proposal: self.waiting_proposal(&session.session_id)?,
                    session,
                })
            })
            .collect()
    }

    pub(crate) fn waiting_proposal(&self, session: &str) -> Result<Option<WaitingProposal>> {
        let last = self.entries_before(session, i64::MAX, 1)?;
        let Some(asked) = last.last().filter(|e| e.entry_type == EntryKind::Proposal) else {
            return Ok(None);
        };
        // Nobody may decide about a call of which nothing is known.
        let Some(id) = &asked.call_id else {
            return Ok(None);
        };
        let of_call = self.entries_of_call(session, id)?;
        let called = |e: &&EntryRow| e.entry_type == EntryKind::ToolCall;
        let Some(call) = of_call.first().filter(called) else {
            return Ok(None);
        };
        Ok(Some(WaitingProposal {
            call: id.clone(),
            tool: call.tool().to_owned(),
            input: call.input().to_owned(),
            reasoning: call.reasoning().to_owned(),
            why: asked.content.clone(),
            since: asked.at,
        }))
    }

    fn ticket_of(&self, session: &SessionRow) -> Result<Option<Ticket>> {
        session.ticket_id.map_or(Ok(None), |id| self.ticket(id))
    }

    pub(crate) fn session_list(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ListedSession>> {
        let rows: Vec<(SessionRow, i64)> = self
            .conn
            .prepare_cached(
                "SELECT * FROM agent_sessions
                 WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
            )?
            .query_map(params![before, to_i64(limit)], |r| {
                Ok((session_from_row(r)?, r.get("id")?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        rows.into_iter()
            .map(|(session, row)| {
                Ok(ListedSession {
                    row,
                    ticket: self.ticket_of(&session)?,
                    session,
                })
            })
            .collect()
    }

    pub(crate) fn entries_before(
        &self,
        session: &str,
        before: i64,
        limit: usize,
    ) -> Result<Vec<EntryRow>> {
        let mut rows: Vec<EntryRow> = self
            .conn
            .prepare_cached(
                "SELECT * FROM agent_log_entries
                 WHERE session_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
            )?
            .query_map(params![session, before, to_i64(limit)], entry_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        rows.reverse();
        Ok(rows)
    }

    pub(crate) fn entries_of_call(&self, session: &str, call: &str) -> Result<Vec<EntryRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT * FROM agent_log_entries
                 WHERE session_id = ?1 AND call_id = ?2
                   AND entry_type IN ('tool_call', 'tool_result') ORDER BY id LIMIT 2",
            )?
            .query_map([session, call], entry_from_row)?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn entry_span(&self, session: &str) -> Result<Option<(i64, i64)>> {
        let (first, last): (Option<i64>, Option<i64>) = self
            .conn
            .prepare_cached("SELECT min(id), max(id) FROM agent_log_entries WHERE session_id = ?1")?
            .query_row([session], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(first.zip(last))
    }

    pub(crate) fn entry_marks(&self, session: &str, limit: usize) -> Result<Vec<EntryMark>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT id, timestamp, entry_type, call_id, tool_name, exit_code,
                   substr(content, 1, 200) AS beginning,
                   CASE WHEN entry_type = 'tool_call' AND json_valid(tool_params)
                     THEN substr(CAST(tool_params ->> 'command' AS TEXT), 1, 1000) END AS command,
                   CASE WHEN entry_type = 'verify' AND json_valid(meta)
                     THEN CAST(meta ->> 'state' AS TEXT) END AS claim
                 FROM agent_log_entries WHERE session_id = ?1 ORDER BY id LIMIT ?2",
            )?
            .query_map(params![session, to_i64(limit)], |r| {
                Ok(EntryMark {
                    id: r.get("id")?,
                    at: parse_time(&r.get::<_, String>("timestamp")?),
                    kind: r.get("entry_type")?,
                    call: r.get("call_id")?,
                    tool: r.get("tool_name")?,
                    command: r.get("command")?,
                    exit_code: r.get("exit_code")?,
                    claim: r.get("claim")?,
                    text: r.get("beginning")?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn output_after(
        &self,
        session: &str,
        call: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, OutputChunk)>> {
        self.output_rows("AND id > ?3 ORDER BY id", session, call, after, limit)
    }

    pub(crate) fn output_tail(
        &self,
        session: &str,
        call: &str,
        limit: usize,
    ) -> Result<Vec<(i64, OutputChunk)>> {
        let mut rows = self.output_rows("AND id > ?3 ORDER BY id DESC", session, call, 0, limit)?;
        rows.reverse();
        Ok(rows)
    }

    fn output_rows(
        &self,
        which: &str,
        session: &str,
        call: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, OutputChunk)>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT id, call_id, seq, stream, text, at FROM session_output
                 WHERE session_id = ?1 AND call_id = ?2 {which} LIMIT ?4"
            ))?
            .query_map(params![session, call, after, to_i64(limit)], chunk_from_row)?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn output_between(
        &self,
        session: &str,
        call: &str,
        after: Timestamp,
        upto: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutputChunk>> {
        let mut rows: Vec<(i64, OutputChunk)> = self
            .conn
            .prepare_cached(
                "SELECT id, call_id, seq, stream, text, at FROM session_output
                 WHERE session_id = ?1 AND call_id = ?2 AND at > ?3 AND at <= ?4
                 ORDER BY id DESC LIMIT ?5",
            )?
            .query_map(
                params![
                    session,
                    call,
                    clock::text(after),
                    clock::text(upto),
                    to_i64(limit)
                ],
                chunk_from_row,
            )?
            .collect::<rusqlite::Result<_>>()?;
        rows.reverse();
        Ok(rows.into_iter().map(|(_, chunk)| chunk).collect())
    }

    pub(crate) fn output_size(&self, session: &str, call: &str) -> Result<(u64, u64)> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT coalesce(sum(length(CAST(text AS BLOB))), 0), count(*) FROM session_output
                 WHERE session_id = ?1 AND call_id = ?2",
            )?
            .query_row([session, call], |r| Ok((r.get(0)?, r.get(1)?)))?)
    }

    pub(crate) fn tickets_between(
        &self,
        cluster_id: Option<&SystemId>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Ticket>> {
        Ok(tickets::select(
            &self.conn,
            "WHERE (?1 IS NULL OR cluster_id IS NULL OR cluster_id = ?1)
               AND first_seen_at <= ?3 AND (resolved_at IS NULL OR resolved_at >= ?2)
             ORDER BY id LIMIT 200",
            params![
                cluster_id.map(SystemId::as_str),
                clock::text(from),
                clock::text(to)
            ],
        )?)
    }

    pub(crate) fn samples_upto(
        &self,
        cluster_id: &SystemId,
        upto: Timestamp,
        limit: usize,
    ) -> Result<Vec<Sample>> {
        let mut rows: Vec<Sample> = self
            .conn
            .prepare_cached(
                "SELECT id, at, snapshot FROM samples WHERE cluster_id = ?1 AND at <= ?2
                 ORDER BY at DESC, id DESC LIMIT ?3",
            )?
            .query_map(
                params![cluster_id.as_str(), clock::text(upto), to_i64(limit)],
                samples::from_row,
            )?
            .collect::<rusqlite::Result<_>>()?;
        rows.reverse();
        Ok(rows)
    }

    pub(crate) fn measured(
        &self,
        cluster_id: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Measured>> {
        let rows: Vec<Option<Measured>> = self
            .conn
            .prepare_cached(
                "SELECT at, json_extract(snapshot, '$.traffic.value.ops_per_s'),
                   json_extract(snapshot, '$.traffic.value.p99_ms') FROM samples
                 WHERE cluster_id = ?1 AND at >= ?2 AND at <= ?3 AND json_valid(snapshot)
                 ORDER BY at, id",
            )?
            .query_map(
                params![cluster_id.as_str(), clock::text(from), clock::text(to)],
                |r| {
                    let at = parse_time(&r.get::<_, String>(0)?);
                    let (ops_per_s, p99_ms) = (r.get(1)?, r.get(2)?);
                    Ok(at.map(|at| Measured {
                        at,
                        ops_per_s,
                        p99_ms,
                    }))
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows.into_iter().flatten().collect())
    }
}

fn chunk_from_row(r: &Row<'_>) -> rusqlite::Result<(i64, OutputChunk)> {
    let at: String = r.get(5)?;
    let chunk = OutputChunk {
        call: r.get(1)?,
        seq: r.get(2)?,
        stream: r
            .get::<_, Stored<Stream>>(3)?
            .known()
            .unwrap_or(Stream::Stdout),
        text: r.get(4)?,
        at: parse_time(&at).unwrap_or_default(),
    };
    Ok((r.get(0)?, chunk))
}

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
