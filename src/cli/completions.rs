//! `operator-tui completions`: a completion script for a shell, on stdout.

use super::{Cli, CliResult, out};
use clap::CommandFactory;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: Args) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "operator-tui", &mut script);
    out::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
