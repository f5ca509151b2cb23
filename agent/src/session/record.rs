//! Writing a session down: entries to the ledger first, events to the screen after.

use super::{Halt, Session};
use crate::{
    event::{Kind, Level},
    ledger::{EntryKind, Ledger, LedgerError, NewEntry, SessionWriter, UsageTotals},
    model::{Block, Turn, Usage},
    summarize,
};

impl Session<'_> {
    /// Writes what a turn said and cost; returns its text.
    pub(super) fn record_turn(&mut self, model: &str, turn: &Turn) -> Result<String, Halt> {
        let mut said = String::new();
        for block in &turn.content {
            let (kind, text) = match Block::of(block) {
                Block::Text(text) => {
                    said.push_str(text);
                    (EntryKind::Reasoning, text)
                }
                Block::Thinking(text) => (EntryKind::Thinking, text),
                _ => continue,
            };
            if text.trim().is_empty() {
                continue;
            }
            let text = self.setting.redactor.apply(text);
            let summary = summarize::extract(&text);
            self.record(&NewEntry {
                summary: Some(&summary),
                ..NewEntry::new(kind, &text)
            })?;
        }
        self.usage.add(turn.usage);
        if turn.usage != Usage::default() || turn.request.is_some() {
            let meta = serde_json::json!({
                "model": model,
                "request": turn.request,
                "stop": format!("{:?}", turn.stop),
                "input": turn.usage.input,
                "output": turn.usage.output,
                "cache_read": turn.usage.cache_read,
                "cache_write": turn.usage.cache_write,
            });
            let text = format!("{} in, {} out", turn.usage.input, turn.usage.output);
            self.record(&NewEntry {
                meta: Some(&meta),
                ..NewEntry::new(EntryKind::Usage, &text)
            })?;
        }
        if turn.usage == Usage::default() {
            return Ok(said);
        }
        let totals = self.totals();
        self.write(|ledger, session| ledger.session_usage(session, &totals))?;
        self.emit(Kind::Usage {
            input: self.usage.input,
            output: self.usage.output,
            cache_read: self.usage.cache_read,
            cache_write: self.usage.cache_write,
            cost_usd: totals.cost_usd,
        });
        Ok(said)
    }

    fn totals(&self) -> UsageTotals {
        UsageTotals {
            input: Some(self.usage.input),
            output: Some(self.usage.output),
            cache_read: Some(self.usage.cache_read),
            cache_write: Some(self.usage.cache_write),
            cost_usd: self.setting.price.map(|p| p.of(&self.usage)),
        }
    }

    /// Appends an entry; durable when it returns.
    pub(super) fn record(&mut self, entry: &NewEntry<'_>) -> Result<i64, Halt> {
        Ok(self.write(|ledger, session| ledger.append(session, entry))?)
    }

    /// Writes to the ledger. One that is locked for a while is waited for, as long as the lease
    /// holds and nobody wants the end.
    pub(super) fn write<T>(
        &mut self,
        mut write: impl FnMut(&mut Ledger, &mut SessionWriter) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut told = false;
        loop {
            match write(&mut self.ledger, &mut self.writer) {
                Err(LedgerError::Busy)
                    if self.setting.stop.asked().is_none() && self.leash.until().holds() =>
                {
                    if !std::mem::replace(&mut told, true) {
                        self.notice(
                            Level::Warn,
                            "the ledger is locked; nothing runs until it can be written",
                        );
                    }
                }
                other => return other,
            }
        }
    }

    pub(super) fn record_notice(&mut self, level: Level, text: &str) -> Result<(), Halt> {
        self.record(&NewEntry::new(EntryKind::Notice, text))?;
        self.notice(level, text);
        Ok(())
    }

    pub(super) fn emit(&self, kind: Kind) {
        self.setting.emitter.emit_in(Some(&self.writer.id), kind);
    }

    pub(super) fn notice(&self, level: Level, text: &str) {
        self.setting
            .emitter
            .notice(Some(&self.writer.id), level, text);
    }
}
