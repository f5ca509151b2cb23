//! `operator-tui steer`: tells an agent at work what its dashboard would tell it, through the
//! ledger: for agents that nobody here started.

use super::{
    CliResult,
    target::{self, LedgerArgs},
};
use agent_lab::{
    control::person,
    event::Control,
    ledger::{Ledger, LedgerError},
};
use color_eyre::eyre::{bail, eyre};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long the agent may need to take it. It looks several times a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions that are looked through for one that runs.
const RECENT: usize = 100;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Session of the agent, or an unambiguous beginning [default: the one that runs]
    #[arg(long, global = true, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Stop the running command and turn; the session waits for a message
    Interrupt,
    /// Say something to the model, at its next pause
    Message { text: String },
    /// Let a call that waits run
    Approve {
        call: String,
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Do not let a call that waits run
    Reject {
        call: String,
        /// For the model to know
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Release the ticket and end the agent
    Shutdown,
}

pub fn run(args: Args) -> CliResult {
    target::refuse_in_agent_shell("steering an agent")?;
    args.ledger.open()?;
    let mut ledger = Ledger::open(&args.ledger.path()?)?;
    let session = session(args.session, &ledger)?;
    let by = person();
    let control = match args.command {
        Command::Interrupt => Control::Interrupt { by: by.clone() },
        Command::Message { text } if text.trim().is_empty() => bail!("a message needs words"),
        Command::Message { text } => Control::Message {
            text,
            by: by.clone(),
        },
        Command::Approve { call, why } => Control::Approve {
            call,
            why,
            by: by.clone(),
        },
        Command::Reject { call, why } => Control::Reject {
            call,
            why,
            by: by.clone(),
        },
        Command::Shutdown => Control::Shutdown,
    };
    let id = ledger.send_command(&session, &control, &by)?;
    let sent = Instant::now();
    while sent.elapsed() < PATIENCE {
        if ledger.command(id)?.is_some_and(|c| c.taken_at.is_some()) {
            println!("The agent of session {session} has it.");
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(eyre!(
        "the agent of session {session} did not take it within {} s: is it still alive?",
        PATIENCE.as_secs()
    ))
}

fn session(prefix: Option<String>, ledger: &Ledger) -> color_eyre::Result<String> {
    if let Some(prefix) = prefix {
        return Ok(ledger.find_session(&prefix)?);
    }
    let mut running: Vec<String> = ledger
        .sessions(RECENT)?
        .into_iter()
        .filter(|s| s.status == "running")
        .map(|s| s.session_id)
        .collect();
    match running.len() {
        0 => Err(LedgerError::Refused("no session runs: there is no agent to steer".into()).into()),
        1 => Ok(running.remove(0)),
        n => bail!(
            "{n} sessions run, say which with --session: {}",
            running.join(", ")
        ),
    }
}
