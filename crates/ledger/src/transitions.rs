//! Changes of a ticket that more than one role makes, and the log of all of them.

use crate::{
    Resolution, Status, Ticket, TicketEventKind, clock,
    engine::Result,
    incident::place,
    ledger_chain::{self, Link},
};
use rusqlite::{Transaction, params};
use serde_json::json;

/// One change, to be logged.
pub(crate) struct Change<'a> {
    pub kind: TicketEventKind,
    pub from: Option<Status>,
    pub to: Status,
    pub resolution: Option<Resolution>,
    pub by: &'a str,
    /// For people.
    pub why: &'a str,
}

/// Appends to `ticket_events`.
pub(crate) fn log(tx: &Transaction<'_>, ticket: i64, change: &Change<'_>) -> rusqlite::Result<()> {
    let at = clock::stamp();
    tx.prepare_cached(
        "INSERT INTO ticket_events (ticket_id, kind, from_status, to_status, resolution, by, why, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        ticket,
        change.kind,
        change.from,
        change.to,
        change.resolution,
        change.by,
        change.why,
        at
    ])?;
    let event = tx.last_insert_rowid();
    let words = json!({
        "ticket": ticket,
        "kind": <&str>::from(change.kind),
        "from": change.from.map(<&str>::from),
        "to": <&str>::from(change.to),
        "resolution": change.resolution.map(<&str>::from),
        "by": change.by,
        "why": change.why,
        "at": at,
    });
    ledger_chain::link(tx, Link::TicketEvent, &event.to_string(), &words)
}

/// The one place where the status of a ticket that goes on is written.
pub(crate) fn set_status(
    tx: &Transaction<'_>,
    ticket: i64,
    status: Status,
) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE tickets SET status = ?2 WHERE id = ?1")?
        .execute(params![ticket, status])?;
    Ok(())
}

/// Ends a ticket, whatever its status, and logs it; and its incident, if it was the last of it. The
/// caller decides about the lease.
pub(crate) fn resolve(
    tx: &Transaction<'_>,
    ticket: &Ticket,
    resolution: Resolution,
    by: &str,
    why: &str,
) -> Result<()> {
    tx.execute(
        "UPDATE tickets SET status = 'resolved', resolution = ?2, resolved_at = ?3, live_key = NULL,
           retry_at = NULL, needs_person = 0 WHERE id = ?1",
        params![ticket.id, resolution, clock::stamp()],
    )?;
    let change = Change {
        kind: TicketEventKind::Resolved,
        from: Some(ticket.status),
        to: Status::Resolved,
        resolution: Some(resolution),
        by,
        why: &format!("{resolution}: {why}"),
    };
    log(tx, ticket.id, &change)?;
    match ticket.incident_id {
        Some(incident) => place::settle(tx, incident),
        None => Ok(()),
    }
}

/// Takes back requests for proof that nobody waits for any more.
pub(crate) fn withdraw(tx: &Transaction<'_>, incident: i64, why: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE verifications SET state = 'withdrawn', detail = ?3, decided_at = ?2
         WHERE incident_id = ?1 AND state = 'waiting'",
    )?
    .execute(params![incident, clock::stamp(), why])?;
    Ok(())
}
