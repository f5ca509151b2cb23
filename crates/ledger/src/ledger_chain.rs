//! The chain of the whole ledger: one row, linked by hash to the one before, for each session that
//! began or ended, each thing that happened to a ticket, each verdict of the monitor, each word of a
//! person to an agent, for adoptions and for prunes.
//!
//! Written in the transaction of what it is about. What it can show, and what not, is in
//! [`super::verify`].

use crate::{
    clock,
    engine::{Engine, Result},
    stored::words,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use strum::{EnumIter, EnumString, IntoStaticStr};

/// What a row of the chain is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Link {
    /// What was there before there was a chain.
    Adoption,
    SessionStart,
    SessionEnd,
    TicketEvent,
    IncidentEvent,
    Verdict,
    /// How a session said that it ends.
    Finish,
    Decision,
    Hold,
    Order,
    Prune,
}

words!(Link);

/// Tables whose rows are numbered without gaps: rows of them are only ever added, or pruned.
pub(crate) const NUMBERED: [&str; 15] = [
    "tickets",
    "agent_sessions",
    "agent_log_entries",
    "ticket_events",
    "verifications",
    "commands",
    "faults",
    "finishes",
    "observed_changes",
    "incident_events",
    "verdicts",
    "holds",
    "hold_ends",
    "orders",
    "order_ends",
];

/// What was there before there was a chain.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Adoption {
    /// Schema version of the file.
    pub version: i64,
    pub tables: BTreeMap<String, Rows>,
    /// Sessions, and the heads of their chains where they have one.
    pub sessions: BTreeMap<String, Option<String>>,
    /// Tables and the like that are not ours.
    pub objects: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub count: i64,
    pub last: i64,
}

/// What a prune took away.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pruned {
    /// What ended before this.
    pub before: String,
    pub sessions: BTreeMap<String, Option<String>>,
    /// Ranges of rows, first and last.
    pub tables: BTreeMap<String, Vec<(i64, i64)>>,
    /// Rows of tables that are not numbered without gaps.
    pub others: BTreeMap<String, usize>,
}

/// Appends a row.
pub(crate) fn link(
    tx: &Connection,
    kind: Link,
    subject: &str,
    detail: &Value,
) -> rusqlite::Result<()> {
    let last: Option<(i64, String)> = tx
        .prepare_cached("SELECT id, hash FROM ledger_chain ORDER BY id DESC LIMIT 1")?
        .query_row([], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let (last, head) = last.unwrap_or_default();
    let (at, detail) = (clock::stamp(), detail.to_string());
    let hash = hash(&head, kind.into(), subject, &detail, &at);
    tx.prepare_cached(
        "INSERT INTO ledger_chain (id, kind, subject, detail, at, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![last + 1, kind, subject, detail, at, hash])?;
    Ok(())
}

/// The hash of a row after `previous`, hex.
pub(crate) fn hash(previous: &str, kind: &str, subject: &str, detail: &str, at: &str) -> String {
    let fields = json!([previous, kind, subject, detail, at]).to_string();
    hex::encode(Sha256::digest(fields.as_bytes()))
}

pub(crate) fn session_started(
    tx: &Connection,
    session: &str,
    ticket: i64,
    model: &str,
) -> rusqlite::Result<()> {
    link(
        tx,
        Link::SessionStart,
        session,
        &json!({ "ticket": ticket, "model": model }),
    )
}

pub(crate) fn session_ended(
    tx: &Connection,
    session: &str,
    outcome: &str,
    head: &str,
) -> rusqlite::Result<()> {
    link(
        tx,
        Link::SessionEnd,
        session,
        &json!({ "outcome": outcome, "head": head }),
    )
}

/// Notes the ends of sessions whose agents could not: those that no row says an end of, and that no
/// longer run.
pub(crate) fn sessions_ended_by_others(
    tx: &Connection,
    ended: &[String],
    outcome: &str,
) -> rusqlite::Result<()> {
    for session in ended {
        let head: Option<String> = tx
            .prepare_cached(
                "SELECT hash FROM agent_log_entries WHERE session_id = ?1 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([session], |r| r.get(0))
            .optional()?
            .flatten();
        session_ended(tx, session, outcome, head.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

/// Begins the chain of a ledger that has none, with what is in it.
pub(crate) fn adopt(
    tx: &Transaction<'_>,
    version: i64,
    objects: Vec<String>,
) -> rusqlite::Result<()> {
    if tx.prepare("SELECT 1 FROM ledger_chain")?.exists([])? {
        return Ok(());
    }
    let mut adoption = Adoption {
        version,
        objects,
        ..Adoption::default()
    };
    for table in NUMBERED {
        let rows = tx.query_row(
            &format!("SELECT count(*), coalesce(max(id), 0) FROM {table}"),
            [],
            |r| {
                Ok(Rows {
                    count: r.get(0)?,
                    last: r.get(1)?,
                })
            },
        )?;
        adoption.tables.insert(table.to_owned(), rows);
    }
    let mut sessions = tx.prepare("SELECT session_id, head_hash FROM agent_sessions")?;
    adoption.sessions = sessions
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    link(tx, Link::Adoption, "", &json!(adoption))
}

impl Engine {
    /// The newest row of the chain and its hash: kept elsewhere, it shows later that nothing before
    /// it was rewritten.
    pub(crate) fn chain_head(&self) -> Result<Option<(i64, String)>> {
        Ok(self
            .conn
            .prepare_cached("SELECT id, hash FROM ledger_chain ORDER BY id DESC LIMIT 1")?
            .query_row([], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?)
    }
}
