//! What may be wrong with a ledger, and how that is said.

use serde::Serialize;
use std::fmt;

/// Something in a ledger that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The engine's own check says so.
    Damaged {
        detail: String,
    },
    /// A row of the ledger's chain does not fit the one before it.
    ChainBroken {
        row: i64,
    },
    /// The ledger's chain does not begin, or not end, where it did.
    ChainCut,
    SessionMissing {
        session: String,
    },
    SessionAdded {
        session: String,
    },
    /// Its own chain does not end with the head that the ledger's chain has.
    HeadDiffers {
        session: String,
    },
    SessionBroken {
        session: String,
    },
    EventMissing {
        event: i64,
        ticket: i64,
    },
    EventDiffers {
        event: i64,
        ticket: i64,
    },
    EventAdded {
        event: i64,
        ticket: i64,
    },
    /// Its state is not what the last thing that happened to it made of it.
    TicketDiffers {
        ticket: i64,
    },
    /// Said to be proven, and no check of the monitor found it so for long enough.
    Unproven {
        ticket: i64,
    },
    WordMissing {
        command: i64,
    },
    WordDiffers {
        command: i64,
    },
    WordAdded {
        command: i64,
    },
    FinishMissing {
        finish: i64,
    },
    FinishDiffers {
        finish: i64,
    },
    FinishAdded {
        finish: i64,
    },
    RowsMissing {
        table: String,
        first: i64,
        last: i64,
    },
    RowDiffers {
        table: String,
        row: i64,
    },
    RowAdded {
        table: String,
        row: i64,
    },
    /// Of rows that were there before there was a chain.
    FewerRows {
        table: String,
        had: i64,
        has: i64,
    },
    UnknownObject {
        object: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { detail } => write!(f, "the file is damaged: {detail}"),
            Self::ChainBroken { row } => write!(
                f,
                "the chain of the ledger is broken at row {row}: it, or one before it, was changed"
            ),
            Self::ChainCut => f.write_str("the chain of the ledger lacks its beginning or its end"),
            Self::SessionMissing { session } => write!(f, "session {session} is missing"),
            Self::SessionAdded { session } => {
                write!(f, "session {session} was added: no agent of ours began it")
            }
            Self::HeadDiffers { session } => write!(
                f,
                "session {session} does not end as it did: rows of it were changed, added or removed"
            ),
            Self::SessionBroken { session } => {
                write!(f, "session {session} differs from its own chain")
            }
            Self::EventMissing { event, ticket } => {
                write!(f, "event {event} of ticket #{ticket} is missing")
            }
            Self::EventDiffers { event, ticket } => {
                write!(f, "event {event} of ticket #{ticket} was changed")
            }
            Self::EventAdded { event, ticket } => write!(
                f,
                "event {event} of ticket #{ticket} was added: none of our programs wrote it"
            ),
            Self::TicketDiffers { ticket } => write!(
                f,
                "ticket #{ticket} is not in the state that its last event left it in"
            ),
            Self::Unproven { ticket } => write!(
                f,
                "ticket #{ticket} is said to be proven, and no check of the monitor proved it"
            ),
            Self::WordMissing { command } => {
                write!(f, "what a person told an agent, row {command}, is missing")
            }
            Self::WordDiffers { command } => {
                write!(f, "what a person told an agent, row {command}, was changed")
            }
            Self::WordAdded { command } => write!(
                f,
                "what a person is said to have told an agent, row {command}, was added"
            ),
            Self::FinishMissing { finish } => {
                write!(
                    f,
                    "how a session said that it ends, row {finish}, is missing"
                )
            }
            Self::FinishDiffers { finish } => {
                write!(
                    f,
                    "how a session said that it ends, row {finish}, was changed"
                )
            }
            Self::FinishAdded { finish } => write!(
                f,
                "how a session is said to have ended, row {finish}, was added"
            ),
            Self::RowsMissing { table, first, last } if first == last => {
                write!(f, "row {first} of {table} is missing")
            }
            Self::RowsMissing { table, first, last } => {
                write!(f, "rows {first} to {last} of {table} are missing")
            }
            Self::RowDiffers { table, row } => {
                write!(f, "row {row} of {table} is not as it was written")
            }
            Self::RowAdded { table, row } => {
                write!(
                    f,
                    "row {row} of {table} was added: no program of ours wrote it"
                )
            }
            Self::FewerRows { table, had, has } => write!(
                f,
                "{table} has {has} of the {had} rows that it had before there was a chain"
            ),
            Self::UnknownObject { object } => write!(
                f,
                "the file holds what Operator did not make, or not so: {object}"
            ),
        }
    }
}
