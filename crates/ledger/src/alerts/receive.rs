//! A notification on its way into the ledger: what is new, what is old news, and which ticket each
//! alert counts under. An alert keeps the ticket it once had.

use super::{AlertNotice, AlertState as State, Crowd, MANY, OWN, Received};
use crate::{
    Mono, Severity, Stored, SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
};
use rusqlite::{OptionalExtension, Transaction, params};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// A resolved alert that is told firing again so soon, with the same start, was told late: two
/// Alertmanagers of a cluster wait 15 s for each other.
const LATE: Duration = Duration::from_secs(30);

/// Alerts of a crowd whose texts are kept; of the others the labels say enough.
const WITH_TEXTS: i64 = 20;

impl Engine {
    pub(crate) fn receive_alerts(
        &mut self,
        cluster_id: &SystemId,
        notices: &[AlertNotice],
        crowd: &Crowd,
    ) -> Result<Received> {
        self.write(|tx| {
            let cluster = cluster_id.as_str();
            let keys = keys(tx, cluster, notices, crowd)?;
            let mut out = Received::default();
            for (notice, key) in notices.iter().zip(&keys) {
                receive(tx, cluster, notice, key, &mut out)?;
            }
            Ok(out)
        })
    }
}

/// The key under which each alert is, or would be, a ticket.
fn keys(
    tx: &Transaction<'_>,
    cluster: &str,
    notices: &[AlertNotice],
    crowd: &Crowd,
) -> Result<Vec<String>> {
    let mut keys = Vec::with_capacity(notices.len());
    let mut fresh: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut at: HashMap<&str, usize> = HashMap::new();
    for (n, notice) in notices.iter().enumerate() {
        let known: Option<String> = tx
            .prepare_cached(
                "SELECT ticket_key FROM alerts a WHERE cluster_id = ?1 AND fingerprint = ?2
                   AND (state = 'firing' OR EXISTS (SELECT 1 FROM tickets t
                     WHERE t.live_key = ?1 || '/' || a.ticket_key))
                 ORDER BY starts_at DESC LIMIT 1",
            )?
            .query_row(params![cluster, notice.fingerprint], |r| r.get(0))
            .optional()?;
        if known.is_none() && notice.firing && !notice.heartbeat {
            // Twice in one notification, it is one.
            if at.insert(&notice.fingerprint, n).is_none() {
                fresh.entry(&notice.name).or_default().push(n);
            }
        }
        keys.push(known.unwrap_or_else(|| notice.key()));
    }
    if fresh.is_empty() {
        return Ok(keys);
    }
    let since = clock::text(clock::wall() - crowd.window);
    let mut alone = Vec::new();
    for (name, new) in fresh {
        let key = format!("{MANY}{name}");
        if joins(tx, cluster, &key)?
            || begun(tx, cluster, Some(name), &since)? + new.len() > crowd.of_a_name
        {
            for n in new {
                keys[n].clone_from(&key);
            }
        } else {
            alone.extend(new);
        }
    }
    // The worst are the last to lose a ticket of their own.
    alone.sort_by_key(|n| (rank(notices[*n].severity), *n));
    let standing: usize = tx
        .prepare_cached(
            "SELECT count(*) FROM alerts
             WHERE cluster_id = ?1 AND state = 'firing' AND ticket_key >= ?2",
        )?
        .query_row(params![cluster, OWN], |r| r.get(0))?;
    let begun = begun(tx, cluster, None, &since)?;
    let room = (crowd.of_all.saturating_sub(begun)).min(crowd.standing.saturating_sub(standing));
    for n in alone.into_iter().skip(room) {
        MANY.clone_into(&mut keys[n]);
    }
    // What was told twice in one notification is under one key.
    for (n, notice) in notices.iter().enumerate() {
        if let Some(first) = at.get(notice.fingerprint.as_str())
            && *first != n
        {
            let key = keys[*first].clone();
            keys[n] = key;
        }
    }
    Ok(keys)
}

fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    }
}

/// Whether there is a crowd under this key, for new ones to join.
fn joins(tx: &Transaction<'_>, cluster: &str, key: &str) -> Result<bool> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM alerts WHERE cluster_id = ?1 AND ticket_key = ?2 AND state = 'firing'
             UNION ALL SELECT 1 FROM tickets WHERE live_key = ?1 || '/' || ?2",
        )?
        .exists(params![cluster, key])?)
}

/// Tickets of their own that alerts began since then, of this name or of all.
fn begun(tx: &Transaction<'_>, cluster: &str, name: Option<&str>, since: &str) -> Result<usize> {
    Ok(tx
        .prepare_cached(
            "SELECT count(DISTINCT ticket_key) FROM alerts
             WHERE cluster_id = ?1 AND first_at >= ?2 AND ticket_key >= ?3
               AND (?4 IS NULL OR name = ?4)",
        )?
        .query_row(params![cluster, since, OWN, name], |r| r.get(0))?)
}

/// The row of the same start.
struct Same {
    id: i64,
    state: Stored<State>,
    boot: String,
    resolved_ms: Option<i64>,
    heard_ms: Option<i64>,
    silence_ms: Option<i64>,
}

fn same(
    tx: &Transaction<'_>,
    cluster: &str,
    fingerprint: &str,
    starts: &str,
) -> Result<Option<Same>> {
    Ok(tx
        .prepare_cached(
            "SELECT id, state, boot, resolved_ms, heard_ms, silence_ms FROM alerts
             WHERE cluster_id = ?1 AND fingerprint = ?2 AND starts_at = ?3",
        )?
        .query_row(params![cluster, fingerprint, starts], |r| {
            Ok(Same {
                id: r.get(0)?,
                state: r.get(1)?,
                boot: r.get(2)?,
                resolved_ms: r.get(3)?,
                heard_ms: r.get(4)?,
                silence_ms: r.get(5)?,
            })
        })
        .optional()?)
}

fn receive(
    tx: &Transaction<'_>,
    cluster: &str,
    notice: &AlertNotice,
    key: &str,
    out: &mut Received,
) -> Result<()> {
    let (now, stamp) = (Mono::now(), clock::stamp());
    let starts = clock::text(notice.starts_at);
    let same = same(tx, cluster, &notice.fingerprint, &starts)?;
    let was = same.as_ref().and_then(|same| same.state.known());
    let state = if notice.firing {
        fires(tx, cluster, notice, &starts, same.as_ref(), &now)?
    } else {
        State::Resolved
    };
    match (notice.firing, state) {
        (true, State::Firing) if was == Some(State::Firing) => out.repeated += 1,
        (true, State::Firing) => out.fired += 1,
        (true, _) => out.late += 1,
        (false, _) if was == Some(State::Resolved) => out.repeated += 1,
        (false, _) => out.resolved += 1,
    }
    if state == State::Firing {
        // What fired before has ended, whether that was told or not.
        tx.prepare_cached(
            "UPDATE alerts SET state = 'overtaken'
             WHERE cluster_id = ?1 AND fingerprint = ?2 AND starts_at != ?3 AND state = 'firing'",
        )?
        .execute(params![cluster, notice.fingerprint, starts])?;
    } else if !notice.firing {
        end_younger(tx, cluster, notice, &now)?;
    }
    if notice.firing && state != State::Firing && same.is_some() {
        // Late: it says nothing that is true now.
        return Ok(());
    }
    write(tx, cluster, notice, key, state, same.as_ref(), &now, &stamp)
}

/// What the word "firing" makes of an alert.
fn fires(
    tx: &Transaction<'_>,
    cluster: &str,
    notice: &AlertNotice,
    starts: &str,
    same: Option<&Same>,
    now: &Mono,
) -> Result<State> {
    let just = |boot: &str, resolved: Option<i64>| {
        boot == now.boot && resolved.is_some_and(|ms| now.ms - ms < clock::millis(LATE))
    };
    if let Some(same) = same
        && same.state == State::Resolved
        && just(&same.boot, same.resolved_ms)
    {
        return Ok(State::Resolved);
    }
    // One of a pair of Alertmanagers may know the outage by an earlier start than the other: what it
    // still says long after the other's "resolved" is true.
    let younger: Vec<(Stored<State>, String, Option<i64>)> = tx
        .prepare_cached(
            "SELECT state, boot, resolved_ms FROM alerts
             WHERE cluster_id = ?1 AND fingerprint = ?2 AND starts_at > ?3",
        )?
        .query_map(params![cluster, notice.fingerprint, starts], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let overtaken = younger
        .iter()
        .any(|(state, boot, resolved)| *state != State::Resolved || just(boot, *resolved));
    Ok(if overtaken {
        State::Overtaken
    } else {
        State::Firing
    })
}

/// The end of an older start ends a younger one too where it came after that began: it is one
/// outage, which two Alertmanagers saw begin at two times.
fn end_younger(
    tx: &Transaction<'_>,
    cluster: &str,
    notice: &AlertNotice,
    now: &Mono,
) -> Result<()> {
    let Some(ends) = notice.ends_at else {
        return Ok(());
    };
    let younger: Vec<(i64, String)> = tx
        .prepare_cached(
            "SELECT id, starts_at FROM alerts
             WHERE cluster_id = ?1 AND fingerprint = ?2 AND state = 'firing'",
        )?
        .query_map(params![cluster, notice.fingerprint], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (id, starts) in younger {
        let Some(starts) = parse_time(&starts) else {
            continue;
        };
        if starts > notice.starts_at && starts <= ends {
            tx.prepare_cached(
                "UPDATE alerts SET state = 'resolved', ends_at = ?2, boot = ?3, resolved_ms = ?4,
                   last_at = ?5, notified = notified + 1 WHERE id = ?1",
            )?
            .execute(params![
                id,
                clock::text(ends),
                now.boot,
                now.ms,
                clock::stamp()
            ])?;
        }
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "a row has as many parts")]
fn write(
    tx: &Transaction<'_>,
    cluster: &str,
    notice: &AlertNotice,
    key: &str,
    state: State,
    same: Option<&Same>,
    now: &Mono,
    stamp: &str,
) -> Result<()> {
    let crowded = key < OWN
        && tx
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM alerts
                   WHERE cluster_id = ?1 AND ticket_key = ?2 LIMIT ?3)",
            )?
            .query_row(params![cluster, key, WITH_TEXTS], |r| r.get::<_, i64>(0))?
            >= WITH_TEXTS;
    let labels = serde_json::to_string(&notice.detail.labels).unwrap_or_default();
    let detail = (!crowded).then(|| serde_json::to_string(&notice.detail).unwrap_or_default());
    let context = if crowded { "" } else { &notice.context };
    let ends = notice.ends_at.map(clock::text);
    let resolved_ms = (!notice.firing).then_some(now.ms);
    let Some(same) = same else {
        tx.prepare_cached(
            "INSERT INTO alerts (cluster_id, fingerprint, starts_at, ends_at, state, name, severity,
               summary, group_key, labels, context, first_at, last_at, boot, resolved_ms,
               ticket_key, detail, heartbeat, heard_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14, ?15, ?16,
               ?17, ?18)",
        )?
        .execute(params![
            cluster,
            notice.fingerprint,
            clock::text(notice.starts_at),
            ends,
            state,
            notice.name,
            notice.severity,
            notice.summary,
            notice.group_key,
            labels,
            context,
            stamp,
            now.boot,
            resolved_ms,
            key,
            detail,
            notice.heartbeat,
            now.ms
        ])?;
        return Ok(());
    };
    let silence = same
        .heard_ms
        .filter(|_| same.boot == now.boot)
        .map(|heard| now.ms - heard)
        .max(same.silence_ms);
    // A sender that says it again knows better than a Prometheus that did not see it.
    let contested = notice.firing && same.state == State::Unseen;
    tx.prepare_cached(
        "UPDATE alerts SET state = ?2, ends_at = ?3, summary = ?4, severity = ?5, context = ?6,
           last_at = ?7, boot = ?8, resolved_ms = ?9, notified = notified + 1, ticket_key = ?10,
           detail = ?11, heartbeat = ?12, heard_ms = ?13, silence_ms = ?14, unseen_ms = NULL,
           contested = contested OR ?15, labels = ?16 WHERE id = ?1",
    )?
    .execute(params![
        same.id,
        state,
        ends,
        notice.summary,
        notice.severity,
        context,
        stamp,
        now.boot,
        resolved_ms,
        key,
        detail,
        notice.heartbeat,
        now.ms,
        silence,
        contested,
        labels
    ])?;
    Ok(())
}
