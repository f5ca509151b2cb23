//! What a model is to the rest of the agent: a conversation in, one turn out, text as it comes.
//!
//! The conversation is kept as the blocks of the Messages API, as JSON, and only ever grows: what a
//! model said goes back to it exactly as it was received. No tool is run here.

pub mod anthropic;
pub mod catalog;
pub mod conversation;
pub mod rehearsal;

pub use conversation::{Block, Conversation, Message, Role};

/// The model that works when none is named.
pub const DEFAULT_MODEL: &str = "claude-sonnet-5-5";
/// The one that writes summaries and searches the web.
pub const SMALL_MODEL: &str = "claude-haiku-5-5";

use futures_util::future::BoxFuture;
use operator_ledger::usage::Usage;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Something that can take the next turn of a conversation.
pub trait Model: Send {
    /// `rehearsal`, or the id of a model.
    fn name(&self) -> &str;

    /// The next turn, of at most `max_tokens`. Text and reasoning go to `sink` as they come.
    /// Dropping the future ends it.
    fn turn<'a>(
        &'a mut self,
        conversation: &'a Conversation,
        max_tokens: u32,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<Turn, ModelError>>;

    /// Whether whoever makes the turns answers at all, after it did not.
    fn answers(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// Takes a turn in while it is made.
pub trait Sink: Send {
    fn text(&mut self, delta: &str);
    fn thinking(&mut self, delta: &str);
    /// The text or reasoning that was open is complete.
    fn end_of_block(&mut self);
    /// The turn is tried again after `wait`: which try that is, and of how many.
    fn retry(&mut self, status: Option<u16>, try_of: (u32, u32), wait: Duration, reason: &str);
    /// A try broke off after the server had counted this; it is paid for all the same.
    fn broken_off(&mut self, usage: Usage);
}

/// A sink for turns that nobody watches.
#[derive(Debug, Default)]
pub struct Quiet {
    /// What broken tries used.
    pub wasted: Usage,
}

impl Sink for Quiet {
    fn text(&mut self, _: &str) {}
    fn thinking(&mut self, _: &str) {}
    fn end_of_block(&mut self) {}
    fn retry(&mut self, _: Option<u16>, _: (u32, u32), _: Duration, _: &str) {}
    fn broken_off(&mut self, usage: Usage) {
        self.wasted.add(usage);
    }
}

/// One turn of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The blocks as received.
    pub content: Vec<Value>,
    pub stop: Stop,
    pub usage: Usage,
    /// Id the server gave the request.
    pub request: Option<String>,
}

/// Why a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    EndTurn,
    ToolUse,
    /// Cut off. Calls at the end are incomplete and must not run.
    MaxTokens,
    /// The server wants the same conversation again to go on.
    Pause,
    Refusal(String),
    ContextFull,
    /// A reason this client does not know.
    Other(String),
}

/// Why there is no turn. Whatever could be retried has been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No conversation can go on: a rejected key, a spend limit, an unknown model.
    #[error("{0}")]
    Hopeless(String),
    /// The server refuses this conversation, and would again.
    #[error("{0}")]
    Refused(String),
    /// The server could not be reached, or failed, more often than was tried.
    #[error("{0}")]
    Unavailable(String),
    /// A turn broke off after the server had begun to count. Another try may help, and has to be
    /// paid for like this one.
    #[error("{reason}")]
    BrokeOff {
        reason: String,
        /// As the server asked.
        wait: Option<Duration>,
    },
    /// The conversation is too long for the server.
    #[error("{0}")]
    TooLong(String),
}
