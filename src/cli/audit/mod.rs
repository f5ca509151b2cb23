//! `operator-tui audit`: what agents did, from the ledger. One file a subcommand.

mod export;
mod html;
mod item;
mod list;
mod markdown;
mod show;
mod story;
pub(super) mod verify;

use super::{CliResult, target::LedgerArgs};
use operator_ledger::Reader;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List sessions, newest first
    List {
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Show one session, entry by entry
    Show {
        /// Its id, or an unambiguous beginning; the newest if left out
        session: Option<String>,
        /// Whole texts and outputs, not their short forms
        #[arg(short, long)]
        all: bool,
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Write one session, whole, with its ticket: for a post-mortem, or another program
    Export {
        /// Its id, or an unambiguous beginning; the newest if left out
        session: Option<String>,
        /// What to write [default: as the name of the file says, else jsonl]
        #[arg(short, long, value_enum)]
        format: Option<export::Format>,
        /// Where to [default: stdout]
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Check the whole ledger for damage and for what was changed; or one session's chain
    Verify {
        session: Option<String>,
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
}

pub fn run(args: Args) -> CliResult {
    match args.command {
        Command::List {
            limit,
            json,
            ledger,
        } => list::run(limit, json, &ledger.open()?)?,
        Command::Show {
            session,
            all,
            json,
            ledger,
        } => {
            let ledger = ledger.open()?;
            match named(session, &ledger)? {
                Some(id) => show::run(&id, all, json, &ledger)?,
                None if json => outln!("null")?,
                None => outln!("No sessions.")?,
            }
        }
        Command::Export {
            session,
            format,
            out,
            ledger,
        } => {
            let ledger = ledger.open()?;
            let id = named(session, &ledger)?
                .ok_or_else(|| color_eyre::eyre::eyre!("no session has been recorded yet"))?;
            export::run(&id, format, out.as_deref(), &ledger)?;
        }
        Command::Verify {
            session,
            json,
            ledger,
        } => {
            let ledger = ledger.open()?;
            return match session {
                Some(prefix) => verify::session(&prefix, json, &ledger),
                None => verify::all(json, &ledger),
            };
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The session a beginning of its id names, or the newest.
fn named(prefix: Option<String>, ledger: &Reader) -> color_eyre::Result<Option<String>> {
    Ok(match prefix {
        Some(prefix) => Some(ledger.find_session(&prefix).wait()?),
        None => ledger.sessions(1).wait()?.pop().map(|s| s.session_id),
    })
}
