//! The ledger: tickets, sessions and everything that was done, in one SQLite file.
//!
//! All SQL of Operator is in this package. Nobody holds a connection: a program opens a role (a
//! [`Reader`], or what an agent, the monitor or a person may write), which is a channel to a thread
//! that does, and a call comes back as a [`Reply`]. Every write is one `BEGIN IMMEDIATE`
//! transaction that is durable when the reply is there; no call waits for anything but the calls
//! before it, the disk and, for at most [`BUSY_TIMEOUT`], another writer. The file keeps the tables
//! and columns of the reference system and adds its own.
//!
//! | file | holds |
//! |---|---|
//! | `roles` | who may ask for what: the four handles and their calls |
//! | `thread` | the thread that owns a connection; `reply`, what it answers; `carry`, what it is given |
//! | `engine` | the connection; its calls are in the files below |
//! | `file` | which file that is, and whether it still is; `identify`, whose it is; `private_copy`, reading what must stay as it is |
//! | `schema` | tables, migrations, adoption of reference files |
//! | `incident` | what an incident is, which ticket is of which, and what people hold; `orders`, what they told agents |
//! | `tickets` | what a ticket is, and reading them; `manual` what people do to them |
//! | `transitions` | changes of a ticket that more than one role makes, and their log |
//! | `claim` | claim, lease, fencing, release, escalation |
//! | `check` | what one check of the monitor does to tickets: sightings, clearing |
//! | `proof` | requests for proof of a repair, and the verdict |
//! | `alerts` | what Alertmanager told the monitor |
//! | `heartbeat` | when the monitor last looked; `agent_heartbeat`, when an agent was last there |
//! | `notifications` | what is worth telling people elsewhere, and how far that was told |
//! | `statistics` | counts over all of it, for metrics |
//! | `finishes` | how sessions say that they end; `sighting`, what the monitor sees of it |
//! | `sessions` | sessions; `entries` what is in them, `meta` what they say of themselves; `session_reads` reads both, `chain` links them by hash |
//! | `ledger_chain` | the chain of the whole ledger; `verify`, what it and the rest show; `prune`, taking away what is long over; `back_up`, a copy of one moment |
//! | `reading` | what a reader needs who follows a session, pages through it or plays it back |
//! | `commands` | what people tell an agent they did not start |
//! | `spending` | what agents spend, on a ticket and in a day |
//! | `samples` | looks at the cluster, and which of them are kept; `observed_changes`, what changed from look to look; `faults`, those that were injected |
//! | `system` | which system something is about; `tool`, what tools of an agent are called; `effect`, what their calls do |
//! | `stored` | words of columns, also those that nobody here writes; `prose`, what older files say in sentences alone |
//! | `clock` | wall time, a clock that does not jump, who holds a lease |

mod agent_heartbeat;
mod alerts;
mod back_up;
mod carry;
mod chain;
mod check;
mod claim;
pub mod clean;
mod clock;
mod commands;
pub mod config;
pub mod connections;
mod effect;
pub mod endpoints;
mod engine;
mod entries;
pub mod event;
mod faults;
mod file;
mod finding;
mod finishes;
mod heartbeat;
pub mod home;
mod identify;
mod incident;
mod ledger_chain;
mod manual;
mod meta;
mod notifications;
mod observed_changes;
mod orders;
mod private_copy;
mod proof;
mod prose;
mod prune;
mod reading;
mod reply;
mod roles;
mod samples;
mod schema;
mod services;
mod session_reads;
mod sessions;
mod sighting;
mod spending;
mod statistics;
mod stored;
mod system;
mod thread;
mod tickets;
mod tool;
mod transitions;
pub mod usage;
mod verify;

#[cfg(test)]
#[path = "../../../tests/fuzz/scribble.rs"]
mod scribble;

pub use agent_heartbeat::EVERY as PRESENCE;
pub use alerts::{
    AlertDetail, AlertLink, AlertNotice, AlertState, Crowd, CrowdMember, KEY as ALERT_KEY,
    Received, Standing, StandingAlert, StandingCrowd,
};
pub use chain::{ChainReport, Verdict};
pub use check::{Check, CheckOutcome, Observation, Outside, Reading};
pub use claim::{Claim, ClaimRequest, DEFAULT_LEASE, Lease, MAX_SESSIONS};
pub use clock::{Holder, Stopwatch, parse_time};
pub use commands::CommandRow;
pub use effect::Effect;
pub use entries::{EntryKind, EntryRow, NewEntry};
pub use faults::Fault;
pub use file::Lost;
pub use finding::Finding;
pub use finishes::{Confidence, FINISH, Finish, FinishCall, FinishOutcome, FinishRow};
pub use heartbeat::{Heartbeat, InGrace};
pub use incident::{
    Incident, IncidentEvent, IncidentEventKind, IncidentReport, IncidentState,
    hold::{HoldRow, HoldScope, NewHold},
};
pub use manual::NewTicket;
pub use meta::{BudgetMeta, EntryMeta, Input};
pub use notifications::{Notification, NotificationCursor, NotificationKind};
pub use observed_changes::{ChangeKind, ObservedChange, ThingKind};
pub use orders::OrderRow;
pub use proof::{Verification, VerificationRow};
pub use prune::PruneReport;
pub use reading::{EntryMark, ListedSession, Measured, RunningSession, WaitingProposal};
pub use reply::Reply;
pub use roles::{AgentLedger, MonitorLedger, PersonLedger, Reader};
pub use samples::{NewSample, Sample, SampleFigures};
pub use services::{NewService, ServiceRow};
pub use sessions::{
    NewSession, OutputChunk, SessionRow, SessionStatus, SessionWriter, Totals, UsageTotals,
};
pub use sighting::Sighting;
pub use spending::{Payment, Reservation, SideCost};
pub use statistics::Statistics;
pub use stored::{Stored, Word};
pub use system::SystemId;
pub use tickets::{
    LiveTicket, Resolution, Severity, Status, Ticket, TicketEvent, TicketEventKind, WorstLook,
};
pub use tool::{Tool, spoken};
pub use verify::LedgerReport;

use clock::Mono;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a call waits for another writer before it gives up with [`LedgerError::Busy`].
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("no ledger at {}: nothing has been recorded there yet", .path.display())]
    Missing { path: PathBuf },
    #[error("cannot write the ledger {}: {detail}; make it writable, or choose another with --db", .path.display())]
    NotWritable { path: PathBuf, detail: String },
    #[error("{} is damaged or is not a ledger ({detail}); nothing was changed: move it away, or choose another with --db", .path.display())]
    Corrupt { path: PathBuf, detail: String },
    #[error("{} is not a ledger but {what}; nothing was changed: choose another with --db", .path.display())]
    Foreign { path: PathBuf, what: String },
    #[error("cannot read the ledger {}: {detail}", .path.display())]
    Unreadable { path: PathBuf, detail: String },
    #[error("cannot write the ledger {}: its disk is full; make room there", .path.display())]
    Full { path: PathBuf },
    /// It is not the file any more that was opened.
    #[error("the ledger {} was taken away: {what}. Nothing is recorded, so nothing is started. Put it back, or start Operator again to go on with what is there now", .path.display())]
    Lost { path: PathBuf, what: &'static str },
    #[error("the ledger {} was made by a newer Operator (schema {found}, this one knows {known}); nothing was changed: upgrade Operator", .path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("the ledger is locked by another writer for more than {} s", BUSY_TIMEOUT.as_secs())]
    Busy,
    /// The lease on the incident is gone: whoever held it must stop at once and write nothing more.
    #[error("the lease on incident #{incident} is lost: {why}")]
    Fenced {
        incident: i64,
        why: String,
        /// A person took it away.
        by_person: bool,
    },
    #[error("ticket #{0} not found")]
    NoTicket(i64),
    #[error("incident #{0} not found")]
    NoIncident(i64),
    #[error("session {0} not found")]
    NoSession(String),
    #[error("{0}")]
    Refused(String),
    /// The ledger's thread has ended before it answered.
    #[error("the ledger is closed")]
    Closed,
    #[error("ledger: {message}")]
    Sqlite {
        /// SQLite's extended result code, where it gave one.
        code: Option<i32>,
        message: String,
    },
}

/// For who was the last to use a ledger: moves what is only in its log into the file itself, and takes
/// the log away. Does nothing to one that others have open, or that is not there.
pub fn settle(path: &Path) -> Result<()> {
    Ok(engine::Engine::settle(path)?)
}

impl LedgerError {
    /// Whether it is the file that is in trouble, and not what was asked: once that is over, the same
    /// call may do.
    pub fn is_of_the_file(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Sqlite { .. }
                | Self::NotWritable { .. }
                | Self::Corrupt { .. }
                | Self::Unreadable { .. }
                | Self::Full { .. }
                | Self::Lost { .. }
        )
    }
}

pub type Result<T, E = LedgerError> = std::result::Result<T, E>;
