//! Hidden roles of the executable: what it does when it is started again by itself.
//!
//! Both binaries ask here before they look at any argument of a person.

use crate::tools::runner;
use std::process::ExitCode;

/// Runs the hidden role this process was started for. `None`: it was started by a person.
pub fn dispatch() -> Option<ExitCode> {
    let role = std::env::args_os().nth(1)?;
    (role == runner::ROLE).then(runner::main)
}
