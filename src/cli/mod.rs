//! Arguments and dispatch. Each subcommand has a file of its own here, with its arguments and a
//! `run`; what a subcommand does lives elsewhere.
//!
//! Errors go to stderr as one line a cause, exit code 1; wrong arguments are clap's, exit code 2.

pub mod lab;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "operator-tui", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Control the embedded lab: real processes on loopback
    Lab(lab::Args),
}

/// What a subcommand returns: its exit code, or an error to print.
pub type CliResult = color_eyre::Result<ExitCode>;

/// Parses the arguments and runs the subcommand.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Lab(args)) => lab::run(args),
        None => Ok(ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|report| {
        eprintln!("operator-tui: {}", describe(&report));
        ExitCode::FAILURE
    })
}

/// The causes of an error, outermost first, joined by colons.
fn describe(report: &color_eyre::Report) -> String {
    let mut text = String::new();
    for cause in report.chain() {
        let cause = cause.to_string();
        // Errors that print their source themselves would say it twice.
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// A runtime for subcommands that need one.
pub fn runtime() -> color_eyre::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}
