//! What agents spend: on an incident, summed over its sessions, and in a day, reserved before it is
//! spent, so that agents at work side by side never pass a cap together.
//!
//! A reservation that was never settled, because its agent died, counts in full.

use crate::{
    Lease, claim, clock,
    engine::{Engine, Result},
    usage::Spent,
};
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use std::time::Duration;

/// Dollars set aside for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation(i64);

/// What was spent on the side of a session's turns.
#[derive(Debug, Clone)]
pub struct SideCost {
    /// `summary` or `web_search`.
    pub what: &'static str,
    pub model: String,
    pub tokens: u64,
    pub usd: f64,
}

/// One row of `spending`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Payment {
    /// Day, UTC.
    pub day: String,
    /// `turn`, `summary` or `web_search`.
    pub what: String,
    /// Of what is no turn; a turn's is in its usage entry.
    pub model: Option<String>,
    pub tokens: Option<u64>,
    pub usd: f64,
    /// False: set aside, and nobody knows how much of it was needed.
    pub settled: bool,
}

impl Engine {
    pub(crate) fn spent_on_incident(
        &self,
        incident: i64,
        running: Option<(&str, Duration)>,
    ) -> Result<Spent> {
        let (session, lasts) = running.unwrap_or_default();
        let (turns, tokens, usd, ms): (u64, u64, f64, i64) = self
            .conn
            .prepare_cached(
                "SELECT coalesce(sum(turns), 0),
                   coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
                     + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)), 0),
                   total(cost_usd) + total((SELECT total(usd) FROM spending p
                     WHERE p.session_id = s.session_id AND p.settled = 0)),
                   coalesce(sum(CASE WHEN session_id = ?2 THEN 0 ELSE worked_ms END), 0)
                 FROM agent_sessions s WHERE incident_id = ?1
                   AND id > (SELECT budget_from FROM incidents WHERE id = ?1)",
            )?
            .query_row(params![incident, session], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
            })?;
        Ok(Spent {
            turns,
            tokens,
            usd,
            wall: Duration::from_millis(u64::try_from(ms).unwrap_or(0)) + lasts,
        })
    }

    pub(crate) fn spent_today(&self) -> Result<f64> {
        spent_on(&self.conn, &clock::today())
    }

    pub(crate) fn payments(&self, session: &str) -> Result<Vec<Payment>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT day, what, model, tokens, usd, settled FROM spending
                 WHERE session_id = ?1 ORDER BY id",
            )?
            .query_map([session], |r| {
                Ok(Payment {
                    day: r.get(0)?,
                    what: r.get(1)?,
                    model: r.get(2)?,
                    tokens: r.get(3)?,
                    usd: r.get(4)?,
                    settled: r.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn reserve(
        &mut self,
        lease: &Lease,
        session: &str,
        usd: f64,
        cap: f64,
    ) -> Result<Option<Reservation>> {
        let day = clock::today();
        self.write(|tx| {
            claim::hold(tx, lease)?;
            if spent_on(tx, &day)? + usd > cap {
                return Ok(None);
            }
            tx.prepare_cached("INSERT INTO spending (day, session_id, usd) VALUES (?1, ?2, ?3)")?
                .execute(params![day, session, usd])?;
            Ok(Some(Reservation(tx.last_insert_rowid())))
        })
    }

    pub(crate) fn settle_beside(
        &mut self,
        reservation: Reservation,
        session: &str,
        paid: &SideCost,
    ) -> Result<()> {
        let day = clock::today();
        self.write(|tx| {
            tx.execute("DELETE FROM spending WHERE id = ?1", [reservation.0])?;
            spend_beside(tx, session, paid, &day)
        })
    }
}

pub(crate) fn settle(tx: &Transaction<'_>, reservation: Reservation, usd: f64) -> Result<()> {
    tx.prepare_cached("UPDATE spending SET usd = ?2, settled = 1 WHERE id = ?1")?
        .execute(params![reservation.0, usd])?;
    Ok(())
}

/// The session's cost grows by it, unless that is not known.
pub(crate) fn spend_beside(
    tx: &Transaction<'_>,
    session: &str,
    paid: &SideCost,
    day: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO spending (day, session_id, usd, settled, what, model, tokens)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)",
        params![day, session, paid.usd, paid.what, paid.model, paid.tokens],
    )?;
    tx.execute(
        "UPDATE agent_sessions SET side_usd = side_usd + ?2, cost_usd = cost_usd + ?2
         WHERE session_id = ?1",
        params![session, paid.usd],
    )?;
    Ok(())
}

/// A clock that went back does not open a new budget: later days count too.
fn spent_on(conn: &Connection, day: &str) -> Result<f64> {
    Ok(conn
        .prepare_cached("SELECT total(usd) FROM spending WHERE day >= ?1")?
        .query_row([day], |r| r.get(0))?)
}
