//! What is worth telling people elsewhere: tickets opened, escalated and proven, and commands that
//! wait for approval; and how far that was told. Tells nobody itself.

use crate::{
    Incident, Resolution, Status, SystemId, Ticket, TicketEvent, TicketEventKind,
    engine::{Engine, Result},
    spoken,
    stored::words,
    tickets,
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// Read at a time.
const AT_ONCE: i64 = 50;

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum NotificationKind {
    Opened,
    Escalated,
    Proven,
    /// A command waits for a person.
    Approval,
}

words!(NotificationKind);

impl NotificationKind {
    pub const ALL: [Self; 4] = [Self::Opened, Self::Escalated, Self::Proven, Self::Approval];
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    pub kind: NotificationKind,
    pub at: Option<Timestamp>,
    /// As it is now, not as it was.
    pub ticket: Ticket,
    /// The incident that the ticket is of, as it is now.
    pub incident: Option<Incident>,
    /// Why, or the command that waits.
    pub detail: String,
    /// How far one has read with this.
    pub told: NotificationCursor,
}

/// How far was read. Rows up to these are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NotificationCursor {
    event: i64,
    entry: i64,
}

impl Engine {
    pub(crate) fn told(&self, cluster_id: &SystemId) -> Result<Option<NotificationCursor>> {
        Ok(self
            .conn
            .prepare_cached("SELECT event_id, entry_id FROM told WHERE cluster_id = ?1")?
            .query_row([cluster_id.as_str()], |r| {
                Ok(NotificationCursor {
                    event: r.get(0)?,
                    entry: r.get(1)?,
                })
            })
            .optional()?)
    }

    pub(crate) fn told_by_now(&self) -> Result<NotificationCursor> {
        let newest = |table: &str| {
            let sql = format!("SELECT coalesce(max(id), 0) FROM {table}");
            self.conn.query_row(&sql, [], |r| r.get(0))
        };
        Ok(NotificationCursor {
            event: newest("ticket_events")?,
            entry: newest("agent_log_entries")?,
        })
    }

    pub(crate) fn set_told(
        &mut self,
        cluster_id: &SystemId,
        told: NotificationCursor,
    ) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "INSERT OR REPLACE INTO told (cluster_id, event_id, entry_id) VALUES (?1, ?2, ?3)",
                params![cluster_id.as_str(), told.event, told.entry],
            )?;
            Ok(())
        })
    }

    pub(crate) fn news(
        &self,
        cluster_id: &SystemId,
        told: NotificationCursor,
    ) -> Result<(Vec<Notification>, NotificationCursor)> {
        let mut upto = told;
        let mut out = Vec::new();
        let events: Vec<TicketEvent> = self
            .conn
            .prepare_cached("SELECT * FROM ticket_events WHERE id > ?1 ORDER BY id LIMIT ?2")?
            .query_map(params![told.event, AT_ONCE], tickets::event_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        let mut seen = told;
        for event in events {
            upto.event = event.id;
            seen.event = event.id;
            let Some(kind) = worth_telling(&event) else {
                continue;
            };
            let Some(ticket) = tickets::by_id(&self.conn, event.ticket_id)? else {
                continue;
            };
            if ticket.cluster_id.as_ref().is_none_or(|c| c == cluster_id) {
                out.push(Notification {
                    kind,
                    at: event.at,
                    incident: self.incident_of(&ticket)?,
                    ticket,
                    detail: event.why,
                    told: seen,
                });
            }
        }
        let newest: i64 = self.conn.query_row(
            "SELECT coalesce(max(id), 0) FROM agent_log_entries",
            [],
            |r| r.get(0),
        )?;
        for running in self.running_sessions(Some(cluster_id))? {
            let (Some(proposal), Some(ticket)) = (running.proposal, running.ticket) else {
                continue;
            };
            let entry: Option<i64> = self
                .conn
                .prepare_cached(
                    "SELECT id FROM agent_log_entries WHERE session_id = ?1 AND call_id = ?2
                       AND entry_type = 'proposal' AND id > ?3 AND id <= ?4",
                )?
                .query_row(
                    params![
                        running.session.session_id,
                        proposal.call,
                        told.entry,
                        newest
                    ],
                    |r| r.get(0),
                )
                .optional()?;
            if let Some(entry) = entry {
                seen.entry = seen.entry.max(entry);
                out.push(Notification {
                    kind: NotificationKind::Approval,
                    at: proposal.since,
                    incident: self.incident_of(&ticket)?,
                    ticket,
                    detail: spoken(&proposal.tool, &proposal.input).into_owned(),
                    told: seen,
                });
            }
        }
        upto.entry = upto.entry.max(newest);
        Ok((out, upto))
    }
}

impl Engine {
    fn incident_of(&self, ticket: &Ticket) -> Result<Option<Incident>> {
        match ticket.incident_id {
            Some(id) => self.incident(id),
            None => Ok(None),
        }
    }
}

fn worth_telling(event: &TicketEvent) -> Option<NotificationKind> {
    match event.kind.as_ref()?.known()? {
        TicketEventKind::Opened => Some(NotificationKind::Opened),
        // Given up, and back with agents: it was told when it was opened.
        TicketEventKind::Reopened => {
            let over = event.from.as_ref().is_some_and(|f| *f == Status::Resolved);
            over.then_some(NotificationKind::Opened)
        }
        TicketEventKind::Escalated => Some(NotificationKind::Escalated),
        TicketEventKind::Resolved => {
            let proven = event.resolution.as_ref();
            let proven = proven.is_some_and(|r| *r == Resolution::Proven);
            proven.then_some(NotificationKind::Proven)
        }
        TicketEventKind::Claimed
        | TicketEventKind::Released
        | TicketEventKind::Held
        | TicketEventKind::Unheld
        | TicketEventKind::Adopted => None,
    }
}
