//! The monitor's heartbeat: when it last looked at which cluster, and what it could see.

use crate::{
    Check, Mono, SystemId,
    clock::{self, millis},
    engine::{Engine, Result},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use std::time::Duration;

/// Requests to a process that hangs run into their limits, some of them one after the other.
pub(crate) const MAX_LOOK: Duration = Duration::from_secs(10);

/// When the monitor last looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    pub cluster_id: SystemId,
    /// Since the last check; [`Duration::MAX`] if that was before this machine started.
    pub age: Duration,
    pub at: Option<Timestamp>,
    pub ok: bool,
    pub detail: String,
    pub interval: Duration,
    pub checks: u64,
}

impl Heartbeat {
    /// After so long without a check nobody is watching: three intervals, and the time one look at
    /// a cluster in which something hangs may take.
    pub fn patience(&self) -> Duration {
        self.interval * 3 + MAX_LOOK
    }

    pub fn is_silent(&self) -> bool {
        self.age > self.patience()
    }
}

/// What the monitor's last check found wrong, and not for long enough to be a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InGrace {
    pub key: String,
    /// As the check worded it.
    pub message: String,
    pub since: Timestamp,
}

/// So many are told of at the most.
const MOST_IN_GRACE: usize = 20;

impl Engine {
    /// The longest violated first.
    pub(crate) fn in_grace(&self, cluster_id: &SystemId) -> Result<Vec<InGrace>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT s.violation_key, s.detail, s.violated_since FROM invariant_states s
             JOIN monitor_heartbeats h ON h.cluster_id = s.cluster_id AND h.boot = s.boot
             WHERE s.cluster_id = ?1 AND s.state = 'violated'
               AND s.observed_ms >= h.at_ms - h.interval_ms - ?2
               AND NOT EXISTS (SELECT 1 FROM tickets t
                 WHERE t.live_key = s.cluster_id || '/' || s.violation_key)
             ORDER BY s.violated_since LIMIT ?3",
        )?;
        let rows = statement.query_map(
            params![cluster_id.as_str(), millis(MAX_LOOK), MOST_IN_GRACE as i64],
            |r| {
                let key = r.get(0)?;
                let message = r.get(1)?;
                let since = clock::parse_time(&r.get::<_, String>(2)?);
                Ok(since.map(|since| InGrace {
                    key,
                    message,
                    since,
                }))
            },
        )?;
        let rows: rusqlite::Result<Vec<Option<InGrace>>> = rows.collect();
        Ok(rows?.into_iter().flatten().collect())
    }

    pub(crate) fn heartbeat(&self, cluster_id: Option<&SystemId>) -> Result<Option<Heartbeat>> {
        let now = Mono::now();
        Ok(self
            .conn
            .prepare_cached(
                "SELECT cluster_id, boot, at_ms, at, interval_ms, checks, ok, detail
                 FROM monitor_heartbeats WHERE ?1 IS NULL OR cluster_id = ?1 ORDER BY at DESC LIMIT 1",
            )?
            .query_row([cluster_id.map(SystemId::as_str)], |r| {
                let boot: String = r.get(1)?;
                let at_ms: i64 = r.get(2)?;
                Ok(Heartbeat {
                    cluster_id: SystemId::new(r.get::<_, String>(0)?),
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

    pub(crate) fn cluster_at(&self, addresses: &[String]) -> Result<Option<SystemId>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT cluster_id, place FROM monitor_heartbeats ORDER BY at DESC")?;
        let mut rows = statement.query([])?;
        while let Some(r) = rows.next()? {
            let place: String = r.get(1)?;
            if place.split(',').any(|a| addresses.iter().any(|b| a == b)) {
                return Ok(Some(SystemId::new(r.get::<_, String>(0)?)));
            }
        }
        Ok(None)
    }
}

pub(crate) fn beat(tx: &Transaction<'_>, check: &Check, holder: &str) -> Result<()> {
    let now = Mono::now();
    tx.prepare_cached(
        "INSERT INTO monitor_heartbeats (cluster_id, holder, boot, at_ms, at, interval_ms, checks, ok, detail, place)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9)
         ON CONFLICT (cluster_id) DO UPDATE SET holder = ?2, boot = ?3, at_ms = ?4, at = ?5,
           interval_ms = ?6, checks = checks + 1, ok = ?7, detail = ?8, place = ?9",
    )?
    .execute(params![
        check.cluster_id.as_str(),
        holder,
        now.boot,
        now.ms,
        clock::stamp(),
        millis(check.interval),
        check.ok,
        check.detail,
        check.place
    ])?;
    Ok(())
}
