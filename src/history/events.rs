//! From rows of the ledger to the events they were written beside. Pure.

use agent_lab::session::title;
use jiff::Timestamp;
use operator_ledger::{
    EntryRow, OutputChunk, SessionRow, Ticket,
    event::{Event, Kind, Level, Outcome, VERSION, VerifyState},
};

/// The event that began a session.
pub fn start(session: &SessionRow, ticket: Option<&Ticket>) -> Event {
    event(
        session,
        session.started_at,
        Kind::SessionStart {
            ticket: session.ticket_id.unwrap_or(0),
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

/// Output of a command as its model saw it, for sessions whose output was not stored apart. The
/// first line says how it ended, as the result does.
pub fn shown_output(session: &SessionRow, result: &EntryRow) -> Option<Event> {
    let text = result.raw_content.as_deref().unwrap_or(&result.content);
    let ended = ["exit ", "ended ", "time limit", "interrupted", "not run"];
    let text = match text.split_once('\n') {
        Some((first, rest)) if ended.iter().any(|e| first.starts_with(e)) => rest,
        None if ended.iter().any(|e| text.starts_with(e)) => "",
        _ => text,
    };
    let kind = Kind::ToolOutput {
        call: result.call_id.clone().unwrap_or_default(),
        stream: operator_ledger::event::Stream::Stdout,
        text: text.to_owned(),
    };
    (!text.trim().is_empty()).then(|| event(session, result.at, kind))
}

/// What an entry was for whoever watched. None: it was not shown.
pub fn entry(session: &SessionRow, row: &EntryRow) -> Option<Event> {
    let text = || {
        row.raw_content
            .as_deref()
            .unwrap_or(&row.content)
            .to_owned()
    };
    let meta = |key: &str| row.meta.as_ref()?.get(key);
    let word = |key: &str| meta(key)?.as_str();
    let call = || row.call_id.clone().unwrap_or_default();
    let kind = match row.entry_type.as_str() {
        "reasoning" => Kind::Text {
            delta: text(),
            end: true,
        },
        "thinking" => Kind::Thinking {
            delta: text(),
            end: true,
        },
        "tool_call" => Kind::ToolCall {
            call: call(),
            tool: row.tool().to_owned(),
            input: row.input().to_owned(),
            reasoning: row.reasoning().to_owned(),
        },
        "tool_result" => Kind::ToolResult {
            call: call(),
            exit_code: row.exit_code,
            duration_ms: row.duration_ms.unwrap_or(0),
            timed_out: row.timed_out,
            omitted_bytes: row.omitted_bytes,
        },
        "proposal" => Kind::Proposal {
            call: call(),
            why: text(),
        },
        "decision" => Kind::Decision {
            call: call(),
            approved: meta("approved").and_then(serde_json::Value::as_bool) == Some(true),
            by: word("by").unwrap_or("?").to_owned(),
            why: word("why").unwrap_or_default().to_owned(),
        },
        "verify" => {
            let state = match word("state") {
                Some("waiting") => VerifyState::Waiting,
                Some("proven") => VerifyState::Proven,
                Some("external") => VerifyState::External,
                Some("failed") => VerifyState::Failed,
                _ => VerifyState::Unverifiable,
            };
            let text = text();
            let detail = text.split_once(": ").map_or("", |(_, detail)| detail);
            Kind::Verify {
                state,
                detail: detail.to_owned(),
            }
        }
        "message" => Kind::Notice {
            level: Level::Info,
            text: match word("by") {
                Some(by) => format!("message of {by}: {}", text()),
                None => text(),
            },
            dropped: 0,
        },
        "retry" => Kind::Notice {
            level: Level::Warn,
            text: format!("model: {}", text()),
            dropped: 0,
        },
        "notice" => Kind::Notice {
            level: Level::Info,
            text: text(),
            dropped: 0,
        },
        "end" => Kind::SessionEnd {
            outcome: outcome(word("outcome").unwrap_or(&session.status)),
            resolution: session.resolution.clone(),
            summary: text(),
            duration_ms: lasted(session),
            head_hash: session.head_hash.clone().unwrap_or_default(),
        },
        _ => return None,
    };
    Some(event(session, row.at, kind))
}

/// The end of a session that wrote none: its agent died, or it is of a file that has none.
pub fn end(session: &SessionRow) -> Option<Event> {
    let kind = Kind::SessionEnd {
        outcome: outcome(&session.status),
        resolution: session.resolution.clone(),
        summary: session.outcome_summary.clone().unwrap_or_default(),
        duration_ms: lasted(session),
        head_hash: String::new(),
    };
    (session.status != "running").then(|| event(session, session.ended_at, kind))
}

fn lasted(session: &SessionRow) -> u64 {
    let (Some(start), Some(end)) = (session.started_at, session.ended_at) else {
        return 0;
    };
    u64::try_from(end.duration_since(start).as_millis()).unwrap_or(0)
}

fn outcome(word: &str) -> Outcome {
    match word {
        // The reference's word.
        "resolved" | "completed" => Outcome::Resolved,
        "escalated" => Outcome::Escalated,
        "interrupted" => Outcome::Interrupted,
        _ => Outcome::Failed,
    }
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
