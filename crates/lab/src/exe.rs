//! Starting the keeper and its nodes, most of them this executable in another role.

use crate::keeper::spec::Program;
use operator_process::executable;
use std::{os::unix::process::CommandExt, process::Command};

/// A command that runs a program, with nothing of our environment but what a program needs to run:
/// keys of the user have no business in the lab.
pub(crate) fn command(program: &Program) -> Command {
    let mut command = match program {
        Program::Own => {
            let mut command = Command::new(executable());
            command.arg0("operator-tui");
            command
        }
        Program::Other(path) => Command::new(path),
    };
    command.env_clear();
    for name in ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
