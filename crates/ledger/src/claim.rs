//! Claiming a ticket: one atomic statement, with a lease and a rising fencing token.
//!
//! A lease that has run out is lost, whether or not somebody else took the ticket since: its
//! holder may have been frozen, and must not go on as if no time had passed.

use crate::{
    LedgerError, Mono, Status, Stored, SystemId, Ticket, TicketEventKind,
    clock::{self, Holder, millis},
    engine::{Engine, Result},
    ledger_chain, tickets,
    transitions::{self, Change},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::time::Duration;

/// How long a claim lasts without renewal.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);

/// Sessions a ticket gets before only a person may go on.
pub const MAX_SESSIONS: u32 = 3;

/// Wait before an escalated ticket is tried a second time; doubles.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// Who wants which tickets.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    pub holder: Holder,
    /// Tickets of this cluster and of none. None: only of none.
    pub cluster_id: Option<SystemId>,
    /// This ticket only.
    pub ticket: Option<i64>,
    pub lease: Duration,
}

/// The right to work on a ticket. Every write under it is refused once it is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub ticket: i64,
    pub fence: i64,
}

/// A ticket that is now ours.
#[derive(Debug, Clone)]
pub struct Claim {
    pub ticket: Ticket,
    pub lease: Lease,
    /// The session of a holder that died or was overtaken.
    pub recovered: Option<String>,
}

impl Engine {
    pub(crate) fn claim(&mut self, request: &ClaimRequest) -> Result<Option<Claim>> {
        let now = Mono::now();
        // The usual answer is "nothing", every second: find that out without the write lock.
        if candidate(&self.conn, request, &now)?.is_none() {
            return Ok(None);
        }
        self.write(|tx| {
            give_up_exhausted(tx, &now)?;
            let Some(id) = candidate(tx, request, &now)? else { return Ok(None) };
            let before = tickets::by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            // A claim of the session before is not one of the session to come.
            transitions::withdraw(tx, id)?;
            // Nobody else has it, so whoever had the newest fence and wrote no end is dead.
            let recovered: Option<String> = tx
                .query_row(
                    "SELECT s.session_id FROM agent_sessions s JOIN tickets t ON t.id = s.ticket_id
                     WHERE t.id = ?1 AND (s.status = 'running'
                       OR (s.fence = t.fence AND s.status = 'failed' AND s.head_hash IS NULL))
                     ORDER BY s.id DESC LIMIT 1",
                    [id],
                    |r| r.get(0),
                )
                .optional()?;
            tx.execute(
                "UPDATE tickets SET status = 'acknowledged', fence = fence + 1, attempts = attempts + 1,
                   retry_at = NULL, lease_holder = ?2, lease_boot = ?3, lease_until_ms = ?4
                 WHERE id = ?1",
                params![id, request.holder.to_string(), now.boot, now.ms + millis(request.lease)],
            )?;
            let ended: Vec<String> = tx
                .prepare_cached(
                    "UPDATE agent_sessions SET status = 'failed', ended_at = ?2,
                       outcome_summary = coalesce(outcome_summary, 'its agent died or lost the lease')
                     WHERE ticket_id = ?1 AND status = 'running' RETURNING session_id",
                )?
                .query_map(params![id, clock::stamp()], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            ledger_chain::sessions_ended_by_others(tx, &ended)?;
            let why = match &recovered {
                Some(session) => format!("claimed after session {session} lost its lease"),
                None => "it took the ticket".to_owned(),
            };
            let change = Change {
                kind: TicketEventKind::Claimed,
                from: Some(before.status),
                to: Status::Acknowledged,
                resolution: None,
                by: &by(&request.holder),
                why: &why,
            };
            transitions::log(tx, id, &change)?;
            let fence: i64 =
                tx.query_row("SELECT fence FROM tickets WHERE id = ?1", [id], |r| r.get(0))?;
            let ticket = tickets::by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            Ok(Some(Claim { ticket, lease: Lease { ticket: id, fence }, recovered }))
        })
    }

    pub(crate) fn renew(&mut self, lease: &Lease, duration: Duration) -> Result<()> {
        self.write(|tx| {
            let now = hold(tx, lease)?;
            tx.execute(
                "UPDATE tickets SET lease_until_ms = ?2 WHERE id = ?1",
                params![lease.ticket, now.ms + millis(duration)],
            )?;
            Ok(())
        })
    }

    pub(crate) fn check_lease(&self, lease: &Lease) -> Result<()> {
        hold(&self.conn, lease).map(|_| ())
    }

    pub(crate) fn release(&mut self, lease: &Lease, why: &str) -> Result<()> {
        self.write(|tx| {
            hold(tx, lease)?;
            let ticket = tickets::by_id(tx, lease.ticket)?.ok_or(LedgerError::NoTicket(lease.ticket))?;
            if ticket.status == Status::Acknowledged {
                tx.execute(
                    "UPDATE tickets SET status = 'open', attempts = max(attempts - 1, 0) WHERE id = ?1",
                    [lease.ticket],
                )?;
                let change = Change {
                    kind: TicketEventKind::Released,
                    from: Some(ticket.status),
                    to: Status::Open,
                    resolution: None,
                    by: "agent",
                    why,
                };
                transitions::log(tx, lease.ticket, &change)?;
            }
            transitions::withdraw(tx, lease.ticket)?;
            drop_lease(tx, lease.ticket)
        })
    }

    pub(crate) fn escalate(
        &mut self,
        lease: &Lease,
        diagnosis: &str,
        why: &str,
        final_: bool,
    ) -> Result<()> {
        self.write(|tx| {
            hold(tx, lease)?;
            let ticket =
                tickets::by_id(tx, lease.ticket)?.ok_or(LedgerError::NoTicket(lease.ticket))?;
            if ticket.status == Status::Acknowledged {
                let person = final_ || ticket.attempts >= MAX_SESSIONS || ticket.by_hand;
                let wait = FIRST_RETRY * 2u32.pow(ticket.attempts.saturating_sub(1).min(16));
                let retry = (!person).then(|| clock::text(clock::wall() + wait));
                tx.execute(
                    "UPDATE tickets SET status = 'escalated', diagnosis = ?2, retry_at = ?3,
                       needs_person = ?4 WHERE id = ?1",
                    params![
                        lease.ticket,
                        format!("ESCALATED: {diagnosis}"),
                        retry,
                        person
                    ],
                )?;
                let change = Change {
                    kind: TicketEventKind::Escalated,
                    from: Some(ticket.status),
                    to: Status::Escalated,
                    resolution: None,
                    by: "agent",
                    why,
                };
                transitions::log(tx, lease.ticket, &change)?;
            }
            transitions::withdraw(tx, lease.ticket)?;
            drop_lease(tx, lease.ticket)
        })
    }

    pub(crate) fn set_diagnosis(&mut self, lease: &Lease, text: &str) -> Result<()> {
        self.write(|tx| {
            hold(tx, lease)?;
            tx.execute(
                "UPDATE tickets SET diagnosis = ?2, claimed = 1 WHERE id = ?1",
                params![lease.ticket, text],
            )?;
            Ok(())
        })
    }
}

/// Checks that the lease is still the newest and has not run out; returns the time it was checked.
pub(crate) fn hold(conn: &Connection, lease: &Lease) -> Result<Mono> {
    let now = Mono::now();
    let row: Option<(i64, Option<String>, Option<i64>, _)> = conn
        .prepare_cached(
            "SELECT fence, lease_boot, lease_until_ms, status FROM tickets WHERE id = ?1",
        )?
        .query_row([lease.ticket], |r| {
            let status: Stored<Status> = r.get(3)?;
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, status))
        })
        .optional()?;
    let lost = |why: &str| {
        Err(LedgerError::Fenced {
            ticket: lease.ticket,
            why: why.to_owned(),
        }
        .into())
    };
    match row {
        None => lost("the ticket is gone"),
        Some((fence, _, _, status)) if fence != lease.fence => {
            if status == Status::Resolved {
                lost("a person resolved the ticket meanwhile")
            } else {
                lost("another agent took the ticket over")
            }
        }
        Some((_, Some(boot), Some(until), _)) if boot == now.boot && until > now.ms => Ok(now),
        Some((_, None, _, _)) => lost("it was given back"),
        Some(_) => lost("it ran out before it was renewed"),
    }
}

pub(crate) fn drop_lease(tx: &Transaction<'_>, ticket: i64) -> Result<()> {
    tx.execute(
        "UPDATE tickets SET lease_holder = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
        [ticket],
    )?;
    Ok(())
}

/// Whether somebody holds a lease on the ticket that has not run out.
pub(crate) fn is_leased(tx: &Transaction<'_>, ticket: i64) -> Result<bool> {
    let now = Mono::now();
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM tickets WHERE id = ?1 AND lease_boot = ?2 AND lease_until_ms > ?3",
        )?
        .exists(params![ticket, now.boot, now.ms])?)
}

/// Ends, in the record, sessions whose right to work is gone: they can write no end themselves.
pub(crate) fn end_orphans(tx: &Transaction<'_>) -> Result<()> {
    let now = Mono::now();
    let mut end = tx.prepare_cached(
        "UPDATE agent_sessions SET status = 'failed', ended_at = ?3,
           outcome_summary = coalesce(outcome_summary, 'its agent died or lost the lease')
         WHERE status = 'running' AND fence IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tickets t
           WHERE t.id = ticket_id AND t.fence = agent_sessions.fence
             AND t.lease_boot = ?1 AND t.lease_until_ms > ?2)
         RETURNING session_id",
    )?;
    let ended: Vec<String> = end
        .query_map(params![now.boot, now.ms, clock::stamp()], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    ledger_chain::sessions_ended_by_others(tx, &ended)?;
    Ok(())
}

const EXPIRED: &str = "status = 'acknowledged' AND lease_holder IS NOT NULL \
    AND (lease_boot != ?1 OR lease_until_ms <= ?2)";

/// The ticket to take next, if any.
fn candidate(
    conn: &Connection,
    request: &ClaimRequest,
    now: &Mono,
) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(&format!(
        "SELECT id FROM tickets t WHERE status != 'resolved' AND held = 0 AND needs_person = 0
           AND (cluster_id IS NULL OR cluster_id = ?3)
           AND (?4 IS NULL OR id = ?4)
           AND (status = 'open'
             OR (status = 'escalated' AND retry_at <= ?5)
             OR ({EXPIRED}))
           AND NOT EXISTS (SELECT 1 FROM invariant_states s
             WHERE s.cluster_id = t.cluster_id AND s.violation_key = t.violation_key AND s.state = 'clear')
         ORDER BY +id LIMIT 1"
    ))?
    .query_row(
        params![now.boot, now.ms, request.cluster_id.as_ref().map(SystemId::as_str), request.ticket, clock::stamp()],
        |r| r.get(0),
    )
    .optional()
}

/// Tickets whose last allowed session died wait for a person.
fn give_up_exhausted(tx: &Transaction<'_>, now: &Mono) -> Result<()> {
    let lost = tickets::select(
        tx,
        &format!("WHERE status != 'resolved' AND attempts >= {MAX_SESSIONS} AND ({EXPIRED})"),
        params![now.boot, now.ms],
    )?;
    for ticket in lost {
        tx.execute(
            "UPDATE tickets SET status = 'escalated', needs_person = 1, fence = fence + 1,
               diagnosis = coalesce(diagnosis, 'ESCALATED: every agent that worked on it died')
             WHERE id = ?1",
            [ticket.id],
        )?;
        let why = format!("{MAX_SESSIONS} sessions ended without a result");
        let change = Change {
            kind: TicketEventKind::Escalated,
            from: Some(ticket.status),
            to: Status::Escalated,
            resolution: None,
            by: "ledger",
            why: &why,
        };
        transitions::log(tx, ticket.id, &change)?;
        drop_lease(tx, ticket.id)?;
    }
    Ok(())
}

fn by(holder: &Holder) -> String {
    format!("agent pid {}", holder.pid)
}
