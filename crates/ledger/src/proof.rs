//! Proof of claimed repairs: the request, and the monitor's verdict on it.
//!
//! Proven means: on data younger than the request, the invariant read clear for its whole hold.
//! Unknown ends a hold; it is never clear. Only [`decide_verifications`] says proven. What another
//! system says has ended is `external`, claimed or not.

use crate::{
    Check, CheckOutcome, Lease, LedgerError, Mono, Reading, Resolution, Status, Stored, SystemId,
    claim,
    clock::{self, millis},
    engine::{Engine, Result},
    event::VerifyState,
    ledger_chain::{self, Link},
    tickets, transitions,
};
use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// Where a request for proof stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub state: VerifyState,
    pub detail: String,
    /// Time left until the monitor decides. None: it has not looked yet.
    pub deadline_in: Option<Duration>,
}

/// One request for proof, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerificationRow {
    pub id: i64,
    pub session_id: String,
    pub state: VerifyState,
    pub detail: String,
    pub requested_at: Option<Timestamp>,
    pub decided_at: Option<Timestamp>,
}

impl Engine {
    pub(crate) fn check_wanted(&self, cluster_id: &SystemId) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM verifications v JOIN tickets t ON t.id = v.ticket_id
                 WHERE v.state = 'waiting' AND v.deadline_ms IS NULL AND t.cluster_id = ?1",
            )?
            .exists([cluster_id.as_str()])?)
    }

    pub(crate) fn request_verification(&mut self, lease: &Lease, session: &str) -> Result<i64> {
        self.write(|tx| {
            let now = claim::hold(tx, lease)?;
            let ticket =
                tickets::by_id(tx, lease.ticket)?.ok_or(LedgerError::NoTicket(lease.ticket))?;
            let (state, detail) = if ticket.by_hand {
                let why = "opened by hand: no invariant can prove it, a person must";
                (VerifyState::Unverifiable, why)
            } else {
                (VerifyState::Waiting, "")
            };
            tx.execute(
                "INSERT INTO verifications (ticket_id, session_id, state, detail, boot, since_ms, requested_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![lease.ticket, session, state, detail, now.boot, now.ms, clock::stamp()],
            )?;
            Ok(tx.last_insert_rowid())
        })
    }

    pub(crate) fn verification(&self, id: i64) -> Result<Verification> {
        let now = Mono::now();
        let (state, detail, boot, deadline): (_, String, String, Option<i64>) = self
            .conn
            .prepare_cached(
                "SELECT state, detail, boot, deadline_ms FROM verifications WHERE id = ?1",
            )?
            .query_row([id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
        Ok(Verification {
            state: meaning(&state),
            detail,
            deadline_in: deadline
                .filter(|_| boot == now.boot)
                .map(|ms| Duration::from_millis(u64::try_from(ms - now.ms).unwrap_or(0))),
        })
    }

    pub(crate) fn verifications(&self, ticket: i64) -> Result<Vec<VerificationRow>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT id, session_id, state, detail, requested_at, decided_at FROM verifications
                 WHERE ticket_id = ?1 ORDER BY id",
            )?
            .query_map([ticket], |r| {
                let time = |i| -> rusqlite::Result<Option<Timestamp>> {
                    Ok(r.get::<_, Option<String>>(i)?
                        .as_deref()
                        .and_then(clock::parse_time))
                };
                Ok(VerificationRow {
                    id: r.get(0)?,
                    session_id: r.get(1)?,
                    state: meaning(&r.get(2)?),
                    detail: r.get(3)?,
                    requested_at: time(4)?,
                    decided_at: time(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

/// Judges every claimed repair that waits for it.
pub(crate) fn decide_verifications(
    tx: &Transaction<'_>,
    check: &Check,
    data: &Mono,
    out: &mut CheckOutcome,
) -> Result<()> {
    struct Waiting {
        id: i64,
        ticket: i64,
        boot: String,
        since: i64,
        deadline: Option<i64>,
        key: String,
    }
    let waiting: Vec<Waiting> = tx
        .prepare_cached(
            "SELECT v.id, v.ticket_id, v.boot, v.since_ms, v.deadline_ms, t.violation_key
             FROM verifications v JOIN tickets t ON t.id = v.ticket_id
             WHERE v.state = 'waiting' AND t.cluster_id = ?1",
        )?
        .query_map([check.cluster_id.as_str()], |r| {
            Ok(Waiting {
                id: r.get(0)?,
                ticket: r.get(1)?,
                boot: r.get(2)?,
                since: r.get(3)?,
                deadline: r.get(4)?,
                key: r.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let now = data.ms;
    for w in waiting {
        if w.boot != data.boot {
            decide(
                tx,
                w.id,
                VerifyState::Unverifiable,
                "the machine restarted meanwhile",
                None,
            )?;
            continue;
        }
        let Some(o) = check.observations.iter().find(|o| o.key == w.key) else {
            continue;
        };
        let hold = millis(o.hold);
        let deadline = if let Some(known) = w.deadline {
            known
        } else {
            // Counted from the first check that knows of it.
            let patience = o.outside.as_ref().map_or(Duration::ZERO, |o| o.patience);
            let new = Mono::now().ms + hold + 3 * millis(check.interval) + millis(patience);
            tx.execute(
                "UPDATE verifications SET hold_ms = ?2, deadline_ms = ?3 WHERE id = ?1",
                params![w.id, hold, new],
            )?;
            new
        };
        if now <= w.since {
            continue; // older than the agent's last command
        }
        let clear_since: Option<i64> = tx.query_row(
            "SELECT clear_since_ms FROM invariant_states WHERE cluster_id = ?1 AND violation_key = ?2",
            params![check.cluster_id.as_str(), w.key],
            |r| r.get(0),
        )?;
        let held = clear_since.map(|c| now - c.max(w.since));
        let late = now >= deadline;
        match (o.reading, held) {
            // Somebody else's word ends a ticket, and proves nothing.
            (Reading::Clear, Some(held)) if held >= hold && o.outside.is_some() => {
                decide(
                    tx,
                    w.id,
                    VerifyState::External,
                    &o.message,
                    Some((held, hold)),
                )?;
                if let Some(ticket) = tickets::by_id(tx, w.ticket)?
                    && ticket.status == Status::Acknowledged
                {
                    transitions::resolve(tx, &ticket, Resolution::External, "monitor", &o.message)?;
                    out.cleared.push(w.ticket);
                }
            }
            (Reading::Clear, Some(held)) if held >= hold => {
                let detail = format!(
                    "not violated for {:.1} s: {}",
                    held as f64 / 1000.0,
                    o.message
                );
                decide(tx, w.id, VerifyState::Proven, &detail, Some((held, hold)))?;
                if let Some(ticket) = tickets::by_id(tx, w.ticket)?
                    && ticket.status == Status::Acknowledged
                {
                    transitions::resolve(tx, &ticket, Resolution::Proven, "monitor", &detail)?;
                    out.proven.push(w.ticket);
                }
            }
            // Clear, but not yet for long enough: it may take longer than the deadline only if it
            // has been clear all the while.
            (Reading::Clear, _) => note(
                tx,
                w.id,
                &format!("clear, must hold {} s", o.hold.as_secs()),
            )?,
            (Reading::Violated, _) if late => {
                decide(tx, w.id, VerifyState::Failed, &o.message, None)?;
                out.refuted.push(w.ticket);
            }
            (Reading::Unknown, _) if late => {
                decide(
                    tx,
                    w.id,
                    VerifyState::Unverifiable,
                    &format!("cannot be observed: {}", o.message),
                    None,
                )?;
            }
            (Reading::Violated | Reading::Unknown, _) => note(tx, w.id, &o.message)?,
        }
    }
    Ok(())
}

/// Whether the monitor owes an answer.
pub(crate) fn is_waiting(tx: &Transaction<'_>, ticket: i64) -> Result<bool> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM verifications WHERE ticket_id = ?1 AND state = 'waiting'")?
        .exists([ticket])?)
}

fn note(tx: &Transaction<'_>, id: i64, detail: &str) -> Result<()> {
    tx.prepare_cached("UPDATE verifications SET detail = ?2 WHERE id = ?1 AND detail != ?2")?
        .execute(params![id, detail])?;
    Ok(())
}

/// `held`: for how long it was seen clear, and for how long it had to be, in ms.
fn decide(
    tx: &Transaction<'_>,
    id: i64,
    state: VerifyState,
    detail: &str,
    held: Option<(i64, i64)>,
) -> Result<()> {
    let ticket: i64 = tx.query_row(
        "SELECT ticket_id FROM verifications WHERE id = ?1",
        [id],
        |r| r.get(0),
    )?;
    let words = json!({
        "ticket": ticket,
        "state": state,
        "held_ms": held.map(|(held, _)| held),
        "hold_ms": held.map(|(_, hold)| hold),
    });
    ledger_chain::link(tx, Link::Verdict, &id.to_string(), &words)?;
    tx.execute(
        "UPDATE verifications SET state = ?2, detail = ?3, decided_at = ?4 WHERE id = ?1",
        params![id, state, detail, clock::stamp()],
    )?;
    Ok(())
}

/// Of an unknown word nobody can say that it proves anything.
fn meaning(state: &Stored<VerifyState>) -> VerifyState {
    state.known().unwrap_or(VerifyState::Unverifiable)
}
