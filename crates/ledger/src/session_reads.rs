//! Reading sessions, their entries and the output of their commands.

use crate::{
    EntryMeta, EntryRow, Holder, LedgerError, OutputChunk, SessionRow, SessionStatus, Stored,
    SystemId, UsageTotals,
    clock::parse_time,
    engine::{Engine, Result},
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

pub(crate) fn session_from_row(r: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let mut session = as_written(r)?;
    // The next who claims its ticket, or a monitor, will write that down; nobody has to wait for it.
    let holder: Option<String> = r.get("holder")?;
    if session.status == SessionStatus::Running && holder.as_deref().is_some_and(Holder::is_gone) {
        session.status = Stored::Known(SessionStatus::Failed);
        let worked: Option<i64> = r.get("worked_ms")?;
        let worked = SignedDuration::from_millis(worked.unwrap_or(0));
        session.ended_at = session
            .started_at
            .and_then(|at| at.checked_add(worked).ok());
        let summary = &mut session.outcome_summary;
        summary.get_or_insert_with(|| "its agent died".to_owned());
    }
    Ok(session)
}

fn as_written(r: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        session_id: r.get("session_id")?,
        ticket_id: r.get("ticket_id")?,
        incident_id: r.get("incident_id")?,
        status: r.get("status")?,
        started_at: time(r, "started_at")?,
        ended_at: time(r, "ended_at")?,
        outcome_summary: r.get("outcome_summary")?,
        model: r.get("model")?,
        mode: r.get("mode")?,
        cluster_id: r.get::<_, Option<String>>("cluster_id")?.map(SystemId::new),
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

pub(crate) fn entry_from_row(r: &Row<'_>) -> rusqlite::Result<EntryRow> {
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
        effect: r.get("effect")?,
        original_hash: r.get("original_hash")?,
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

impl Engine {
    pub(crate) fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        Ok(self
            .conn
            .prepare_cached("SELECT * FROM agent_sessions WHERE session_id = ?1")?
            .query_row([id], session_from_row)
            .optional()?)
    }

    pub(crate) fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached("SELECT * FROM agent_sessions ORDER BY id DESC LIMIT ?1")?
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    pub(crate) fn sessions_of_ticket(&self, ticket: i64) -> Result<Vec<SessionRow>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT * FROM agent_sessions
                 WHERE incident_id = (SELECT incident_id FROM tickets WHERE id = ?1) ORDER BY id",
            )?
            .query_map([ticket], session_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    pub(crate) fn entries(&self, session: &str, after: i64, limit: usize) -> Result<Vec<EntryRow>> {
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

    pub(crate) fn has_original_hashes(&self) -> Result<bool> {
        let any = "SELECT 1 FROM agent_log_entries WHERE original_hash IS NOT NULL";
        Ok(self.conn.prepare_cached(any)?.exists([])?)
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
