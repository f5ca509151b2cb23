//! What people, and the demo on their behalf, do to tickets: open, resolve, hold, retire.

use crate::{
    IncidentEventKind, LedgerError, Resolution, Severity, Status, SystemId, Ticket,
    TicketEventKind, claim, clock,
    engine::{Engine, Result},
    incident::{
        self, hold,
        place::{self, Happened},
    },
    tickets::{by_id, select},
    transitions::{self, Change, log, resolve},
};
use rusqlite::{OptionalExtension, Transaction, params};

/// A ticket opened by hand.
#[derive(Debug, Clone, Default)]
pub struct NewTicket {
    pub message: String,
    pub severity: Severity,
    /// Added to what the agent is told.
    pub context: Option<String>,
    pub cluster_id: Option<SystemId>,
    /// The incident it is of. None: one of its own.
    pub incident: Option<i64>,
    pub by: String,
}

impl Engine {
    pub(crate) fn open_ticket(&mut self, new: &NewTicket) -> Result<i64> {
        let message = new.message.trim();
        if message.is_empty() {
            return Err(LedgerError::Refused("a ticket needs a message".into()).into());
        }
        let key = format!("by_hand:{}", uuid::Uuid::now_v7());
        let now = clock::stamp();
        self.write(|tx| {
            tx.execute(
                "INSERT INTO tickets (violation_key, invariant_name, message, severity, cluster_id,
                   subject_context, first_seen_at, last_seen_at, live_key, by_hand, created_at, updated_at)
                 VALUES (?1, 'by_hand', ?2, ?3, ?4, ?5, ?6, ?6, '/' || ?1, 1, ?6, ?6)",
                params![
                    key,
                    message,
                    new.severity,
                    new.cluster_id.as_ref().map(SystemId::as_str),
                    new.context,
                    now
                ],
            )?;
            let id = tx.last_insert_rowid();
            let change = Change {
                kind: TicketEventKind::Opened,
                from: None,
                to: Status::Open,
                resolution: None,
                by: &new.by,
                why: "opened by hand",
            };
            log(tx, id, &change)?;
            let ticket = by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            match new.incident {
                None => place::begin(tx, &ticket, &place::scope_of_its_own(id))?,
                Some(incident) => {
                    let found = incident::by_id(tx, incident)?;
                    let found = found.ok_or(LedgerError::NoIncident(incident))?;
                    if found.state == incident::IncidentState::Resolved {
                        let why = format!("incident #{incident} is over: reopen it first");
                        return Err(LedgerError::Refused(why).into());
                    }
                    place::enter(tx, incident, &ticket, IncidentEventKind::Joined)?;
                }
            }
            Ok(id)
        })
    }

    pub(crate) fn resolve_by_person(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let ticket = by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            if ticket.status == Status::Resolved {
                return Ok(false);
            }
            let why = "a person resolved it";
            resolve(tx, &ticket, Resolution::Human, by, why)?;
            over_for_its_worker(
                tx,
                &ticket,
                by,
                &format!("{by} resolved it while it was worked on"),
            )?;
            Ok(true)
        })
    }

    pub(crate) fn resolve_incident(&mut self, id: i64, by: &str) -> Result<usize> {
        self.write(|tx| {
            incident::by_id(tx, id)?.ok_or(LedgerError::NoIncident(id))?;
            let live = select(tx, "WHERE incident_id = ?1 AND status != 'resolved'", [id])?;
            for ticket in &live {
                resolve(tx, ticket, Resolution::Human, by, "a person resolved it")?;
            }
            if let Some(last) = live.last() {
                over_for_its_worker(
                    tx,
                    last,
                    by,
                    &format!("{by} resolved it while it was worked on"),
                )?;
            }
            Ok(live.len())
        })
    }

    pub(crate) fn reopen_by_person(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let ticket = by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            reopen(tx, &ticket, by)
        })
    }

    pub(crate) fn reopen_incident(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let found = incident::by_id(tx, id)?.ok_or(LedgerError::NoIncident(id))?;
            let mut all = select(tx, "WHERE incident_id = ?1 ORDER BY id", [id])?;
            if found.state == incident::IncidentState::Resolved {
                // The last of each check on a thing; what it was before is history.
                let keys: Vec<String> = all.iter().map(|t| t.violation_key.clone()).collect();
                let mut at = 0;
                all.retain(|t| {
                    at += 1;
                    !keys[at..].contains(&t.violation_key)
                });
            } else {
                all.retain(|t| t.status == Status::Escalated);
            }
            let mut any = false;
            for ticket in &all {
                any |= reopen(tx, ticket, by)?;
            }
            Ok(any)
        })
    }

    pub(crate) fn retire_other_clusters(
        &mut self,
        cluster_id: &SystemId,
        why: &str,
    ) -> Result<usize> {
        self.write(|tx| {
            let left = select(
                tx,
                "WHERE status != 'resolved' AND cluster_id IS NOT NULL AND cluster_id != ?1",
                [cluster_id.as_str()],
            )?;
            for ticket in &left {
                resolve(tx, ticket, Resolution::External, "operator", why)?;
                let incident = ticket.incident_id.unwrap_or(ticket.id);
                tx.execute("UPDATE tickets SET held = 0 WHERE id = ?1", [ticket.id])?;
                claim::end_sessions(tx, incident, "failed", why)?;
                tx.execute(
                    "UPDATE incidents SET fence = fence + 1, lease_holder = NULL,
                       lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
                    [incident],
                )?;
            }
            Ok(left.len())
        })
    }
}

/// When a person ends the last ticket of an incident, whoever works on it has nothing left to do.
fn over_for_its_worker(tx: &Transaction<'_>, ticket: &Ticket, by: &str, why: &str) -> Result<()> {
    tx.execute("UPDATE tickets SET held = 0 WHERE id = ?1", [ticket.id])?;
    let Some(incident) = ticket.incident_id else {
        return Ok(());
    };
    let left = select(
        tx,
        "WHERE incident_id = ?1 AND status != 'resolved' AND held = 0",
        [incident],
    )?;
    if !left.is_empty() {
        return Ok(());
    }
    hold::interrupt(tx, incident, by, why)?;
    transitions::withdraw(tx, incident, why)?;
    claim::drop_lease(tx, incident)?;
    claim::end_orphans(tx)
}

/// A ticket that is over, or was given up, is for agents again, as if it were new but with its history.
fn reopen(tx: &Transaction<'_>, ticket: &Ticket, by: &str) -> Result<bool> {
    if matches!(ticket.status, Status::Open | Status::Acknowledged) {
        return Ok(false);
    }
    take_live_key(tx, ticket)?;
    tx.execute(
        "UPDATE tickets SET resolution = NULL, resolved_at = NULL, claimed = 0 WHERE id = ?1",
        [ticket.id],
    )?;
    transitions::set_status(tx, ticket.id, Status::Open)?;
    let why = "a person reopened it";
    let change = Change {
        kind: TicketEventKind::Reopened,
        from: Some(ticket.status),
        to: Status::Open,
        resolution: None,
        by,
        why,
    };
    log(tx, ticket.id, &change)?;
    let Some(incident) = ticket.incident_id else {
        return Ok(true);
    };
    tx.execute(
        "UPDATE incidents SET ended_at = NULL, resolution = NULL, attempts = 0, retry_at = NULL,
           needs_person = 0, budget_from = (SELECT coalesce(max(id), 0) FROM agent_sessions),
           fence = CASE WHEN ended_at IS NULL THEN fence ELSE fence + 1 END,
           lease_holder = CASE WHEN ended_at IS NULL THEN lease_holder END,
           lease_boot = CASE WHEN ended_at IS NULL THEN lease_boot END,
           lease_until_ms = CASE WHEN ended_at IS NULL THEN lease_until_ms END
         WHERE id = ?1",
        [incident],
    )?;
    let event = Happened {
        ticket: Some(ticket.id),
        ..Happened::new(IncidentEventKind::Reopened, by, why)
    };
    place::log(tx, incident, &event)?;
    let words = format!("ticket #{} was proven, and {by} reopened it", ticket.id);
    place::withdraw_proof(tx, incident, ticket, by, &words)?;
    place::mirror(tx, incident)?;
    Ok(true)
}

/// Adoption leaves one live row a key. Another one can follow it only when that is resolved: the
/// monitor closes what has the key.
pub(crate) fn take_live_key(tx: &Transaction<'_>, ticket: &Ticket) -> Result<()> {
    let twin: Option<i64> = tx
        .query_row(
            "SELECT id FROM tickets WHERE violation_key = ?1 AND id != ?2 AND live_key IS NOT NULL
               AND (cluster_id IS ?3 OR cluster_id IS NULL OR ?3 IS NULL)",
            params![
                ticket.violation_key,
                ticket.id,
                ticket.cluster_id.as_ref().map(SystemId::as_str)
            ],
            |r| r.get(0),
        )
        .optional()?;
    if let Some(twin) = twin {
        return Err(LedgerError::Refused(format!(
            "ticket #{twin} has the same key as #{}: resolve one of them",
            ticket.id
        ))
        .into());
    }
    tx.execute(
        "UPDATE tickets SET live_key = coalesce(cluster_id, '') || '/' || violation_key
         WHERE id = ?1 AND live_key IS NULL",
        [ticket.id],
    )?;
    Ok(())
}
