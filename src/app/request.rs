//! What the dashboard asks of the ledger and of the lab's logs, and what it has written down. Says
//! nothing of how; see [`crate::app::io`].

use crate::{history::Which, transcript::Needle};
use jiff::Timestamp;
use operator_ledger::event::Control;

/// Sessions of a list that are read at a time.
pub const SESSIONS: usize = 200;

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Ticket(i64),
    /// Sessions older than this row; None: the newest.
    Sessions(Option<i64>),
    /// The session an unambiguous beginning of its id names.
    Session(String),
    Page {
        session: String,
        which: Which,
    },
    /// The nearest page after or before an entry that holds this.
    Find {
        session: String,
        needle: Needle,
        from: i64,
        forward: bool,
    },
    Output {
        session: String,
        call: String,
    },
    /// A session to be played back, and what was going on around it.
    Incident(String),
    /// How that stood at a moment.
    Moment {
        session: String,
        at: Timestamp,
    },
    /// What happened there between two times.
    Stretch {
        session: String,
        from: Timestamp,
        to: Timestamp,
    },
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Tells an agent something that we did not start.
    Command { session: String, control: Control },
    /// A person says that it is done.
    Resolve(i64),
    /// No agent takes it, until it is let go.
    Hold { ticket: i64, held: bool },
    /// Open again, for agents to take.
    Reopen(i64),
}
