//! An agent that nobody here started, followed through the ledger.

use super::agent::Agent;
use operator_ledger::CommandRow;

/// An agent elsewhere.
#[derive(Debug)]
pub struct Other {
    pub session: String,
    pub agent: Agent,
    /// A person chose it.
    pub pinned: bool,
    pub ended: bool,
    /// What people told it that it has not taken yet.
    pub untaken: Vec<CommandRow>,
}
