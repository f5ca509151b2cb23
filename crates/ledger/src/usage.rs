//! What turns of a model used, and what an incident has cost so far.
//!
//! Holds figures only: prices are the model catalogue's, caps the budget's.

use std::time::Duration;

/// Tokens of one turn, or of many added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Web searches by the server's own tool.
    pub searches: u64,
}

impl Usage {
    /// Tokens of the prompt, cached or not.
    pub fn prompt(&self) -> u64 {
        self.input + self.cache_read + self.cache_write
    }

    pub fn tokens(&self) -> u64 {
        self.prompt() + self.output
    }

    pub fn add(&mut self, other: Usage) {
        self.input += other.input;
        self.output += other.output;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.searches += other.searches;
    }
}

/// What was spent on a ticket so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spent {
    pub turns: u64,
    pub tokens: u64,
    pub usd: f64,
    pub wall: Duration,
}
