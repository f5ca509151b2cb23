//! The rehearsal: a small deterministic stand-in for a model, for when there is no key.
//!
//! It sees what a model would see, the conversation, and nothing else: not the chapter, the fault
//! or the seed. It reads the real output of its commands and chooses the next one. It knows one
//! kind of cluster, the embedded lab, and hands everything else to a person. Words it does not
//! understand: once a person has said something it only looks, and changes nothing more.

mod decide;
mod ending;
mod facts;
mod read;
#[cfg(test)]
mod tests;

use super::{Conversation, Model, ModelError, Sink, Stop, Turn};
use decide::Step;
use facts::Facts;
use futures_util::future::BoxFuture;
use operator_ledger::{FINISH, usage::Usage};
use serde_json::json;
use std::time::Duration;

/// Pause after each word, so that a person can read along.
const PACE: Duration = Duration::from_millis(45);

/// The stand-in. It keeps nothing between turns.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    pace: Duration,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self { pace: PACE }
    }
}

/// What it is called wherever a model is named.
pub const NAME: &str = "rehearsal";

impl Rehearsal {
    /// One that does not wait for readers.
    pub fn at_once() -> Self {
        Self {
            pace: Duration::ZERO,
        }
    }
}

impl Model for Rehearsal {
    fn name(&self) -> &str {
        NAME
    }

    fn turn<'a>(
        &'a mut self,
        conversation: &'a Conversation,
        _max_tokens: u32,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<Turn, ModelError>> {
        Box::pin(async move {
            let facts = Facts::read(conversation);
            let (text, call) = match decide::next(&facts) {
                Step::Run { text, command, why } => {
                    let input = json!({ "command": command, "reasoning": why });
                    (text, Some(("shell", input)))
                }
                Step::Answer(text) => (text, None),
                Step::Finish { text, ending } => {
                    (text, Some((FINISH, ending.input(&facts.evidence()))))
                }
            };
            for word in text.split_inclusive(' ') {
                sink.text(word);
                if !self.pace.is_zero() {
                    tokio::time::sleep(self.pace).await;
                }
            }
            sink.end_of_block();
            let mut content = vec![json!({ "type": "text", "text": text })];
            let mut stop = Stop::EndTurn;
            if let Some((name, input)) = call {
                stop = Stop::ToolUse;
                content.push(json!({
                    "type": "tool_use",
                    "id": format!("rehearsal_{}", facts.calls + 1),
                    "name": name,
                    "input": input,
                }));
            }
            Ok(Turn {
                content,
                stop,
                usage: Usage::default(),
                request: None,
            })
        })
    }
}
