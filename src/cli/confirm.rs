//! Asks before a person's word undoes what had been proven: on a terminal; elsewhere it must have been
//! said with `--yes`.

use super::CliResult;
use crate::span;
use color_eyre::eyre::eyre;
use operator_ledger::{Resolution, Ticket, clean::CleanWriter};
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

/// `--yes`.
#[derive(Debug, clap::Args)]
pub(super) struct Agreed {
    /// Do it without being asked
    #[arg(short, long)]
    yes: bool,
}

/// What reopening these takes away: their proofs. Some: it is not to be done, and how that ends.
pub(super) fn reopening(
    agreed: &Agreed,
    tickets: &[Ticket],
) -> color_eyre::Result<Option<CliResult>> {
    let proven = tickets
        .iter()
        .filter(|t| t.resolution == Some(Resolution::Proven));
    let proofs: Vec<String> = proven
        .map(|t| match t.resolved_at {
            Some(at) => format!(
                "the proof of ticket #{}, which has held for {}",
                t.id,
                span::exact(span::since(at))
            ),
            None => format!("the proof of ticket #{}", t.id),
        })
        .collect();
    if proofs.is_empty() || agreed.yes {
        return Ok(None);
    }
    let withdraws = format!("This withdraws {}", proofs.join(", and "));
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(eyre!("{withdraws}. --yes says that this is meant"));
    }
    let mut terminal = CleanWriter::of(io::stderr());
    write!(terminal, "{withdraws}. Go on? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(None);
    }
    errln!("Nothing was changed");
    Ok(Some(Ok(ExitCode::FAILURE)))
}
