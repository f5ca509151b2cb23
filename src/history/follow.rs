//! What is new in a session since the last look: somebody else's agent, followed through the
//! ledger.

use super::events;
use operator_ledger::{
    CommandRow, EntryKind, OutputChunk, Reader, Result, SessionRow, SessionStatus, event::Event,
};

/// Entries read at the first look: more than the screen shows.
const FIRST: usize = 80;
/// Entries read at a later look; what is over comes with the next.
const MORE: usize = 500;
/// Pieces of output of one command that a look keeps: the newest.
const PIECES: usize = 200;

/// One session, and how far it was read.
#[derive(Debug)]
pub struct Follow {
    session: String,
    /// The last entry that was read.
    after: Option<i64>,
    running: Option<Running>,
    ended: bool,
}

/// A command without a result yet.
#[derive(Debug)]
struct Running {
    call: String,
    /// The last piece of its output that was read.
    after: i64,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionUpdate {
    pub session: SessionRow,
    pub events: Vec<Event>,
    /// What people told its agent, with what became of it.
    pub commands: Vec<CommandRow>,
}

impl Follow {
    pub fn new(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            after: None,
            running: None,
            ended: false,
        }
    }

    /// None: there is no such session.
    pub fn look(&mut self, ledger: &Reader) -> Result<Option<SessionUpdate>> {
        let Some(session) = ledger.session(&self.session).wait()? else {
            return Ok(None);
        };
        let mut found = Vec::new();
        let rows = if let Some(after) = self.after {
            ledger.entries(&self.session, after, MORE).wait()?
        } else {
            let ticket = session
                .ticket_id
                .map_or(Ok(None), |id| ledger.ticket(id).wait())?;
            found.push(events::start(&session, ticket.as_ref()));
            ledger
                .entries_before(&self.session, i64::MAX, FIRST)
                .wait()?
        };
        self.after = rows.last().map(|r| r.id).or(self.after).or(Some(0));
        for row in &rows {
            if row.entry_type == EntryKind::ToolResult {
                let printed = self.output(ledger)?;
                let stored = self.running.take().is_some_and(|r| r.after > 0);
                found.extend(printed.into_iter().map(|c| events::output(&session, c)));
                if !stored {
                    found.extend(events::shown_output(&session, row));
                }
            }
            if row.entry_type == EntryKind::ToolCall {
                self.running = row.call_id.clone().map(|call| Running { call, after: 0 });
            }
            self.ended |= row.entry_type == EntryKind::End;
            found.extend(events::entry(&session, row));
        }
        let printed = self.output(ledger)?;
        found.extend(printed.into_iter().map(|c| events::output(&session, c)));
        if session.status != SessionStatus::Running && rows.len() < MORE && !self.ended {
            self.ended = true;
            found.extend(events::end(&session));
        }
        Ok(Some(SessionUpdate {
            commands: ledger.commands(&self.session).wait()?,
            session,
            events: found,
        }))
    }

    /// What the running command printed since the last look, the newest of it.
    fn output(&mut self, ledger: &Reader) -> Result<Vec<OutputChunk>> {
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        let mut rows = ledger
            .output_tail(&self.session, &running.call, PIECES)
            .wait()?;
        rows.retain(|(id, _)| *id > running.after);
        if let Some((id, _)) = rows.last() {
            running.after = *id;
        }
        Ok(rows.into_iter().map(|(_, chunk)| chunk).collect())
    }
}
