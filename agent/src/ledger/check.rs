//! What one check of the monitor writes, in one transaction: the state of each invariant, tickets
//! opened, seen again, reopened and cleared, verdicts on claimed repairs, and the heartbeat.
//!
//! It does not observe and does not know thresholds: it is told what each invariant reads and how
//! long that must hold. Only this file sets a ticket to proven, cleared or external.

use super::{
    Lease, Ledger, LedgerError, Mono, Resolution, Result, Status, Ticket, claim, clock, record,
    tickets,
};
use crate::event::VerifyState;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use std::time::Duration;

/// A ticket that comes back this soon after its resolution is the same ticket.
const REOPEN_WINDOW: Duration = Duration::from_secs(600);

/// What an invariant reads. Not knowing is neither of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    Violated,
    Clear,
    Unknown,
}

impl Reading {
    fn as_str(self) -> &'static str {
        match self {
            Self::Violated => "violated",
            Self::Clear => "clear",
            Self::Unknown => "unknown",
        }
    }
}

/// One invariant on one subject, as one check saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Observation {
    /// `invariant` or `invariant:store`.
    pub key: String,
    pub invariant: String,
    pub store_id: Option<String>,
    /// The raw condition, grace period left aside.
    pub reading: Reading,
    pub message: String,
    pub severity: String,
    /// How long it must be violated before it is a ticket.
    pub grace: Duration,
    /// How long it must be clear before it is believed.
    pub hold: Duration,
}

/// One check, whole.
#[derive(Debug)]
pub struct Check<'a> {
    pub cluster_id: &'a str,
    /// When the data of the check was read; taken before the first request was sent.
    pub data: Mono,
    pub observations: &'a [Observation],
    /// For new tickets: the numbers of that moment, and where the agent is.
    pub metric_snapshot: Option<&'a serde_json::Value>,
    pub subject_context: Option<&'a str>,
    /// JSON of what was observed, kept (bounded) for replay.
    pub sample: Option<&'a str>,
    /// Time between checks.
    pub interval: Duration,
    /// Whether everything could be observed.
    pub ok: bool,
    pub detail: &'a str,
}

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckOutcome {
    pub opened: Vec<i64>,
    pub reopened: Vec<i64>,
    pub cleared: Vec<i64>,
    pub proven: Vec<i64>,
    pub refuted: Vec<i64>,
    /// Violated now, in grace or not.
    pub violated: usize,
    pub unknown: usize,
}

/// When the monitor last looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    pub cluster_id: String,
    /// Since the last check; [`Duration::MAX`] if that was before this machine started.
    pub age: Duration,
    pub at: Option<Timestamp>,
    pub ok: bool,
    pub detail: String,
    pub interval: Duration,
    pub checks: u64,
}

impl Heartbeat {
    /// Three intervals without a check: nobody is watching.
    pub fn is_silent(&self) -> bool {
        self.age > self.interval * 3 + Duration::from_secs(1)
    }
}

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

impl Ledger {
    /// Records one check.
    pub fn record_check(&mut self, check: &Check<'_>) -> Result<CheckOutcome> {
        let holder = clock::Holder::this_process().to_string();
        self.write(|tx| {
            let mut out = CheckOutcome::default();
            let batch = format!("batch-{}", clock::stamp());
            for observation in check.observations {
                match observation.reading {
                    Reading::Violated => out.violated += 1,
                    Reading::Unknown => out.unknown += 1,
                    Reading::Clear => {}
                }
                let state = note_state(tx, check, observation)?;
                let live = live_ticket(tx, check.cluster_id, &observation.key)?;
                match (observation.reading, live) {
                    (Reading::Violated, Some(ticket)) => {
                        seen_again(tx, &ticket, check, observation)?
                    }
                    (Reading::Violated, None) if state.violated_ms >= millis(observation.grace) => {
                        let since = state.violated_since.as_deref();
                        open_or_reopen(tx, check, observation, &batch, since, &mut out)?;
                    }
                    (Reading::Clear, Some(ticket))
                        if state.clear_ms >= millis(observation.hold) =>
                    {
                        clear(tx, &ticket, observation, &mut out)?;
                    }
                    _ => {}
                }
            }
            decide_verifications(tx, check, &mut out)?;
            if let Some(sample) = check.sample {
                record::add_sample(tx, check.cluster_id, sample)?;
            }
            beat(tx, check, &holder)?;
            Ok(out)
        })
    }

    /// Gives what was recorded under a provisional cluster id, before PD could be asked, to the
    /// cluster it turned out to be.
    pub fn adopt_cluster(&mut self, provisional: &str, cluster_id: &str) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE OR IGNORE tickets SET cluster_id = ?2, live_key = CASE WHEN live_key IS NULL
                   THEN NULL ELSE ?2 || '/' || violation_key END WHERE cluster_id = ?1",
                params![provisional, cluster_id],
            )?;
            for table in ["invariant_states", "monitor_heartbeats"] {
                tx.execute(
                    &format!("UPDATE OR REPLACE {table} SET cluster_id = ?2 WHERE cluster_id = ?1"),
                    params![provisional, cluster_id],
                )?;
            }
            tx.execute(
                "UPDATE samples SET cluster_id = ?2 WHERE cluster_id = ?1",
                params![provisional, cluster_id],
            )?;
            Ok(())
        })
    }

    /// The cluster that this ledger's monitor watched last.
    pub fn last_cluster(&self) -> Result<Option<String>> {
        Ok(self.heartbeat(None)?.map(|h| h.cluster_id))
    }

    /// Violation keys of unresolved tickets of a cluster that were not opened by hand.
    pub fn live_keys(&self, cluster_id: &str) -> Result<Vec<(String, String, Option<String>)>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT violation_key, invariant_name, store_id FROM tickets
                 WHERE live_key IS NOT NULL AND by_hand = 0
                   AND (cluster_id = ?1 OR cluster_id IS NULL)",
            )?
            .query_map([cluster_id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Whether somebody waits for a check sooner than the next is due.
    pub fn check_wanted(&self, cluster_id: &str) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM verifications v JOIN tickets t ON t.id = v.ticket_id
                 WHERE v.state = 'waiting' AND v.deadline_ms IS NULL AND t.cluster_id = ?1",
            )?
            .exists([cluster_id])?)
    }

    /// Asks the monitor to prove a repair by data younger than now. A ticket opened by hand has no
    /// invariant that could prove it: answered at once.
    pub fn request_verification(&mut self, lease: &Lease, session: &str) -> Result<i64> {
        self.write(|tx| {
            let now = claim::hold(tx, lease)?;
            let ticket =
                tickets::by_id(tx, lease.ticket)?.ok_or(LedgerError::NoTicket(lease.ticket))?;
            let (state, detail) = if ticket.by_hand {
                ("unverifiable", "opened by hand: no invariant can prove it, a person must")
            } else {
                ("waiting", "")
            };
            tx.execute(
                "INSERT INTO verifications (ticket_id, session_id, state, detail, boot, since_ms, requested_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![lease.ticket, session, state, detail, now.boot, now.ms, clock::stamp()],
            )?;
            Ok(tx.last_insert_rowid())
        })
    }

    pub fn verification(&self, id: i64) -> Result<Verification> {
        let now = Mono::now();
        let (state, detail, boot, deadline): (String, String, String, Option<i64>) = self
            .conn
            .prepare_cached(
                "SELECT state, detail, boot, deadline_ms FROM verifications WHERE id = ?1",
            )?
            .query_row([id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
        Ok(Verification {
            state: verify_state(&state),
            detail,
            deadline_in: deadline
                .filter(|_| boot == now.boot)
                .map(|ms| Duration::from_millis(u64::try_from(ms - now.ms).unwrap_or(0))),
        })
    }

    /// Requests for proof of one ticket, oldest first.
    pub fn verifications(&self, ticket: i64) -> Result<Vec<VerificationRow>> {
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
                    state: verify_state(&r.get::<_, String>(2)?),
                    detail: r.get(3)?,
                    requested_at: time(4)?,
                    decided_at: time(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// The monitor's last check of a cluster; of whichever looked last, if none is named.
    pub fn heartbeat(&self, cluster_id: Option<&str>) -> Result<Option<Heartbeat>> {
        let now = Mono::now();
        Ok(self
            .conn
            .prepare_cached(
                "SELECT cluster_id, boot, at_ms, at, interval_ms, checks, ok, detail
                 FROM monitor_heartbeats WHERE ?1 IS NULL OR cluster_id = ?1 ORDER BY at DESC LIMIT 1",
            )?
            .query_row([cluster_id], |r| {
                let boot: String = r.get(1)?;
                let at_ms: i64 = r.get(2)?;
                Ok(Heartbeat {
                    cluster_id: r.get(0)?,
                    age: if boot == now.boot {
                        Duration::from_millis(u64::try_from(now.ms - at_ms).unwrap_or(0))
                    } else {
                        Duration::MAX
                    },
                    at: clock::parse_time(&r.get::<_, String>(3)?),
                    interval: Duration::from_millis(r.get(4)?),
                    checks: r.get(5)?,
                    ok: r.get(6)?,
                    detail: r.get(7)?,
                })
            })
            .optional()?)
    }
}

/// How long the invariant has read what it reads, by the data's clock.
struct StateAge {
    violated_ms: i64,
    clear_ms: i64,
    violated_since: Option<String>,
}

fn note_state(tx: &Transaction<'_>, check: &Check<'_>, o: &Observation) -> Result<StateAge> {
    let known: Option<(String, Option<i64>, Option<i64>, Option<String>)> = tx
        .prepare_cached(
            "SELECT boot, clear_since_ms, violated_since_ms, violated_since FROM invariant_states
             WHERE cluster_id = ?1 AND violation_key = ?2",
        )?
        .query_row(params![check.cluster_id, o.key], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })
        .optional()?;
    // Times of an earlier boot mean nothing now.
    let (clear, violated, since) = match known {
        Some((boot, clear, violated, since)) if boot == check.data.boot => (clear, violated, since),
        _ => (None, None, None),
    };
    let now = check.data.ms;
    let (clear, violated, since) = match o.reading {
        Reading::Clear => (Some(clear.unwrap_or(now)), None, None),
        Reading::Violated => (
            None,
            Some(violated.unwrap_or(now)),
            Some(since.unwrap_or_else(clock::stamp)),
        ),
        // Not seeing is no evidence of recovery, and no new violation either.
        Reading::Unknown => (None, violated, since),
    };
    tx.prepare_cached(
        "INSERT OR REPLACE INTO invariant_states (cluster_id, violation_key, state, detail, boot,
           observed_ms, clear_since_ms, violated_since_ms, violated_since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        check.cluster_id,
        o.key,
        o.reading.as_str(),
        o.message,
        check.data.boot,
        now,
        clear,
        violated,
        since
    ])?;
    Ok(StateAge {
        violated_ms: violated.map_or(-1, |t| now - t),
        clear_ms: clear.map_or(-1, |t| now - t),
        violated_since: since,
    })
}

/// The unresolved ticket of a key: of this cluster, or an adopted one of none.
fn live_ticket(tx: &Transaction<'_>, cluster: &str, key: &str) -> Result<Option<Ticket>> {
    let own = format!("{cluster}/{key}");
    Ok(tickets::select(
        tx,
        "WHERE live_key IN (?1, '/' || ?2) LIMIT 1",
        params![own, key],
    )?
    .pop())
}

fn seen_again(
    tx: &Transaction<'_>,
    ticket: &Ticket,
    check: &Check<'_>,
    o: &Observation,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE tickets SET last_seen_at = ?2, message = ?3, occurrence_count = occurrence_count + 1,
           cluster_id = ?4, live_key = ?4 || '/' || violation_key WHERE id = ?1",
    )?
    .execute(params![ticket.id, clock::stamp(), o.message, check.cluster_id])?;
    Ok(())
}

fn open_or_reopen(
    tx: &Transaction<'_>,
    check: &Check<'_>,
    o: &Observation,
    batch: &str,
    since: Option<&str>,
    out: &mut CheckOutcome,
) -> Result<()> {
    let now = clock::stamp();
    let since = since.unwrap_or(&now);
    let live_key = format!("{}/{}", check.cluster_id, o.key);
    let recent = clock::text(clock::wall() - REOPEN_WINDOW);
    let earlier = tickets::select(
        tx,
        "WHERE violation_key = ?1 AND cluster_id = ?2 AND status = 'resolved' AND resolved_at >= ?3
           AND resolution != 'human' ORDER BY id DESC LIMIT 1",
        params![o.key, check.cluster_id, recent],
    )?
    .pop();
    if let Some(ticket) = earlier {
        tx.execute(
            "UPDATE tickets SET status = 'open', resolution = NULL, resolved_at = NULL, live_key = ?2,
               flaps = flaps + 1, claimed = 0, last_seen_at = ?3, message = ?4, batch_key = ?5,
               occurrence_count = occurrence_count + 1, fence = fence + 1, lease_holder = NULL,
               lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
            params![ticket.id, live_key, now, o.message, batch],
        )?;
        tickets::log(
            tx,
            ticket.id,
            Some("resolved"),
            "open",
            "monitor",
            &format!("came back: {}", o.message),
        )?;
        out.reopened.push(ticket.id);
        return Ok(());
    }
    tx.execute(
        "INSERT INTO tickets (violation_key, invariant_name, store_id, status, batch_key,
           first_seen_at, last_seen_at, message, severity, metric_snapshot, subject_context,
           live_key, cluster_id, created_at, updated_at)
         VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?6, ?6)",
        params![
            o.key,
            o.invariant,
            o.store_id,
            batch,
            since,
            now,
            o.message,
            o.severity,
            check.metric_snapshot.map(ToString::to_string),
            check.subject_context,
            live_key,
            check.cluster_id
        ],
    )?;
    let id = tx.last_insert_rowid();
    tickets::log(tx, id, None, "open", "monitor", &o.message)?;
    out.opened.push(id);
    Ok(())
}

/// The violation has been gone for its hold time. A ticket that an agent works on, or that a
/// person holds, is left to them.
fn clear(
    tx: &Transaction<'_>,
    ticket: &Ticket,
    o: &Observation,
    out: &mut CheckOutcome,
) -> Result<()> {
    if ticket.held || ticket.by_hand {
        return Ok(());
    }
    let resolution = match ticket.status {
        Status::Open if ticket.attempts == 0 => Resolution::Cleared,
        Status::Open | Status::Escalated => Resolution::External,
        Status::Acknowledged | Status::Resolved => return Ok(()),
    };
    let why = format!("not violated for {} s: {}", o.hold.as_secs(), o.message);
    tickets::resolve(tx, ticket, resolution, "monitor", &why)?;
    out.cleared.push(ticket.id);
    Ok(())
}

/// Judges every claimed repair that waits for it.
fn decide_verifications(
    tx: &Transaction<'_>,
    check: &Check<'_>,
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
        .query_map([check.cluster_id], |r| {
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
    let now = check.data.ms;
    for w in waiting {
        if w.boot != check.data.boot {
            decide(
                tx,
                w.id,
                VerifyState::Unverifiable,
                "the machine restarted meanwhile",
            )?;
            continue;
        }
        let Some(o) = check.observations.iter().find(|o| o.key == w.key) else {
            continue;
        };
        let hold = millis(o.hold);
        let deadline = match w.deadline {
            Some(d) => d,
            None => {
                // Counted from the first check that knows of it.
                let d = Mono::now().ms + hold + 3 * millis(check.interval);
                tx.execute(
                    "UPDATE verifications SET hold_ms = ?2, deadline_ms = ?3 WHERE id = ?1",
                    params![w.id, hold, d],
                )?;
                d
            }
        };
        if now <= w.since {
            continue; // older than the agent's last command
        }
        let clear_since: Option<i64> = tx.query_row(
            "SELECT clear_since_ms FROM invariant_states WHERE cluster_id = ?1 AND violation_key = ?2",
            params![check.cluster_id, w.key],
            |r| r.get(0),
        )?;
        let held = clear_since.map(|c| now - c.max(w.since));
        let late = now >= deadline;
        match (o.reading, held) {
            (Reading::Clear, Some(held)) if held >= hold => {
                let detail = format!(
                    "not violated for {:.1} s: {}",
                    held as f64 / 1000.0,
                    o.message
                );
                decide(tx, w.id, VerifyState::Proven, &detail)?;
                if let Some(ticket) = tickets::by_id(tx, w.ticket)?
                    && ticket.status == Status::Acknowledged
                {
                    tickets::resolve(tx, &ticket, Resolution::Proven, "monitor", &detail)?;
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
                decide(tx, w.id, VerifyState::Failed, &o.message)?;
                out.refuted.push(w.ticket);
            }
            (Reading::Unknown, _) if late => {
                decide(
                    tx,
                    w.id,
                    VerifyState::Unverifiable,
                    &format!("cannot be observed: {}", o.message),
                )?;
            }
            (Reading::Violated | Reading::Unknown, _) => note(tx, w.id, &o.message)?,
        }
    }
    Ok(())
}

fn note(tx: &Transaction<'_>, id: i64, detail: &str) -> Result<()> {
    tx.prepare_cached("UPDATE verifications SET detail = ?2 WHERE id = ?1 AND detail != ?2")?
        .execute(params![id, detail])?;
    Ok(())
}

fn decide(tx: &Transaction<'_>, id: i64, state: VerifyState, detail: &str) -> Result<()> {
    let word = match state {
        VerifyState::Waiting => "waiting",
        VerifyState::Proven => "proven",
        VerifyState::Failed => "failed",
        VerifyState::Unverifiable => "unverifiable",
    };
    tx.execute(
        "UPDATE verifications SET state = ?2, detail = ?3, decided_at = ?4 WHERE id = ?1",
        params![id, word, detail, clock::stamp()],
    )?;
    Ok(())
}

fn verify_state(word: &str) -> VerifyState {
    match word {
        "waiting" => VerifyState::Waiting,
        "proven" => VerifyState::Proven,
        "failed" => VerifyState::Failed,
        _ => VerifyState::Unverifiable,
    }
}

fn beat(tx: &Transaction<'_>, check: &Check<'_>, holder: &str) -> Result<()> {
    let now = Mono::now();
    tx.prepare_cached(
        "INSERT INTO monitor_heartbeats (cluster_id, holder, boot, at_ms, at, interval_ms, checks, ok, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8)
         ON CONFLICT (cluster_id) DO UPDATE SET holder = ?2, boot = ?3, at_ms = ?4, at = ?5,
           interval_ms = ?6, checks = checks + 1, ok = ?7, detail = ?8",
    )?
    .execute(params![
        check.cluster_id,
        holder,
        now.boot,
        now.ms,
        clock::stamp(),
        millis(check.interval),
        check.ok,
        check.detail
    ])?;
    Ok(())
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX / 4)
}
