//! What is worth telling people elsewhere: tickets opened, escalated and proven, and commands that
//! wait for approval; and how far that was told. Tells nobody itself.

use crate::{
    Status, SystemId, Ticket,
    clock::parse_time,
    engine::{Engine, Result},
    spoken, tickets,
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// Read at a time.
const AT_ONCE: i64 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewsKind {
    Opened,
    Escalated,
    Proven,
    /// A command waits for a person.
    Approval,
}

impl NewsKind {
    pub const ALL: [Self; 4] = [Self::Opened, Self::Escalated, Self::Proven, Self::Approval];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::Proven => "proven",
            Self::Approval => "approval",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    pub kind: NewsKind,
    pub at: Option<Timestamp>,
    /// As it is now, not as it was.
    pub ticket: Ticket,
    /// Why, or the command that waits.
    pub detail: String,
    /// How far one has read with this.
    pub told: Told,
}

/// How far was read. Rows up to these are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    event: i64,
    entry: i64,
}

impl Engine {
    pub(crate) fn told(&self, cluster_id: &SystemId) -> Result<Option<Told>> {
        Ok(self
            .conn
            .prepare_cached("SELECT event_id, entry_id FROM told WHERE cluster_id = ?1")?
            .query_row([cluster_id.as_str()], |r| {
                Ok(Told {
                    event: r.get(0)?,
                    entry: r.get(1)?,
                })
            })
            .optional()?)
    }

    pub(crate) fn told_by_now(&self) -> Result<Told> {
        let newest = |table: &str| {
            let sql = format!("SELECT coalesce(max(id), 0) FROM {table}");
            self.conn.query_row(&sql, [], |r| r.get(0))
        };
        Ok(Told {
            event: newest("ticket_events")?,
            entry: newest("agent_log_entries")?,
        })
    }

    pub(crate) fn set_told(&mut self, cluster_id: &SystemId, told: Told) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "INSERT OR REPLACE INTO told (cluster_id, event_id, entry_id) VALUES (?1, ?2, ?3)",
                params![cluster_id.as_str(), told.event, told.entry],
            )?;
            Ok(())
        })
    }

    pub(crate) fn news(&self, cluster_id: &SystemId, told: Told) -> Result<(Vec<News>, Told)> {
        let mut upto = told;
        let mut out = Vec::new();
        let events: Vec<(i64, i64, String, String, String)> = self
            .conn
            .prepare_cached(
                "SELECT id, ticket_id, to_status, why, at FROM ticket_events
                 WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?
            .query_map(params![told.event, AT_ONCE], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut seen = told;
        for (id, ticket, status, why, at) in events {
            upto.event = id;
            seen.event = id;
            let kind = match Status::parse(&status) {
                // Given back by an agent is not opened.
                Some(Status::Open) if self.was_opened(id)? => NewsKind::Opened,
                Some(Status::Escalated) => NewsKind::Escalated,
                Some(Status::Resolved) if why.starts_with("proven") => NewsKind::Proven,
                _ => continue,
            };
            let Some(ticket) = tickets::by_id(&self.conn, ticket)? else {
                continue;
            };
            if ticket.cluster_id.as_ref().is_none_or(|c| c == cluster_id) {
                out.push(News {
                    kind,
                    at: parse_time(&at),
                    ticket,
                    detail: why,
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
                out.push(News {
                    kind: NewsKind::Approval,
                    at: proposal.since,
                    ticket,
                    detail: spoken(&proposal.tool, &proposal.input).into_owned(),
                    told: seen,
                });
            }
        }
        upto.entry = upto.entry.max(newest);
        Ok((out, upto))
    }

    fn was_opened(&self, event: i64) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM ticket_events
                 WHERE id = ?1 AND (from_status IS NULL OR from_status = 'resolved')",
            )?
            .exists([event])?)
    }
}
