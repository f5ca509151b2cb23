//! What a ticket is, and reading them.
//!
//! What the monitor does to them is in `check`, an agent in `claim`, people in `manual`.

use crate::{
    AlertDetail, Stored, SystemId,
    clock::parse_time,
    engine::{Engine, Result},
    stored::words,
};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use strum::{EnumIter, EnumString, IntoStaticStr};

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
pub enum Status {
    #[default]
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

/// What an unresolved ticket is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTicket {
    pub key: String,
    pub invariant: String,
    pub subject: Option<String>,
}

/// One row of `tickets`. Field names are the reference's column names where it has the column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    pub cluster_id: Option<SystemId>,
    pub resolution: Option<Resolution>,
    /// An agent said that it repaired it. Not the same as [`Resolution::Proven`].
    pub claimed: bool,
    /// How often the same had come back in its incident when it was opened.
    pub flaps: u32,
    /// Sessions that worked on its incident.
    pub attempts: u32,
    /// When an escalated ticket is tried again.
    pub retry_at: Option<Timestamp>,
    /// No agent takes it any more.
    pub needs_person: bool,
    pub by_hand: bool,
    pub incident_id: Option<i64>,
    /// What its alert came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertDetail>,
    /// What was seen when it was at its worst. None: its check does not count how bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<WorstLook>,
}

/// What one look at a ticket's thing saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstLook {
    pub message: String,
    pub at: Timestamp,
}

impl Ticket {
    /// What was seen when it was at its worst, where that is not what was seen last.
    pub fn was_worse(&self) -> Option<&WorstLook> {
        self.worst.as_ref().filter(|w| w.message != self.message)
    }
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

const COLUMNS: [&str; 31] = [
    "id",
    "violation_key",
    "invariant_name",
    "store_id",
    "status",
    "held",
    "batch_key",
    "occurrence_count",
    "first_seen_at",
    "last_seen_at",
    "resolved_at",
    "message",
    "severity",
    "diagnosis",
    "metric_snapshot",
    "subject_context",
    "created_at",
    "updated_at",
    "cluster_id",
    "resolution",
    "claimed",
    "flaps",
    "attempts",
    "retry_at",
    "needs_person",
    "by_hand",
    "subject_name",
    "alert",
    "incident_id",
    "worst_message",
    "worst_at",
];

static SELECTED: LazyLock<String> = LazyLock::new(|| COLUMNS.join(", "));

/// Where a column stands in [`COLUMNS`]. Asked in a `const`, a name that is not there does not
/// compile, and no row is searched for it.
const fn at(name: &str) -> usize {
    let name = name.as_bytes();
    let mut column = 0;
    loop {
        let other = COLUMNS[column].as_bytes();
        let mut same = 0;
        while same < name.len() && same < other.len() && name[same] == other[same] {
            same += 1;
        }
        if same == name.len() && same == other.len() {
            return column;
        }
        column += 1;
    }
}

fn from_row(r: &Row<'_>) -> rusqlite::Result<Ticket> {
    let text = |column: usize| r.get::<_, Option<String>>(column);
    let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(text(column)?.as_deref().and_then(parse_time))
    };
    Ok(Ticket {
        id: r.get(const { at("id") })?,
        violation_key: r.get(const { at("violation_key") })?,
        invariant: r.get(const { at("invariant_name") })?,
        store_id: r.get(const { at("store_id") })?,
        subject_name: r.get(const { at("subject_name") })?,
        status: r
            .get::<_, Stored<Status>>(const { at("status") })?
            .meaning(),
        held: r.get(const { at("held") })?,
        batch_key: r.get(const { at("batch_key") })?,
        occurrence_count: r.get(const { at("occurrence_count") })?,
        first_seen_at: time(const { at("first_seen_at") })?,
        last_seen_at: time(const { at("last_seen_at") })?,
        resolved_at: time(const { at("resolved_at") })?,
        message: r.get(const { at("message") })?,
        severity: r.get(const { at("severity") })?,
        diagnosis: r.get(const { at("diagnosis") })?,
        metric_snapshot: text(const { at("metric_snapshot") })?
            .and_then(|s| serde_json::from_str(&s).ok()),
        subject_context: r.get(const { at("subject_context") })?,
        created_at: time(const { at("created_at") })?,
        updated_at: time(const { at("updated_at") })?,
        cluster_id: text(const { at("cluster_id") })?.map(SystemId::new),
        resolution: r
            .get::<_, Option<Stored<Resolution>>>(const { at("resolution") })?
            .and_then(|r| r.known()),
        claimed: r.get(const { at("claimed") })?,
        flaps: r.get(const { at("flaps") })?,
        attempts: r.get(const { at("attempts") })?,
        retry_at: time(const { at("retry_at") })?,
        needs_person: r.get(const { at("needs_person") })?,
        by_hand: r.get(const { at("by_hand") })?,
        incident_id: r.get(const { at("incident_id") })?,
        alert: text(const { at("alert") })?.and_then(|s| serde_json::from_str(&s).ok()),
        worst: text(const { at("worst_message") })?
            .zip(time(const { at("worst_at") })?)
            .map(|(message, at)| WorstLook { message, at }),
    })
}

pub(crate) fn event_from_row(r: &Row<'_>) -> rusqlite::Result<TicketEvent> {
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
pub(crate) fn select(
    conn: &Connection,
    clause: &str,
    args: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Ticket>> {
    conn.prepare_cached(&format!("SELECT {} FROM tickets {clause}", *SELECTED))?
        .query_map(args, from_row)?
        .collect()
}

pub(crate) fn by_id(conn: &Connection, id: i64) -> rusqlite::Result<Option<Ticket>> {
    Ok(select(conn, "WHERE id = ?1", [id])?.pop())
}

impl Engine {
    pub(crate) fn ticket(&self, id: i64) -> Result<Option<Ticket>> {
        Ok(by_id(&self.conn, id)?)
    }

    pub(crate) fn tickets(&self, limit: usize) -> Result<Vec<Ticket>> {
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

    pub(crate) fn tickets_with_status(&self, status: Status, limit: usize) -> Result<Vec<Ticket>> {
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

    pub(crate) fn siblings(&self, ticket: &Ticket) -> Result<Vec<Ticket>> {
        Ok(select(
            &self.conn,
            "WHERE incident_id = ?1 AND id != ?2 ORDER BY id LIMIT 50",
            params![ticket.incident_id, ticket.id],
        )?)
    }

    pub(crate) fn ticket_counts(&self) -> Result<(u64, u64)> {
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

    pub(crate) fn ticket_events(&self, ticket: i64) -> Result<Vec<TicketEvent>> {
        let rows = self
            .conn
            .prepare_cached("SELECT * FROM ticket_events WHERE ticket_id = ?1 ORDER BY id")?
            .query_map([ticket], event_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl Engine {
    pub(crate) fn newest_ticket(&self) -> Result<i64> {
        Ok(self
            .conn
            .query_row("SELECT coalesce(max(id), 0) FROM tickets", [], |r| r.get(0))?)
    }

    pub(crate) fn live_keys(&self, cluster_id: &SystemId) -> Result<Vec<LiveTicket>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT violation_key, invariant_name, store_id FROM tickets
                 WHERE live_key IS NOT NULL AND by_hand = 0
                   AND (cluster_id = ?1 OR cluster_id IS NULL)",
            )?
            .query_map([cluster_id.as_str()], |r| {
                Ok(LiveTicket {
                    key: r.get(0)?,
                    invariant: r.get(1)?,
                    subject: r.get(2)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}
