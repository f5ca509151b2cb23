//! What Alertmanager told the monitor: one row for each time an alert fired, told by its
//! fingerprint and start.
//!
//! A notification is written down before it is acknowledged. It opens and closes nothing: the
//! monitor reads what stands here at its next check. Notifications come late, twice, and in the
//! wrong order.

use crate::{
    Mono, Severity, Stored, SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
    stored::words,
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params, types::Type};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// What every violation key of an alert begins with.
pub const KEY: &str = "alert:";

/// A resolved alert that is told firing again so soon, with the same start, was told late: two
/// Alertmanagers of a cluster wait 15 s for each other.
const LATE: Duration = Duration::from_secs(30);

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
enum State {
    Firing,
    Resolved,
    /// It fired anew before its end was told.
    Overtaken,
}

words!(State);

/// One alert of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertNotice {
    pub fingerprint: String,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    pub firing: bool,
    /// Label `alertname`.
    pub name: String,
    pub severity: Severity,
    /// One line for people.
    pub summary: String,
    /// What Alertmanager sends together.
    pub group_key: String,
    pub labels: BTreeMap<String, String>,
    /// Everything else that the agent should know of it, as text.
    pub context: String,
}

impl AlertNotice {
    pub fn key(&self) -> String {
        format!("{KEY}{}", self.fingerprint)
    }
}

/// What came of a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Firing, and not known before.
    pub fired: usize,
    pub resolved: usize,
    /// Known already.
    pub repeated: usize,
    /// Of an alert that has been resolved, or fired anew, since.
    pub late: usize,
}

/// An alert as it stands: its newest start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingAlert {
    pub notice: AlertNotice,
    /// When it was last heard of.
    pub last_at: Option<Timestamp>,
}

impl Engine {
    pub(crate) fn receive_alerts(
        &mut self,
        cluster_id: &SystemId,
        notices: &[AlertNotice],
    ) -> Result<Received> {
        self.write(|tx| {
            let mut out = Received::default();
            for notice in notices {
                receive(tx, cluster_id.as_str(), notice, &mut out)?;
            }
            Ok(out)
        })
    }

    pub(crate) fn standing_alerts(&self, cluster_id: &SystemId) -> Result<Vec<StandingAlert>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT fingerprint, starts_at, ends_at, state, name, severity, summary, group_key,
                   labels, context, last_at FROM alerts a
                 WHERE a.id IN (
                     SELECT id FROM alerts WHERE state = 'firing' AND cluster_id = ?1
                     UNION SELECT b.id FROM tickets t JOIN alerts b ON b.cluster_id = ?1
                       AND b.fingerprint = substr(t.violation_key, 7)
                       WHERE t.live_key IS NOT NULL AND t.cluster_id = ?1
                         AND substr(t.violation_key, 1, 6) = 'alert:')
                   AND NOT EXISTS (SELECT 1 FROM alerts c WHERE c.cluster_id = ?1
                     AND c.fingerprint = a.fingerprint AND c.starts_at > a.starts_at)
                   AND NOT EXISTS (SELECT 1 FROM tickets h WHERE h.cluster_id = ?1
                     AND h.violation_key = 'alert:' || a.fingerprint
                     AND h.resolution = 'human' AND h.resolved_at >= a.last_at)
                 ORDER BY a.id",
            )?
            .query_map([cluster_id.as_str()], |r| {
                let time = |i| r.get::<_, Option<String>>(i);
                let labels: String = r.get(8)?;
                Ok(StandingAlert {
                    notice: AlertNotice {
                        fingerprint: r.get(0)?,
                        starts_at: start(1, &r.get::<_, String>(1)?)?,
                        ends_at: time(2)?.as_deref().and_then(parse_time),
                        firing: r.get::<_, Stored<State>>(3)? == State::Firing,
                        name: r.get(4)?,
                        severity: r.get::<_, Stored<Severity>>(5)?.known().unwrap_or_default(),
                        summary: r.get(6)?,
                        group_key: r.get(7)?,
                        labels: serde_json::from_str(&labels).unwrap_or_default(),
                        context: r.get(9)?,
                    },
                    last_at: time(10)?.as_deref().and_then(parse_time),
                })
            })?
            .collect::<rusqlite::Result<_>>()?)
    }
}

/// When an alert began. One that cannot be read is an error: any other time would be made up.
fn start(column: usize, text: &str) -> rusqlite::Result<Timestamp> {
    parse_time(text).ok_or_else(|| {
        let why = format!("an alert that began at {text:?}, which is no time");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
    })
}

fn receive(
    tx: &Transaction<'_>,
    cluster: &str,
    notice: &AlertNotice,
    out: &mut Received,
) -> Result<()> {
    let (now, stamp) = (Mono::now(), clock::stamp());
    let starts = clock::text(notice.starts_at);
    let same: Option<(i64, Stored<State>, String, Option<i64>)> = tx
        .prepare_cached(
            "SELECT id, state, boot, resolved_ms FROM alerts
             WHERE cluster_id = ?1 AND fingerprint = ?2 AND starts_at = ?3",
        )?
        .query_row(params![cluster, notice.fingerprint, starts], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })
        .optional()?;
    let newer = tx
        .prepare_cached(
            "SELECT 1 FROM alerts WHERE cluster_id = ?1 AND fingerprint = ?2 AND starts_at > ?3",
        )?
        .exists(params![cluster, notice.fingerprint, starts])?;
    let was_firing = same
        .as_ref()
        .is_some_and(|(_, state, ..)| *state == State::Firing);
    let state = match (notice.firing, &same) {
        (false, _) => State::Resolved,
        (true, _) if newer => State::Overtaken,
        (true, Some((_, state, boot, Some(resolved)))) if *state == State::Resolved => {
            let ago = now.ms - resolved;
            if *boot == now.boot && ago < clock::millis(LATE) {
                State::Resolved
            } else {
                State::Firing
            }
        }
        (true, _) => State::Firing,
    };
    match (notice.firing, state) {
        (true, State::Firing) if was_firing => out.repeated += 1,
        (true, State::Firing) => out.fired += 1,
        (true, _) => out.late += 1,
        (false, _)
            if same
                .as_ref()
                .is_some_and(|(_, was, ..)| *was == State::Resolved) =>
        {
            out.repeated += 1;
        }
        (false, _) => out.resolved += 1,
    }
    if state == State::Firing {
        // What fired before has ended, whether that was told or not.
        tx.prepare_cached(
            "UPDATE alerts SET state = 'overtaken'
             WHERE cluster_id = ?1 AND fingerprint = ?2 AND starts_at < ?3 AND state = 'firing'",
        )?
        .execute(params![cluster, notice.fingerprint, starts])?;
    }
    let resolved_ms = (!notice.firing).then_some(now.ms);
    let ends = notice.ends_at.map(clock::text);
    let Some((id, ..)) = same else {
        tx.prepare_cached(
            "INSERT INTO alerts (cluster_id, fingerprint, starts_at, ends_at, state, name, severity,
               summary, group_key, labels, context, first_at, last_at, boot, resolved_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14)",
        )?
        .execute(params![
            cluster,
            notice.fingerprint,
            starts,
            ends,
            state,
            notice.name,
            notice.severity,
            notice.summary,
            notice.group_key,
            serde_json::to_string(&notice.labels).unwrap_or_default(),
            notice.context,
            stamp,
            now.boot,
            resolved_ms
        ])?;
        return Ok(());
    };
    if notice.firing && state != State::Firing {
        // Late: it says nothing that is true now.
        return Ok(());
    }
    tx.prepare_cached(
        "UPDATE alerts SET state = ?2, ends_at = ?3, summary = ?4, severity = ?5, context = ?6,
           last_at = ?7, boot = ?8, resolved_ms = ?9, notified = notified + 1 WHERE id = ?1",
    )?
    .execute(params![
        id,
        state,
        ends,
        notice.summary,
        notice.severity,
        notice.context,
        stamp,
        now.boot,
        resolved_ms
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LedgerError;

    fn notice(start: i64, firing: bool) -> AlertNotice {
        AlertNotice {
            fingerprint: "f1".into(),
            starts_at: Timestamp::from_second(1_769_767_200 + start).unwrap(),
            ends_at: None,
            firing,
            name: "QueueFull".into(),
            severity: Severity::Warning,
            summary: "the queue is full".into(),
            group_key: "{}:{}".into(),
            labels: BTreeMap::new(),
            context: String::new(),
        }
    }

    #[test]
    fn a_start_that_cannot_be_read_is_an_error_and_not_1970() {
        let mut desk = Desk::new();
        desk.told(0, true);
        desk.ledger
            .write(|tx| Ok(tx.execute("UPDATE alerts SET starts_at = 'soon'", [])?))
            .unwrap();
        let why = LedgerError::from(
            desk.ledger
                .standing_alerts(&SystemId::new("c"))
                .unwrap_err(),
        )
        .to_string();
        assert!(why.contains("\"soon\", which is no time"), "{why}");
    }

    struct Desk {
        _dir: tempfile::TempDir,
        ledger: Engine,
    }

    impl Desk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let ledger = Engine::open(&dir.path().join("tickets.db")).unwrap();
            Self { _dir: dir, ledger }
        }

        fn told(&mut self, start: i64, firing: bool) -> Received {
            let notices = [notice(start, firing)];
            self.ledger
                .receive_alerts(&SystemId::new("c"), &notices)
                .unwrap()
        }

        fn fires(&self) -> Vec<bool> {
            let standing = self.ledger.standing_alerts(&SystemId::new("c")).unwrap();
            standing.iter().map(|a| a.notice.firing).collect()
        }
    }

    #[test]
    fn an_alert_fires_once_however_often_it_is_told() {
        let mut desk = Desk::new();
        assert_eq!(desk.told(0, true).fired, 1);
        assert_eq!(desk.told(0, true).repeated, 1);
        assert_eq!(desk.fires(), [true]);
        assert_eq!(desk.told(0, false).resolved, 1);
        assert_eq!(desk.told(0, false).repeated, 1);
        // Nobody asks for it any more: it has no ticket.
        assert_eq!(desk.fires(), [false; 0]);
        // Of another cluster's monitor nothing is known here.
        assert!(
            desk.ledger
                .standing_alerts(&SystemId::new("d"))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_comes_late_changes_nothing() {
        let mut desk = Desk::new();
        // Resolved before it was seen firing, and then the older word arrives.
        assert_eq!(desk.told(0, false).resolved, 1);
        assert_eq!(desk.told(0, true).late, 1);
        assert_eq!(desk.fires(), [false; 0]);
        // It fires anew, and only then the end of the earlier time is told.
        assert_eq!(desk.told(60, true).fired, 1);
        assert_eq!(desk.told(0, false).repeated, 1);
        assert_eq!(desk.told(0, true).late, 1);
        assert_eq!(desk.fires(), [true]);
        // The end of one that was overtaken does not end the new one.
        assert_eq!(desk.told(120, true).fired, 1);
        assert_eq!(desk.told(60, false).resolved, 1);
        assert_eq!(desk.fires(), [true]);
    }

    #[test]
    fn one_that_was_resolved_for_a_while_fires_again_with_the_same_start() {
        // Alertmanager lost sight of it, called it resolved, and sees it again.
        let mut desk = Desk::new();
        desk.told(0, true);
        desk.told(0, false);
        desk.ledger
            .conn
            .execute("UPDATE alerts SET resolved_ms = resolved_ms - 31000", [])
            .unwrap();
        assert_eq!(desk.told(0, true).fired, 1);
        assert_eq!(desk.fires(), [true]);
    }
}
