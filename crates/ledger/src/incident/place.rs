//! Puts tickets into incidents, and keeps what follows from their tickets: when an incident is over,
//! what it was, and what each ticket shows of it. Decides nothing that [`super::rules`] does not.

use super::{
    IncidentEventKind, hold,
    rules::{self, Candidate, Place, Same, TOGETHER},
};
use crate::{
    LedgerError, Mono, Resolution, Status, Ticket, TicketEventKind,
    claim::MAX_SESSIONS,
    clock::{self, parse_time},
    engine::Result,
    ledger_chain::{self, Link},
    tickets,
    transitions::{self, Change},
};
use rusqlite::{Transaction, params};
use serde_json::json;

/// What one worker at a time works on, where no system is named: each incident for itself.
pub(crate) fn scope_of_its_own(ticket: i64) -> String {
    format!("ticket:{ticket}")
}

/// One thing that happened to an incident, to be logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happened<'a> {
    pub kind: IncidentEventKind,
    pub ticket: Option<i64>,
    pub session: Option<&'a str>,
    pub by: &'a str,
    pub why: &'a str,
    pub lasted_ms: Option<i64>,
}

impl<'a> Happened<'a> {
    pub(crate) fn new(kind: IncidentEventKind, by: &'a str, why: &'a str) -> Self {
        Self {
            kind,
            ticket: None,
            session: None,
            by,
            why,
            lasted_ms: None,
        }
    }
}

/// Appends to `incident_events`, and to the ledger's chain.
pub(crate) fn log(
    tx: &Transaction<'_>,
    incident: i64,
    event: &Happened<'_>,
) -> rusqlite::Result<()> {
    let at = clock::stamp();
    tx.prepare_cached(
        "INSERT INTO incident_events (incident_id, kind, ticket_id, session_id, by, why, lasted_ms, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        incident,
        event.kind,
        event.ticket,
        event.session,
        event.by,
        event.why,
        event.lasted_ms,
        at
    ])?;
    let row = tx.last_insert_rowid();
    let words = json!({
        "incident": incident,
        "kind": <&str>::from(event.kind),
        "ticket": event.ticket,
        "session": event.session,
        "by": event.by,
        "why": event.why,
        "at": at,
    });
    ledger_chain::link(tx, Link::IncidentEvent, &row.to_string(), &words)
}

/// Puts a ticket that was just opened into its incident. Returns the incident, if it was there before.
/// `returned` says whether it had ended, or the same had in it.
pub(crate) fn put(tx: &Transaction<'_>, ticket: i64, scope: &str) -> Result<Option<Put>> {
    let opened = tickets::by_id(tx, ticket)?.ok_or(LedgerError::NoTicket(ticket))?;
    let candidates = candidates(tx, scope, &opened)?;
    let place = rules::place(&candidates, clock::wall());
    let (incident, kind) = match place {
        Place::Begins => {
            begin(tx, &opened, scope)?;
            return Ok(None);
        }
        Place::Joins(id) => (id, IncidentEventKind::Joined),
        Place::Returns(id) => (id, IncidentEventKind::Returned),
    };
    enter(tx, incident, &opened, kind)?;
    Ok(Some(Put {
        incident,
        returned: kind == IncidentEventKind::Returned,
    }))
}

/// Where a ticket went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Put {
    pub incident: i64,
    pub returned: bool,
}

/// Begins the incident whose first ticket this is.
pub(crate) fn begin(tx: &Transaction<'_>, first: &Ticket, scope: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO incidents (id, cluster_id, scope, opened_at) VALUES (?1, ?2, ?3, ?4)",
        params![
            first.id,
            first.cluster_id.as_ref().map(crate::SystemId::as_str),
            scope,
            clock::stamp()
        ],
    )?;
    tx.execute(
        "UPDATE tickets SET incident_id = ?1 WHERE id = ?1",
        [first.id],
    )?;
    let by = if first.by_hand { "a person" } else { "monitor" };
    let event = Happened {
        ticket: Some(first.id),
        ..Happened::new(IncidentEventKind::Began, by, &first.message)
    };
    log(tx, first.id, &event)?;
    mirror(tx, first.id)
}

/// Adds a ticket to an incident that is there.
pub(crate) fn enter(
    tx: &Transaction<'_>,
    incident: i64,
    ticket: &Ticket,
    kind: IncidentEventKind,
) -> Result<()> {
    let before = newest_of_key(tx, incident, ticket)?;
    tx.execute(
        "UPDATE tickets SET incident_id = ?2, flaps = ?3 WHERE id = ?1",
        params![
            ticket.id,
            incident,
            before.as_ref().map_or(0, |earlier| earlier.flaps + 1)
        ],
    )?;
    let by = if ticket.by_hand {
        "a person"
    } else {
        "monitor"
    };
    let event = Happened {
        ticket: Some(ticket.id),
        ..Happened::new(kind, by, &ticket.message)
    };
    log(tx, incident, &event)?;
    let was_over: bool = tx.query_row(
        "SELECT ended_at IS NOT NULL FROM incidents WHERE id = ?1",
        [incident],
        |r| r.get(0),
    )?;
    if let Some(earlier) = before {
        let why = format!("ticket #{} was proven, and came back", earlier.id);
        withdraw_proof(tx, incident, &earlier, "monitor", &why)?;
    }
    if was_over {
        tx.execute(
            "UPDATE incidents SET ended_at = NULL, resolution = NULL, fence = fence + 1,
               lease_holder = NULL, lease_boot = NULL, lease_until_ms = NULL, retry_at = NULL
             WHERE id = ?1",
            [incident],
        )?;
    }
    // The monitor said nothing of this one when it was asked to look.
    let why = format!("ticket #{} joined: {}", ticket.id, ticket.message);
    transitions::withdraw(tx, incident, &why)?;
    mirror(tx, incident)?;
    follow(tx, incident, ticket, was_over)
}

/// Writes down that a ticket's proof did not last, and how long it did; nothing where there was none.
pub(crate) fn withdraw_proof(
    tx: &Transaction<'_>,
    incident: i64,
    ticket: &Ticket,
    by: &str,
    why: &str,
) -> rusqlite::Result<()> {
    if ticket.resolution != Some(Resolution::Proven) {
        return Ok(());
    }
    let lasted = ticket
        .resolved_at
        .map(|at| clock::wall().duration_since(at).as_millis());
    let lasted = lasted.map(|ms| i64::try_from(ms.max(0)).unwrap_or(i64::MAX));
    let event = Happened {
        ticket: Some(ticket.id),
        lasted_ms: lasted,
        ..Happened::new(IncidentEventKind::ProofWithdrawn, by, why)
    };
    log(tx, incident, &event)
}

/// A ticket is as its incident is: worked on, given up, or at its end of sessions.
fn follow(tx: &Transaction<'_>, incident: i64, ticket: &Ticket, was_over: bool) -> Result<()> {
    let now = Mono::now();
    let (attempts, person, holder): (u32, bool, Option<String>) = tx.query_row(
        "SELECT attempts, needs_person, CASE WHEN lease_boot IS NULL
           OR (lease_boot = ?2 AND lease_until_ms > ?3) THEN lease_holder END
         FROM incidents WHERE id = ?1",
        params![incident, now.boot, now.ms],
        |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
    )?;
    let log = |kind, to, by: &str, why: &str| {
        let change = Change {
            kind,
            from: Some(Status::Open),
            to,
            resolution: None,
            by,
            why,
        };
        transitions::log(tx, ticket.id, &change)
    };
    let held = hold::covers(tx, ticket.id)?;
    if let Some(holder) = holder {
        if held || ticket.by_hand {
            return Ok(());
        }
        transitions::set_status(tx, ticket.id, Status::Acknowledged)?;
        let why = format!("joined incident #{incident}, which is worked on");
        log(
            TicketEventKind::Claimed,
            Status::Acknowledged,
            &crate::claim::worker(&holder),
            &why,
        )?;
    } else if person || attempts >= MAX_SESSIONS {
        let why = if was_over {
            format!(
                "came back; {attempts} sessions have worked on this incident, and no agent tries again"
            )
        } else {
            "its incident waits for a person".to_owned()
        };
        tx.execute(
            "UPDATE incidents SET needs_person = 1 WHERE id = ?1",
            [incident],
        )?;
        transitions::set_status(tx, ticket.id, Status::Escalated)?;
        log(
            TicketEventKind::Escalated,
            Status::Escalated,
            "ledger",
            &why,
        )?;
        mirror(tx, incident)?;
    }
    Ok(())
}

/// The newest ticket before this one of the same check on the same thing.
fn newest_of_key(
    tx: &Transaction<'_>,
    incident: i64,
    ticket: &Ticket,
) -> rusqlite::Result<Option<Ticket>> {
    Ok(tickets::select(
        tx,
        "WHERE incident_id = ?1 AND violation_key = ?2 AND id != ?3 ORDER BY id DESC LIMIT 1",
        params![incident, ticket.violation_key, ticket.id],
    )?
    .pop())
}

fn candidates(
    tx: &Transaction<'_>,
    scope: &str,
    ticket: &Ticket,
) -> rusqlite::Result<Vec<Candidate>> {
    let now = Mono::now();
    let recent = clock::text(clock::wall() - TOGETHER);
    let mut rows = tx.prepare_cached(
        "SELECT id, ended_at IS NOT NULL, attempts > 0 OR EXISTS (SELECT 1 FROM incident_events e
             WHERE e.incident_id = i.id AND e.kind IN ('claimed', 'taken')),
           lease_holder IS NOT NULL AND (lease_boot IS NULL
             OR (lease_boot = ?3 AND lease_until_ms > ?4))
             OR EXISTS (SELECT 1 FROM verifications v WHERE v.incident_id = i.id AND v.state = 'waiting'),
           needs_person,
           (SELECT max(created_at) FROM tickets t WHERE t.incident_id = i.id),
           (SELECT max(t.id) FROM tickets t WHERE t.incident_id = i.id AND t.violation_key = ?5),
           (SELECT t.resolved_at FROM tickets t WHERE t.incident_id = i.id AND t.violation_key = ?5
             ORDER BY t.id DESC LIMIT 1)
         FROM incidents i WHERE scope = ?1 AND (ended_at IS NULL OR ended_at >= ?2)
         ORDER BY id DESC",
    )?;
    let holds = hold::live(tx)?;
    rows.query_map(
        params![scope, recent, now.boot, now.ms, ticket.violation_key],
        |r| {
            let time = |column: usize| -> rusqlite::Result<_> {
                Ok(r.get::<_, Option<String>>(column)?
                    .as_deref()
                    .and_then(parse_time))
            };
            let id = r.get(0)?;
            let held = holds
                .iter()
                .any(|h| h.scope.covers_incident(id, ticket.cluster_id.as_ref()));
            Ok(Candidate {
                id,
                is_over: r.get(1)?,
                worked_on: r.get(2)?,
                at_work: r.get(3)?,
                is_kept: held || r.get::<_, bool>(4)?,
                newest_ticket: time(5)?,
                same: match r.get::<_, Option<i64>>(6)? {
                    None => Same::Never,
                    Some(_) => Same::Ended(time(7)?),
                },
            })
        },
    )?
    .collect()
}

/// Ends an incident whose tickets are all over. Whoever worked on it has nothing left to do, but
/// keeps the right to say so.
pub(crate) fn settle(tx: &Transaction<'_>, incident: i64) -> Result<()> {
    let all = tickets::select(tx, "WHERE incident_id = ?1", [incident])?;
    if all.is_empty() || all.iter().any(|t| t.status != Status::Resolved) {
        return Ok(());
    }
    let counted = |by_hand: bool| {
        let of = all.iter().filter(|t| t.by_hand == by_hand);
        of.filter_map(|t| t.resolution).collect::<Vec<_>>()
    };
    let seen = match counted(false) {
        none if none.is_empty() => counted(true),
        seen => seen,
    };
    let ending = rules::ending(&seen);
    let ended = tx.execute(
        "UPDATE incidents SET ended_at = ?2, resolution = ?3, retry_at = NULL, needs_person = 0
         WHERE id = ?1 AND ended_at IS NULL",
        params![incident, clock::stamp(), ending],
    )?;
    if ended > 0 {
        let why = match all.as_slice() {
            [one] => format!("{ending}: its ticket #{} is over", one.id),
            _ => format!("{ending}: its {} tickets are over", all.len()),
        };
        log(
            tx,
            incident,
            &Happened::new(IncidentEventKind::Ended, "ledger", &why),
        )?;
    }
    Ok(())
}

/// Copies to its unresolved tickets what they show of their incident.
pub(crate) fn mirror(tx: &Transaction<'_>, incident: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE tickets SET (attempts, retry_at, needs_person) =
           (SELECT attempts, retry_at, needs_person FROM incidents WHERE id = ?1)
         WHERE incident_id = ?1 AND status != 'resolved'",
    )?
    .execute([incident])?;
    for ticket in tickets::select(
        tx,
        "WHERE incident_id = ?1 AND status != 'resolved'",
        [incident],
    )? {
        let held = hold::covers(tx, ticket.id)?;
        hold::note(tx, &ticket, held, "ledger", "what it is about is held")?;
    }
    Ok(())
}
