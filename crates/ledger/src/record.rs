//! What else an incident needs to be replayed whole: samples of the cluster, bounded, and the
//! faults that were injected.

use crate::{
    SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

/// Samples kept for one cluster. At one a second, almost three hours.
const KEEP_SAMPLES: i64 = 10_000;

/// One stored look at the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub id: i64,
    pub at: Option<Timestamp>,
    /// JSON of a cluster snapshot.
    pub snapshot: String,
}

/// One injected fault. For people and replay: an agent is never shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub id: i64,
    pub at: Option<Timestamp>,
    /// kill, pause, …
    pub kind: String,
    /// The node it was done to.
    pub target: String,
    pub by: String,
}

fn sample(r: &Row<'_>) -> rusqlite::Result<Sample> {
    Ok(Sample {
        id: r.get(0)?,
        at: parse_time(&r.get::<_, String>(1)?),
        snapshot: r.get(2)?,
    })
}

/// Stores a sample and drops the oldest past the bound.
pub(crate) fn add_sample(
    tx: &Transaction<'_>,
    cluster_id: &SystemId,
    snapshot: &str,
) -> Result<()> {
    tx.prepare_cached("INSERT INTO samples (cluster_id, at, snapshot) VALUES (?1, ?2, ?3)")?
        .execute(params![cluster_id.as_str(), clock::stamp(), snapshot])?;
    keep(tx, cluster_id, KEEP_SAMPLES)
}

/// Drops all but the newest `count` of a cluster; those of others take nothing from it.
fn keep(tx: &Transaction<'_>, cluster_id: &SystemId, count: i64) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM samples WHERE cluster_id = ?1 AND id <= (SELECT id FROM samples
           WHERE cluster_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![cluster_id.as_str(), count])?;
    Ok(())
}

impl Engine {
    pub(crate) fn newest_sample(&self, cluster_id: &SystemId) -> Result<Option<Sample>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT id, at, snapshot FROM samples WHERE cluster_id = ?1
                 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([cluster_id.as_str()], sample)
            .optional()?)
    }

    pub(crate) fn samples(
        &self,
        cluster_id: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Sample>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT id, at, snapshot FROM samples
                 WHERE cluster_id = ?1 AND at >= ?2 AND at <= ?3 ORDER BY id LIMIT ?4",
            )?
            .query_map(
                params![
                    cluster_id.as_str(),
                    clock::text(from),
                    clock::text(to),
                    KEEP_SAMPLES
                ],
                sample,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    pub(crate) fn add_fault(
        &mut self,
        cluster_id: &SystemId,
        kind: &str,
        target: &str,
        by: &str,
    ) -> Result<i64> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO faults (cluster_id, at, kind, target, by) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![cluster_id.as_str(), clock::stamp(), kind, target, by],
            )?;
            Ok(tx.last_insert_rowid())
        })
    }

    pub(crate) fn faults(&self, cluster_id: &SystemId) -> Result<Vec<Fault>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT id, at, kind, target, by FROM faults WHERE cluster_id = ?1 ORDER BY id",
            )?
            .query_map([cluster_id.as_str()], |r| {
                Ok(Fault {
                    id: r.get(0)?,
                    at: parse_time(&r.get::<_, String>(1)?),
                    kind: r.get(2)?,
                    target: r.get(3)?,
                    by: r.get(4)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_cluster_are_bounded_whatever_others_add() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Engine::open(&dir.path().join("tickets.db")).unwrap();
        let (a, b) = (SystemId::new("a"), SystemId::new("b"));
        ledger
            .write(|tx| {
                for n in 0..10 {
                    add_sample(tx, &a, &n.to_string())?;
                    add_sample(tx, &b, &n.to_string())?;
                    keep(tx, &a, 4)?;
                }
                Ok(())
            })
            .unwrap();
        let kept = |cluster: &SystemId| -> Vec<String> {
            let all = ledger.samples(cluster, Timestamp::MIN, Timestamp::MAX);
            all.unwrap().into_iter().map(|s| s.snapshot).collect()
        };
        assert_eq!(kept(&a), ["6", "7", "8", "9"]);
        assert_eq!(kept(&b).len(), 10);
    }
}
