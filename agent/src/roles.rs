//! Hidden roles of the executable: what it does when it is started again by itself.
//!
//! Both binaries ask here before they look at any argument of a person.

use crate::runner::{self, command};
use std::process::ExitCode;

/// Runs the hidden role this process was started for. `None`: it was started by a person.
pub fn dispatch() -> Option<ExitCode> {
    let role = std::env::args_os().nth(1)?;
    match role.to_str()? {
        runner::ROLE => Some(runner::main()),
        command::ROLE => Some(command::main()),
        _ => None,
    }
}
