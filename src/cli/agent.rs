//! `operator-tui agent`: `agent_lab` in the foreground, or as the child of a dashboard.

use super::CliResult;

pub use agent_lab::cli::Args;

#[expect(
    clippy::needless_pass_by_value,
    reason = "every subcommand is called like this"
)]
pub fn run(args: Args) -> CliResult {
    agent_lab::cli::run(&args)
}
