//! `operator-tui audit`: what agents did, from the ledger. One file a subcommand.

mod export;
mod html;
mod list;
mod markdown;
mod show;
mod story;
mod verify;

use super::{CliResult, target::LedgerArgs};
use operator_ledger::{EntryKind, EntryRow, Ledger, OutputChunk};
use std::{
    io::{self, BufWriter, StdoutLock},
    path::PathBuf,
    process::ExitCode,
};

/// Entries read from the ledger at a time: a session may be longer than memory.
const PAGE: usize = 500;

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
    /// Check the hash chain of one session, or of all
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
                None if json => println!("null"),
                None => println!("No sessions."),
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
        } => return verify::run(session, json, &ledger.open()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The session a beginning of its id names, or the newest.
fn named(prefix: Option<String>, ledger: &Ledger) -> color_eyre::Result<Option<String>> {
    Ok(match prefix {
        Some(prefix) => Some(ledger.find_session(&prefix)?),
        None => ledger.sessions(1)?.pop().map(|s| s.session_id),
    })
}

/// Calls `f` with each entry of a session, oldest first, without having all of them at once.
fn each_entry(
    ledger: &Ledger,
    session: &str,
    mut f: impl FnMut(&EntryRow) -> color_eyre::Result<()>,
) -> color_eyre::Result<()> {
    let mut after = 0;
    loop {
        let page = ledger.entries(session, after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.id;
        for entry in &page {
            f(entry)?;
        }
    }
}

/// Pieces of output of one call that are read.
const PIECES: usize = 1_000_000;

/// The call whose end was never recorded, if there is one: its agent died while it ran.
#[derive(Default)]
struct Running(Option<EntryRow>);

impl Running {
    /// Takes note of an entry.
    fn see(&mut self, entry: &EntryRow) {
        match entry.entry_type.known() {
            Some(EntryKind::ToolCall) => self.0 = Some(entry.clone()),
            Some(EntryKind::ToolResult | EntryKind::Notice | EntryKind::Decision)
                if self.is_of(entry) =>
            {
                self.0 = None;
            }
            _ => {}
        }
    }

    fn is_of(&self, entry: &EntryRow) -> bool {
        self.0
            .as_ref()
            .is_some_and(|call| call.call_id == entry.call_id)
    }

    /// What that call had printed until then.
    fn output(&self, ledger: &Ledger) -> color_eyre::Result<Vec<OutputChunk>> {
        let Some(call) = &self.0 else {
            return Ok(Vec::new());
        };
        let id = call.call_id.as_deref().unwrap_or_default();
        Ok(ledger.output(&call.session_id, id, PIECES)?)
    }
}

/// stdout for much text.
fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 * 1024, io::stdout().lock())
}
