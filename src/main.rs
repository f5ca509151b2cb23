//! The executable: every role of Operator is a subcommand of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_lab::keys::take();
    agent_lab::roles::dispatch()
        .or_else(operator_tui::supervisor::warden::dispatch)
        .unwrap_or_else(operator_tui::cli::main)
}
