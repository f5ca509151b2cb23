//! `operator-tui agent`: `agent_lab` in the foreground, or as the child of a dashboard.

use super::CliResult;
use crate::stage::control::is_compose;
use color_eyre::eyre::eyre;

pub use agent_lab::cli::Args;

#[expect(
    clippy::needless_pass_by_value,
    reason = "every subcommand is called like this"
)]
pub fn run(args: Args) -> CliResult {
    if is_compose()? && !std::env::var("DOCKER_HOST").is_ok_and(|host| host.starts_with("tcp:")) {
        return Err(eyre!(
            "this is not the container of the agent: an agent here could reach all of Docker; \
             `docker compose exec agent agent_lab` starts one there"
        ));
    }
    agent_lab::cli::run(&args)
}
