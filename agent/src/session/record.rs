//! Writing a session down: entries to the ledger first, events to the screen after.

use super::{Halt, Session, allowance::Allowance};
use crate::{
    model::{Block, Turn},
    record_key::RecordKey,
    summarize,
};
use operator_ledger::{
    AgentLedger, EntryKind, EntryMeta, Input, LedgerError, NewEntry, Reply, SessionWriter,
    event::{Kind, Level},
    usage::Usage,
};
use serde_json::json;
use std::io;

/// Bytes of the model's own words that a session keeps at hand.
const WORDS: usize = 24 * 1024;

impl Session<'_> {
    /// Writes what a turn said and cost; returns its text.
    pub(super) async fn record_turn(
        &mut self,
        model: &str,
        turn: &Turn,
        wasted: Usage,
        allowance: Allowance,
    ) -> Result<String, Halt> {
        let (mut said, mut thought) = (String::new(), String::new());
        // What is shown of it, with its short form.
        let mut texts: Vec<(EntryKind, String, String)> = Vec::new();
        let mut bytes = 0;
        for block in &turn.content {
            bytes += block_size(block);
            let (kind, text) = match Block::of(block) {
                Block::Text(text) => {
                    said.push_str(text);
                    (EntryKind::Reasoning, text)
                }
                Block::Thinking(text) => {
                    thought.push_str(text);
                    (EntryKind::Thinking, text)
                }
                _ => continue,
            };
            if !text.trim().is_empty() {
                let text = self.context.redactor.apply(text);
                let short = summarize::extract(&text);
                texts.push((kind, text, short));
            }
        }
        self.turns += 1;
        self.usage.add(turn.usage);
        self.usage.add(wasted);
        self.gauge.turn(&turn.usage, bytes);
        let price = |usage| self.context.facts.cost(usage);
        let cost = price(&turn.usage).zip(price(&wasted)).map(|(a, b)| a + b);
        self.cost = self.cost.zip(cost).map(|(sum, turn)| sum + turn);
        let meta = EntryMeta {
            model: Some(model.to_owned()),
            request: turn.request.clone(),
            stop: Some(json!(turn.stop)),
            input: Some(Input::Tokens(turn.usage.input)),
            output: Some(turn.usage.output),
            cache_read: Some(turn.usage.cache_read),
            cache_write: Some(turn.usage.cache_write),
            broken_off: Some(wasted.tokens()),
            cost_usd: cost,
            max_tokens: Some(allowance.room.into()),
            ..EntryMeta::default()
        };
        let counts = format!("{} in, {} out", turn.usage.prompt(), turn.usage.output);
        let mut entries: Vec<NewEntry> = texts
            .iter()
            .map(|(kind, text, short)| NewEntry {
                summary: Some(short.clone()),
                ..NewEntry::new(*kind, text.as_str())
            })
            .collect();
        let counted = turn.usage.tokens() > 0 || turn.request.is_some();
        if counted {
            entries.push(NewEntry {
                meta: Some(meta),
                ..NewEntry::new(EntryKind::Usage, counts)
            });
        }
        let totals = self.totals();
        let paid = allowance.reservation.zip(cost);
        let ids = self
            .write(|ledger, session| ledger.record_turn(session, entries.clone(), totals, paid))
            .await?;
        for (id, (kind, text, _)) in ids.into_iter().zip(&texts) {
            self.summarize(id, *kind, text);
        }
        if counted {
            self.emit(Kind::Usage {
                input: self.usage.input,
                output: self.usage.output,
                cache_read: self.usage.cache_read,
                cache_write: self.usage.cache_write,
                cost_usd: self.cost,
            });
        }
        // Some models say between two calls only what they think.
        let words = if said.trim().is_empty() {
            &thought
        } else {
            &said
        };
        if !words.trim().is_empty() {
            self.words.push_back(words.clone());
            let mut kept: usize = self.words.iter().map(String::len).sum();
            while kept > WORDS && self.words.len() > 1 {
                kept -= self.words.pop_front().map_or(0, |w| w.len());
            }
        }
        Ok(said)
    }

    /// Has a long text put in short, behind the work.
    pub(super) fn summarize(&self, entry: i64, kind: EntryKind, text: &str) {
        if let Some(summaries) = &self.context.summaries {
            summaries.want(entry, &self.writer.id, kind, text);
        }
    }

    /// Appends an entry; durable when it returns.
    pub(super) async fn record(&mut self, entry: NewEntry) -> Result<i64, Halt> {
        Ok(self
            .write(|ledger, session| ledger.append(session, entry.clone()))
            .await?)
    }

    /// Writes to the ledger. One that is locked for a while is waited for, as long as the lease
    /// holds and nobody wants the end.
    pub(super) async fn write<T>(
        &mut self,
        write: impl Fn(&AgentLedger, &SessionWriter) -> Reply<T>,
    ) -> Result<T, LedgerError> {
        let mut told = false;
        loop {
            match write(&self.ledger, &self.writer).await {
                Err(LedgerError::Busy)
                    if self.context.stop.asked().is_none() && self.lease_keeper.until().holds() =>
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

    /// Of an input that is not kept as it runs: what tells later which it was. None: there is no key
    /// for it, which is said, and nothing else fails for that.
    pub(super) async fn hash_of_whole(&mut self, input: &str) -> Result<Option<String>, Halt> {
        let (home, text) = (self.context.home.clone(), input.to_owned());
        let hashing = tokio::task::spawn_blocking(move || {
            RecordKey::of(&home).map(|key| (key.hash(&text), key.made))
        });
        let path = RecordKey::path(&self.context.home);
        let path = path.display();
        match hashing.await.unwrap_or_else(|e| Err(io::Error::other(e))) {
            Ok((hash, made)) => {
                if made && self.ledger.has_original_hashes().await? {
                    let text = format!(
                        "{path} was not there any more, and a new one was made: of commands that held \
                         a secret before, nobody can tell any more which they were"
                    );
                    self.record_notice(Level::Warn, &text).await?;
                }
                Ok(Some(hash))
            }
            Err(why) => {
                let text = format!(
                    "{path} cannot be used: {why}. A command that holds a secret is on record without \
                     a hash of the whole"
                );
                self.record_notice(Level::Warn, &text).await?;
                Ok(None)
            }
        }
    }

    pub(super) async fn record_notice(&mut self, level: Level, text: &str) -> Result<(), Halt> {
        let text = self.context.redactor.apply(text);
        self.record(NewEntry::new(EntryKind::Notice, text.as_str()))
            .await?;
        self.notice(level, &text);
        Ok(())
    }

    pub(super) fn emit(&self, kind: Kind) {
        self.context.emitter.emit_in(Some(&self.writer.id), kind);
    }

    pub(super) fn notice(&self, level: Level, text: &str) {
        self.context
            .emitter
            .notice(Some(&self.writer.id), level, text);
    }
}

/// About how many bytes a block has on the wire.
fn block_size(block: &serde_json::Value) -> usize {
    match block {
        serde_json::Value::String(s) => s.len(),
        serde_json::Value::Array(list) => list.iter().map(block_size).sum(),
        serde_json::Value::Object(map) => map.iter().map(|(k, v)| k.len() + block_size(v)).sum(),
        _ => 4,
    }
}
