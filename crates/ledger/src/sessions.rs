//! Sessions of an agent and their entries: the record of what was thought, run and seen.
//!
//! Entries are append-only and linked by [`super::chain`]. Output of commands is kept apart, in
//! chunks that are written behind the work.

use crate::{
    EntryKind, EntryMeta, Holder, Lease, NewEntry, Reservation, Resolution, SideCost, Stopwatch,
    Stored, SystemId, chain, claim, clock,
    engine::{Engine, Result},
    entries,
    event::{Mode, Outcome, Stream},
    ledger_chain, spending,
    stored::words,
    usage::Usage,
};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use strum::{EnumIter, EnumString, IntoStaticStr};

#[derive(Debug, Clone)]
pub struct NewSession {
    pub lease: Lease,
    /// The ticket of the incident that it begins with.
    pub ticket: i64,
    /// `rehearsal` or a model id.
    pub model: String,
    pub mode: Mode,
    pub cluster_id: Option<SystemId>,
    pub holder: Holder,
}

/// An open session: its id, the lease it works under and the head of its chain. Clones are of the
/// same session.
#[derive(Debug, Clone)]
pub struct SessionWriter {
    pub id: String,
    pub lease: Lease,
    /// The ticket it began with.
    pub ticket: i64,
    /// Changed by the engine alone, when the row it is the hash of is durable.
    head: Arc<Mutex<String>>,
    began: Stopwatch,
}

impl SessionWriter {
    pub(crate) fn head(&self) -> MutexGuard<'_, String> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a session is, or ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SessionStatus {
    Running,
    Resolved,
    Escalated,
    Failed,
    Interrupted,
    /// Nothing was wrong, and the ticket was left to the monitor.
    Released,
    /// The reference's word for resolved.
    Completed,
}

words!(SessionStatus);

impl SessionStatus {
    /// None: it is not over.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Running => None,
            Self::Resolved | Self::Completed => Some(Outcome::Resolved),
            Self::Escalated => Some(Outcome::Escalated),
            Self::Failed => Some(Outcome::Failed),
            Self::Interrupted => Some(Outcome::Interrupted),
            Self::Released => Some(Outcome::Released),
        }
    }
}

/// One row of `agent_sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    pub session_id: String,
    /// The ticket it began with.
    pub ticket_id: Option<i64>,
    pub incident_id: Option<i64>,
    pub status: Stored<SessionStatus>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub outcome_summary: Option<String>,
    pub model: Option<String>,
    pub mode: Option<Stored<Mode>>,
    pub cluster_id: Option<SystemId>,
    pub resolution: Option<Stored<Resolution>>,
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
    pub turns: Option<u64>,
}

/// What a session has used since it began, as an agent counts it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    pub turns: u64,
    pub usage: Usage,
    /// None: the price is not known.
    pub cost_usd: Option<f64>,
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

impl Engine {
    pub(crate) fn begin_session(&mut self, new: &NewSession) -> Result<SessionWriter> {
        let started = clock::stamp();
        let random = uuid::Uuid::now_v7().simple().to_string();
        let id = format!(
            "{}-{}",
            clock::wall().strftime("%Y-%m-%dT%H-%M-%S"),
            // The first digits of a v7 id are the time; the last are random.
            &random[random.len() - 8..]
        );
        let ticket = new.ticket;
        self.write(|tx| {
            claim::hold(tx, &new.lease)?;
            tx.execute(
                "INSERT INTO agent_sessions (session_id, ticket_id, status, started_at, model, mode,
                   cluster_id, fence, holder, incident_id, created_at)
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?3)",
                params![
                    id,
                    ticket,
                    started,
                    new.model,
                    new.mode,
                    new.cluster_id.as_ref().map(SystemId::as_str),
                    new.lease.fence,
                    new.holder.to_string(),
                    new.lease.incident
                ],
            )?;
            ledger_chain::session_started(tx, &id, ticket, &new.model)?;
            Ok(())
        })?;
        let head = chain::genesis(&id, Some(ticket), &started, Some(&new.model));
        Ok(SessionWriter {
            id,
            lease: new.lease.clone(),
            ticket,
            head: Arc::new(Mutex::new(head)),
            began: Stopwatch::start(),
        })
    }

    pub(crate) fn append(&mut self, session: &SessionWriter, entry: &NewEntry) -> Result<i64> {
        let mut head = session.head();
        let (id, next) = self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            note_time(tx, session)?;
            entries::insert(tx, &session.id, &head, entry)
        })?;
        *head = next;
        Ok(id)
    }

    pub(crate) fn append_output(&mut self, session: &str, chunks: &[OutputChunk]) -> Result<()> {
        self.write(|tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO session_output (session_id, call_id, seq, stream, text, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for c in chunks {
                insert.execute(params![
                    session,
                    c.call,
                    c.seq,
                    c.stream,
                    c.text,
                    clock::text(c.at)
                ])?;
            }
            Ok(())
        })
    }

    pub(crate) fn set_summary(
        &mut self,
        entry: i64,
        session: &str,
        summary: Option<&str>,
        paid: &SideCost,
    ) -> Result<()> {
        let day = clock::today();
        self.write(|tx| {
            if let Some(summary) = summary {
                tx.execute(
                    "UPDATE agent_log_entries SET content = ?2 WHERE id = ?1",
                    params![entry, summary],
                )?;
            }
            spending::spend_beside(tx, session, paid, &day)
        })
    }

    pub(crate) fn record_turn(
        &mut self,
        session: &SessionWriter,
        rows: &[NewEntry],
        totals: Totals,
        paid: Option<(Reservation, f64)>,
    ) -> Result<Vec<i64>> {
        let mut head = session.head();
        let (ids, next) = self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            note_time(tx, session)?;
            let mut ids = Vec::with_capacity(rows.len());
            let mut next = head.clone();
            for entry in rows {
                let (id, hash) = entries::insert(tx, &session.id, &next, entry)?;
                next = hash;
                ids.push(id);
            }
            let usage = &totals.usage;
            tx.prepare_cached(
                "UPDATE agent_sessions SET turns = ?2, input_tokens = ?3, output_tokens = ?4,
                   cache_read_tokens = ?5, cache_write_tokens = ?6, cost_usd = ?7 + side_usd
                 WHERE session_id = ?1",
            )?
            .execute(params![
                session.id,
                totals.turns,
                usage.input,
                usage.output,
                usage.cache_read,
                usage.cache_write,
                totals.cost_usd
            ])?;
            if let Some((reservation, usd)) = paid {
                spending::settle(tx, reservation, usd)?;
            }
            Ok((ids, next))
        })?;
        *head = next;
        Ok(ids)
    }

    pub(crate) fn end_session(
        &mut self,
        session: &SessionWriter,
        outcome: Outcome,
        summary: &str,
    ) -> Result<String> {
        let mut head = session.head();
        let last = self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            note_time(tx, session)?;
            let resolution = resolution(tx, session)?;
            let meta = EntryMeta {
                outcome: Some(Stored::Known(outcome)),
                resolution: Some(resolution.clone()),
                ..EntryMeta::default()
            };
            let entry = NewEntry {
                meta: Some(meta),
                ..NewEntry::new(EntryKind::End, summary)
            };
            let (_, last) = entries::insert(tx, &session.id, &head, &entry)?;
            tx.execute(
                "UPDATE agent_sessions SET status = ?2, ended_at = ?3, outcome_summary = ?4,
                   head_hash = ?5, resolution = ?6 WHERE session_id = ?1",
                params![
                    session.id,
                    outcome,
                    clock::stamp(),
                    summary,
                    last,
                    resolution
                ],
            )?;
            ledger_chain::session_ended(tx, &session.id, outcome.as_str(), &last)?;
            // Nothing is left to do under it; else it is given back, or up, in a moment.
            let worked_on =
                "SELECT 1 FROM tickets WHERE incident_id = ?1 AND status = 'acknowledged'";
            if !tx
                .prepare_cached(worked_on)?
                .exists([session.lease.incident])?
            {
                claim::drop_lease(tx, session.lease.incident)?;
            }
            Ok(last)
        })?;
        head.clone_from(&last);
        Ok(last)
    }
}

/// How what a session worked on ended: its incident, or, where something of it is left, what it claimed.
fn resolution(
    tx: &Connection,
    session: &SessionWriter,
) -> rusqlite::Result<Option<Stored<Resolution>>> {
    tx.prepare_cached(
        "SELECT coalesce(resolution, (SELECT CASE state WHEN 'proven' THEN 'proven'
             WHEN 'external' THEN 'external' END
           FROM verifications WHERE session_id = ?2 ORDER BY id DESC LIMIT 1))
         FROM incidents WHERE id = ?1",
    )?
    .query_row(params![session.lease.incident, session.id], |r| r.get(0))
}

/// How long the session is at work already.
pub(crate) fn note_time(tx: &Connection, session: &SessionWriter) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE agent_sessions SET worked_ms = ?2 WHERE session_id = ?1")?
        .execute(params![session.id, clock::millis(session.began.elapsed())])?;
    Ok(())
}
