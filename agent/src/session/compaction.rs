//! Makes a conversation shorter before it no longer fits: it begins anew with the ticket, every
//! action taken, the model's own words and the newest results. What was dropped is recorded, and
//! is still in the ledger.
//!
//! No model is asked: this cannot fail, and costs nothing. Old thinking is dropped with the rest;
//! it would be invalid after anything else.

use super::{Halt, Session};
use crate::{
    model::{Block, Role},
    prompt,
};
use operator_ledger::{EntryKind, EntryMeta, NewEntry, event::Level};

/// Bytes of actions, of the model's words and of results that stay, where the model has room.
const PARTS: [usize; 3] = [48 * 1024, 24 * 1024, 24 * 1024];
/// A conversation of fewer messages is not made shorter.
const FEWEST: usize = 4;

impl Session<'_> {
    pub(super) fn may_compact(&self) -> bool {
        self.conversation.messages().len() >= FEWEST
    }

    pub(super) async fn compact(&mut self, why: &str) -> Result<(), Halt> {
        let before = self.gauge.prompt();
        // A third of a small model's context, at a byte and a half a token.
        let room = usize::try_from(self.context.facts.context / 2).unwrap_or(usize::MAX);
        let [actions, words, results] =
            PARTS.map(|part| part.min(room.saturating_mul(part) / PARTS.iter().sum::<usize>()));
        let actions = self.actions.list(actions);
        let words = newest(self.words.iter().map(String::as_str), words);
        let messages = self.conversation.messages().len();
        let results = newest(
            self.conversation
                .blocks()
                .filter_map(|(_, block)| match block {
                    Block::ToolResult { text, .. } => Some(text),
                    _ => None,
                }),
            results,
        );
        // Words of people that came with the last results, and what we said last.
        let unanswered: Vec<String> = self
            .conversation
            .messages()
            .last()
            .filter(|m| m.role == Role::User && messages > 1)
            .map(|m| {
                let texts = m.content.iter().filter_map(|b| match Block::of(b) {
                    Block::Text(text) => Some(text.to_string()),
                    _ => None,
                });
                texts.collect()
            })
            .unwrap_or_default();
        let text = prompt::compacted(&prompt::Kept {
            opening: &self.opening,
            why,
            messages,
            actions: &actions,
            words: &words,
            results: &results,
            unanswered: &unanswered,
        });
        let shown = self.context.redactor.apply(&text);
        let meta = EntryMeta {
            why: Some(why.to_owned()),
            messages_dropped: Some(messages as u64),
            tokens_before: Some(before),
            actions_kept: Some(self.actions.len() as u64),
            ..EntryMeta::default()
        };
        let summary = format!(
            "{why}: {messages} messages dropped, {} actions kept in short",
            self.actions.len()
        );
        self.record(NewEntry {
            summary: Some(summary.clone()),
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Compaction, shown)
        })
        .await?;
        self.notice(
            Level::Info,
            &format!("the conversation was shortened: {summary}"),
        );
        self.conversation = self.conversation.anew();
        self.gauge.reset();
        self.say(&text);
        Ok(())
    }
}

/// As many of the newest texts as fit, oldest first; the newest one cut if even it does not.
fn newest<'a>(texts: impl Iterator<Item = &'a str>, mut room: usize) -> Vec<String> {
    let texts: Vec<&str> = texts.filter(|t| !t.trim().is_empty()).collect();
    let mut kept = Vec::new();
    for text in texts.iter().rev() {
        if text.len() > room {
            if kept.is_empty() {
                kept.push(format!("{} [...]", &text[..text.floor_char_boundary(room)]));
            }
            break;
        }
        room -= text.len();
        kept.push((*text).to_string());
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_stay_as_far_as_there_is_room() {
        let texts = ["aaaa", "bbb", " ", "cc"];
        assert_eq!(newest(texts.into_iter(), 5), ["bbb", "cc"]);
        assert_eq!(newest(texts.into_iter(), 1), ["c [...]"]);
        assert!(newest([].into_iter(), 5).is_empty());
    }
}
