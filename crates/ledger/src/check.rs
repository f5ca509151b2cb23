//! What one check of the monitor writes, in one transaction: the state of each invariant, tickets
//! opened, seen again and cleared.
//!
//! It does not observe and does not know thresholds: it is told what each invariant reads and how
//! long that must hold. Verdicts on claimed repairs are `proof`'s.

use crate::{
    AlertDetail, Mono, NewSample, ObservedChange, Resolution, Severity, Status, Stored, SystemId,
    Ticket, TicketEventKind, alerts, claim,
    clock::{self, millis},
    engine::{Engine, Result},
    heartbeat,
    incident::place,
    observed_changes, proof, samples,
    stored::words,
    tickets,
    transitions::{self, Change},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use std::time::Duration;

/// What an invariant reads. Not knowing is neither of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Reading {
    Violated,
    Clear,
    Unknown,
}

words!(Reading);

/// One invariant on one subject, as one check saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Observation {
    /// `invariant` or `invariant:store`.
    pub key: String,
    pub invariant: String,
    /// What it is violated on: a store's id, a member's name, an instance. None: the whole cluster.
    #[serde(rename = "store_id")]
    pub subject: Option<String>,
    /// What people call the subject, where that is not its id.
    pub subject_name: Option<String>,
    /// The raw condition, grace period left aside.
    pub reading: Reading,
    pub message: String,
    /// How bad it is, in whatever its check counts: more is worse. None: it is violated or it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extent: Option<f64>,
    pub severity: Severity,
    /// How long it must be violated before it is a ticket.
    pub grace: Duration,
    /// How long it must be clear before it is believed.
    pub hold: Duration,
    /// It is somebody else's word, and not seen by this monitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<Outside>,
}

/// What comes with a violation that another system tells of.
#[derive(Debug, Clone, Serialize)]
pub struct Outside {
    /// What belongs together there.
    pub batch: String,
    /// For the agent: what is known of it.
    pub context: String,
    /// When it began, as is said there.
    pub since: Timestamp,
    /// How long a claimed repair waits for word of its end.
    pub patience: Duration,
    /// When its sender last spoke of it.
    pub last_word: Option<Timestamp>,
    /// What it came with.
    pub detail: AlertDetail,
    /// Its sender has not told its end: if it reads clear for its hold, that is the end of it.
    pub unseen: bool,
    /// Prometheus sees it, for the first time.
    pub matched: bool,
    /// Its labels name the system that is watched. Otherwise it belongs to its group there, and to
    /// no system that we know.
    pub of_system: bool,
}

/// One check, whole.
#[derive(Debug, Clone)]
pub struct Check {
    pub cluster_id: SystemId,
    /// How old the data of the check is: since before the first request was sent, by a
    /// [`Stopwatch`](crate::Stopwatch).
    pub age: Duration,
    pub observations: Vec<Observation>,
    /// For new tickets: the numbers of that moment, and where the agent is.
    pub metric_snapshot: Option<serde_json::Value>,
    pub subject_context: Option<String>,
    /// JSON of what was observed, kept (bounded) for replay.
    pub sample: Option<NewSample>,
    /// What changed since earlier looks.
    pub changes: Vec<ObservedChange>,
    /// PD's addresses, separated by commas: where this cluster is.
    pub place: String,
    /// Time between checks.
    pub interval: Duration,
    /// Whether everything could be observed.
    pub ok: bool,
    pub detail: String,
}

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckOutcome {
    pub opened: Vec<i64>,
    /// Incidents that had ended, or in which the same had, and that one of `opened` came back to.
    pub returned: Vec<i64>,
    pub cleared: Vec<i64>,
    pub proven: Vec<i64>,
    pub refuted: Vec<i64>,
    /// Violated now, in grace or not.
    pub violated: usize,
    pub unknown: usize,
}

impl Engine {
    /// `data`: when the data of the check was read.
    pub(crate) fn record_check(&mut self, check: &Check, data: &Mono) -> Result<CheckOutcome> {
        let holder = clock::Holder::this_process().to_string();
        self.write(|tx| {
            let mut out = observed(tx, check, data)?;
            proof::decide_verifications(tx, check, data, &mut out)?;
            claim::end_orphans(tx)?;
            if let Some(sample) = &check.sample {
                samples::add(tx, &check.cluster_id, sample)?;
            }
            observed_changes::record(tx, &check.cluster_id, &check.changes)?;
            heartbeat::beat(tx, check, &holder)?;
            Ok(out)
        })
    }

    /// What alerts read between two checks.
    pub(crate) fn record_alerts(&mut self, check: &Check, data: &Mono) -> Result<CheckOutcome> {
        self.write(|tx| {
            let mut out = observed(tx, check, data)?;
            proof::decide_verifications(tx, check, data, &mut out)?;
            Ok(out)
        })
    }

    pub(crate) fn adopt_cluster(
        &mut self,
        provisional: &SystemId,
        cluster_id: &SystemId,
    ) -> Result<()> {
        let (provisional, cluster_id) = (provisional.as_str(), cluster_id.as_str());
        self.write(|tx| {
            tx.execute(
                "UPDATE OR IGNORE tickets SET cluster_id = ?2, live_key = CASE WHEN live_key IS NULL
                   THEN NULL ELSE ?2 || '/' || violation_key END WHERE cluster_id = ?1",
                params![provisional, cluster_id],
            )?;
            // What is left is a twin of a ticket that the cluster has.
            let twins = tickets::select(
                tx,
                "WHERE cluster_id = ?1 AND live_key IS NOT NULL",
                [provisional],
            )?;
            for twin in twins {
                let why = "the same is another ticket of this cluster";
                transitions::resolve(tx, &twin, Resolution::External, "monitor", why)?;
                tx.execute(
                    "UPDATE tickets SET cluster_id = ?2 WHERE id = ?1",
                    params![twin.id, cluster_id],
                )?;
            }
            tx.execute(
                "UPDATE incidents SET cluster_id = ?2, scope = CASE scope WHEN ?1 THEN ?2 ELSE scope END
                 WHERE cluster_id = ?1",
                params![provisional, cluster_id],
            )?;
            // One works on a system at a time, also where it had two names.
            tx.execute(
                "UPDATE incidents SET fence = fence + 1, lease_holder = NULL, lease_boot = NULL,
                   lease_until_ms = NULL
                 WHERE scope = ?1 AND lease_holder IS NOT NULL AND (ended_at IS NOT NULL
                   OR id > (SELECT min(id) FROM incidents WHERE scope = ?1 AND ended_at IS NULL
                     AND lease_holder IS NOT NULL))",
                [cluster_id],
            )?;
            tx.execute(
                "UPDATE holds SET cluster_id = ?2 WHERE cluster_id = ?1",
                params![provisional, cluster_id],
            )?;
            for table in ["invariant_states", "monitor_heartbeats", "alerts", "told"] {
                tx.execute(
                    &format!("UPDATE OR REPLACE {table} SET cluster_id = ?2 WHERE cluster_id = ?1"),
                    params![provisional, cluster_id],
                )?;
            }
            for table in ["samples", "observed_changes"] {
                tx.execute(
                    &format!("UPDATE {table} SET cluster_id = ?2 WHERE cluster_id = ?1"),
                    params![provisional, cluster_id],
                )?;
            }
            Ok(())
        })
    }
}

/// States, and the tickets that follow from them.
fn observed(tx: &Transaction<'_>, check: &Check, data: &Mono) -> Result<CheckOutcome> {
    let mut out = CheckOutcome::default();
    let batch = format!("batch-{}", clock::stamp());
    for observation in &check.observations {
        match observation.reading {
            Reading::Violated => out.violated += 1,
            Reading::Unknown => out.unknown += 1,
            Reading::Clear => {}
        }
        let state = note_state(tx, check, data, observation)?;
        let live = live_ticket(tx, &check.cluster_id, &observation.key)?;
        let outside = observation.outside.as_ref();
        if outside.is_some_and(|o| o.matched) {
            alerts::matched(tx, &check.cluster_id, &observation.key)?;
        }
        match (observation.reading, live) {
            (Reading::Violated, Some(ticket)) => {
                seen_again(tx, &ticket, check, observation)?;
            }
            (Reading::Violated, None) if state.violated_ms >= millis(observation.grace) => {
                let since = outside.map(|o| clock::text(o.since));
                let since = since.as_deref().or(state.violated_since.as_deref());
                let batch = outside.map_or(&batch, |o| &o.batch);
                open(tx, check, observation, batch, since, &mut out)?;
            }
            (Reading::Clear, live) if state.clear_ms >= millis(observation.hold) => {
                if outside.is_some_and(|o| o.unseen) {
                    alerts::ended(tx, &check.cluster_id, &observation.key)?;
                }
                if let Some(ticket) = live {
                    clear(tx, &ticket, observation, &mut out)?;
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

/// How long the invariant has read what it reads, by the data's clock.
struct StateAge {
    violated_ms: i64,
    clear_ms: i64,
    violated_since: Option<String>,
}

fn note_state(
    tx: &Transaction<'_>,
    check: &Check,
    data: &Mono,
    o: &Observation,
) -> Result<StateAge> {
    let known = tx
        .prepare_cached(
            "SELECT boot, clear_since_ms, violated_since_ms, violated_since, observed_ms
             FROM invariant_states
             WHERE cluster_id = ?1 AND violation_key = ?2",
        )?
        .query_row(params![check.cluster_id.as_str(), o.key], |r| {
            Ok((
                r.get::<_, String>(0)?,
                r.get::<_, Option<i64>>(1)?,
                r.get::<_, Option<i64>>(2)?,
                r.get::<_, Option<String>>(3)?,
                r.get::<_, i64>(4)?,
            ))
        })
        .optional()?;
    let now = data.ms;
    let gap = millis(check.interval * 3 + heartbeat::MAX_LOOK);
    // Times of an earlier boot mean nothing now; time in which nobody looked is not clear.
    let (clear, violated, since) = match known {
        Some((boot, clear, violated, since, observed)) if boot == data.boot => {
            (clear.filter(|_| now - observed <= gap), violated, since)
        }
        _ => (None, None, None),
    };
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
        check.cluster_id.as_str(),
        o.key,
        o.reading,
        o.message,
        data.boot,
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
fn live_ticket(tx: &Transaction<'_>, cluster: &SystemId, key: &str) -> Result<Option<Ticket>> {
    let own = format!("{cluster}/{key}");
    Ok(tickets::select(
        tx,
        "WHERE live_key IN (?1, '/' || ?2) LIMIT 1",
        params![own, key],
    )?
    .pop())
}

fn seen_again(tx: &Transaction<'_>, ticket: &Ticket, check: &Check, o: &Observation) -> Result<()> {
    // Of what others tell, their words count and not our looks at them.
    let (seen, times) = match &o.outside {
        None => (Some(clock::wall()), 1),
        Some(outside) => {
            let news = outside.last_word > ticket.last_seen_at;
            (outside.last_word.max(ticket.last_seen_at), i64::from(news))
        }
    };
    let outside = o.outside.as_ref();
    let severity = outside.map(|_| worse(o.severity, &ticket.severity));
    tx.prepare_cached(
        "UPDATE tickets SET last_seen_at = coalesce(?2, last_seen_at), message = ?3,
           occurrence_count = occurrence_count + ?6, cluster_id = ?4,
           live_key = ?4 || '/' || violation_key, subject_name = coalesce(?5, subject_name),
           severity = coalesce(?7, severity), alert = coalesce(?8, alert),
           worst_message = CASE WHEN ?9 > coalesce(worst_extent, -1e300) THEN ?3 ELSE worst_message END,
           worst_at = CASE WHEN ?9 > coalesce(worst_extent, -1e300) THEN ?10 ELSE worst_at END,
           worst_extent = CASE WHEN ?9 > coalesce(worst_extent, -1e300) THEN ?9 ELSE worst_extent END
         WHERE id = ?1",
    )?
    .execute(params![
        ticket.id,
        seen.map(clock::text),
        o.message,
        check.cluster_id.as_str(),
        o.subject_name,
        times,
        severity,
        outside.map(told),
        o.extent,
        clock::stamp()
    ])?;
    if ticket.cluster_id.is_none() {
        tx.execute(
            "UPDATE incidents SET cluster_id = ?2, scope = ?2 WHERE id = ?1 AND cluster_id IS NULL",
            params![ticket.incident_id, check.cluster_id.as_str()],
        )?;
    }
    Ok(())
}

/// A ticket that stands for many is as bad as the worst it has stood for.
fn worse(now: Severity, was: &Stored<Severity>) -> Severity {
    match (now, was.known()) {
        (Severity::Critical, _) | (_, Some(Severity::Critical)) => Severity::Critical,
        (Severity::Warning, _) | (_, Some(Severity::Warning)) => Severity::Warning,
        _ => Severity::Info,
    }
}

fn told(outside: &Outside) -> String {
    serde_json::to_string(&outside.detail).unwrap_or_default()
}

/// What one worker at a time works on: the system, or what belongs together at somebody else's.
fn scope(check: &Check, o: &Observation) -> String {
    match &o.outside {
        Some(outside) if !outside.of_system => format!("alert:{}", outside.batch),
        _ => check.cluster_id.to_string(),
    }
}

fn open(
    tx: &Transaction<'_>,
    check: &Check,
    o: &Observation,
    batch: &str,
    since: Option<&str>,
    out: &mut CheckOutcome,
) -> Result<()> {
    let now = clock::stamp();
    let since = since.unwrap_or(&now);
    let last_word = o.outside.as_ref().and_then(|o| o.last_word);
    let seen = last_word.map_or_else(|| now.clone(), clock::text);
    let live_key = format!("{}/{}", check.cluster_id, o.key);
    let context = match (&o.outside, check.subject_context.as_deref()) {
        (Some(outside), Some(place)) => Some(format!("{}\n\n{place}", outside.context)),
        (Some(outside), None) => Some(outside.context.clone()),
        (None, place) => place.map(str::to_owned),
    };
    tx.execute(
        "INSERT INTO tickets (violation_key, invariant_name, store_id, status, batch_key,
           first_seen_at, last_seen_at, message, severity, metric_snapshot, subject_context,
           live_key, cluster_id, subject_name, alert, created_at, updated_at, worst_extent,
           worst_message, worst_at)
         VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15, ?16,
           CASE WHEN ?16 IS NOT NULL THEN ?7 END, CASE WHEN ?16 IS NOT NULL THEN ?15 END)",
        params![
            o.key,
            o.invariant,
            o.subject,
            batch,
            since,
            seen,
            o.message,
            o.severity,
            check.metric_snapshot.as_ref().map(ToString::to_string),
            context,
            live_key,
            check.cluster_id.as_str(),
            o.subject_name,
            o.outside.as_ref().map(told),
            now,
            o.extent
        ],
    )?;
    let id = tx.last_insert_rowid();
    let change = Change {
        kind: TicketEventKind::Opened,
        from: None,
        to: Status::Open,
        resolution: None,
        by: "monitor",
        why: &o.message,
    };
    transitions::log(tx, id, &change)?;
    out.opened.push(id);
    let put = place::put(tx, id, &scope(check, o))?;
    out.returned
        .extend(put.filter(|p| p.returned).map(|p| p.incident));
    Ok(())
}

/// The violation has been gone for its hold time. A ticket whose incident somebody works on, that
/// waits for proof, or that a person holds, is left to them.
fn clear(
    tx: &Transaction<'_>,
    ticket: &Ticket,
    o: &Observation,
    out: &mut CheckOutcome,
) -> Result<()> {
    if ticket.held || ticket.by_hand || ticket.status == Status::Resolved {
        return Ok(());
    }
    let incident = ticket.incident_id.unwrap_or(ticket.id);
    if claim::is_leased(tx, incident)? || proof::is_waiting(tx, incident)? {
        return Ok(());
    }
    let whose = acted(tx, incident)?;
    let resolution = match (&whose, &o.outside) {
        (None, None) => Resolution::Cleared,
        _ => Resolution::External,
    };
    let whose = whose.map_or(String::new(), |who| format!("; {who} had worked on it"));
    let why = match &o.outside {
        Some(_) => o.message.clone(),
        None => format!(
            "not violated for {} s: {}{whose}",
            o.hold.as_secs(),
            o.message
        ),
    };
    transitions::resolve(tx, ticket, resolution, "monitor", &why)?;
    out.cleared.push(ticket.id);
    Ok(())
}

/// Who did anything on the incident that may have changed something, if anybody did.
fn acted(tx: &Transaction<'_>, incident: i64) -> Result<Option<String>> {
    let session: Option<String> = tx
        .prepare_cached(
            "SELECT s.session_id FROM agent_sessions s JOIN agent_log_entries e USING (session_id)
             WHERE s.incident_id = ?1 AND e.entry_type = 'tool_call'
               AND coalesce(e.effect, '') != 'reads' AND e.timestamp >= coalesce(
               (SELECT max(at) FROM incident_events WHERE incident_id = ?1 AND kind = 'reopened'), '')
             ORDER BY s.id DESC LIMIT 1",
        )?
        .query_row([incident], |r| r.get(0))
        .optional()?;
    if let Some(session) = session {
        return Ok(Some(format!("session {session}")));
    }
    Ok(tx
        .prepare_cached(
            "SELECT by FROM incident_events WHERE incident_id = ?1 AND kind = 'taken'
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row([incident], |r| r.get(0))
        .optional()?)
}
