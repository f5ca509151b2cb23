//! What an incident is, and reading them: the outage that people speak of, of which each ticket is a
//! symptom. Its number is its first ticket's.
//!
//! Which ticket belongs to which is decided by [`rules`] and written by [`place`]; who may not work
//! on what is in [`hold`]; work on them is `claim`'s, their proof `proof`'s.

pub(crate) mod hold;
pub(crate) mod place;
pub(crate) mod rules;

use crate::{
    Mono, OrderRow, Resolution, Severity, Status, Stored, SystemId, Ticket,
    clock::parse_time,
    engine::{Engine, Result},
    stored::words,
    tickets,
};
use hold::HoldRow;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// How an incident stands.
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
pub enum IncidentState {
    /// For whoever comes first.
    #[default]
    Open,
    /// Somebody works on it.
    Claimed,
    /// A repair is claimed, and the monitor looks whether it is one.
    Verifying,
    /// Given up for now: agents try again later.
    Escalated,
    /// Only a person can go on.
    Waiting,
    /// All its tickets are.
    Resolved,
}

/// What happened to an incident.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum IncidentEventKind {
    Began,
    /// One more ticket is of it.
    Joined,
    /// It was over, or one of its tickets was, and is not.
    Returned,
    /// What had been proven did not last.
    ProofWithdrawn,
    Claimed,
    /// A person took it.
    Taken,
    /// The person who took it says that it is repaired, and asks for proof. An agent's word for that is
    /// a finish.
    Finished,
    Released,
    Escalated,
    Held,
    Unheld,
    /// A person opened it again.
    Reopened,
    Ended,
    /// It was a ticket in a ledger that knew no incidents.
    Adopted,
}

words!(IncidentState, IncidentEventKind);

/// One incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Incident {
    pub id: i64,
    pub cluster_id: Option<SystemId>,
    pub state: IncidentState,
    pub opened_at: Option<Timestamp>,
    /// When the present outage began, or the last of them, where it had been over before. Earlier ones
    /// are in its events, and add to no duration.
    pub returned_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub resolution: Option<Stored<Resolution>>,
    /// Of its worst ticket; of those that are not over, while there are any.
    pub severity: Stored<Severity>,
    /// Sessions that worked on it.
    pub attempts: u32,
    /// When agents try again.
    pub retry_at: Option<Timestamp>,
    /// No agent takes it any more.
    pub needs_person: bool,
    /// Who works on it.
    pub worker: Option<String>,
    /// The worker is a person.
    pub taken: bool,
    /// What keeps agents from it.
    pub holds: Vec<HoldRow>,
    /// How many tickets it has, over or not.
    pub tickets: u32,
}

/// One thing that happened to an incident, append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentEvent {
    pub id: i64,
    pub incident_id: i64,
    pub kind: Stored<IncidentEventKind>,
    /// The ticket it is about, where it is about one.
    pub ticket_id: Option<i64>,
    pub session_id: Option<String>,
    pub by: String,
    pub why: String,
    /// Of a proof that was withdrawn: for how long it was one.
    pub lasted_ms: Option<i64>,
    pub at: Option<Timestamp>,
}

/// An incident with all that a reader asks of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentReport {
    pub incident: Incident,
    pub tickets: Vec<Ticket>,
    pub events: Vec<IncidentEvent>,
    pub orders: Vec<OrderRow>,
    /// What kept agents from it, ended or not.
    pub holds: Vec<HoldRow>,
    /// Incidents before this one that had a ticket of the same check on the same thing.
    pub earlier: Vec<i64>,
}

const COLUMNS: &str = "id, cluster_id, opened_at, ended_at, resolution, attempts, retry_at,
    needs_person, lease_holder, lease_boot, lease_until_ms,
    (SELECT count(*) FROM tickets t WHERE t.incident_id = i.id),
    EXISTS (SELECT 1 FROM verifications v WHERE v.incident_id = i.id AND v.state = 'waiting'),
    (SELECT severity FROM tickets t WHERE t.incident_id = i.id
       ORDER BY t.status = 'resolved', CASE t.severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2
       ELSE 1 END LIMIT 1),
    EXISTS (SELECT 1 FROM tickets t WHERE t.incident_id = i.id AND t.status = 'escalated'),
    (SELECT min(e.at) FROM incident_events e
       WHERE e.incident_id = i.id AND e.kind IN ('returned', 'reopened') AND e.id >
         (SELECT max(x.id) FROM incident_events x WHERE x.incident_id = i.id AND x.kind = 'ended'
            AND x.id < (SELECT max(l.id) FROM incident_events l WHERE l.incident_id = i.id
              AND l.kind IN ('returned', 'reopened'))))";

fn from_row(r: &Row<'_>, now: &Mono) -> rusqlite::Result<Incident> {
    let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(r.get::<_, Option<String>>(column)?
            .as_deref()
            .and_then(parse_time))
    };
    let (ended_at, retry_at, needs_person) = (time(3)?, time(6)?, r.get(7)?);
    let holder: Option<String> = r.get(8)?;
    let (boot, until): (Option<String>, Option<i64>) = (r.get(9)?, r.get(10)?);
    // A person's claim has no end of its own.
    let taken = holder.is_some() && boot.is_none() && ended_at.is_none();
    let leased = ended_at.is_none() && boot.is_some();
    let works =
        taken || (leased && boot.as_ref() == Some(&now.boot) && until.is_some_and(|u| u > now.ms));
    let (verifying, given_up): (bool, bool) = (r.get(12)?, r.get(14)?);
    let state = if r.get::<_, Option<String>>(3)?.is_some() {
        IncidentState::Resolved
    } else if verifying {
        IncidentState::Verifying
    } else if works {
        IncidentState::Claimed
    } else if needs_person {
        IncidentState::Waiting
    } else if given_up || retry_at.is_some() {
        IncidentState::Escalated
    } else {
        IncidentState::Open
    };
    Ok(Incident {
        id: r.get(0)?,
        cluster_id: r.get::<_, Option<String>>(1)?.map(SystemId::new),
        state,
        opened_at: time(2)?,
        returned_at: time(15)?,
        ended_at,
        resolution: r.get(4)?,
        severity: r.get::<_, Option<_>>(13)?.unwrap_or_default(),
        attempts: r.get(5)?,
        retry_at,
        needs_person,
        worker: holder.filter(|_| works),
        taken,
        holds: Vec::new(),
        tickets: r.get(11)?,
    })
}

fn select(
    conn: &Connection,
    clause: &str,
    args: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Incident>> {
    let now = Mono::now();
    let mut found: Vec<Incident> = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM incidents i {clause}"))?
        .query_map(args, |r| from_row(r, &now))?
        .collect::<rusqlite::Result<_>>()?;
    let live = hold::live(conn)?;
    for incident in &mut found {
        if incident.state != IncidentState::Resolved {
            let of = tickets::select(conn, "WHERE incident_id = ?1", [incident.id])?;
            let covers = |h: &&HoldRow| {
                h.scope
                    .covers_incident(incident.id, incident.cluster_id.as_ref())
                    || of
                        .iter()
                        .any(|t| t.status != Status::Resolved && h.scope.covers_ticket(t))
            };
            incident.holds = live.iter().filter(covers).cloned().collect();
        }
    }
    Ok(found)
}

pub(crate) fn by_id(conn: &Connection, id: i64) -> rusqlite::Result<Option<Incident>> {
    Ok(select(conn, "WHERE id = ?1", [id])?.pop())
}

/// How the incidents that are not over stand.
pub(crate) fn live_states(conn: &Connection) -> rusqlite::Result<Vec<IncidentState>> {
    let live = select(conn, "WHERE ended_at IS NULL", [])?;
    Ok(live.into_iter().map(|incident| incident.state).collect())
}

pub(crate) fn event_from_row(r: &Row<'_>) -> rusqlite::Result<IncidentEvent> {
    Ok(IncidentEvent {
        id: r.get("id")?,
        incident_id: r.get("incident_id")?,
        kind: r.get("kind")?,
        ticket_id: r.get("ticket_id")?,
        session_id: r.get("session_id")?,
        by: r.get("by")?,
        why: r.get("why")?,
        lasted_ms: r.get("lasted_ms")?,
        at: parse_time(&r.get::<_, String>("at")?),
    })
}

impl Incident {
    /// Since when there is the present outage, or was the last.
    pub fn since(&self) -> Option<Timestamp> {
        self.returned_at.or(self.opened_at)
    }
}

impl Engine {
    pub(crate) fn incident(&self, id: i64) -> Result<Option<Incident>> {
        Ok(by_id(&self.conn, id)?)
    }

    pub(crate) fn incidents(&self, limit: usize) -> Result<Vec<Incident>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut live = select(
            &self.conn,
            "WHERE ended_at IS NULL ORDER BY id DESC LIMIT ?1",
            [limit],
        )?;
        let rest = limit - i64::try_from(live.len()).unwrap_or(limit);
        if rest > 0 {
            live.extend(select(
                &self.conn,
                "WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT ?1",
                [rest],
            )?);
        }
        Ok(live)
    }

    pub(crate) fn incident_report(&self, id: i64) -> Result<Option<IncidentReport>> {
        let Some(incident) = by_id(&self.conn, id)? else {
            return Ok(None);
        };
        let tickets = self.tickets_of_incident(id)?;
        Ok(Some(IncidentReport {
            holds: hold::of_incident(&self.conn, &incident, &tickets)?,
            tickets,
            events: self
                .conn
                .prepare_cached("SELECT * FROM incident_events WHERE incident_id = ?1 ORDER BY id")?
                .query_map([id], event_from_row)?
                .collect::<rusqlite::Result<_>>()?,
            orders: self.orders(id)?,
            earlier: self
                .conn
                .prepare_cached(
                    "SELECT DISTINCT o.incident_id FROM tickets o JOIN tickets t
                       ON o.violation_key = t.violation_key AND o.cluster_id IS t.cluster_id
                     WHERE t.incident_id = ?1 AND o.incident_id < ?1 AND o.incident_id IS NOT NULL
                     ORDER BY 1 DESC LIMIT 20",
                )?
                .query_map([id], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?,
            incident,
        }))
    }

    pub(crate) fn tickets_of_incident(&self, id: i64) -> Result<Vec<Ticket>> {
        Ok(tickets::select(
            &self.conn,
            "WHERE incident_id = ?1 ORDER BY status = 'resolved',
               CASE severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2 ELSE 1 END, id",
            params![id],
        )?)
    }
}
