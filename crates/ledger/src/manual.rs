//! What people, and the demo on their behalf, do to tickets: open, resolve, hold, retire.

use crate::{
    LedgerError, Resolution, Severity, Status, SystemId, Ticket, TicketEventKind, claim, clock,
    engine::{Engine, Result},
    ledger_chain,
    tickets::{by_id, select},
    transitions::{Change, log, resolve},
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
            Ok(id)
        })
    }

    pub(crate) fn resolve_by_person(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let ticket = by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            if ticket.status == Status::Resolved {
                return Ok(false);
            }
            resolve(tx, &ticket, Resolution::Human, by, "a person resolved it")?;
            tx.execute(
                "UPDATE tickets SET held = 0, fence = fence + 1, lease_holder = NULL,
                   lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
                [id],
            )?;
            // Whoever was at work on it neither died nor failed.
            tx.execute(
                "UPDATE agent_sessions SET outcome_summary = coalesce(outcome_summary, ?2)
                 WHERE ticket_id = ?1 AND status = 'running'",
                params![id, format!("{by} resolved the ticket while it was at work")],
            )?;
            claim::end_orphans(tx)?;
            Ok(true)
        })
    }

    pub(crate) fn reopen_by_person(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let ticket = by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            if matches!(ticket.status, Status::Open | Status::Acknowledged) {
                return Ok(false);
            }
            take_live_key(tx, &ticket)?;
            tx.execute(
                "UPDATE tickets SET status = 'open', resolution = NULL, resolved_at = NULL,
                   claimed = 0, attempts = 0, retry_at = NULL, needs_person = 0, held = 0,
                   fence = fence + 1, lease_holder = NULL, lease_boot = NULL, lease_until_ms = NULL
                 WHERE id = ?1",
                [id],
            )?;
            renew_budget(tx, id)?;
            let change = Change {
                kind: TicketEventKind::Reopened,
                from: Some(ticket.status),
                to: Status::Open,
                resolution: None,
                by,
                why: "a person reopened it",
            };
            log(tx, id, &change)?;
            Ok(true)
        })
    }

    pub(crate) fn set_held(&mut self, id: i64, held: bool, by: &str) -> Result<bool> {
        self.write(|tx| {
            let ticket = by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            let give_back = !held && ticket.needs_person && ticket.status != Status::Resolved;
            if ticket.held == held && !give_back {
                return Ok(false);
            }
            let change = Change {
                kind: if held {
                    TicketEventKind::Held
                } else {
                    TicketEventKind::Unheld
                },
                from: Some(ticket.status),
                to: ticket.status,
                resolution: None,
                by,
                why: if held { "held" } else { "no longer held" },
            };
            if ticket.held != held {
                tx.execute(
                    "UPDATE tickets SET held = ?2 WHERE id = ?1",
                    params![id, held],
                )?;
                log(tx, id, &change)?;
            }
            let leased: Option<String> = tx
                .query_row(
                    "SELECT lease_holder FROM tickets WHERE id = ?1",
                    [id],
                    |r| r.get(0),
                )
                .optional()?
                .flatten();
            if give_back && leased.is_none() {
                take_live_key(tx, &ticket)?;
                tx.execute(
                    "UPDATE tickets SET status = 'open', needs_person = 0, attempts = 0,
                       retry_at = NULL WHERE id = ?1",
                    [id],
                )?;
                renew_budget(tx, id)?;
                let released = Change {
                    kind: TicketEventKind::Released,
                    to: Status::Open,
                    why: "released to agents",
                    ..change
                };
                log(tx, id, &released)?;
            }
            Ok(true)
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
                tx.execute(
                    "UPDATE tickets SET fence = fence + 1, held = 0, lease_holder = NULL,
                       lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
                    [ticket.id],
                )?;
                let ended: Vec<String> = tx
                    .prepare_cached(
                        "UPDATE agent_sessions SET status = 'failed', ended_at = ?2,
                           outcome_summary = coalesce(outcome_summary, ?3)
                         WHERE ticket_id = ?1 AND status = 'running' RETURNING session_id",
                    )?
                    .query_map(params![ticket.id, clock::stamp(), why], |r| r.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                ledger_chain::sessions_ended_by_others(tx, &ended)?;
            }
            Ok(left.len())
        })
    }
}

/// What sessions spent on the ticket so far no longer counts against its budget.
pub(crate) fn renew_budget(tx: &Transaction<'_>, ticket: i64) -> Result<()> {
    tx.execute(
        "UPDATE tickets SET budget_from = (SELECT coalesce(max(id), 0) FROM agent_sessions)
         WHERE id = ?1",
        [ticket],
    )?;
    Ok(())
}

/// Adoption leaves one live row a key. Another one can follow it only when that is resolved: the
/// monitor closes what has the key.
fn take_live_key(tx: &Transaction<'_>, ticket: &Ticket) -> Result<()> {
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
