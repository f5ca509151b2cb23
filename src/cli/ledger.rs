//! `operator-tui ledger`: the file itself: check it, back it up, take away what is long over, adopt one
//! of an earlier version.

use super::{
    CliResult,
    audit::verify,
    target::{self, LedgerArgs},
};
use agent_lab::control::person;
use color_eyre::eyre::{WrapErr, eyre};
use jiff::{Span, Timestamp, Zoned, civil};
use operator_ledger::PersonLedger;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check the whole ledger: damage, missing or added rows, forged proofs
    Verify {
        #[arg(short, long)]
        json: bool,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Write the ledger, as it is at this moment, into a new file; it may be in use
    Backup {
        /// The file to make
        file: PathBuf,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Take away what ended long ago: resolved tickets with their sessions, samples, faults, alerts
    Prune {
        /// What ended before this goes: a date, a time as RFC 3339, or an age, as in 90d
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        before: Timestamp,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Bring a ledger of an earlier version, or of the reference system, up to date in its place
    Adopt {
        /// The ledger
        file: PathBuf,
    },
}

pub fn run(args: Args) -> CliResult {
    match args.command {
        Command::Verify { json, ledger } => return verify::all(json, &ledger.open()?),
        Command::Backup { file, ledger } => back_up(&file, &ledger)?,
        Command::Prune { before, ledger } => prune(before, &ledger)?,
        Command::Adopt { file } => adopt(&file)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn back_up(file: &Path, ledger: &LedgerArgs) -> color_eyre::Result<()> {
    let ledger = ledger.open()?;
    ledger.back_up(file).wait()?;
    let sessions = ledger.sessions(usize::MAX).wait()?.len();
    outln!(
        "Wrote {}: {sessions} sessions, whole as of now",
        file.display()
    )?;
    Ok(())
}

fn prune(before: Timestamp, ledger: &LedgerArgs) -> color_eyre::Result<()> {
    target::refuse_in_agent_shell("pruning the ledger", "the record is not an agent's")?;
    if before > Timestamp::now() {
        return Err(eyre!("--before is in the future"));
    }
    let path = ledger.path()?;
    let gone = PersonLedger::open_existing(&path)
        .wait()?
        .prune(&before, &person())
        .wait()?;
    outln!(
        "Took away {} resolved tickets and {} sessions that ended before {before}: {} rows. The chain \
         says so. The file keeps its size; the room in it is used again.",
        gone.tickets,
        gone.sessions,
        gone.rows
    )?;
    Ok(())
}

fn adopt(file: &Path) -> color_eyre::Result<()> {
    target::refuse_in_agent_shell("adopting a ledger", "the record is not an agent's")?;
    let ledger = PersonLedger::open_existing(file).wait()?;
    let (done, open) = ledger.ticket_counts().wait()?;
    let sessions = ledger.sessions(usize::MAX).wait()?.len();
    outln!(
        "{} is a ledger of this version: {} tickets, {sessions} sessions",
        file.display(),
        done + open
    )?;
    Ok(())
}

/// A time, a date (its beginning, here), or how long ago.
fn moment(text: &str) -> color_eyre::Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let now = Zoned::now();
    if let Ok(date) = text.parse::<civil::Date>() {
        return Ok(date.to_zoned(now.time_zone().clone())?.timestamp());
    }
    let ago: Span = text
        .parse()
        .wrap_err("give a date, a time as RFC 3339, or an age, as in 90d")?;
    Ok(now.checked_sub(ago.abs())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_date_or_an_age() {
        let hours = |text: &str| {
            let at = moment(text).unwrap();
            Timestamp::now().duration_since(at).as_hours()
        };
        assert_eq!(
            moment("2026-01-30T10:00:00Z").unwrap().to_string(),
            "2026-01-30T10:00:00Z"
        );
        assert!(moment("2026-01-30").is_ok());
        assert!((89 * 24..=91 * 24).contains(&hours("90d")));
        assert_eq!(hours("5h"), 5);
        for odd in ["", "soon", "2026-13-01"] {
            assert!(moment(odd).is_err(), "{odd}");
        }
    }
}
