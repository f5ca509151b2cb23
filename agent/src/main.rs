//! The agent as an executable of its own, for containers.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_lab::keys::take();
    agent_lab::roles::dispatch().unwrap_or_else(agent_lab::cli::main)
}
