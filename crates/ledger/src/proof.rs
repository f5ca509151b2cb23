//! Proof of claimed repairs: the request, and the monitor's verdict on it.
//!
//! Proven means: on data younger than the request, every counted ticket of the incident, and every
//! check on the same things, read clear for its whole hold. Unknown ends a hold; it is never clear.
//! Only [`decide_verifications`] says proven. What another system says has ended is `external`,
//! claimed or not.

use crate::{
    Check, CheckOutcome, IncidentEventKind, Lease, LedgerError, Mono, Observation, Reading,
    Resolution, Stored, SystemId, Ticket, claim,
    clock::{self, millis},
    engine::{Engine, Result},
    event::VerifyState,
    incident::{
        self, hold,
        place::{self, Happened},
    },
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
                "SELECT 1 FROM verifications v JOIN incidents i ON i.id = v.incident_id
                 WHERE v.state = 'waiting' AND v.deadline_ms IS NULL AND i.cluster_id = ?1",
            )?
            .exists([cluster_id.as_str()])?)
    }

    pub(crate) fn request_verification(&mut self, lease: &Lease, session: &str) -> Result<i64> {
        self.write(|tx| {
            claim::hold(tx, lease)?;
            ask(tx, lease.incident, session)
        })
    }

    /// What a person who took an incident asks: the same question.
    pub(crate) fn finish_by_person(&mut self, incident: i64, by: &str) -> Result<i64> {
        self.write(|tx| {
            let found = incident::by_id(tx, incident)?.ok_or(LedgerError::NoIncident(incident))?;
            if !found.taken || found.worker.as_deref() != Some(by) {
                let why = match found.worker {
                    Some(worker) => format!("incident #{incident} is {worker}'s, and not {by}'s"),
                    None => format!("incident #{incident} is not yours: take it first"),
                };
                return Err(LedgerError::Refused(why).into());
            }
            transitions::withdraw(tx, incident, "asked for again")?;
            tx.execute(
                "UPDATE tickets SET claimed = 1 WHERE incident_id = ?1 AND status = 'acknowledged'",
                [incident],
            )?;
            let why = "says that it is repaired, and asks for proof";
            let finished = Happened::new(IncidentEventKind::Finished, by, why);
            place::log(tx, incident, &finished)?;
            ask(tx, incident, "")
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
                 WHERE incident_id = (SELECT incident_id FROM tickets WHERE id = ?1) ORDER BY id",
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

fn ask(tx: &Transaction<'_>, incident: i64, session: &str) -> Result<i64> {
    let now = Mono::now();
    let live = tickets::select(
        tx,
        "WHERE incident_id = ?1 AND status != 'resolved' ORDER BY by_hand, held, id",
        [incident],
    )?;
    let Some(first) = live.first() else {
        return answered(tx, incident, session);
    };
    let (state, detail) = if first.by_hand {
        let why = "opened by hand: no invariant can prove it, a person must";
        (VerifyState::Unverifiable, why)
    } else if first.held {
        let why = "a person holds what it is about: nothing is left to prove";
        (VerifyState::Unverifiable, why)
    } else {
        (VerifyState::Waiting, "")
    };
    tx.execute(
        "INSERT INTO verifications (ticket_id, incident_id, session_id, state, detail, boot, since_ms,
           requested_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![first.id, incident, session, state, detail, now.boot, now.ms, clock::stamp()],
    )?;
    Ok(tx.last_insert_rowid())
}

/// The incident is over: by what was asked for before, or by somebody's word.
fn answered(tx: &Transaction<'_>, incident: i64, session: &str) -> Result<i64> {
    let now = Mono::now();
    tx.execute(
        "INSERT INTO verifications (ticket_id, incident_id, session_id, state, detail, boot, since_ms,
           requested_at, decided_at)
         VALUES (?1, ?1, ?2, 'unverifiable', 'it is over: nothing is left to prove', ?3, ?4, ?5, ?5)",
        params![incident, session, now.boot, now.ms, clock::stamp()],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Judges every claimed repair that waits for it.
pub(crate) fn decide_verifications(
    tx: &Transaction<'_>,
    check: &Check,
    data: &Mono,
    out: &mut CheckOutcome,
) -> Result<()> {
    let waiting: Vec<Request> = tx
        .prepare_cached(
            "SELECT v.id, v.incident_id, v.boot, v.since_ms, v.deadline_ms
             FROM verifications v JOIN incidents i ON i.id = v.incident_id
             WHERE v.state = 'waiting' AND i.cluster_id = ?1",
        )?
        .query_map([check.cluster_id.as_str()], |r| {
            Ok(Request {
                id: r.get(0)?,
                incident: r.get(1)?,
                boot: r.get(2)?,
                since: r.get(3)?,
                deadline: r.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for request in waiting {
        judge(tx, check, data, &request, out)?;
    }
    Ok(())
}

struct Request {
    id: i64,
    incident: i64,
    boot: String,
    since: i64,
    deadline: Option<i64>,
}

/// What the check says of one ticket.
struct Evidence<'a> {
    ticket: Ticket,
    own: &'a Observation,
    /// Clear for so long, in ms, since the claim; of itself and of every check on the same thing.
    /// None: something is not clear.
    held: Option<i64>,
    /// For so long it has to be.
    hold: i64,
    /// What is not clear, if something is: what was claimed, or another check on the same thing.
    against: Option<&'a Observation>,
}

fn judge(
    tx: &Transaction<'_>,
    check: &Check,
    data: &Mono,
    request: &Request,
    out: &mut CheckOutcome,
) -> Result<()> {
    if request.boot != data.boot {
        let why = "the machine restarted meanwhile";
        decide(tx, request, VerifyState::Unverifiable, why, &[])?;
        return after_no(tx, request.incident);
    }
    let counted = counted(tx, request.incident)?;
    if counted.is_empty() {
        let why = "nothing is left of it that the monitor could look at";
        decide(tx, request, VerifyState::Unverifiable, why, &[])?;
        return after_no(tx, request.incident);
    }
    let mut evidence = Vec::with_capacity(counted.len());
    for ticket in counted {
        match evidence_of(tx, check, data, request.since, ticket)? {
            Some(found) => evidence.push(found),
            // It was not looked at this time.
            None => return Ok(()),
        }
    }
    let deadline = match request.deadline {
        Some(known) => known,
        None => set_deadline(tx, check, request, &evidence)?,
    };
    if data.ms <= request.since {
        return Ok(()); // older than the last command
    }
    let late = data.ms >= deadline;
    let against = |reading: Reading| {
        let found = evidence.iter().filter_map(|e| e.against);
        found.into_iter().find(|o| o.reading == reading)
    };
    if let Some(violated) = against(Reading::Violated) {
        if !late {
            return note(tx, request.id, &violated.message);
        }
        decide(
            tx,
            request,
            VerifyState::Failed,
            &violated.message,
            &evidence,
        )?;
        out.refuted.extend(evidence.iter().map(|e| e.ticket.id));
        return after_no(tx, request.incident);
    }
    if let Some(unknown) = against(Reading::Unknown) {
        if !late {
            return note(tx, request.id, &unknown.message);
        }
        let why = format!("cannot be observed: {}", unknown.message);
        decide(tx, request, VerifyState::Unverifiable, &why, &evidence)?;
        return after_no(tx, request.incident);
    }
    // Clear, but not yet for long enough: it may take longer than the deadline only if it has been
    // clear all the while.
    if let Some(short) = evidence
        .iter()
        .find(|e| e.held.is_none_or(|held| held < e.hold))
    {
        let hold = short.hold / 1000;
        return note(tx, request.id, &format!("clear, must hold {hold} s"));
    }
    let detail = words(&evidence);
    let external = evidence.iter().any(|e| e.own.outside.is_some());
    let state = if external {
        VerifyState::External
    } else {
        VerifyState::Proven
    };
    decide(tx, request, state, &detail, &evidence)?;
    for found in &evidence {
        let id = found.ticket.id;
        // Somebody else's word ends a ticket, and proves nothing.
        let (resolution, ended) = match found.own.outside {
            Some(_) => (Resolution::External, &mut out.cleared),
            None => (Resolution::Proven, &mut out.proven),
        };
        transitions::resolve(tx, &found.ticket, resolution, "monitor", &found.words())?;
        ended.push(id);
    }
    Ok(())
}

/// The tickets that a verdict is about. What is held, or was opened by hand, is left out.
fn counted(tx: &Transaction<'_>, incident: i64) -> rusqlite::Result<Vec<Ticket>> {
    tickets::select(
        tx,
        "WHERE incident_id = ?1 AND status != 'resolved' AND held = 0 AND by_hand = 0 ORDER BY id",
        [incident],
    )
}

fn evidence_of<'a>(
    tx: &Transaction<'_>,
    check: &'a Check,
    data: &Mono,
    since: i64,
    ticket: Ticket,
) -> Result<Option<Evidence<'a>>> {
    let own = check
        .observations
        .iter()
        .find(|o| o.key == ticket.violation_key);
    let Some(own) = own else { return Ok(None) };
    let mut held = i64::MAX;
    let mut against = None;
    for o in check.observations.iter().filter(|o| is_about(o, own)) {
        let clear_since: Option<i64> = tx
            .prepare_cached(
                "SELECT clear_since_ms FROM invariant_states WHERE cluster_id = ?1 AND violation_key = ?2",
            )?
            .query_row(params![check.cluster_id.as_str(), o.key], |r| r.get(0))?;
        match clear_since.filter(|_| o.reading == Reading::Clear) {
            Some(clear) => held = held.min(data.ms - clear.max(since)),
            // What was claimed is named before anything else.
            None if against.is_none_or(|_| o.key == own.key) => against = Some(o),
            None => {}
        }
    }
    Ok(Some(Evidence {
        hold: millis(own.hold),
        held: against.is_none().then_some(held),
        ticket,
        own,
        against,
    }))
}

/// Whether an observation is the one of a ticket, or one of another check on the same thing.
fn is_about(o: &Observation, own: &Observation) -> bool {
    o.key == own.key
        || (own.outside.is_none()
            && o.outside.is_none()
            && own.subject.is_some()
            && o.subject == own.subject)
}

/// Counted from the first check that knows of it.
fn set_deadline(
    tx: &Transaction<'_>,
    check: &Check,
    request: &Request,
    evidence: &[Evidence<'_>],
) -> Result<i64> {
    let patience = |e: &Evidence<'_>| {
        let outside = e.own.outside.as_ref();
        outside.map_or(0, |o| millis(o.patience))
    };
    let hold = evidence.iter().map(|e| e.hold).max().unwrap_or(0);
    let patience = evidence.iter().map(patience).max().unwrap_or(0);
    let deadline = Mono::now().ms + hold + 3 * millis(check.interval) + patience;
    tx.execute(
        "UPDATE verifications SET hold_ms = ?2, deadline_ms = ?3 WHERE id = ?1",
        params![request.id, hold, deadline],
    )?;
    Ok(deadline)
}

impl Evidence<'_> {
    fn words(&self) -> String {
        match (self.held, &self.own.outside) {
            (Some(held), None) => format!(
                "not violated for {:.1} s: {}",
                held as f64 / 1000.0,
                self.own.message
            ),
            _ => self.own.message.clone(),
        }
    }
}

fn words(evidence: &[Evidence<'_>]) -> String {
    match evidence {
        [one] => one.words(),
        all => {
            let each = all
                .iter()
                .map(|e| format!("#{} {}", e.ticket.id, e.words()));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

/// After a verdict that is none of success. Whoever claimed it goes on, or gives it up; where nobody
/// is there any more, its tickets are for whoever comes.
fn after_no(tx: &Transaction<'_>, incident: i64) -> Result<()> {
    if claim::is_leased(tx, incident)? {
        return Ok(());
    }
    claim::drop_lease(tx, incident)?;
    hold::open_again(
        tx,
        incident,
        "monitor",
        "its repair was not proven, and nobody works on it",
    )
}

/// Whether the monitor owes an answer.
pub(crate) fn is_waiting(tx: &Transaction<'_>, incident: i64) -> Result<bool> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM verifications WHERE incident_id = ?1 AND state = 'waiting'")?
        .exists([incident])?)
}

fn note(tx: &Transaction<'_>, id: i64, detail: &str) -> Result<()> {
    tx.prepare_cached("UPDATE verifications SET detail = ?2 WHERE id = ?1 AND detail != ?2")?
        .execute(params![id, detail])?;
    Ok(())
}

/// Writes the verdict down: one row a ticket, and the request's end.
fn decide(
    tx: &Transaction<'_>,
    request: &Request,
    state: VerifyState,
    detail: &str,
    evidence: &[Evidence<'_>],
) -> Result<()> {
    let at = clock::stamp();
    let mut tickets = Vec::with_capacity(evidence.len());
    for found in evidence {
        let state = match (state, &found.own.outside) {
            (VerifyState::External, None) => VerifyState::Proven,
            (state, _) => state,
        };
        tx.prepare_cached(
            "INSERT INTO verdicts (verification_id, incident_id, ticket_id, state, held_ms, hold_ms,
               detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            request.id,
            request.incident,
            found.ticket.id,
            state,
            found.held,
            found.hold,
            found.own.message,
            at
        ])?;
        tickets.push(json!({
            "ticket": found.ticket.id,
            "state": state,
            "held_ms": found.held,
            "hold_ms": found.hold,
        }));
    }
    let words = json!({ "incident": request.incident, "state": state, "tickets": tickets });
    ledger_chain::link(tx, Link::Verdict, &request.id.to_string(), &words)?;
    tx.execute(
        "UPDATE verifications SET state = ?2, detail = ?3, decided_at = ?4 WHERE id = ?1",
        params![request.id, state, detail, at],
    )?;
    Ok(())
}

/// Of an unknown word nobody can say that it proves anything.
fn meaning(state: &Stored<VerifyState>) -> VerifyState {
    state.known().unwrap_or(VerifyState::Unverifiable)
}
