//! What people told agents, kept with the incident it was said in: whoever works on it later is told
//! too, until it is taken back.

use crate::{
    LedgerError, SessionWriter, claim,
    clock::{self, parse_time},
    engine::{Engine, Result},
    ledger_chain::{self, Link},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Words of a person to whoever works on an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    pub id: i64,
    pub incident_id: i64,
    /// The session it was first said to.
    pub session_id: Option<String>,
    pub text: String,
    pub by: String,
    pub at: Option<Timestamp>,
    /// Who took it back, and when.
    pub ended_by: Option<String>,
    pub ended_at: Option<Timestamp>,
}

/// Writes down what somebody said in a session.
pub(crate) fn add(tx: &Transaction<'_>, session: &str, text: &str, by: &str) -> Result<()> {
    let incident: Option<i64> = tx
        .prepare_cached("SELECT incident_id FROM agent_sessions WHERE session_id = ?1")?
        .query_row([session], |r| r.get(0))
        .optional()?
        .flatten();
    let Some(incident) = incident else {
        return Ok(());
    };
    let at = clock::stamp();
    tx.prepare_cached(
        "INSERT INTO orders (incident_id, session_id, text, by, at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![incident, session, text, by, at])?;
    let id = tx.last_insert_rowid();
    let words = json!({ "incident": incident, "by": by, "text": text, "at": at });
    ledger_chain::link(tx, Link::Order, &id.to_string(), &words)?;
    Ok(())
}

impl Engine {
    /// What a session heard by another way than the ledger: what came by that is there already.
    pub(crate) fn hear(
        &mut self,
        session: &SessionWriter,
        text: &str,
        raw: &str,
        by: &str,
    ) -> Result<()> {
        self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            let there = tx
                .prepare_cached(
                    "SELECT 1 FROM orders WHERE session_id = ?1 AND by = ?4 AND text IN (?2, ?3)",
                )?
                .exists(params![session.id, text, raw, by])?;
            if there {
                Ok(())
            } else {
                add(tx, &session.id, text, by)
            }
        })
    }

    pub(crate) fn orders(&self, incident: i64) -> Result<Vec<OrderRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT o.id, o.incident_id, o.session_id, o.text, o.by, o.at, e.by, e.at
                 FROM orders o LEFT JOIN order_ends e ON e.order_id = o.id
                 WHERE o.incident_id = ?1 ORDER BY o.id",
            )?
            .query_map([incident], |r| {
                let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
                    Ok(r.get::<_, Option<String>>(column)?
                        .as_deref()
                        .and_then(parse_time))
                };
                Ok(OrderRow {
                    id: r.get(0)?,
                    incident_id: r.get(1)?,
                    session_id: r.get(2)?,
                    text: r.get(3)?,
                    by: r.get(4)?,
                    at: time(5)?,
                    ended_by: r.get(6)?,
                    ended_at: time(7)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn take_order_back(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let there = tx
                .prepare_cached("SELECT 1 FROM orders WHERE id = ?1")?
                .exists([id])?;
            if !there {
                return Err(LedgerError::Refused(format!(
                    "nothing with the number {id} was said; `operator-tui incidents show` lists what was"
                ))
                .into());
            }
            let at = clock::stamp();
            let ended = tx.execute(
                "INSERT INTO order_ends (order_id, by, at) SELECT ?1, ?2, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM order_ends WHERE order_id = ?1)",
                params![id, by, at],
            )?;
            if ended > 0 {
                let words = json!({ "taken_back": id, "by": by, "at": at });
                ledger_chain::link(tx, Link::Order, &id.to_string(), &words)?;
            }
            Ok(ended > 0)
        })
    }
}
