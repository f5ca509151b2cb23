//! `operator-tui agent`: `agent_lab` in the foreground, or as the child of a dashboard.

use super::CliResult;

pub use agent_lab::cli::Args;

pub fn run(args: Args) -> CliResult {
    agent_lab::cli::run(args)
}
