//! An agent or monitor as its supervisor sees it.

use super::config::Role;
use jiff::Timestamp;

/// An agent or monitor as its supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// Not started, and why.
    Off(String),
    /// Not ours; for people, whose it is.
    Elsewhere(String),
    /// An earlier one, played back.
    Replayed,
    Starting,
    Running {
        pid: u32,
        since: Timestamp,
    },
    Exited {
        how: String,
        at: Timestamp,
        failed: bool,
        /// Something it started still holds its output open.
        held: bool,
    },
    Restarting {
        how: String,
        at: Timestamp,
        due: Timestamp,
    },
    GaveUp {
        why: String,
        stderr: Vec<String>,
        at: Timestamp,
        /// False: it ended as programs do that are done.
        failed: bool,
    },
    Stopped,
}

impl Process {
    pub fn new(role: &Role) -> Self {
        match role {
            Role::Run(_) => Self::Starting,
            Role::Off(why) => Self::Off(why.clone()),
        }
    }

    /// Whether a supervisor task exists for it that has not said [`Self::Stopped`].
    pub fn supervised(&self) -> bool {
        !matches!(
            self,
            Self::Off(_) | Self::Elsewhere(_) | Self::Replayed | Self::Stopped
        )
    }

    pub fn running(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Elsewhere(_) | Self::Replayed
        )
    }
}

/// What an exit means that people see often.
pub fn meaning(how: &str) -> Option<&'static str> {
    Some(match how {
        "exit code 126" => "the command is there and cannot be run",
        "exit code 127" => "the shell found no such command",
        "exit code 130" => "interrupted",
        "exit code 137" | "ended by signal 9" => "killed, perhaps for want of memory",
        "exit code 139" | "ended by signal 11" => "it crashed",
        "exit code 143" | "ended by signal 15" => "asked to end",
        "ended by signal 6" => "it gave up by itself (abort)",
        _ => return None,
    })
}
