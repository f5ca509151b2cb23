//! `operator-tui agent`: `agent_lab` in the foreground, or as the child of a dashboard.

use super::CliResult;
use crate::stage;

pub use agent_lab::cli::Args;

#[expect(
    clippy::needless_pass_by_value,
    reason = "every subcommand is called like this"
)]
pub fn run(args: Args) -> CliResult {
    stage::check_agent_place(args.cell.is_this_host())?;
    agent_lab::cli::run(&args)
}
