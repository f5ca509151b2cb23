//! Commands of people to an agent that they did not start: rows that the agent of a session takes.
//!
//! Who may write this file may steer its agents. Carrying a command out is up to the session.

use crate::{
    Lease, LedgerError, SessionStatus, Stored, claim,
    clock::{self, parse_time},
    engine::{Engine, Result},
    event::Control,
    ledger_chain::{self, Link},
    orders,
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::json;

/// One row of `commands`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandRow {
    pub id: i64,
    pub session_id: String,
    pub command: Control,
    pub by: String,
    pub at: Option<Timestamp>,
    /// When its agent took it. None: not yet, or never, if the session has ended.
    pub taken_at: Option<Timestamp>,
}

impl Engine {
    pub(crate) fn send_command(
        &mut self,
        session: &str,
        command: &Control,
        by: &str,
    ) -> Result<i64> {
        let text = serde_json::to_string(command).unwrap_or_default();
        self.write(|tx| {
            let status: Stored<SessionStatus> = tx
                .query_row(
                    "SELECT status FROM agent_sessions WHERE session_id = ?1",
                    [session],
                    |r| r.get(0),
                )
                .optional()?
                .ok_or_else(|| LedgerError::NoSession(session.to_owned()))?;
            if status != SessionStatus::Running {
                return Err(LedgerError::Refused(format!(
                    "session {session} has ended ({status}): there is no agent to steer"
                ))
                .into());
            }
            tx.execute(
                "INSERT INTO commands (session_id, command, by, at) VALUES (?1, ?2, ?3, ?4)",
                params![session, text, by, clock::stamp()],
            )?;
            let id = tx.last_insert_rowid();
            let words = json!({ "session": session, "by": by, "command": text });
            ledger_chain::link(tx, Link::Decision, &id.to_string(), &words)?;
            if let Control::Message { text, .. } = command {
                orders::add(tx, session, text, by)?;
            }
            Ok(id)
        })
    }

    pub(crate) fn take_commands(&mut self, lease: &Lease, session: &str) -> Result<Vec<Control>> {
        let waiting = "SELECT 1 FROM commands WHERE session_id = ?1 AND taken_at IS NULL";
        // The usual answer is "nothing": find that out without the write lock.
        if !self.conn.prepare_cached(waiting)?.exists([session])? {
            return Ok(Vec::new());
        }
        self.write(|tx| {
            claim::hold(tx, lease)?;
            let rows: Vec<(i64, String, String)> = tx
                .prepare_cached(
                    "SELECT id, command, by FROM commands
                     WHERE session_id = ?1 AND taken_at IS NULL ORDER BY id",
                )?
                .query_map([session], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let mut out = Vec::with_capacity(rows.len());
            for (id, command, by) in rows {
                tx.execute(
                    "UPDATE commands SET taken_at = ?2 WHERE id = ?1",
                    params![id, clock::stamp()],
                )?;
                out.push(said_by(read(&command), by));
            }
            Ok(out)
        })
    }

    pub(crate) fn command(&self, id: i64) -> Result<Option<CommandRow>> {
        Ok(self.select_commands("id = ?1", params![id])?.pop())
    }

    pub(crate) fn commands(&self, session: &str) -> Result<Vec<CommandRow>> {
        self.select_commands("session_id = ?1", params![session])
    }

    pub(crate) fn open_proposals(&self, session: &str) -> Result<Vec<String>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT call_id FROM agent_log_entries p
                 WHERE session_id = ?1 AND entry_type = 'proposal' AND call_id IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM agent_log_entries d WHERE d.session_id = ?1
                     AND d.entry_type = 'decision' AND d.call_id = p.call_id AND d.id > p.id)
                 ORDER BY id",
            )?
            .query_map([session], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?)
    }

    fn select_commands(&self, which: &str, args: impl rusqlite::Params) -> Result<Vec<CommandRow>> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT id, session_id, command, by, at, taken_at FROM commands
                 WHERE {which} ORDER BY id"
            ))?
            .query_map(args, |r| {
                let time = |text: Option<String>| text.as_deref().and_then(parse_time);
                Ok(CommandRow {
                    id: r.get(0)?,
                    session_id: r.get(1)?,
                    command: read(&r.get::<_, String>(2)?),
                    by: r.get(3)?,
                    at: time(r.get(4)?),
                    taken_at: time(r.get(5)?),
                })
            })?
            .collect::<rusqlite::Result<_>>()?)
    }
}

fn read(text: &str) -> Control {
    serde_json::from_str(text).unwrap_or(Control::Unknown)
}

fn said_by(mut command: Control, name: String) -> Control {
    match &mut command {
        Control::Interrupt { by }
        | Control::Message { by, .. }
        | Control::Approve { by, .. }
        | Control::Reject { by, .. } => *by = name,
        Control::Shutdown | Control::Unknown => {}
    }
    command
}
