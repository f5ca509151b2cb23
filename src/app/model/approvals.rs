//! Commands of agents elsewhere that wait for a person, and what was answered here.

use super::agent::Proposal;
use std::time::{Duration, Instant};

/// An answer that its agent has not confirmed by then is asked for again.
pub const CONFIRMED: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub struct Approvals {
    /// Of agents elsewhere.
    pub elsewhere: Vec<Proposal>,
    /// Answered here, and when; until the agent confirms it.
    pub answered: Vec<(Option<String>, String, Instant)>,
}
