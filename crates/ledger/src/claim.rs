//! Claiming an incident: one atomic statement, with a lease and a rising fencing token. Of the
//! incidents of one system one is worked on at a time.
//!
//! A lease that has run out is lost, whether or not somebody else took the incident since: its
//! holder may have been frozen, and must not go on as if no time had passed.

use crate::{
    IncidentEventKind, LedgerError, Mono, Status, SystemId, Ticket, TicketEventKind,
    clock::{self, Holder, millis},
    engine::{Engine, Result},
    incident::{
        hold as holds,
        place::{self, Happened},
    },
    ledger_chain, tickets,
    transitions::{self, Change},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::time::Duration;

/// How long a claim lasts without renewal.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);

/// Sessions an incident gets before only a person may go on.
pub const MAX_SESSIONS: u32 = 3;

/// Wait before an escalated incident is tried a second time; doubles.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// Who wants which incidents.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    pub holder: Holder,
    /// Those of this cluster and of none. None: only of none.
    pub cluster_id: Option<SystemId>,
    /// The one of this ticket only.
    pub ticket: Option<i64>,
    pub lease: Duration,
}

/// The right to work on an incident. Every write under it is refused once it is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub incident: i64,
    pub fence: i64,
}

/// An incident that is now ours.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The worst of its tickets that are not over.
    pub ticket: Ticket,
    /// The others, the worst first. What is held is among them, and is no work of ours.
    pub others: Vec<Ticket>,
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
            // A claim of the session before is not one of the session to come.
            transitions::withdraw(tx, id, "its session is over")?;
            // Nobody else has it, so whoever had the newest fence and wrote no end is dead.
            let recovered: Option<String> = tx
                .query_row(
                    "SELECT s.session_id FROM agent_sessions s JOIN incidents i ON i.id = s.incident_id
                     WHERE i.id = ?1 AND (s.status = 'running'
                       OR (s.fence = i.fence AND s.status = 'failed' AND s.head_hash IS NULL))
                     ORDER BY s.id DESC LIMIT 1",
                    [id],
                    |r| r.get(0),
                )
                .optional()?;
            let fence: i64 = tx.query_row(
                "UPDATE incidents SET fence = fence + 1, attempts = attempts + 1,
                   retry_at = NULL, lease_holder = ?2, lease_boot = ?3, lease_until_ms = ?4
                 WHERE id = ?1 RETURNING fence",
                params![id, request.holder.to_string(), now.boot, now.ms + millis(request.lease)],
                |r| r.get(0),
            )?;
            end_sessions(tx, id, "failed", DIED)?;
            let why = match &recovered {
                Some(session) => format!("claimed after session {session} lost its lease"),
                None => "it took the incident".to_owned(),
            };
            let by = by(&request.holder);
            place::log(tx, id, &Happened::new(IncidentEventKind::Claimed, &by, &why))?;
            for before in live(tx, id)? {
                if before.held {
                    continue;
                }
                transitions::set_status(tx, before.id, Status::Acknowledged)?;
                let change = Change {
                    kind: TicketEventKind::Claimed,
                    from: Some(before.status),
                    to: Status::Acknowledged,
                    resolution: None,
                    by: &by,
                    why: &why,
                };
                transitions::log(tx, before.id, &change)?;
            }
            place::mirror(tx, id)?;
            let mut others = live(tx, id)?;
            let first = others.iter().position(|t| !t.held).unwrap_or(0);
            let ticket = others.remove(first);
            Ok(Some(Claim { ticket, others, lease: Lease { incident: id, fence }, recovered }))
        })
    }

    pub(crate) fn renew(&mut self, lease: &Lease, duration: Duration) -> Result<()> {
        self.write(|tx| {
            let now = hold(tx, lease)?;
            tx.execute(
                "UPDATE incidents SET lease_until_ms = ?2 WHERE id = ?1",
                params![lease.incident, now.ms + millis(duration)],
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
            let given_back = live(tx, lease.incident)?
                .iter()
                .any(|t| t.status == Status::Acknowledged);
            if given_back {
                tx.execute(
                    "UPDATE incidents SET attempts = max(attempts - 1, 0) WHERE id = ?1",
                    [lease.incident],
                )?;
                place::log(
                    tx,
                    lease.incident,
                    &Happened::new(IncidentEventKind::Released, "agent", why),
                )?;
            }
            transitions::withdraw(tx, lease.incident, "given back")?;
            drop_lease(tx, lease.incident)?;
            holds::open_again(tx, lease.incident, "agent", why)
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
            let live = live(tx, lease.incident)?;
            let worked: Vec<_> = live
                .iter()
                .filter(|t| t.status == Status::Acknowledged)
                .collect();
            if let Some(first) = worked.first() {
                let by_hand = live.iter().all(|t| t.by_hand);
                let person = final_ || first.attempts >= MAX_SESSIONS || by_hand;
                let wait = FIRST_RETRY * 2u32.pow(first.attempts.saturating_sub(1).min(16));
                let retry = (!person).then(|| clock::text(clock::wall() + wait));
                tx.execute(
                    "UPDATE incidents SET retry_at = ?2, needs_person = ?3 WHERE id = ?1",
                    params![lease.incident, retry, person],
                )?;
                place::log(
                    tx,
                    lease.incident,
                    &Happened::new(IncidentEventKind::Escalated, "agent", why),
                )?;
                for ticket in worked {
                    tx.execute(
                        "UPDATE tickets SET diagnosis = ?2 WHERE id = ?1",
                        params![ticket.id, format!("ESCALATED: {diagnosis}")],
                    )?;
                    transitions::set_status(tx, ticket.id, Status::Escalated)?;
                    let change = Change {
                        kind: TicketEventKind::Escalated,
                        from: Some(ticket.status),
                        to: Status::Escalated,
                        resolution: None,
                        by: "agent",
                        why,
                    };
                    transitions::log(tx, ticket.id, &change)?;
                }
            }
            transitions::withdraw(tx, lease.incident, "given up")?;
            drop_lease(tx, lease.incident)?;
            place::mirror(tx, lease.incident)
        })
    }

    pub(crate) fn set_diagnosis(&mut self, lease: &Lease, text: &str) -> Result<()> {
        self.write(|tx| {
            hold(tx, lease)?;
            tx.execute(
                "UPDATE tickets SET diagnosis = ?2, claimed = 1
                 WHERE incident_id = ?1 AND status = 'acknowledged'",
                params![lease.incident, text],
            )?;
            Ok(())
        })
    }
}

/// What is said of a session whose agent said nothing.
const DIED: &str = "its agent died or lost the lease";

/// Tickets of an incident that are not over, the worst first.
fn live(tx: &Connection, incident: i64) -> rusqlite::Result<Vec<Ticket>> {
    tickets::select(
        tx,
        "WHERE incident_id = ?1 AND status != 'resolved'
         ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2 ELSE 1 END, id",
        [incident],
    )
}

/// Checks that the lease is still the newest and has not run out; returns the time it was checked.
pub(crate) fn hold(conn: &Connection, lease: &Lease) -> Result<Mono> {
    let now = Mono::now();
    let row: Option<(i64, Option<String>, Option<i64>)> = conn
        .prepare_cached("SELECT fence, lease_boot, lease_until_ms FROM incidents WHERE id = ?1")?
        .query_row([lease.incident], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let lost = |why: String, by_person: bool| {
        Err(LedgerError::Fenced {
            incident: lease.incident,
            why,
            by_person,
        }
        .into())
    };
    match row {
        None => lost("the incident is gone".into(), false),
        Some((fence, ..)) if fence != lease.fence => {
            let (why, by_person) = overtaken(conn, lease)?;
            lost(why, by_person)
        }
        Some((_, Some(boot), Some(until))) if boot == now.boot && until > now.ms => Ok(now),
        Some((_, None, _)) => lost("it was given back".into(), false),
        Some(_) => lost("it ran out before it was renewed".into(), false),
    }
}

/// Who took the right to work away, and whether that was a person.
fn overtaken(conn: &Connection, lease: &Lease) -> rusqlite::Result<(String, bool)> {
    let last: Option<(String, String, String)> = conn
        .prepare_cached(
            "SELECT kind, by, why FROM incident_events WHERE incident_id = ?1
               AND kind IN ('claimed', 'taken', 'released', 'reopened', 'ended', 'returned', 'held')
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row([lease.incident], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    Ok(match last {
        Some((kind, by, why)) => match kind.as_str() {
            "claimed" => ("another agent took the incident over".into(), false),
            "taken" => (format!("{by} took the incident"), true),
            "reopened" => (format!("{by} opened the incident again"), true),
            "returned" => ("the incident had ended, and came back".into(), false),
            _ => (why, true),
        },
        None => ("the incident was taken away".into(), false),
    })
}

pub(crate) fn drop_lease(tx: &Transaction<'_>, incident: i64) -> Result<()> {
    tx.execute(
        "UPDATE incidents SET lease_holder = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
        [incident],
    )?;
    Ok(())
}

/// Whether somebody holds a lease on the incident that has not run out; a person's does not.
pub(crate) fn is_leased(tx: &Transaction<'_>, incident: i64) -> Result<bool> {
    let now = Mono::now();
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM incidents WHERE id = ?1 AND lease_holder IS NOT NULL
               AND (lease_boot IS NULL OR (lease_boot = ?2 AND lease_until_ms > ?3))",
        )?
        .exists(params![incident, now.boot, now.ms])?)
}

/// Ends, in the record, what still runs on an incident: whoever ran it can write no end.
pub(crate) fn end_sessions(
    tx: &Transaction<'_>,
    incident: i64,
    status: &str,
    why: &str,
) -> Result<()> {
    let ended: Vec<String> = tx
        .prepare_cached(
            "UPDATE agent_sessions SET status = ?3, ended_at = ?2,
               outcome_summary = coalesce(outcome_summary, ?4)
             WHERE incident_id = ?1 AND status = 'running' RETURNING session_id",
        )?
        .query_map(params![incident, clock::stamp(), status, why], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    ledger_chain::sessions_ended_by_others(tx, &ended, status)?;
    Ok(())
}

/// Ends, in the record, sessions whose right to work is gone: they can write no end themselves.
pub(crate) fn end_orphans(tx: &Transaction<'_>) -> Result<()> {
    let now = Mono::now();
    let mut end = tx.prepare_cached(
        "UPDATE agent_sessions SET status = 'failed', ended_at = ?3,
           outcome_summary = coalesce(outcome_summary, ?4)
         WHERE status = 'running' AND fence IS NOT NULL AND NOT EXISTS (SELECT 1 FROM incidents i
           WHERE i.id = incident_id AND i.fence = agent_sessions.fence
             AND i.lease_boot = ?1 AND i.lease_until_ms > ?2)
         RETURNING session_id",
    )?;
    let ended: Vec<String> = end
        .query_map(params![now.boot, now.ms, clock::stamp(), DIED], |r| {
            r.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    ledger_chain::sessions_ended_by_others(tx, &ended, "failed")?;
    Ok(())
}

/// Whose lease has run out.
const EXPIRED: &str = "lease_boot IS NOT NULL AND (lease_boot != ?1 OR lease_until_ms <= ?2)";

/// The incident to take next, if any: the worst, and of those the oldest.
fn candidate(
    conn: &Connection,
    request: &ClaimRequest,
    now: &Mono,
) -> rusqlite::Result<Option<i64>> {
    let system = request.cluster_id.as_ref().map(SystemId::as_str);
    let mut rows = conn.prepare_cached(&format!(
        "SELECT id, cluster_id FROM incidents i WHERE ended_at IS NULL AND needs_person = 0
           AND (cluster_id IS NULL OR cluster_id = ?3)
           AND (?4 IS NULL OR id = (SELECT incident_id FROM tickets WHERE id = ?4))
           AND (retry_at IS NULL OR retry_at <= ?5)
           AND (lease_holder IS NULL OR {EXPIRED})
           AND NOT EXISTS (SELECT 1 FROM incidents o WHERE o.scope = i.scope AND o.id != i.id
             AND o.ended_at IS NULL AND o.lease_holder IS NOT NULL
             AND (o.lease_boot IS NULL OR (o.lease_boot = ?1 AND o.lease_until_ms > ?2)))
           AND EXISTS (SELECT 1 FROM tickets t WHERE t.incident_id = i.id
             AND t.status != 'resolved' AND t.held = 0
             AND NOT EXISTS (SELECT 1 FROM invariant_states s WHERE s.cluster_id = t.cluster_id
               AND s.violation_key = t.violation_key AND s.state = 'clear'))
         ORDER BY (SELECT min(CASE t.severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2 ELSE 1 END)
             FROM tickets t WHERE t.incident_id = i.id AND t.status != 'resolved'), +id"
    ))?;
    let found = rows
        .query_map(
            params![now.boot, now.ms, system, request.ticket, clock::stamp()],
            |r| Ok((r.get(0)?, r.get::<_, Option<String>>(1)?.map(SystemId::new))),
        )?
        .collect::<rusqlite::Result<Vec<(i64, Option<SystemId>)>>>()?;
    if found.is_empty() {
        return Ok(None);
    }
    let holds = holds::live(conn)?;
    let may = |(id, system): &&(i64, Option<SystemId>)| {
        !holds.iter().any(|h| {
            h.scope == holds::HoldScope::All || h.scope.covers_incident(*id, system.as_ref())
        })
    };
    Ok(found.iter().find(may).map(|(id, _)| *id))
}

/// Incidents whose last allowed session died wait for a person.
fn give_up_exhausted(tx: &Transaction<'_>, now: &Mono) -> Result<()> {
    let lost: Vec<(i64, u32)> = tx
        .prepare_cached(&format!(
            "SELECT id, attempts FROM incidents WHERE ended_at IS NULL AND needs_person = 0
               AND attempts >= {MAX_SESSIONS} AND ({EXPIRED})"
        ))?
        .query_map(params![now.boot, now.ms], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (incident, sessions) in lost {
        end_sessions(tx, incident, "failed", DIED)?;
        transitions::withdraw(tx, incident, "its session is over")?;
        tx.execute(
            "UPDATE incidents SET needs_person = 1, fence = fence + 1 WHERE id = ?1",
            [incident],
        )?;
        let why =
            format!("{sessions} sessions have worked on it, and the last ended without a word");
        place::log(
            tx,
            incident,
            &Happened::new(IncidentEventKind::Escalated, "ledger", &why),
        )?;
        for ticket in live(tx, incident)? {
            transitions::set_status(tx, ticket.id, Status::Escalated)?;
            let change = Change {
                kind: TicketEventKind::Escalated,
                from: Some(ticket.status),
                to: Status::Escalated,
                resolution: None,
                by: "ledger",
                why: &why,
            };
            transitions::log(tx, ticket.id, &change)?;
        }
        drop_lease(tx, incident)?;
        place::mirror(tx, incident)?;
    }
    Ok(())
}

fn by(holder: &Holder) -> String {
    worker(&holder.to_string())
}

/// What a holder is called: an agent by its process, a person by name.
pub(crate) fn worker(holder: &str) -> String {
    match holder.split('/').nth(1) {
        Some(pid) => format!("agent pid {pid}"),
        None => holder.to_owned(),
    }
}
