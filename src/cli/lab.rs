//! `operator-tui lab`: control of the embedded lab.

use super::CliResult;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> CliResult {
    Ok(ExitCode::SUCCESS)
}
