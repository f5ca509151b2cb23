//! What a model is to the rest of the agent: a conversation in, one turn out, text as it comes.
//!
//! The conversation is kept as the blocks of the Messages API, as JSON, and only ever grows: what a
//! model said goes back to it exactly as it was received. No tool is run here.

pub mod anthropic;
pub mod conversation;
pub mod rehearsal;

pub use conversation::{Block, Conversation, Message, Role};

/// The model that works when none is named.
pub const DEFAULT_MODEL: &str = "claude-sonnet-5-5";

use futures_util::future::BoxFuture;
use serde_json::Value;
use std::time::Duration;

/// Something that can take the next turn of a conversation.
pub trait Model: Send {
    /// `rehearsal`, or the id of a model.
    fn name(&self) -> &str;

    /// The next turn. Text and reasoning go to `sink` as they come. Dropping the future ends it.
    fn turn<'a>(
        &'a mut self,
        conversation: &'a Conversation,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<Turn, ModelError>>;
}

/// Takes a turn in while it is made.
pub trait Sink: Send {
    fn text(&mut self, delta: &str);
    fn thinking(&mut self, delta: &str);
    /// The text or reasoning that was open is complete.
    fn end_of_block(&mut self);
    /// The turn is tried again after `wait`: which try that is, and of how many.
    fn retry(&mut self, status: Option<u16>, try_of: (u32, u32), wait: Duration, reason: &str);
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Tokens of one turn, or of many added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

impl Usage {
    pub fn add(&mut self, other: Usage) {
        self.input += other.input;
        self.output += other.output;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
    }
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
}
