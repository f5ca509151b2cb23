//! Changes of a ticket that more than one role makes, and the log of all of them.

use crate::{Resolution, Ticket, clock};
use rusqlite::{Transaction, params};

/// Appends to `ticket_events`.
pub(crate) fn log(
    tx: &Transaction<'_>,
    ticket: i64,
    from: Option<&str>,
    to: &str,
    by: &str,
    why: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO ticket_events (ticket_id, from_status, to_status, by, why, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![ticket, from, to, by, why, clock::stamp()])?;
    Ok(())
}

/// Ends a ticket, whatever its status, and logs it. The caller decides about the lease.
pub(crate) fn resolve(
    tx: &Transaction<'_>,
    ticket: &Ticket,
    resolution: Resolution,
    by: &str,
    why: &str,
) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE tickets SET status = 'resolved', resolution = ?2, resolved_at = ?3, live_key = NULL,
           retry_at = NULL, needs_person = 0 WHERE id = ?1",
        params![ticket.id, resolution.as_str(), clock::stamp()],
    )?;
    withdraw(tx, ticket.id)?;
    log(
        tx,
        ticket.id,
        Some(ticket.status.as_str()),
        "resolved",
        by,
        &format!("{}: {why}", resolution.as_str()),
    )
}

/// Ends requests for proof that nobody waits for any more.
pub(crate) fn withdraw(tx: &Transaction<'_>, ticket: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE verifications SET state = 'unverifiable', detail = 'withdrawn', decided_at = ?2
         WHERE ticket_id = ?1 AND state = 'waiting'",
    )?
    .execute(params![ticket, clock::stamp()])?;
    Ok(())
}
