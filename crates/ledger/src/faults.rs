//! Faults that were injected: for people and replay.

use crate::{
    SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
};
use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

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

impl Engine {
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
