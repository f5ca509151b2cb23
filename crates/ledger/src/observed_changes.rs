//! What the monitor saw change in a system, whoever changed it: processes that began anew, versions,
//! states, who leads. The table only grows; what did it is not said here.

use crate::{
    Stored, SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
    stored::words,
};
use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};

/// Of a stretch of time no more are read at once.
const MOST_READ: usize = 5_000;

/// What changed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ChangeKind {
    /// When its process began: it was started again.
    Started,
    Version,
    /// As its control plane calls it: up, disconnected, down, offline, tombstone.
    State,
    Leader,
    Joined,
    Gone,
}

/// What it changed on.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ThingKind {
    Store,
    PdMember,
    /// All members together.
    Pd,
}

words!(ChangeKind, ThingKind);

/// One row of `observed_changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedChange {
    /// When it was last seen as it was before.
    pub since: Timestamp,
    /// When it was first seen as it is now.
    pub at: Timestamp,
    pub kind: Stored<ChangeKind>,
    pub thing_kind: Stored<ThingKind>,
    /// A store's id, a member's name.
    pub thing: String,
    /// What people call it.
    pub name: String,
    /// None: it was not there, or there was none.
    pub from: Option<String>,
    pub to: Option<String>,
}

pub(crate) fn record(
    tx: &Transaction<'_>,
    system: &SystemId,
    changes: &[ObservedChange],
) -> Result<()> {
    for change in changes {
        tx.prepare_cached(
            "INSERT INTO observed_changes (cluster_id, since, at, kind, thing_kind, thing, name,
               from_value, to_value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            system.as_str(),
            clock::text(change.since),
            clock::text(change.at),
            change.kind,
            change.thing_kind,
            change.thing,
            change.name,
            change.from,
            change.to
        ])?;
    }
    Ok(())
}

impl Engine {
    pub(crate) fn observed_changes(
        &self,
        cluster_id: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<ObservedChange>> {
        let rows: Vec<Option<ObservedChange>> = self
            .conn
            .prepare_cached(
                "SELECT since, at, kind, thing_kind, thing, name, from_value, to_value
                 FROM observed_changes WHERE cluster_id = ?1 AND at >= ?2 AND at <= ?3
                 ORDER BY id LIMIT ?4",
            )?
            .query_map(
                params![
                    cluster_id.as_str(),
                    clock::text(from),
                    clock::text(to),
                    MOST_READ as i64
                ],
                |r| {
                    let since = parse_time(&r.get::<_, String>("since")?);
                    let at = parse_time(&r.get::<_, String>("at")?);
                    let change = ObservedChange {
                        since: since.or(at).unwrap_or_default(),
                        at: at.unwrap_or_default(),
                        kind: r.get("kind")?,
                        thing_kind: r.get("thing_kind")?,
                        thing: r.get("thing")?,
                        name: r.get("name")?,
                        from: r.get("from_value")?,
                        to: r.get("to_value")?,
                    };
                    Ok(at.map(|_| change))
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows.into_iter().flatten().collect())
    }
}
