//! Taking away what is long over. What is unresolved stays, with everything about it; and what goes
//! is written into the chain first: which sessions, with the heads of their chains, and which rows.

use crate::{
    SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
    ledger_chain::{self, Link, Pruned},
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// What is kept before a ticket that is not resolved.
const BEFORE_A_TICKET: SignedDuration = SignedDuration::from_mins(10);

/// What a prune took away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    pub tickets: usize,
    pub sessions: usize,
    /// Rows of all tables.
    pub rows: usize,
}

impl Engine {
    pub(crate) fn prune(&mut self, before: &Timestamp, by: &str) -> Result<PruneReport> {
        let before = *before;
        self.write(|tx| {
            let tickets = over(
                tx,
                "SELECT t.id, i.ended_at FROM tickets t JOIN incidents i ON i.id = t.incident_id
                 WHERE NOT EXISTS (SELECT 1 FROM agent_sessions s
                     WHERE s.incident_id = i.id AND s.status = 'running')
                   AND NOT EXISTS (SELECT 1 FROM verifications v
                     WHERE v.incident_id = i.id AND v.state = 'waiting')",
                before,
            )?;
            let incidents = over(
                tx,
                "SELECT id, ended_at FROM incidents i
                 WHERE NOT EXISTS (SELECT 1 FROM agent_sessions s
                     WHERE s.incident_id = i.id AND s.status = 'running')
                   AND NOT EXISTS (SELECT 1 FROM verifications v
                     WHERE v.incident_id = i.id AND v.state = 'waiting')",
                before,
            )?;
            let loose = over(
                tx,
                "SELECT id, ended_at FROM agent_sessions
                 WHERE status != 'running' AND ticket_id IS NULL",
                before,
            )?;
            let mut taken = Taken::default();
            let mut sessions = Vec::new();
            for (of, column) in [(&tickets, "ticket_id"), (&loose, "id")] {
                let mut rows = tx.prepare(&format!(
                    "SELECT session_id, head_hash FROM agent_sessions WHERE {column} = ?1"
                ))?;
                for id in of {
                    let found = rows.query_map([id], |r| Ok((r.get(0)?, r.get(1)?)))?;
                    sessions.extend(found.collect::<rusqlite::Result<Vec<(String, _)>>>()?);
                }
            }
            for (session, _) in &sessions {
                taken.of(tx, "agent_log_entries", "session_id", session)?;
                taken.of(tx, "commands", "session_id", session)?;
                taken.of(tx, "finishes", "session_id", session)?;
                taken.of(tx, "agent_sessions", "session_id", session)?;
                taken.others(tx, "session_output", "session_id = ?1", params![session])?;
                // One that runs on is still a person's to end.
                let ended = "session_id = ?1 AND id IN (SELECT service_id FROM service_ends)";
                taken.others(tx, "services", ended, params![session])?;
                let day = clock::today();
                taken.others(
                    tx,
                    "spending",
                    "session_id = ?1 AND day < ?2",
                    params![session, day],
                )?;
            }
            for ticket in &tickets {
                taken.of(tx, "ticket_events", "ticket_id", ticket)?;
                taken.of(tx, "verifications", "ticket_id", ticket)?;
                taken.of(tx, "tickets", "id", ticket)?;
            }
            for incident in &incidents {
                for (table, ends, column) in [
                    ("holds", "hold_ends", "hold_id"),
                    ("orders", "order_ends", "order_id"),
                ] {
                    let mut rows =
                        tx.prepare(&format!("SELECT id FROM {table} WHERE incident_id = ?1"))?;
                    let rows = rows
                        .query_map([incident], |r| r.get(0))?
                        .collect::<rusqlite::Result<Vec<i64>>>()?;
                    for row in rows {
                        taken.of(tx, ends, column, &row)?;
                        taken.of(tx, table, "id", &row)?;
                    }
                }
                taken.of(tx, "incident_events", "incident_id", incident)?;
                taken.of(tx, "verdicts", "incident_id", incident)?;
                taken.others(tx, "incidents", "id = ?1", params![incident])?;
            }
            for (system, until) in systems(tx, before)? {
                let (system, until) = (system.as_str().to_owned(), clock::text(until));
                taken.others(
                    tx,
                    "samples",
                    "cluster_id = ?1 AND at < ?2",
                    params![system, until],
                )?;
                for table in ["faults", "observed_changes"] {
                    let mut rows = tx.prepare(&format!(
                        "SELECT id FROM {table} WHERE cluster_id = ?1 AND at < ?2"
                    ))?;
                    let rows = rows
                        .query_map(params![system, until], |r| r.get(0))?
                        .collect::<rusqlite::Result<Vec<i64>>>()?;
                    for row in rows {
                        taken.of(tx, table, "id", &row)?;
                    }
                }
                taken.others(
                    tx,
                    "alerts",
                    "cluster_id = ?1 AND last_at < ?2 AND state != 'firing' AND NOT EXISTS (
                       SELECT 1 FROM tickets t WHERE t.cluster_id = ?1 AND t.status != 'resolved')",
                    params![system, until],
                )?;
            }
            let report = PruneReport {
                tickets: tickets.len(),
                sessions: sessions.len(),
                rows: taken.rows.values().map(Vec::len).sum::<usize>()
                    + taken.others.values().sum::<usize>(),
            };
            if report.rows > 0 {
                let pruned = taken.pruned(before, sessions);
                ledger_chain::link(tx, Link::Prune, by, &json!(pruned))?;
            }
            Ok(report)
        })
    }
}

/// Rows with the time of their end, of which those that ended before another.
fn over(tx: &Transaction<'_>, sql: &str, before: Timestamp) -> rusqlite::Result<Vec<i64>> {
    let mut rows = tx.prepare(sql)?;
    let rows = rows
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, Option<String>)>>>()?;
    // What does not say when it ended stays.
    let ended = |at: &Option<String>| {
        at.as_deref()
            .and_then(parse_time)
            .is_some_and(|at| at < before)
    };
    Ok(rows
        .into_iter()
        .filter(|(_, at)| ended(at))
        .map(|(id, _)| id)
        .collect())
}

/// Systems, and up to when what was seen of them may go.
fn systems(
    tx: &Transaction<'_>,
    before: Timestamp,
) -> rusqlite::Result<Vec<(SystemId, Timestamp)>> {
    let mut systems = tx.prepare(
        "SELECT cluster_id FROM samples UNION SELECT cluster_id FROM faults
         UNION SELECT cluster_id FROM observed_changes UNION SELECT cluster_id FROM alerts",
    )?;
    let systems = systems
        .query_map([], |r| r.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let mut live = tx.prepare(
        "SELECT first_seen_at FROM tickets WHERE status != 'resolved'
           AND (cluster_id = ?1 OR cluster_id IS NULL)",
    )?;
    let mut out = Vec::new();
    for system in systems {
        let seen = live
            .query_map([&system], |r| r.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        let first = seen.iter().filter_map(|at| parse_time(at)).min();
        let needed = first.and_then(|at| at.checked_sub(BEFORE_A_TICKET).ok());
        out.push((
            SystemId::new(system),
            needed.map_or(before, |at| at.min(before)),
        ));
    }
    Ok(out)
}

#[derive(Default)]
struct Taken {
    rows: BTreeMap<&'static str, Vec<i64>>,
    others: BTreeMap<&'static str, usize>,
}

impl Taken {
    /// Takes away the rows of a numbered table whose `column` is `value`.
    fn of(
        &mut self,
        tx: &Transaction<'_>,
        table: &'static str,
        column: &str,
        value: &dyn rusqlite::ToSql,
    ) -> rusqlite::Result<()> {
        let mut delete = tx.prepare_cached(&format!(
            "DELETE FROM {table} WHERE {column} = ?1 RETURNING id"
        ))?;
        let ids = delete
            .query_map([value], |r| r.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        self.rows.entry(table).or_default().extend(ids);
        Ok(())
    }

    fn others(
        &mut self,
        tx: &Transaction<'_>,
        table: &'static str,
        which: &str,
        values: impl rusqlite::Params,
    ) -> rusqlite::Result<()> {
        let gone = tx
            .prepare_cached(&format!("DELETE FROM {table} WHERE {which}"))?
            .execute(values)?;
        *self.others.entry(table).or_default() += gone;
        Ok(())
    }

    fn pruned(self, before: Timestamp, sessions: Vec<(String, Option<String>)>) -> Pruned {
        let named = |(table, ids): (&str, Vec<i64>)| (table.to_owned(), ranges(ids));
        let counted = |(table, count): (&str, usize)| (table.to_owned(), count);
        Pruned {
            before: clock::text(before),
            sessions: sessions.into_iter().collect(),
            tables: self.rows.into_iter().map(named).collect(),
            others: self.others.into_iter().map(counted).collect(),
        }
    }
}

/// Rows as ranges, first and last.
fn ranges(mut ids: Vec<i64>) -> Vec<(i64, i64)> {
    ids.sort_unstable();
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}
