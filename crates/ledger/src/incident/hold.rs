//! What people keep agents from: an incident, a thing, a system, or everything. A hold is a row, its
//! end another; what a ticket shows of it follows from both.
//!
//! It keeps a ledger's agents from claiming and from writing, at once and whatever they are doing.
//! It is no wall around the thing: what a command may do is the session's to ask.

use super::{Incident, IncidentEventKind, IncidentState, place};
use crate::{
    LedgerError, Status, Stored, SystemId, Ticket, TicketEventKind, claim,
    clock::{self, parse_time},
    engine::{Engine, Result},
    ledger_chain::{self, Link},
    tickets,
    transitions::{self, Change},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldScope {
    Incident(i64),
    /// Every check on it. None: of any system.
    Thing {
        system: Option<SystemId>,
        thing: String,
    },
    System(SystemId),
    /// All systems of the ledger: a pause.
    All,
}

impl HoldScope {
    pub(crate) fn covers_ticket(&self, ticket: &Ticket) -> bool {
        match self {
            Self::Incident(id) => ticket.incident_id == Some(*id),
            Self::Thing { system, thing } => {
                let of_it = |name: &Option<String>| name.as_ref() == Some(thing);
                (system.is_none() || *system == ticket.cluster_id)
                    && (of_it(&ticket.store_id) || of_it(&ticket.subject_name))
            }
            Self::System(system) => ticket.cluster_id.as_ref() == Some(system),
            Self::All => false,
        }
    }

    pub(crate) fn covers_incident(&self, incident: i64, system: Option<&SystemId>) -> bool {
        match self {
            Self::Incident(id) => *id == incident,
            Self::System(held) => system == Some(held),
            Self::Thing { .. } | Self::All => false,
        }
    }

    /// What is held, in words; `names` are those of the thing.
    fn words(&self, names: &[String]) -> String {
        match self {
            Self::Incident(id) => format!("incident #{id}"),
            Self::Thing { thing, .. } => names.first().unwrap_or(thing).clone(),
            Self::System(system) => format!("system {system}"),
            Self::All => "all systems".into(),
        }
    }
}

impl NewHold {
    /// What is held, in words.
    pub fn words(&self) -> String {
        self.scope.words(&self.names)
    }
}

impl HoldRow {
    /// What is held, in words.
    pub fn words(&self) -> String {
        self.scope.words(&self.names)
    }
}

/// A hold to be.
#[derive(Debug, Clone)]
pub struct NewHold {
    pub scope: HoldScope,
    /// What a command may call the thing: its name, address, container.
    pub names: Vec<String>,
    pub by: String,
    pub why: String,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRow {
    pub id: i64,
    pub scope: HoldScope,
    pub names: Vec<String>,
    pub by: String,
    pub why: String,
    pub at: Option<Timestamp>,
    /// Who ended it, and when.
    #[serde(default)]
    pub ended_by: Option<String>,
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

const ROWS: &str = "SELECT h.id, incident_id, cluster_id, thing, names, h.by, why, h.at, e.by, e.at
    FROM holds h LEFT JOIN hold_ends e ON e.hold_id = h.id";

fn from_row(r: &Row<'_>) -> rusqlite::Result<HoldRow> {
    let system: Option<SystemId> = r.get::<_, Option<String>>(2)?.map(SystemId::new);
    let scope = match (r.get(1)?, r.get(3)?, system) {
        (Some(incident), _, _) => HoldScope::Incident(incident),
        (None, Some(thing), system) => HoldScope::Thing { system, thing },
        (None, None, Some(system)) => HoldScope::System(system),
        (None, None, None) => HoldScope::All,
    };
    Ok(HoldRow {
        id: r.get(0)?,
        scope,
        names: serde_json::from_str(&r.get::<_, String>(4)?).unwrap_or_default(),
        by: r.get(5)?,
        why: r.get(6)?,
        at: parse_time(&r.get::<_, String>(7)?),
        ended_by: r.get(8)?,
        ended_at: r
            .get::<_, Option<String>>(9)?
            .as_deref()
            .and_then(parse_time),
    })
}

/// Holds that nobody has ended.
pub(crate) fn live(conn: &Connection) -> rusqlite::Result<Vec<HoldRow>> {
    conn.prepare_cached(&format!("{ROWS} WHERE e.id IS NULL ORDER BY h.id"))?
        .query_map([], from_row)?
        .collect()
}

/// All that ever kept agents from an incident, or from everything while it lasted.
pub(crate) fn of_incident(
    conn: &Connection,
    incident: &Incident,
    tickets: &[Ticket],
) -> rusqlite::Result<Vec<HoldRow>> {
    let system = incident.cluster_id.as_ref();
    let covers = |hold: &HoldRow| {
        hold.scope == HoldScope::All
            || hold.scope.covers_incident(incident.id, system)
            || tickets.iter().any(|t| hold.scope.covers_ticket(t))
    };
    let meanwhile = |hold: &HoldRow| {
        let over = incident.ended_at.zip(hold.at);
        let before = hold.ended_at.zip(incident.opened_at);
        over.is_none_or(|(end, at)| at <= end) && before.is_none_or(|(end, at)| end >= at)
    };
    let mut rows: Vec<HoldRow> = conn
        .prepare_cached(&format!("{ROWS} ORDER BY h.id"))?
        .query_map([], from_row)?
        .collect::<rusqlite::Result<_>>()?;
    rows.retain(|hold| covers(hold) && meanwhile(hold));
    Ok(rows)
}

/// Whether a ticket is held, by itself or with something it is of.
pub(crate) fn covers(conn: &Connection, ticket: i64) -> rusqlite::Result<bool> {
    let holds = live(conn)?;
    if holds.is_empty() {
        return Ok(false);
    }
    let ticket = tickets::by_id(conn, ticket)?;
    Ok(ticket.is_some_and(|t| holds.iter().any(|h| h.scope.covers_ticket(&t))))
}

impl Engine {
    pub(crate) fn holds(&self) -> Result<Vec<HoldRow>> {
        Ok(live(&self.conn)?)
    }

    pub(crate) fn hold(&mut self, new: &NewHold) -> Result<i64> {
        self.write(|tx| begin(tx, new))
    }

    pub(crate) fn end_hold(&mut self, id: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let hold = live(tx)?.into_iter().find(|h| h.id == id);
            hold.map_or(Ok(false), |hold| end(tx, &[hold], by).map(|()| true))
        })
    }

    pub(crate) fn release_incident(&mut self, incident: i64, by: &str) -> Result<bool> {
        self.write(|tx| {
            let found = super::by_id(tx, incident)?.ok_or(LedgerError::NoIncident(incident))?;
            let own = |h: &HoldRow| !matches!(h.scope, HoldScope::System(_) | HoldScope::All);
            let holds: Vec<HoldRow> = found.holds.into_iter().filter(own).collect();
            end(tx, &holds, by)?;
            let taken = found.taken && put_down(tx, incident, by)?;
            Ok(give_back(tx, incident, by)? || taken || !holds.is_empty())
        })
    }

    pub(crate) fn set_held(&mut self, id: i64, held: bool, by: &str) -> Result<bool> {
        self.write(|tx| {
            let ticket = tickets::by_id(tx, id)?.ok_or(LedgerError::NoTicket(id))?;
            if held {
                if ticket.held || ticket.status == Status::Resolved {
                    return Ok(false);
                }
                let scope = match (&ticket.store_id, ticket.incident_id) {
                    (Some(thing), _) if ticket.alert.is_none() => HoldScope::Thing {
                        system: ticket.cluster_id.clone(),
                        thing: thing.clone(),
                    },
                    (_, Some(incident)) => HoldScope::Incident(incident),
                    (_, None) => return Err(LedgerError::NoTicket(id).into()),
                };
                let names = ticket.subject_name.iter().cloned().collect();
                let (by, why) = (by.to_owned(), String::new());
                begin(
                    tx,
                    &NewHold {
                        scope,
                        names,
                        by,
                        why,
                    },
                )?;
                return Ok(true);
            }
            let of_it = |h: &HoldRow| {
                !matches!(h.scope, HoldScope::System(_) | HoldScope::All)
                    && h.scope.covers_ticket(&ticket)
            };
            let holds: Vec<HoldRow> = live(tx)?.into_iter().filter(of_it).collect();
            end(tx, &holds, by)?;
            let incident = ticket
                .incident_id
                .filter(|_| ticket.status != Status::Resolved);
            let back = match incident {
                Some(incident) => give_back(tx, incident, by)?,
                None => false,
            };
            Ok(back || !holds.is_empty())
        })
    }

    pub(crate) fn take_incident(&mut self, incident: i64, by: &str) -> Result<()> {
        self.write(|tx| {
            let found = super::by_id(tx, incident)?.ok_or(LedgerError::NoIncident(incident))?;
            let refused = |why: String| Err(LedgerError::Refused(why).into());
            if found.state == IncidentState::Resolved {
                return refused(format!("incident #{incident} is over"));
            }
            if let Some(worker) = found.worker.filter(|_| found.taken) {
                return refused(format!("{worker} has taken incident #{incident}"));
            }
            let busy: Option<i64> = tx
                .prepare_cached(
                    "SELECT o.id FROM incidents o JOIN incidents i ON o.scope = i.scope
                     WHERE i.id = ?1 AND o.id != i.id AND o.ended_at IS NULL
                       AND o.lease_holder IS NOT NULL AND o.lease_boot IS NULL",
                )?
                .query_row([incident], |r| r.get(0))
                .optional()?;
            if let Some(busy) = busy {
                return refused(format!(
                    "incident #{busy} of the same system is taken by a person: release that first"
                ));
            }
            // Whoever is at work in this system stops: one works on a system at a time.
            let at_work: Vec<i64> = tx
                .prepare_cached(
                    "SELECT o.id FROM incidents o JOIN incidents i ON o.scope = i.scope
                     WHERE i.id = ?1 AND o.ended_at IS NULL AND o.lease_holder IS NOT NULL",
                )?
                .query_map([incident], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let why = format!("{by} took incident #{incident}");
            for other in at_work {
                interrupt(tx, other, by, &why)?;
            }
            transitions::withdraw(tx, incident, &why)?;
            tx.execute(
                "UPDATE incidents SET fence = fence + 1, lease_holder = ?2, lease_boot = NULL,
                   lease_until_ms = NULL, retry_at = NULL, needs_person = 0 WHERE id = ?1",
                params![incident, by],
            )?;
            place::log(
                tx,
                incident,
                &place::Happened::new(IncidentEventKind::Taken, by, "took it"),
            )?;
            for ticket in unresolved(tx, incident)? {
                if ticket.status != Status::Acknowledged {
                    transitions::set_status(tx, ticket.id, Status::Acknowledged)?;
                    let change = Change {
                        kind: TicketEventKind::Claimed,
                        from: Some(ticket.status),
                        to: Status::Acknowledged,
                        resolution: None,
                        by,
                        why: "a person took it",
                    };
                    transitions::log(tx, ticket.id, &change)?;
                }
            }
            place::mirror(tx, incident)
        })
    }
}

fn unresolved(tx: &Transaction<'_>, incident: i64) -> rusqlite::Result<Vec<Ticket>> {
    tickets::select(
        tx,
        "WHERE incident_id = ?1 AND status != 'resolved'",
        [incident],
    )
}

fn begin(tx: &Transaction<'_>, new: &NewHold) -> Result<i64> {
    let holds = live(tx)?;
    if let Some(known) = holds.iter().find(|h| h.scope == new.scope) {
        let why = format!("{} is held already, by {}", known.words(), known.by);
        return Err(LedgerError::Refused(why).into());
    }
    if let HoldScope::Incident(id) = new.scope {
        super::by_id(tx, id)?.ok_or(LedgerError::NoIncident(id))?;
    }
    let id = write(tx, new)?;
    let why = held_words(new);
    for incident in touched(tx, &new.scope)? {
        place::log(
            tx,
            incident,
            &place::Happened::new(IncidentEventKind::Held, &new.by, &why),
        )?;
        interrupt(tx, incident, &new.by, &why)?;
        // What waits for its proof is the monitor's: a pause leaves it there.
        if new.scope != HoldScope::All {
            transitions::withdraw(tx, incident, &why)?;
        }
        place::mirror(tx, incident)?;
    }
    recount(tx, &new.by, &why)?;
    Ok(id)
}

fn write(tx: &Transaction<'_>, new: &NewHold) -> rusqlite::Result<i64> {
    let (incident, system, thing) = match &new.scope {
        HoldScope::Incident(id) => (Some(*id), None, None),
        HoldScope::Thing { system, thing } => (None, system.as_ref(), Some(thing)),
        HoldScope::System(system) => (None, Some(system), None),
        HoldScope::All => (None, None, None),
    };
    let at = clock::stamp();
    tx.execute(
        "INSERT INTO holds (incident_id, cluster_id, thing, names, by, why, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            incident,
            system.map(SystemId::as_str),
            thing,
            json!(new.names).to_string(),
            new.by,
            new.why,
            at
        ],
    )?;
    let id = tx.last_insert_rowid();
    let words = json!({ "hold": new.scope, "by": new.by, "why": new.why, "at": at });
    ledger_chain::link(tx, Link::Hold, &id.to_string(), &words)?;
    Ok(id)
}

/// What was held in a ledger that knew only tickets.
pub(crate) fn adopt(tx: &Transaction<'_>, incident: i64) -> rusqlite::Result<()> {
    let hold = NewHold {
        scope: HoldScope::Incident(incident),
        names: Vec::new(),
        by: "adoption".into(),
        why: "held in an older ledger".into(),
    };
    write(tx, &hold).map(|_| ())
}

fn held_words(new: &NewHold) -> String {
    let does = if new.scope == HoldScope::All {
        format!("{} paused all agents", new.by)
    } else {
        format!("{} holds {}", new.by, new.words())
    };
    if new.why.is_empty() {
        does
    } else {
        format!("{does}: {}", new.why)
    }
}

fn end(tx: &Transaction<'_>, holds: &[HoldRow], by: &str) -> Result<()> {
    for hold in holds {
        let at = clock::stamp();
        tx.execute(
            "INSERT INTO hold_ends (hold_id, by, at) VALUES (?1, ?2, ?3)",
            params![hold.id, by, at],
        )?;
        let words = json!({ "ended": hold.id, "by": by, "at": at });
        ledger_chain::link(tx, Link::Hold, &hold.id.to_string(), &words)?;
        let why = format!("{} is no longer held", hold.words());
        for incident in touched(tx, &hold.scope)? {
            place::log(
                tx,
                incident,
                &place::Happened::new(IncidentEventKind::Unheld, by, &why),
            )?;
        }
    }
    recount(tx, by, "no longer held")
}

/// Unresolved incidents that a hold is about.
fn touched(tx: &Transaction<'_>, scope: &HoldScope) -> Result<Vec<i64>> {
    let live: Vec<(i64, Option<SystemId>)> = tx
        .prepare_cached("SELECT id, cluster_id FROM incidents WHERE ended_at IS NULL")?
        .query_map([], |r| {
            Ok((r.get(0)?, r.get::<_, Option<String>>(1)?.map(SystemId::new)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut out = Vec::new();
    for (id, system) in live {
        if *scope == HoldScope::All
            || scope.covers_incident(id, system.as_ref())
            || unresolved(tx, id)?.iter().any(|t| scope.covers_ticket(t))
        {
            out.push(id);
        }
    }
    Ok(out)
}

/// Writes at each unresolved ticket whether it is held, where that changed.
fn recount(tx: &Transaction<'_>, by: &str, why: &str) -> Result<()> {
    let holds = live(tx)?;
    for ticket in tickets::select(tx, "WHERE status != 'resolved'", [])? {
        let held = holds.iter().any(|h| h.scope.covers_ticket(&ticket));
        note(tx, &ticket, held, by, why)?;
    }
    Ok(())
}

/// Writes at one ticket whether it is held.
pub(crate) fn note(
    tx: &Transaction<'_>,
    ticket: &Ticket,
    held: bool,
    by: &str,
    why: &str,
) -> Result<()> {
    if held == ticket.held {
        return Ok(());
    }
    tx.execute(
        "UPDATE tickets SET held = ?2 WHERE id = ?1",
        params![ticket.id, held],
    )?;
    let change = Change {
        kind: if held {
            TicketEventKind::Held
        } else {
            TicketEventKind::Unheld
        },
        from: Some(ticket.status),
        to: ticket.status,
        resolution: None,
        by,
        why,
    };
    transitions::log(tx, ticket.id, &change)?;
    Ok(())
}

/// Ends, on behalf of a person, what an agent does on an incident: its session is over, and the tickets
/// are open again. A person's own claim stays.
pub(crate) fn interrupt(tx: &Transaction<'_>, incident: i64, by: &str, why: &str) -> Result<()> {
    let by_agent: bool = tx
        .prepare_cached(
            "SELECT lease_holder IS NOT NULL AND lease_boot IS NOT NULL FROM incidents WHERE id = ?1",
        )?
        .query_row([incident], |r| r.get(0))?;
    if !by_agent {
        return Ok(());
    }
    claim::end_sessions(tx, incident, "interrupted", why)?;
    tx.execute(
        "UPDATE incidents SET fence = fence + 1, attempts = max(attempts - 1, 0),
           lease_holder = NULL, lease_boot = NULL, lease_until_ms = NULL WHERE id = ?1",
        [incident],
    )?;
    place::log(
        tx,
        incident,
        &place::Happened::new(IncidentEventKind::Released, by, why),
    )?;
    open_again(tx, incident, by, why)
}

/// Tickets that were worked on wait for whoever comes next.
pub(crate) fn open_again(tx: &Transaction<'_>, incident: i64, by: &str, why: &str) -> Result<()> {
    for ticket in unresolved(tx, incident)? {
        if ticket.status == Status::Acknowledged {
            transitions::set_status(tx, ticket.id, Status::Open)?;
            let change = Change {
                kind: TicketEventKind::Released,
                from: Some(ticket.status),
                to: Status::Open,
                resolution: None,
                by,
                why,
            };
            transitions::log(tx, ticket.id, &change)?;
        }
    }
    place::mirror(tx, incident)
}

/// A person who took an incident leaves it.
fn put_down(tx: &Transaction<'_>, incident: i64, by: &str) -> Result<bool> {
    tx.execute(
        "UPDATE incidents SET fence = fence + 1, lease_holder = NULL WHERE id = ?1",
        [incident],
    )?;
    let why = "gave it back";
    transitions::withdraw(tx, incident, why)?;
    place::log(
        tx,
        incident,
        &place::Happened::new(IncidentEventKind::Released, by, why),
    )?;
    open_again(tx, incident, by, why)?;
    Ok(true)
}

/// What waited for a person is open to agents anew.
fn give_back(tx: &Transaction<'_>, incident: i64, by: &str) -> Result<bool> {
    let given: bool = tx
        .prepare_cached(
            "SELECT needs_person FROM incidents WHERE id = ?1 AND lease_holder IS NULL",
        )?
        .query_row([incident], |r| r.get(0))
        .optional()?
        .unwrap_or(false);
    if !given {
        return Ok(false);
    }
    let tickets = unresolved(tx, incident)?;
    for ticket in &tickets {
        crate::manual::take_live_key(tx, ticket)?;
    }
    tx.execute(
        "UPDATE incidents SET needs_person = 0, attempts = 0, retry_at = NULL,
           budget_from = (SELECT coalesce(max(id), 0) FROM agent_sessions) WHERE id = ?1",
        [incident],
    )?;
    let why = "released to agents";
    place::log(
        tx,
        incident,
        &place::Happened::new(IncidentEventKind::Released, by, why),
    )?;
    for ticket in tickets {
        let raw: Stored<Status> = tx.query_row(
            "SELECT status FROM tickets WHERE id = ?1",
            [ticket.id],
            |r| r.get(0),
        )?;
        transitions::set_status(tx, ticket.id, Status::Open)?;
        let change = Change {
            kind: TicketEventKind::Released,
            from: Some(raw.meaning()),
            to: Status::Open,
            resolution: None,
            by,
            why,
        };
        transitions::log(tx, ticket.id, &change)?;
    }
    place::mirror(tx, incident)?;
    Ok(true)
}
