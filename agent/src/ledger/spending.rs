//! What agents spend: on a ticket, summed over its sessions, and in a day, reserved before it is
//! spent, so that agents at work side by side never pass a cap together.
//!
//! A reservation that was never settled, because its agent died, counts in full.

use super::{Lease, Ledger, Result, claim, clock};
use crate::budget::Spent;
use rusqlite::{Connection, Transaction, params};
use std::time::Duration;

/// Dollars set aside for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation(i64);

impl Ledger {
    /// What was spent on a ticket since it was opened, or opened again. `running`: how long the
    /// session that is not over lasts already.
    pub fn spent_on_ticket(&self, ticket: i64, running: Duration) -> Result<Spent> {
        let (turns, tokens, usd, seconds): (u64, u64, f64, f64) = self
            .conn
            .prepare_cached(
                "SELECT coalesce(sum(turns), 0),
                   coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
                     + coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0)), 0),
                   total(cost_usd),
                   total(max(0, julianday(ended_at) - julianday(started_at))) * 86400
                 FROM agent_sessions WHERE ticket_id = ?1
                   AND id > (SELECT budget_from FROM tickets WHERE id = ?1)",
            )?
            .query_row([ticket], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
            })?;
        let earlier = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(Spent {
            turns,
            tokens,
            usd,
            wall: earlier + running,
        })
    }

    /// US dollars spent or set aside today, UTC, by all agents of this ledger.
    pub fn spent_today(&self) -> Result<f64> {
        spent_on(&self.conn, &clock::today())
    }

    /// Sets `usd` aside for the next request of a session. None: with it the day would cost more
    /// than `cap`.
    pub fn reserve(
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

    /// Replaces a reservation by what was really spent on the side of a session's turns: by a
    /// search, or by a turn that did not come.
    pub fn settle_beside(
        &mut self,
        reservation: Reservation,
        session: &str,
        usd: f64,
    ) -> Result<()> {
        let day = clock::today();
        self.write(|tx| {
            settle(tx, reservation, 0.0)?;
            spend_beside(tx, session, usd, &day)
        })
    }
}

pub(super) fn settle(tx: &Transaction<'_>, reservation: Reservation, usd: f64) -> Result<()> {
    tx.prepare_cached("UPDATE spending SET usd = ?2, settled = 1 WHERE id = ?1")?
        .execute(params![reservation.0, usd])?;
    Ok(())
}

pub(super) fn spend_beside(tx: &Transaction<'_>, session: &str, usd: f64, day: &str) -> Result<()> {
    if usd <= 0.0 {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO spending (day, session_id, usd, settled) VALUES (?1, ?2, ?3, 1)",
        params![day, session, usd],
    )?;
    tx.execute(
        "UPDATE agent_sessions SET side_usd = side_usd + ?2,
           cost_usd = coalesce(cost_usd, 0) + ?2 WHERE session_id = ?1",
        params![session, usd],
    )?;
    Ok(())
}

/// A clock that went back does not open a new budget: later days count too.
fn spent_on(conn: &Connection, day: &str) -> Result<f64> {
    Ok(conn
        .prepare_cached("SELECT total(usd) FROM spending WHERE day >= ?1")?
        .query_row([day], |r| r.get(0))?)
}
