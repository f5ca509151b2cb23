//! What a ticket is, and reading them.
//!
//! What the monitor does to them is in `check`, an agent in `claim`, people in `by_hand`.

use crate::{Ledger, Result, Stored, clock::parse_time, stored::words};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    Open,
    /// An agent holds it.
    Acknowledged,
    Resolved,
    /// An agent gave it up.
    Escalated,
}

impl Stored<Status> {
    /// The reference's `diagnosed` means escalated. An unknown word must not hide a ticket, nor let
    /// it pass as done.
    pub fn meaning(&self) -> Status {
        self.known().unwrap_or(Status::Escalated)
    }
}

/// Why a ticket is resolved.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Resolution {
    /// An agent claimed a repair and the monitor's evidence bore it out.
    Proven,
    /// Gone before any agent ran a command for it.
    Cleared,
    /// A person said so.
    Human,
    /// Gone without a claim that was proven: after an agent had given up, was stopped or died.
    External,
}

/// How bad it is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    Critical,
    #[default]
    Warning,
    Info,
}

/// What happened to a ticket.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TicketEventKind {
    Opened,
    /// It came back, or a person opened it again.
    Reopened,
    /// An agent took it.
    Claimed,
    /// Given back to agents, by the one that had it or by a person.
    Released,
    Escalated,
    Resolved,
    Held,
    Unheld,
    /// A file of the reference became ours.
    Adopted,
}

words!(Status, Resolution, Severity, TicketEventKind);

/// One row of `tickets`. Field names are the reference's column names where it has the column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    pub id: i64,
    /// `invariant` or `invariant:store`.
    pub violation_key: String,
    #[serde(rename = "invariant_name")]
    pub invariant: String,
    pub store_id: Option<String>,
    /// What people call the subject, where that is not its id.
    pub subject_name: Option<String>,
    pub status: Status,
    pub held: bool,
    pub batch_key: Option<String>,
    pub occurrence_count: i64,
    pub first_seen_at: Option<Timestamp>,
    pub last_seen_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub message: String,
    pub severity: Stored<Severity>,
    pub diagnosis: Option<String>,
    pub metric_snapshot: Option<serde_json::Value>,
    pub subject_context: Option<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub cluster_id: Option<String>,
    pub resolution: Option<Resolution>,
    /// An agent said that it repaired it. Not the same as [`Resolution::Proven`].
    pub claimed: bool,
    /// How often it came back soon after its resolution.
    pub flaps: u32,
    /// Sessions that worked on it since it was opened.
    pub attempts: u32,
    /// When an escalated ticket is tried again.
    pub retry_at: Option<Timestamp>,
    /// No agent takes it any more.
    pub needs_person: bool,
    pub by_hand: bool,
}

/// One change of a ticket's status, append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketEvent {
    pub id: i64,
    pub ticket_id: i64,
    /// None: nothing that we know, written by another program.
    pub kind: Option<Stored<TicketEventKind>>,
    pub from: Option<Stored<Status>>,
    pub to: Stored<Status>,
    /// Of the end of a ticket.
    pub resolution: Option<Stored<Resolution>>,
    pub by: String,
    pub why: String,
    pub at: Option<Timestamp>,
}

const COLUMNS: &str = "id, violation_key, invariant_name, store_id, status, held, batch_key, \
    occurrence_count, first_seen_at, last_seen_at, resolved_at, message, severity, diagnosis, \
    metric_snapshot, subject_context, created_at, updated_at, cluster_id, resolution, claimed, \
    flaps, attempts, retry_at, needs_person, by_hand, subject_name";

fn from_row(r: &Row<'_>) -> rusqlite::Result<Ticket> {
    let time = |i: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(r.get::<_, Option<String>>(i)?
            .as_deref()
            .and_then(parse_time))
    };
    Ok(Ticket {
        id: r.get(0)?,
        violation_key: r.get(1)?,
        invariant: r.get(2)?,
        store_id: r.get(3)?,
        subject_name: r.get(26)?,
        status: r.get::<_, Stored<Status>>(4)?.meaning(),
        held: r.get(5)?,
        batch_key: r.get(6)?,
        occurrence_count: r.get(7)?,
        first_seen_at: time(8)?,
        last_seen_at: time(9)?,
        resolved_at: time(10)?,
        message: r.get(11)?,
        severity: r.get(12)?,
        diagnosis: r.get(13)?,
        metric_snapshot: r
            .get::<_, Option<String>>(14)?
            .and_then(|s| serde_json::from_str(&s).ok()),
        subject_context: r.get(15)?,
        created_at: time(16)?,
        updated_at: time(17)?,
        cluster_id: r.get(18)?,
        resolution: r
            .get::<_, Option<Stored<Resolution>>>(19)?
            .and_then(|r| r.known()),
        claimed: r.get(20)?,
        flaps: r.get(21)?,
        attempts: r.get(22)?,
        retry_at: time(23)?,
        needs_person: r.get(24)?,
        by_hand: r.get(25)?,
    })
}

pub(super) fn event_from_row(r: &Row<'_>) -> rusqlite::Result<TicketEvent> {
    Ok(TicketEvent {
        id: r.get("id")?,
        ticket_id: r.get("ticket_id")?,
        kind: r.get("kind")?,
        from: r.get("from_status")?,
        to: r.get("to_status")?,
        resolution: r.get("resolution")?,
        by: r.get("by")?,
        why: r.get("why")?,
        at: parse_time(&r.get::<_, String>("at")?),
    })
}

/// All tickets that `clause` (everything after FROM) selects.
pub(super) fn select(
    conn: &Connection,
    clause: &str,
    args: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Ticket>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tickets {clause}"))?
        .query_map(args, from_row)?
        .collect()
}

pub(super) fn by_id(conn: &Connection, id: i64) -> rusqlite::Result<Option<Ticket>> {
    Ok(select(conn, "WHERE id = ?1", [id])?.pop())
}

impl Ledger {
    pub fn ticket(&self, id: i64) -> Result<Option<Ticket>> {
        Ok(by_id(&self.conn, id)?)
    }

    /// The newest `limit` tickets, newest first, all unresolved ones before the others.
    pub fn tickets(&self, limit: usize) -> Result<Vec<Ticket>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // `+id`: by the index of the few that are not resolved, not through all rows.
        let mut live = select(
            &self.conn,
            "WHERE status != 'resolved' ORDER BY +id DESC LIMIT ?1",
            [limit],
        )?;
        let rest = limit - i64::try_from(live.len()).unwrap_or(limit);
        if rest > 0 {
            live.extend(select(
                &self.conn,
                "WHERE status = 'resolved' ORDER BY id DESC LIMIT ?1",
                [rest],
            )?);
        }
        Ok(live)
    }

    /// Tickets with one status, newest first.
    pub fn tickets_with_status(&self, status: Status, limit: usize) -> Result<Vec<Ticket>> {
        let also = if status == Status::Escalated {
            "diagnosed"
        } else {
            status.as_str()
        };
        let clause = if status == Status::Resolved {
            "WHERE status IN (?1, ?2) ORDER BY id DESC LIMIT ?3"
        } else {
            "WHERE status != 'resolved' AND status IN (?1, ?2) ORDER BY +id DESC LIMIT ?3"
        };
        Ok(select(
            &self.conn,
            clause,
            params![status, also, i64::try_from(limit).unwrap_or(i64::MAX)],
        )?)
    }

    /// Tickets of the same check, oldest first, without `ticket` itself.
    pub fn siblings(&self, ticket: &Ticket) -> Result<Vec<Ticket>> {
        let Some(batch) = &ticket.batch_key else {
            return Ok(Vec::new());
        };
        Ok(select(
            &self.conn,
            "WHERE batch_key = ?1 AND id != ?2 ORDER BY id LIMIT 50",
            params![batch, ticket.id],
        )?)
    }

    /// How many tickets are resolved, and how many are not.
    pub fn ticket_counts(&self) -> Result<(u64, u64)> {
        let live: u64 = self.conn.query_row(
            "SELECT count(*) FROM tickets WHERE status != 'resolved'",
            [],
            |r| r.get(0),
        )?;
        let all: u64 = self
            .conn
            .query_row("SELECT count(*) FROM tickets", [], |r| r.get(0))?;
        Ok((all - live, live))
    }

    /// What happened to a ticket, oldest first.
    pub fn ticket_events(&self, ticket: i64) -> Result<Vec<TicketEvent>> {
        let rows = self
            .conn
            .prepare_cached("SELECT * FROM ticket_events WHERE ticket_id = ?1 ORDER BY id")?
            .query_map([ticket], event_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl Ledger {
    /// The id of the newest ticket; 0 if there is none.
    pub fn newest_ticket(&self) -> Result<i64> {
        Ok(self
            .conn
            .query_row("SELECT coalesce(max(id), 0) FROM tickets", [], |r| r.get(0))?)
    }

    /// Violation keys of unresolved tickets of a cluster that were not opened by hand.
    pub fn live_keys(&self, cluster_id: &str) -> Result<Vec<(String, String, Option<String>)>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT violation_key, invariant_name, store_id FROM tickets
                 WHERE live_key IS NOT NULL AND by_hand = 0
                   AND (cluster_id = ?1 OR cluster_id IS NULL)",
            )?
            .query_map([cluster_id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}
