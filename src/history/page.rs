//! A session of any length, a page of entries at a time, as the lines its agent's pane showed.

use super::events;
use crate::transcript::{Composer, Kind, Line, Needle, Ring};
use jiff::Timestamp;
use operator_ledger::{
    EntryKind, EntryRow, LedgerError, OutputChunk, Reader, Result, SessionRow, SessionStatus,
    Stored, event::Event,
};

/// Entries on a page.
pub const ENTRIES: usize = 100;
/// Bytes of a command's output that stand on a page; the rest is a key away.
const OUTPUT: u64 = 16 * 1024;
/// Pieces of output taken from each end of one that is longer.
const ENDS: usize = 8;
/// A line's id is its entry's, times this, and its number in it.
const PER_ENTRY: u64 = 1 << 16;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    First,
    Last,
    /// The entries before this one.
    Before(i64),
    After(i64),
    /// The entries about this call.
    Call(String),
}

/// Lines of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub session: SessionRow,
    pub lines: Vec<Line>,
    /// First and last entry, when they were made, of what is here.
    pub entries: Vec<(i64, Option<Timestamp>)>,
    /// Entries that begin a call.
    pub calls: Vec<(i64, String)>,
    /// First and last entry of the session.
    pub span: (i64, i64),
    /// The line it was asked for, where that is one.
    pub at: Option<u64>,
}

/// The entry a line is of.
pub fn entry_of(line: u64) -> i64 {
    (line / PER_ENTRY).cast_signed()
}

impl Page {
    pub fn read(ledger: &Reader, session: &str, which: &Which) -> Result<Self> {
        let mut at = None;
        let rows = match which {
            Which::First => ledger.entries(session, 0, ENTRIES).wait()?,
            Which::Last => ledger.entries_before(session, i64::MAX, ENTRIES).wait()?,
            Which::Before(id) => ledger.entries_before(session, *id, ENTRIES).wait()?,
            Which::After(id) => ledger.entries(session, *id, ENTRIES).wait()?,
            Which::Call(call) => {
                let entry = ledger
                    .entries_of_call(session, call)
                    .wait()?
                    .first()
                    .map(|e| e.id);
                at = entry.map(|id| id.cast_unsigned() * PER_ENTRY);
                let middle = entry.unwrap_or(i64::MAX);
                let mut rows = ledger.entries_before(session, middle, ENTRIES / 2).wait()?;
                rows.extend(ledger.entries(session, middle - 1, ENTRIES / 2).wait()?);
                rows
            }
        };
        let mut page = Self::of(ledger, session, &rows)?;
        page.at = at;
        Ok(page)
    }

    /// The nearest page after or before an entry with a line that is searched for. None: there is
    /// none.
    pub fn find(
        ledger: &Reader,
        session: &str,
        needle: &Needle,
        from: i64,
        forward: bool,
    ) -> Result<Option<Self>> {
        let mut which = if forward {
            Which::After(from)
        } else {
            Which::Before(from)
        };
        loop {
            let mut page = Self::read(ledger, session, &which)?;
            let (Some(first), Some(last)) = (page.entries.first(), page.entries.last()) else {
                return Ok(None);
            };
            which = if forward {
                Which::After(last.0)
            } else {
                Which::Before(first.0)
            };
            let hit = |l: &&Line| needle.is_in(&l.text);
            let found = if forward {
                page.lines.iter().find(hit)
            } else {
                page.lines.iter().rfind(hit)
            };
            if let Some(id) = found.map(|l| l.id) {
                page.at = Some(id);
                return Ok(Some(page));
            }
        }
    }

    fn of(ledger: &Reader, session: &str, rows: &[EntryRow]) -> Result<Self> {
        let row = ledger
            .session(session)
            .wait()?
            .ok_or_else(|| LedgerError::NoSession(session.to_owned()))?;
        let span = ledger.entry_span(session).wait()?.unwrap_or((0, 0));
        let mut lines = Lines::default();
        if rows.first().is_none_or(|r| r.id == span.0) {
            let ticket = row
                .ticket_id
                .map_or(Ok(None), |id| ledger.ticket(id).wait())?;
            lines.add(0, &[events::start(&row, ticket.as_ref())]);
        }
        for entry in rows {
            let mut said: Vec<Event> = Vec::new();
            if entry.entry_type == EntryKind::ToolResult {
                let (printed, left_out) = printed(ledger, entry)?;
                if printed.is_empty() {
                    said.extend(events::shown_output(&row, entry));
                }
                let (head, tail) = printed.split_at(printed.len().min(ENDS));
                said.extend(head.iter().cloned().map(|c| events::output(&row, c)));
                lines.add(entry.id, &said);
                if left_out > 0 {
                    let text = format!("┄ {left_out} bytes of output not here: Enter shows all ┄");
                    lines.say(Kind::Notice, &text);
                }
                said = tail
                    .iter()
                    .cloned()
                    .map(|c| events::output(&row, c))
                    .collect();
            }
            said.extend(events::entry(&row, entry));
            lines.add(entry.id, &said);
            // What the agent was told is long and the same each time.
            if let Some(what) = told(&entry.entry_type) {
                let text = format!("{what}: {} bytes", entry.text().len());
                lines.say(Kind::Notice, &text);
            }
        }
        if row.status != SessionStatus::Running
            && rows
                .last()
                .is_some_and(|r| r.id == span.1 && r.entry_type != EntryKind::End)
        {
            let last = rows.last().map_or(0, |r| r.id);
            lines.add(last, &events::end(&row).into_iter().collect::<Vec<_>>());
        }
        Ok(Self {
            session: row,
            lines: lines.made,
            entries: rows.iter().map(|r| (r.id, r.at)).collect(),
            calls: rows
                .iter()
                .filter(|r| r.entry_type == EntryKind::ToolCall)
                .filter_map(|r| Some((r.id, r.call_id.clone()?)))
                .collect(),
            span,
            at: None,
        })
    }
}

fn told(kind: &Stored<EntryKind>) -> Option<&'static str> {
    match kind.known()? {
        EntryKind::System => Some("system prompt"),
        EntryKind::Ticket => Some("what it was told of the ticket"),
        _ => None,
    }
}

/// What a command printed, or both ends of it, and how many bytes are not here.
fn printed(ledger: &Reader, result: &EntryRow) -> Result<(Vec<OutputChunk>, u64)> {
    let Some(call) = &result.call_id else {
        return Ok((Vec::new(), 0));
    };
    let session = &result.session_id;
    let (bytes, pieces) = ledger.output_size(session, call).wait()?;
    if bytes <= OUTPUT || pieces <= 2 * ENDS as u64 {
        return Ok((ledger.output(session, call, usize::MAX).wait()?, 0));
    }
    let mut ends = ledger.output(session, call, ENDS).wait()?;
    ends.extend(
        ledger
            .output_tail(session, call, ENDS)
            .wait()?
            .into_iter()
            .map(|(_, c)| c),
    );
    let here: u64 = ends.iter().map(|c| c.text.len() as u64).sum();
    Ok((ends, bytes.saturating_sub(here)))
}

/// Lines of a page, made as a live agent's are.
#[derive(Default)]
struct Lines {
    made: Vec<Line>,
    composer: Composer,
    entry: i64,
    number: u64,
}

impl Lines {
    fn add(&mut self, entry: i64, events: &[Event]) {
        if entry != self.entry {
            self.entry = entry;
            self.number = 0;
        }
        let mut ring = Ring::unbounded();
        for event in events {
            self.composer.event(&mut ring, event);
        }
        self.take(ring);
    }

    fn say(&mut self, kind: Kind, text: &str) {
        let mut ring = Ring::unbounded();
        self.composer.say(&mut ring, kind, text);
        self.take(ring);
    }

    fn take(&mut self, ring: Ring) {
        for mut line in ring {
            line.id = self.entry.cast_unsigned() * PER_ENTRY + self.number.min(PER_ENTRY - 1);
            self.number += 1;
            self.made.push(line);
        }
    }
}
