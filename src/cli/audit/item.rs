//! One walk over the record of a session: what there is in it, oldest first, and what each entry
//! says. How it looks is the writers' affair.

use crate::cli::tickets::took;
use operator_ledger::{Effect, EntryKind, EntryRow, OutputChunk, Reader, clean::one_line};
use std::vec::IntoIter;

/// Entries read from the ledger at a time: a session may be longer than memory.
const PAGE: usize = 500;
/// Pieces of output of one call that are read.
const MAX_PIECES: usize = 1_000_000;

/// Of a call whose agent died while it ran.
pub(super) const NO_END: &str = "its end was never recorded; this is what it had printed";

/// Something in the record of a session.
pub(super) enum AuditItem {
    Call(EntryRow),
    Result(EntryRow),
    /// What was said, told or noted.
    Text(EntryRow),
    /// What a call had printed whose end was never recorded.
    CutOff(Vec<OutputChunk>),
}

impl AuditItem {
    pub(super) fn entry(&self) -> Option<&EntryRow> {
        match self {
            Self::Call(entry) | Self::Result(entry) | Self::Text(entry) => Some(entry),
            Self::CutOff(_) => None,
        }
    }
}

impl From<EntryRow> for AuditItem {
    fn from(entry: EntryRow) -> Self {
        match entry.entry_type.known() {
            Some(EntryKind::ToolCall) => Self::Call(entry),
            Some(EntryKind::ToolResult) => Self::Result(entry),
            _ => Self::Text(entry),
        }
    }
}

/// All items of a session; they are never in memory all at once.
pub(super) fn items<'l>(ledger: &'l Reader, session: &str) -> Items<'l> {
    Items {
        ledger,
        session: session.to_owned(),
        page: Vec::new().into_iter(),
        after: 0,
        open: None,
        ended: false,
    }
}

pub(super) struct Items<'l> {
    ledger: &'l Reader,
    session: String,
    page: IntoIter<EntryRow>,
    /// The last entry that was read.
    after: i64,
    /// The id of a call whose end has not come yet.
    open: Option<String>,
    ended: bool,
}

impl Iterator for Items<'_> {
    type Item = color_eyre::Result<AuditItem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

impl Items<'_> {
    fn step(&mut self) -> color_eyre::Result<Option<AuditItem>> {
        loop {
            if let Some(entry) = self.page.next() {
                self.note(&entry);
                return Ok(Some(entry.into()));
            }
            if self.ended {
                return Ok(None);
            }
            let page = self
                .ledger
                .entries(&self.session, self.after, PAGE)
                .wait()?;
            match page.last() {
                Some(last) => self.after = last.id,
                None => {
                    self.ended = true;
                    return self.cut_off();
                }
            }
            self.page = page.into_iter();
        }
    }

    fn note(&mut self, entry: &EntryRow) {
        match entry.entry_type.known() {
            Some(EntryKind::ToolCall) => {
                self.open = Some(entry.call_id.clone().unwrap_or_default());
            }
            Some(EntryKind::ToolResult | EntryKind::Notice | EntryKind::Decision)
                if self.open.as_deref() == Some(entry.call_id.as_deref().unwrap_or_default()) =>
            {
                self.open = None;
            }
            _ => {}
        }
    }

    fn cut_off(&self) -> color_eyre::Result<Option<AuditItem>> {
        let Some(call) = &self.open else {
            return Ok(None);
        };
        let printed = self.ledger.output(&self.session, call, MAX_PIECES).wait()?;
        let is_empty = printed.iter().all(|chunk| chunk.text.is_empty());
        Ok((!is_empty).then_some(AuditItem::CutOff(printed)))
    }
}

/// The output of a call, piece by piece, as the ledger keeps it.
pub(super) fn output(ledger: &Reader, result: &EntryRow) -> color_eyre::Result<Vec<OutputChunk>> {
    Ok(ledger.output_of(result, MAX_PIECES).wait()?)
}

pub(super) fn text_of(chunks: &[OutputChunk]) -> String {
    chunks.iter().map(|chunk| chunk.text.as_str()).collect()
}

/// A call as it would be typed.
pub(super) fn call_line(e: &EntryRow) -> String {
    let input = e.input();
    match e.tool_name.as_deref() {
        None | Some("shell") => format!("$ {input}"),
        Some(tool) => format!("[{tool}] {input}"),
    }
}

/// What a call does, where that is more than to read.
pub(super) fn effect_line(e: &EntryRow) -> Option<&'static str> {
    match e.effect.as_ref()?.known()? {
        Effect::Reads => None,
        Effect::Changes => Some("CHANGES"),
        Effect::Unknown => Some("MAY CHANGE"),
    }
}

/// Bytes of an output that its model was not shown.
pub(super) fn hidden_from_model(e: &EntryRow) -> u64 {
    let hidden = e.meta.as_ref().and_then(|m| m.not_shown_to_model);
    hidden.unwrap_or(0)
}

/// How a call ended, in one line.
pub(super) fn ending(e: &EntryRow) -> String {
    let meta = e.meta.as_ref();
    let mut text = match (e.exit_code, meta.and_then(|m| m.signal)) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    text.push_str(&format!(", {}", took(e.duration_ms.unwrap_or(0))));
    if e.timed_out {
        text.push_str(", time limit");
    }
    let hidden = hidden_from_model(e);
    if hidden > 0 {
        text.push_str(&format!(", {hidden} bytes not shown to the model"));
    }
    if e.omitted_bytes > 0 {
        text.push_str(&format!(", {} bytes not in the ledger", e.omitted_bytes));
    }
    if let Some(file) = meta.and_then(|m| m.file.as_deref()) {
        text.push_str(&format!(", whole in {}", one_line(file)));
    }
    text
}
