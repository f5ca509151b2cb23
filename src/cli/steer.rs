//! `operator-tui steer`: tells an agent at work what its dashboard would tell it, through the
//! ledger: for agents that nobody here started.

mod services;

use super::{
    CliResult,
    target::{self, LedgerArgs},
};
use agent_lab::control::person;
use color_eyre::eyre::{bail, eyre};
use operator_ledger::{
    LedgerError, PersonLedger, Reader, SessionStatus,
    event::{Control, MAX_MESSAGE},
};
use std::{
    io::Read as _,
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
    what: What,
}

/// Which agent.
#[derive(Debug, Clone, clap::Args)]
struct To {
    /// Session of the agent, or an unambiguous beginning [default: the one that runs]
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Stop the running command and turn; the session waits for a message
    Interrupt {
        #[command(flatten)]
        to: To,
    },
    /// Say something to the model, at its next pause
    Message {
        /// `-`: what comes on stdin
        text: String,
        #[command(flatten)]
        to: To,
    },
    /// Let a call that waits run
    Approve {
        /// The call [default: the one that waits]
        call: Option<String>,
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        to: To,
    },
    /// Do not let a call that waits run
    Reject {
        /// The call [default: the one that waits]
        call: Option<String>,
        /// For the model to know
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        to: To,
    },
    /// Release the ticket and end the agent
    Shutdown {
        #[command(flatten)]
        to: To,
    },
}

#[derive(Debug, clap::Subcommand)]
enum What {
    #[command(flatten)]
    Agent(Command),
    /// What commands left running that stays: list it, or end one
    Services(services::Args),
}

impl Command {
    fn to(&self) -> &To {
        match self {
            Self::Interrupt { to }
            | Self::Message { to, .. }
            | Self::Approve { to, .. }
            | Self::Reject { to, .. }
            | Self::Shutdown { to } => to,
        }
    }
}

pub fn run(args: Args) -> CliResult {
    let command = match args.what {
        What::Services(args) => return services::run(args),
        What::Agent(command) => command,
    };
    target::refuse_in_agent_shell("steering an agent", "an agent is steered by people")?;
    let To {
        session: prefix,
        ledger,
    } = command.to().clone();
    ledger.open()?;
    let ledger = PersonLedger::open_existing(&ledger.path()?).wait()?;
    let session = session(prefix, &ledger)?;
    let by = person();
    let command = match command {
        Command::Message { text, to } if text == "-" => {
            let mut text = String::new();
            let most = MAX_MESSAGE as u64 + 1;
            std::io::stdin().take(most).read_to_string(&mut text)?;
            Command::Message { text, to }
        }
        other => other,
    };
    let control = match command {
        Command::Interrupt { .. } => Control::Interrupt { by: by.clone() },
        Command::Message { text, .. } if text.trim().is_empty() => bail!("a message needs words"),
        Command::Message { text, .. } if text.len() > MAX_MESSAGE => bail!(
            "a message may have {} KiB, and this one is longer: give the agent a file to read",
            MAX_MESSAGE / 1024
        ),
        Command::Message { text, .. } => Control::Message {
            text,
            by: by.clone(),
        },
        Command::Approve { call, why, .. } => Control::Approve {
            call: waiting(call, &session, &ledger)?,
            why,
            by: by.clone(),
        },
        Command::Reject { call, why, .. } => Control::Reject {
            call: waiting(call, &session, &ledger)?,
            why,
            by: by.clone(),
        },
        Command::Shutdown { .. } => Control::Shutdown,
    };
    let id = ledger.send_command(&session, &control, &by).wait()?;
    let sent = Instant::now();
    while sent.elapsed() < PATIENCE {
        if ledger
            .command(id)
            .wait()?
            .is_some_and(|c| c.taken_at.is_some())
        {
            outln!("The agent of session {session} has it.")?;
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(eyre!(
        "the agent of session {session} did not take it within {} s: is it still alive?",
        PATIENCE.as_secs()
    ))
}

fn session(prefix: Option<String>, ledger: &Reader) -> color_eyre::Result<String> {
    if let Some(prefix) = prefix {
        return Ok(ledger.find_session(&prefix).wait()?);
    }
    let mut running: Vec<String> = ledger
        .sessions(RECENT)
        .wait()?
        .into_iter()
        .filter(|s| s.status == SessionStatus::Running)
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

/// The call that a decision is about.
fn waiting(call: Option<String>, session: &str, ledger: &Reader) -> color_eyre::Result<String> {
    let open = ledger.open_proposals(session).wait()?;
    match (call, open.first()) {
        (_, None) => bail!("no call of session {session} waits for a decision"),
        (None, Some(first)) => Ok(first.clone()),
        (Some(call), _) if open.contains(&call) => Ok(call),
        (Some(call), _) => bail!(
            "{call} does not wait for a decision; {} does",
            open.join(", ")
        ),
    }
}
