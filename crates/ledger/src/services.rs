//! Services: what commands of agents left running on purpose, and who ended one. Both tables only
//! grow: the first is the agent's, the second people's.
//!
//! Does not look whether one is still there, and ends none.

use crate::{
    LedgerError, SessionWriter,
    clock::{self, parse_time},
    engine::{Engine, Result},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

/// A process that stays, as the runner of its command saw it.
#[derive(Debug, Clone)]
pub struct NewService {
    pub pid: i32,
    /// Clock ticks since boot: with pid and place, a name nobody else will have.
    pub start_ticks: u64,
    pub began: Option<Timestamp>,
    pub command: String,
}

/// One row of `services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    pub id: i64,
    pub session_id: String,
    /// The call that left it; empty: it made itself independent after its command was over.
    pub call_id: String,
    pub ticket_id: Option<i64>,
    pub host: String,
    /// Where its pid means something: a boot, and a namespace of pids.
    #[serde(skip)]
    pub place: String,
    pub pid: i32,
    pub start_ticks: u64,
    pub began_at: Option<Timestamp>,
    pub command: String,
    pub at: Option<Timestamp>,
    /// Who ended it by a command of ours, and when.
    pub ended_by: Option<String>,
    pub ended_at: Option<Timestamp>,
}

impl Engine {
    /// Asks for no lease: what it stores has already happened. One that is known is not written
    /// again.
    pub(crate) fn record_services(
        &mut self,
        session: &SessionWriter,
        call: &str,
        services: &[NewService],
    ) -> Result<()> {
        let place = operator_process::proc::place().unwrap_or_default();
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        self.write(|tx| {
            for service in services {
                let known =
                    "SELECT 1 FROM services WHERE place = ?1 AND pid = ?2 AND start_ticks = ?3";
                let ticks = i64::try_from(service.start_ticks).unwrap_or(i64::MAX);
                if tx
                    .prepare_cached(known)?
                    .exists(params![place, service.pid, ticks])?
                {
                    continue;
                }
                tx.execute(
                    "INSERT INTO services (session_id, call_id, host, place, pid, start_ticks,
                       began_at, command, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        session.id,
                        call,
                        host,
                        place,
                        service.pid,
                        ticks,
                        service.began.map(clock::text),
                        service.command,
                        clock::stamp()
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// All of them, the newest first.
    pub(crate) fn services(&self) -> Result<Vec<ServiceRow>> {
        let mut rows = self.conn.prepare_cached(
            "SELECT v.id, v.session_id, v.call_id, s.ticket_id, v.host, v.place, v.pid,
               v.start_ticks, v.began_at, v.command, v.at, e.by, e.at
             FROM services v
             LEFT JOIN agent_sessions s ON s.session_id = v.session_id
             LEFT JOIN service_ends e ON e.id =
               (SELECT min(id) FROM service_ends WHERE service_id = v.id)
             ORDER BY v.id DESC",
        )?;
        let rows = rows.query_map([], |r| {
            let time = |at| {
                Ok::<_, rusqlite::Error>(
                    r.get::<_, Option<String>>(at)?
                        .as_deref()
                        .and_then(parse_time),
                )
            };
            Ok(ServiceRow {
                id: r.get(0)?,
                session_id: r.get(1)?,
                call_id: r.get(2)?,
                ticket_id: r.get(3)?,
                host: r.get(4)?,
                place: r.get(5)?,
                pid: r.get(6)?,
                start_ticks: r.get::<_, i64>(7)?.try_into().unwrap_or_default(),
                began_at: time(8)?,
                command: r.get(9)?,
                at: time(10)?,
                ended_by: r.get(11)?,
                ended_at: time(12)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Notes that `by` ends it.
    pub(crate) fn end_service(&mut self, id: i64, by: &str) -> Result<()> {
        self.write(|tx| {
            tx.query_row("SELECT 1 FROM services WHERE id = ?1", [id], |_| Ok(()))
                .optional()?
                .ok_or_else(|| LedgerError::Refused(format!("there is no service {id}")))?;
            tx.execute(
                "INSERT INTO service_ends (service_id, by, at) VALUES (?1, ?2, ?3)",
                params![id, by, clock::stamp()],
            )?;
            Ok(())
        })
    }
}
