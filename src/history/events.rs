//! From rows of the ledger to the events they were written beside. Pure.

use agent_lab::session::title;
use jiff::Timestamp;
use operator_ledger::{
    EntryKind, EntryRow, OutputChunk, SessionRow, SessionStatus, Ticket,
    event::{Event, Kind, Level, Outcome, VERSION, VerifyState},
};

/// The event that began a session.
pub fn start(session: &SessionRow, ticket: Option<&Ticket>) -> Event {
    event(
        session,
        session.started_at,
        Kind::SessionStart {
            ticket: session.ticket_id.unwrap_or(0),
            incident: session.incident_id,
            title: ticket.map_or_else(String::new, title),
        },
    )
}

/// Output of a command.
pub fn output(session: &SessionRow, chunk: OutputChunk) -> Event {
    let kind = Kind::ToolOutput {
        call: chunk.call,
        stream: chunk.stream,
        text: chunk.text,
    };
    event(session, Some(chunk.at), kind)
}

/// Output of a command as its model saw it, for sessions whose output was not stored apart.
pub fn shown_output(session: &SessionRow, result: &EntryRow) -> Option<Event> {
    let text = result.printed();
    let kind = Kind::ToolOutput {
        call: result.call_id.clone().unwrap_or_default(),
        stream: operator_ledger::event::Stream::Stdout,
        text: text.to_owned(),
    };
    (!text.trim().is_empty()).then(|| event(session, result.at, kind))
}

/// What an entry was for whoever watched. None: it was not shown.
pub fn entry(session: &SessionRow, row: &EntryRow) -> Option<Event> {
    let text = || row.text().to_owned();
    let meta = row.meta.as_ref();
    let by = meta.and_then(|m| m.by.as_deref());
    let call = || row.call_id.clone().unwrap_or_default();
    let kind = match row.entry_type.known()? {
        EntryKind::Reasoning => Kind::Text {
            delta: text(),
            end: true,
        },
        EntryKind::Thinking => Kind::Thinking {
            delta: text(),
            end: true,
        },
        EntryKind::ToolCall => Kind::ToolCall {
            call: call(),
            tool: row.tool().to_owned(),
            input: row.input().to_owned(),
            reasoning: row.reasoning().to_owned(),
            effect: row.effect.clone(),
            server_call: meta.and_then(|m| m.server_call.clone()),
        },
        EntryKind::ToolResult => Kind::ToolResult {
            call: call(),
            exit_code: row.exit_code,
            duration_ms: row.duration_ms.unwrap_or(0),
            timed_out: row.timed_out,
            omitted_bytes: row.omitted_bytes,
        },
        EntryKind::Proposal => Kind::Proposal {
            call: call(),
            why: text(),
        },
        EntryKind::Decision => Kind::Decision {
            call: call(),
            approved: meta.and_then(|m| m.approved) == Some(true),
            by: by.unwrap_or("?").to_owned(),
            why: meta.and_then(|m| m.why.clone()).unwrap_or_default(),
        },
        EntryKind::Verify => Kind::Verify {
            state: meta
                .and_then(|m| m.state.as_ref()?.known())
                .unwrap_or(VerifyState::Unverifiable),
            detail: row.detail().to_owned(),
        },
        EntryKind::Finish => Kind::Finish(row.finish()),
        EntryKind::Message => Kind::Notice {
            level: Level::Info,
            text: match by {
                Some(by) => format!("message of {by}: {}", text()),
                None => text(),
            },
            dropped: 0,
            waits: false,
        },
        EntryKind::Retry => Kind::Notice {
            level: Level::Warn,
            text: format!("model: {}", text()),
            dropped: 0,
            waits: false,
        },
        EntryKind::Notice => Kind::Notice {
            level: Level::Info,
            text: text(),
            dropped: 0,
            waits: row.waits(),
        },
        EntryKind::End => Kind::SessionEnd {
            outcome: match meta.and_then(|m| m.outcome.as_ref()) {
                Some(outcome) => outcome.known().unwrap_or(Outcome::Failed),
                None => outcome(session),
            },
            resolution: session.resolution.clone(),
            summary: text(),
            duration_ms: elapsed_ms(session),
            head_hash: session.head_hash.clone().unwrap_or_default(),
        },
        EntryKind::System | EntryKind::Ticket | EntryKind::Usage | EntryKind::Compaction => {
            return None;
        }
    };
    Some(event(session, row.at, kind))
}

/// The end of a session that wrote none: its agent died, or it is of a file that has none.
pub fn end(session: &SessionRow) -> Option<Event> {
    let kind = Kind::SessionEnd {
        outcome: outcome(session),
        resolution: session.resolution.clone(),
        summary: session.outcome_summary.clone().unwrap_or_default(),
        duration_ms: elapsed_ms(session),
        head_hash: String::new(),
    };
    (session.status != SessionStatus::Running).then(|| event(session, session.ended_at, kind))
}

fn elapsed_ms(session: &SessionRow) -> u64 {
    let (Some(start), Some(end)) = (session.started_at, session.ended_at) else {
        return 0;
    };
    u64::try_from(end.duration_since(start).as_millis()).unwrap_or(0)
}

/// Of a word that nobody here writes nobody can say that it is a good end.
fn outcome(session: &SessionRow) -> Outcome {
    let known = session.status.known();
    known
        .and_then(SessionStatus::outcome)
        .unwrap_or(Outcome::Failed)
}

fn event(session: &SessionRow, at: Option<Timestamp>, kind: Kind) -> Event {
    Event {
        v: VERSION,
        seq: 0,
        at: at.or(session.started_at).unwrap_or_default(),
        session: Some(session.session_id.clone()),
        kind,
    }
}
