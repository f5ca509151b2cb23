//! What stands: alerts that have a ticket of their own one by one, crowds counted. Of a crowd no
//! more is loaded at once than a page of its members.

use super::{
    AlertDetail, AlertNotice, AlertState as State, CrowdMember, MANY, OWN, Standing, StandingAlert,
    StandingCrowd,
};
use crate::{
    Mono, Severity, Stored, SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
};
use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};
use std::{collections::BTreeMap, time::Duration};

/// Members of a crowd that are shown, and names.
const EXAMPLES: i64 = 5;
/// Members of a crowd that are given at once.
const PAGE: i64 = 1000;

impl Engine {
    pub(crate) fn standing_alerts(&self, cluster_id: &SystemId) -> Result<Standing> {
        let mut out = Standing::default();
        let now = Mono::now();
        let mut statement = self.conn.prepare_cached(
            "SELECT fingerprint, starts_at, ends_at, state, name, severity, summary, group_key,
               labels, context, last_at, detail, heartbeat, boot, heard_ms, silence_ms, notified,
               matched, contested FROM alerts a
             WHERE a.id IN (
                 SELECT id FROM alerts
                   WHERE state = 'firing' AND cluster_id = ?1 AND ticket_key >= ?2
                 UNION SELECT b.id FROM tickets t JOIN alerts b ON b.cluster_id = ?1
                   AND b.fingerprint = substr(t.violation_key, 7)
                   WHERE t.live_key IS NOT NULL AND t.cluster_id = ?1
                     AND substr(t.violation_key, 1, 6) = 'alert:'
                     AND NOT EXISTS (SELECT 1 FROM alerts c WHERE c.cluster_id = ?1
                       AND c.fingerprint = b.fingerprint
                       AND (c.state = 'firing' OR c.starts_at > b.starts_at)))
               AND NOT EXISTS (SELECT 1 FROM tickets h WHERE h.cluster_id = ?1
                 AND h.violation_key = a.ticket_key
                 AND h.resolution = 'human' AND h.resolved_at >= a.last_at)
             ORDER BY a.id",
        )?;
        let mut rows = statement.query(params![cluster_id.as_str(), OWN])?;
        while let Some(row) = rows.next()? {
            match alert(row, &now)? {
                Some(alert) => out.alerts.push(alert),
                None => out.unreadable += 1,
            }
        }
        for key in self.crowds(cluster_id)? {
            out.crowds.extend(self.crowd(cluster_id, key)?);
        }
        Ok(out)
    }

    /// Keys of crowds that fire, or have an unresolved ticket.
    fn crowds(&self, cluster_id: &SystemId) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT DISTINCT ticket_key FROM alerts
                   WHERE cluster_id = ?1 AND state = 'firing' AND ticket_key >= ?2 AND ticket_key < ?3
                 UNION SELECT violation_key FROM tickets
                   WHERE live_key IS NOT NULL AND cluster_id = ?1
                     AND violation_key >= ?2 AND violation_key < ?3
                 ORDER BY 1",
            )?
            .query_map(params![cluster_id.as_str(), MANY, OWN], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?)
    }

    fn crowd(&self, cluster_id: &SystemId, key: String) -> Result<Option<StandingCrowd>> {
        let cluster = cluster_id.as_str();
        // What a person has ended is over until it is told again.
        let ended_by_person: Option<String> = self
            .conn
            .prepare_cached(
                "SELECT max(resolved_at) FROM tickets WHERE cluster_id = ?1 AND violation_key = ?2
                   AND resolution = 'human'",
            )?
            .query_row(params![cluster, key], |r| r.get(0))?;
        let told = ended_by_person.unwrap_or_default();
        let (firing, critical, warning, since, last_at): (u64, u64, u64, _, Option<String>) = self
            .conn
            .prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE severity = 'critical'),
                   count(*) FILTER (WHERE severity = 'warning'), min(starts_at), max(last_at)
                 FROM alerts
                 WHERE cluster_id = ?1 AND ticket_key = ?2 AND state = 'firing' AND last_at > ?3",
            )?
            .query_row(params![cluster, key, told], |r| {
                Ok((
                    r.get(0)?,
                    r.get(1)?,
                    r.get(2)?,
                    r.get::<_, Option<String>>(3)?,
                    r.get(4)?,
                ))
            })?;
        let (ended, last_ended): (u64, Option<String>) = self
            .conn
            .prepare_cached(
                "SELECT count(*), max(last_at) FROM alerts
                 WHERE cluster_id = ?1 AND ticket_key = ?2 AND state != 'firing' AND last_at > ?3",
            )?
            .query_row(params![cluster, key, told], |r| Ok((r.get(0)?, r.get(1)?)))?;
        if firing + ended == 0 {
            return Ok(None);
        }
        let names = self
            .conn
            .prepare_cached(
                "SELECT name, count(*) FROM alerts
                 WHERE cluster_id = ?1 AND ticket_key = ?2 AND state = 'firing' AND last_at > ?3
                 GROUP BY name ORDER BY 2 DESC, 1 LIMIT ?4",
            )?
            .query_map(params![cluster, key, told, EXAMPLES], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let examples = self
            .conn
            .prepare_cached(
                "SELECT id, name, labels, matched, contested, last_at FROM alerts
                 WHERE cluster_id = ?1 AND ticket_key = ?2 AND state = 'firing' AND last_at > ?3
                 ORDER BY id LIMIT ?4",
            )?
            .query_map(params![cluster, key, told, EXAMPLES], member)?
            .collect::<rusqlite::Result<_>>()?;
        let name = key[MANY.len()..].to_owned();
        Ok(Some(StandingCrowd {
            name: (!name.is_empty()).then_some(name),
            key,
            firing,
            ended,
            severity: match (critical, warning) {
                (1.., _) => Severity::Critical,
                (0, 1..) => Severity::Warning,
                (0, 0) if firing > 0 => Severity::Info,
                (0, 0) => Severity::Warning,
            },
            since: since.as_deref().and_then(parse_time),
            last_at: last_at.max(last_ended).as_deref().and_then(parse_time),
            examples,
            names,
        }))
    }

    /// Members of crowds that fire, a page of them, by their ids: those after `after`.
    pub(crate) fn crowd_members(
        &self,
        cluster_id: &SystemId,
        after: i64,
    ) -> Result<Vec<CrowdMember>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT id, name, labels, matched, contested, last_at FROM alerts
                 WHERE cluster_id = ?1 AND state = 'firing' AND ticket_key >= ?2 AND ticket_key < ?3
                   AND id > ?4 ORDER BY id LIMIT ?5",
            )?
            .query_map(params![cluster_id.as_str(), MANY, OWN, after, PAGE], member)?
            .collect::<rusqlite::Result<_>>()?)
    }

    /// Members of crowds that Prometheus sees, and those that it does not, each with the time that
    /// it must be so before it counts.
    pub(crate) fn note_members(&mut self, seen: &[i64], unseen: &[(i64, Duration)]) -> Result<()> {
        let now = Mono::now();
        self.write(|tx| {
            for id in seen {
                tx.prepare_cached(
                    "UPDATE alerts SET matched = 1, unseen_ms = NULL
                     WHERE id = ?1 AND (matched = 0 OR unseen_ms IS NOT NULL)",
                )?
                .execute([id])?;
            }
            for (id, hold) in unseen {
                tx.prepare_cached(
                    "UPDATE alerts SET state = 'unseen'
                     WHERE id = ?1 AND boot = ?2 AND unseen_ms <= ?3 AND state = 'firing'",
                )?
                .execute(params![id, now.boot, now.ms - clock::millis(*hold)])?;
                tx.prepare_cached(
                    "UPDATE alerts SET unseen_ms = ?3, boot = ?2 WHERE id = ?1
                       AND (unseen_ms IS NULL OR boot != ?2) AND state = 'firing'",
                )?
                .execute(params![id, now.boot, now.ms])?;
            }
            Ok(())
        })
    }
}

/// Prometheus has long not seen what its sender does not say the end of.
pub(crate) fn ended(tx: &Transaction<'_>, cluster: &SystemId, key: &str) -> Result<()> {
    tx.prepare_cached(
        "UPDATE alerts SET state = 'unseen'
         WHERE cluster_id = ?1 AND ticket_key = ?2 AND state = 'firing'",
    )?
    .execute(params![cluster.as_str(), key])?;
    Ok(())
}

/// Prometheus sees it under the labels that its sender gives.
pub(crate) fn matched(tx: &Transaction<'_>, cluster: &SystemId, key: &str) -> Result<()> {
    tx.prepare_cached(
        "UPDATE alerts SET matched = 1
         WHERE cluster_id = ?1 AND ticket_key = ?2 AND state = 'firing'",
    )?
    .execute(params![cluster.as_str(), key])?;
    Ok(())
}

/// None: a part of the row that says what it is cannot be read; anything else would be made up.
fn alert(r: &Row<'_>, now: &Mono) -> rusqlite::Result<Option<StandingAlert>> {
    let text = |i: usize| r.get::<_, Option<String>>(i).ok().flatten();
    let number = |i: usize| r.get::<_, Option<i64>>(i).ok().flatten();
    let (Some(fingerprint), Some(starts_at)) = (text(0), text(1).as_deref().and_then(parse_time))
    else {
        return Ok(None);
    };
    let Some(state) = r.get::<_, Stored<State>>(3)?.known() else {
        return Ok(None);
    };
    let mut detail: AlertDetail = text(11)
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    match serde_json::from_str(&text(8).unwrap_or_default()) {
        Ok(labels) => detail.labels = labels,
        Err(_) => return Ok(None),
    }
    let last_at = text(10).as_deref().and_then(parse_time);
    let heard = number(14).filter(|_| text(13).is_some_and(|boot| boot == now.boot));
    let silent_for = match (heard, last_at) {
        (Some(heard), _) => span(now.ms - heard),
        (None, Some(at)) => {
            Duration::try_from(clock::wall().duration_since(at)).unwrap_or_default()
        }
        (None, None) => Duration::ZERO,
    };
    Ok(Some(StandingAlert {
        notice: AlertNotice {
            fingerprint,
            starts_at,
            ends_at: text(2).as_deref().and_then(parse_time),
            firing: state == State::Firing,
            name: text(4).unwrap_or_default(),
            severity: r.get::<_, Stored<Severity>>(5)?.known().unwrap_or_default(),
            summary: text(6).unwrap_or_default(),
            group_key: text(7).unwrap_or_default(),
            detail,
            context: text(9).unwrap_or_default(),
            heartbeat: number(12) == Some(1),
        },
        state,
        last_at,
        silent_for,
        longest_silence: number(15).map(span),
        words: number(16).and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        matched: number(17) == Some(1),
        contested: number(18) == Some(1),
    }))
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn member(r: &Row<'_>) -> rusqlite::Result<CrowdMember> {
    let labels: BTreeMap<String, String> =
        serde_json::from_str(&r.get::<_, String>(2)?).unwrap_or_default();
    let last_at: Option<Timestamp> = r
        .get::<_, Option<String>>(5)?
        .as_deref()
        .and_then(parse_time);
    Ok(CrowdMember {
        id: r.get(0)?,
        name: r.get(1)?,
        labels,
        matched: r.get(3)?,
        contested: r.get(4)?,
        last_at,
    })
}
