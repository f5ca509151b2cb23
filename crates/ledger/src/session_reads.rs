//! Reading sessions, their entries and the output of their commands.

use crate::{
    EntryMeta, EntryRow, Ledger, LedgerError, OutputChunk, Result, SessionRow, UsageTotals, chain,
    clock::parse_time,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) fn session_from_row(r: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        session_id: r.get("session_id")?,
        ticket_id: r.get("ticket_id")?,
        status: r.get("status")?,
        started_at: time(r, "started_at")?,
        ended_at: time(r, "ended_at")?,
        outcome_summary: r.get("outcome_summary")?,
        model: r.get("model")?,
        mode: r.get("mode")?,
        cluster_id: r.get("cluster_id")?,
        resolution: r.get("resolution")?,
        head_hash: r.get("head_hash")?,
        usage: UsageTotals {
            input: r.get("input_tokens")?,
            output: r.get("output_tokens")?,
            cache_read: r.get("cache_read_tokens")?,
            cache_write: r.get("cache_write_tokens")?,
            cost_usd: r.get("cost_usd")?,
            turns: r.get("turns")?,
        },
    })
}

pub(super) fn entry_from_row(r: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let text = |column: &str| r.get::<_, Option<String>>(column);
    Ok(EntryRow {
        id: r.get("id")?,
        session_id: r.get("session_id")?,
        entry_type: r.get("entry_type")?,
        content: r.get("content")?,
        raw_content: r.get("raw_content")?,
        tool_name: r.get("tool_name")?,
        tool_params: text("tool_params")?.and_then(|s| serde_json::from_str(&s).ok()),
        call_id: r.get("call_id")?,
        exit_code: r.get("exit_code")?,
        duration_ms: r.get("duration_ms")?,
        timed_out: r.get::<_, Option<bool>>("timed_out")?.unwrap_or(false),
        omitted_bytes: r.get::<_, Option<u64>>("omitted_bytes")?.unwrap_or(0),
        meta: text("meta")?.as_deref().and_then(EntryMeta::read),
        at: time(r, "timestamp")?,
        hash: r.get("hash")?,
    })
}

fn time(r: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = r.get(column)?;
    Ok(text.as_deref().and_then(parse_time))
}

impl Ledger {
    pub fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        Ok(self
            .conn
            .prepare_cached("SELECT * FROM agent_sessions WHERE session_id = ?1")?
            .query_row([id], session_from_row)
            .optional()?)
    }

    /// The newest `limit` sessions, newest first.
    pub fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached("SELECT * FROM agent_sessions ORDER BY id DESC LIMIT ?1")?
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Sessions on one ticket, oldest first.
    pub fn sessions_of_ticket(&self, ticket: i64) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached("SELECT * FROM agent_sessions WHERE ticket_id = ?1 ORDER BY id")?
            .query_map([ticket], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Entries of a session after entry `after` (0: from the first), oldest first.
    pub fn entries(&self, session: &str, after: i64, limit: usize) -> Result<Vec<EntryRow>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT * FROM agent_log_entries
                 WHERE session_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(
                params![session, after, i64::try_from(limit).unwrap_or(i64::MAX)],
                entry_from_row,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Stored output of one call, in order, up to `limit` chunks.
    pub fn output(&self, session: &str, call: &str, limit: usize) -> Result<Vec<OutputChunk>> {
        let rows = self.output_after(session, call, 0, limit)?;
        Ok(rows.into_iter().map(|(_, chunk)| chunk).collect())
    }

    /// Stored output of the call that `result` ended, in order, up to `limit` chunks. Some servers
    /// use the id of a call again; then only its own part is meant.
    pub fn output_of(&self, result: &EntryRow, limit: usize) -> Result<Vec<OutputChunk>> {
        let call = result.call_id.as_deref().unwrap_or_default();
        let chunks = self.output(&result.session_id, call, limit)?;
        let meta = result.meta.as_ref();
        Ok(
            match meta.map_or((None, None), |m| (m.output_from, m.output_to)) {
                (Some(from), Some(to)) => chunks
                    .into_iter()
                    .filter(|c| (from..to).contains(&c.seq))
                    .collect(),
                _ => chunks,
            },
        )
    }

    /// The session an unambiguous beginning of its id names.
    pub fn find_session(&self, prefix: &str) -> Result<String> {
        let found: Vec<String> = self
            .conn
            .prepare_cached(
                "SELECT session_id FROM agent_sessions
                 WHERE session_id BETWEEN ?1 AND ?1 || char(1114111)
                 ORDER BY session_id LIMIT 2",
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
