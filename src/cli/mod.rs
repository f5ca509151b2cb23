//! Arguments and dispatch. Each subcommand has a file of its own here, with its arguments and a
//! `run`; what a subcommand does lives elsewhere.
//!
//! Errors go to stderr as one line a cause, exit code 1; wrong arguments are clap's, exit code 2.

// Its macros are for all that follow.
#[macro_use]
mod out;

pub mod agent;
pub mod audit;
mod cell;
pub mod cluster;
pub mod completions;
mod config_file;
mod confirm;
mod connection;
pub mod demo;
pub mod incidents;
pub mod lab;
pub mod ledger;
mod model_choice;
pub mod monitor;
pub mod replay;
pub mod steer;
mod table;
pub mod target;
mod theme;
pub mod tickets;
pub mod watch;

pub use config_file::ConfigFile;

use agent_lab::log;
use clap::{Parser, Subcommand};
use std::{fmt::Display, process::ExitCode};

#[derive(Debug, Parser)]
#[command(name = "operator-tui", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    watch: watch::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Walk through a failure and its repair, chapter by chapter: needs no cluster, no key
    Demo(demo::Args),
    /// Look at the cluster once
    Cluster(cluster::Args),
    /// Watch a cluster's invariants: open, prove and close tickets
    Monitor(monitor::Args),
    /// List and show incidents; hold, take, finish, resolve them as a person
    Incidents(incidents::Args),
    /// Keep all agents of the ledger from working
    Pause(incidents::PauseArgs),
    /// Let agents work again after a pause
    Resume(incidents::ResumeArgs),
    /// List, show and open tickets; resolve or hold them as a person
    Tickets(tickets::Args),
    /// Read what agents did, and check the record
    Audit(audit::Args),
    /// Check, back up and prune the ledger; adopt an older one
    Ledger(ledger::Args),
    /// Play an incident back: what broke, what the agent did, what proved it
    Replay(replay::Args),
    /// Control the lab: real processes on loopback, or TiKV in Docker Compose
    Lab(lab::Args),
    /// Work on tickets: agent_lab in the foreground
    Agent(agent::Args),
    /// Tell an agent at work something: interrupt, message, approve, reject, shutdown
    Steer(steer::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// The dashboard on a cluster that somebody else runs (the default)
    Watch(watch::Args),
}

/// What a subcommand returns: its exit code, or an error to print.
pub type CliResult = color_eyre::Result<ExitCode>;

/// Parses the arguments and runs the subcommand.
pub fn main() -> ExitCode {
    let cli: Cli = match agent_lab::cli::arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let dashboard = matches!(
        cli.command,
        None | Some(Command::Demo(_) | Command::Watch(_) | Command::Replay(_))
    );
    if !dashboard {
        end_with_the_reader();
    }
    let log = match &cli.command {
        _ if dashboard => log::start("dashboard"),
        Some(Command::Monitor(_)) => log::start("monitor"),
        // The agent does so itself.
        _ => Ok(None),
    };
    let result = log.and_then(|_log| dispatch(cli));
    result.unwrap_or_else(|report| {
        let io = report.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
            return ExitCode::from(BROKEN_PIPE);
        }
        complain(describe(&report));
        ExitCode::FAILURE
    })
}

fn dispatch(cli: Cli) -> CliResult {
    match cli.command {
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::Cluster(args)) => cluster::run(args),
        Some(Command::Monitor(args)) => monitor::run(args),
        Some(Command::Incidents(args)) => incidents::run(args),
        Some(Command::Pause(args)) => incidents::pause(args),
        Some(Command::Resume(args)) => incidents::resume(args),
        Some(Command::Tickets(args)) => tickets::run(args),
        Some(Command::Audit(args)) => audit::run(args),
        Some(Command::Ledger(args)) => ledger::run(args),
        Some(Command::Replay(args)) => replay::run(args),
        Some(Command::Lab(args)) => lab::run(args),
        Some(Command::Agent(args)) => agent::run(args),
        Some(Command::Steer(args)) => steer::run(args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Watch(args)) => watch::run(&args),
        None => watch::run(&cli.watch),
    }
}

/// Says on stderr why it ends. Where that is a terminal that is gone, to nobody: `eprintln` would
/// panic.
fn complain(why: impl Display) {
    errln!("operator-tui: {why}");
}

/// Exit code of a process that its reader left: as if the signal had ended it.
const BROKEN_PIPE: u8 = 128 + 13;

/// A reader of stdout that leaves early, as `head` does, ends this process as it ends any other:
/// at once and without a word. The signal that does so elsewhere is ignored in Rust programs, and
/// taking it back would also let a lost connection end this one.
fn end_with_the_reader() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(BROKEN_PIPE.into());
        }
        others(panic);
    }));
}

/// The causes of an error, outermost first, joined by colons.
fn describe(report: &color_eyre::Report) -> String {
    let mut text = String::new();
    for cause in report.chain() {
        let cause = cause.to_string();
        // Errors that print their source themselves would say it twice.
        if text.contains(&cause) {
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
