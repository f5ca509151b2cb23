//! Everything one command printed, as the ledger has it.

use super::events;
use crate::transcript::{Kind, long::Long};
use operator_ledger::{EntryRow, LedgerError, Reader, Result, SessionRow, event};

/// Pieces read at a time.
const PIECES: usize = 500;

/// A command and what it printed.
#[derive(Debug, Clone)]
pub struct Output {
    pub session: String,
    pub call: EntryRow,
    /// None: it has none yet.
    pub result: Option<EntryRow>,
    pub text: Long,
}

impl Output {
    pub fn read(ledger: &Reader, session: &str, call: &str) -> Result<Self> {
        let missing = || LedgerError::Refused(format!("the ledger has no call {call}"));
        let row = ledger
            .session(session)
            .wait()?
            .ok_or_else(|| LedgerError::NoSession(session.to_owned()))?;
        let mut entries = ledger.entries_of_call(session, call).wait()?.into_iter();
        let asked = entries.next().ok_or_else(missing)?;
        let result = entries.next();
        let mut text = Long::default();
        let mut after = 0;
        loop {
            let pieces = ledger.output_after(session, call, after, PIECES).wait()?;
            let Some((last, _)) = pieces.last() else {
                break;
            };
            after = *last;
            for (_, piece) in &pieces {
                push(&mut text, piece.stream, &piece.text);
            }
        }
        if after == 0
            && let Some(result) = &result
        {
            shown(&row, result, &mut text);
        }
        Ok(Self {
            session: session.to_owned(),
            call: asked,
            result,
            text,
        })
    }
}

fn push(text: &mut Long, stream: event::Stream, piece: &str) {
    let kind = match stream {
        event::Stream::Stdout => Kind::Output,
        event::Stream::Stderr => Kind::ErrorOutput,
    };
    text.push(kind, piece);
}

/// What the model was shown, for files that keep no output apart.
fn shown(session: &SessionRow, result: &EntryRow, text: &mut Long) {
    if let Some(event::Event {
        kind: event::Kind::ToolOutput { text: said, .. },
        ..
    }) = events::shown_output(session, result)
    {
        push(text, event::Stream::Stdout, &said);
    }
}
