//! What people, and the demo on their behalf, do to tickets: open, resolve, hold, retire.

use crate::{
    Ledger, LedgerError, Resolution, Result, Severity, Status, Ticket, TicketEventKind, claim,
    clock,
    tickets::{by_id, select},
    transitions::{Change, log, resolve},
};
use rusqlite::{OptionalExtension, Transaction, params};

/// A ticket opened by hand.
#[derive(Debug, Clone, Default)]
pub struct NewTicket<'a> {
    pub message: &'a str,
    pub severity: Severity,
    /// Added to what the agent is told.
    pub context: Option<&'a str>,
    pub cluster_id: Option<&'a str>,
    pub by: &'a str,
}

impl Ledger {
    /// Opens a ticket by hand, under a key of its own. Returns its id.
    pub fn open_ticket(&mut self, new: &NewTicket<'_>) -> Result<i64> {
        let message = new.message.trim();
        if message.is_empty() {
            return Err(LedgerError::Refused("a ticket needs a message".into()));
        }
        let key = format!("by_hand:{}", uuid::Uuid::now_v7());
        let now = clock::stamp();
        self.write(|tx| {
            tx.execute(
                "INSERT INTO tickets (violation_key, invariant_name, message, severity, cluster_id,
                   subject_context, first_seen_at, last_seen_at, live_key, by_hand, created_at, updated_at)
                 VALUES (?1, 'by_hand', ?2, ?3, ?4, ?5, ?6, ?6, '/' || ?1, 1, ?6, ?6)",
                params![key, message, new.severity, new.cluster_id, new.context, now],
            )?;
            let id = tx.last_insert_rowid();
            let change = Change {
                kind: TicketEventKind::Opened,
                from: None,
                to: Status::Open,
                resolution: None,
                by: new.by,
                why: "opened by hand",
            };
            log(tx, id, &change)?;
            Ok(id)
        })
    }

    /// A person says that it is done. An agent at work on it is fenced off. False: it already was.
    pub fn resolve_by_person(&mut self, id: i64, by: &str) -> Result<bool> {
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
            claim::end_orphans(tx)?;
            Ok(true)
        })
    }

    /// Opens a resolved or given-up ticket again, for agents to take: as if it were new, but with its
    /// history. False: it already is open, or an agent works on it. Refused where another
    /// unresolved ticket has the same key.
    pub fn reopen_by_person(&mut self, id: i64, by: &str) -> Result<bool> {
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

    /// Holds a ticket (no agent takes it, the monitor does not clear it) or lets it go again. One
    /// that waited for a person is then open to agents anew, whether it was held or not. False: it
    /// already was so. Refused where another unresolved ticket has the same key.
    pub fn set_held(&mut self, id: i64, held: bool, by: &str) -> Result<bool> {
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

    /// Closes what is left of clusters that are gone for good: a lab that was made anew. Sessions
    /// still marked running on them are marked failed. Returns how many tickets that were.
    pub fn retire_other_clusters(&mut self, cluster_id: &str, why: &str) -> Result<usize> {
        self.write(|tx| {
            let left = select(
                tx,
                "WHERE status != 'resolved' AND cluster_id IS NOT NULL AND cluster_id != ?1",
                [cluster_id],
            )?;
            for ticket in &left {
                resolve(tx, ticket, Resolution::External, "operator", why)?;
                tx.execute(
                    "UPDATE tickets SET fence = fence + 1, held = 0, lease_holder = NULL,
                       lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
                    [ticket.id],
                )?;
                tx.execute(
                    "UPDATE agent_sessions SET status = 'failed', ended_at = ?2,
                       outcome_summary = coalesce(outcome_summary, ?3)
                     WHERE ticket_id = ?1 AND status = 'running'",
                    params![ticket.id, clock::stamp(), why],
                )?;
            }
            Ok(left.len())
        })
    }
}

/// What sessions spent on the ticket so far no longer counts against its budget.
pub(super) fn renew_budget(tx: &Transaction<'_>, ticket: i64) -> Result<()> {
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
            params![ticket.violation_key, ticket.id, ticket.cluster_id],
            |r| r.get(0),
        )
        .optional()?;
    if let Some(twin) = twin {
        return Err(LedgerError::Refused(format!(
            "ticket #{twin} has the same key as #{}: resolve one of them",
            ticket.id
        )));
    }
    tx.execute(
        "UPDATE tickets SET live_key = coalesce(cluster_id, '') || '/' || violation_key
         WHERE id = ?1 AND live_key IS NULL",
        [ticket.id],
    )?;
    Ok(())
}
