//! Reading sessions, their entries and the output of their commands.

use crate::{
    EntryRow, LedgerError, OutputChunk, SessionRow, SystemId, UsageTotals,
    clock::parse_time,
    engine::{Engine, Result},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

pub(crate) const SESSION_COLUMNS: &str = "session_id, ticket_id, status, started_at, ended_at, outcome_summary, \
    model, mode, cluster_id, resolution, head_hash, input_tokens, output_tokens, \
    cache_read_tokens, cache_write_tokens, cost_usd, turns";

pub(crate) fn session_from_row(r: &Row<'_>) -> rusqlite::Result<SessionRow> {
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
        cluster_id: r.get::<_, Option<String>>(8)?.map(SystemId::new),
        resolution: r.get(9)?,
        head_hash: r.get(10)?,
        usage: UsageTotals {
            input: r.get(11)?,
            output: r.get(12)?,
            cache_read: r.get(13)?,
            cache_write: r.get(14)?,
            cost_usd: r.get(15)?,
            turns: r.get(16)?,
        },
    })
}

pub(crate) const ENTRY_COLUMNS: &str = "id, session_id, entry_type, content, raw_content, tool_name, \
    tool_params, call_id, exit_code, duration_ms, timed_out, omitted_bytes, meta, timestamp, hash";

pub(crate) fn entry_from_row(r: &Row<'_>) -> rusqlite::Result<EntryRow> {
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

impl Engine {
    pub(crate) fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS} FROM agent_sessions WHERE session_id = ?1"
            ))?
            .query_row([id], session_from_row)
            .optional()?)
    }

    pub(crate) fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS} FROM agent_sessions ORDER BY id DESC LIMIT ?1"
            ))?
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    pub(crate) fn sessions_of_ticket(&self, ticket: i64) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS} FROM agent_sessions WHERE ticket_id = ?1 ORDER BY id"
            ))?
            .query_map([ticket], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    pub(crate) fn entries(&self, session: &str, after: i64, limit: usize) -> Result<Vec<EntryRow>> {
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

    pub(crate) fn output(
        &self,
        session: &str,
        call: &str,
        limit: usize,
    ) -> Result<Vec<OutputChunk>> {
        let rows = self.output_after(session, call, 0, limit)?;
        Ok(rows.into_iter().map(|(_, chunk)| chunk).collect())
    }

    pub(crate) fn output_of(&self, result: &EntryRow, limit: usize) -> Result<Vec<OutputChunk>> {
        let part = |name: &str| result.meta.as_ref()?.get(name)?.as_u64();
        let call = result.call_id.as_deref().unwrap_or_default();
        let chunks = self.output(&result.session_id, call, limit)?;
        Ok(match (part("output_from"), part("output_to")) {
            (Some(from), Some(to)) => chunks
                .into_iter()
                .filter(|c| (from..to).contains(&c.seq))
                .collect(),
            _ => chunks,
        })
    }

    pub(crate) fn find_session(&self, prefix: &str) -> Result<String> {
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
            [] => Err(LedgerError::NoSession(prefix.to_owned()).into()),
            _ if found.iter().any(|f| f == prefix) => Ok(prefix.to_owned()),
            _ => Err(
                LedgerError::Refused(format!("more than one session begins with {prefix}")).into(),
            ),
        }
    }
}
