//! `operator-tui replay`: an incident played back in the dashboard's panes, from the ledger alone.

use super::{CliResult, target::LedgerArgs, theme::ThemeArgs, watch};
use crate::app::model::config::{Config, Role};
use color_eyre::eyre::eyre;
use operator_ledger::LedgerError;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session: its id, or an unambiguous beginning; the newest if left out
    session: Option<String>,
    /// The newest session that worked on this ticket
    #[arg(long, value_name = "ID", conflicts_with = "session")]
    ticket: Option<i64>,
    /// How fast, to begin with: 0.25, 0.5, 1, 2, 4, 8, 16 or 60 times
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    theme: ThemeArgs,
}

pub fn run(args: Args) -> CliResult {
    let path = args.ledger.path()?;
    let ledger = args.ledger.open()?;
    let session = match (&args.session, args.ticket) {
        (Some(prefix), _) => ledger.find_session(prefix).wait()?,
        (None, Some(ticket)) => {
            ledger
                .ticket(ticket)
                .wait()?
                .ok_or(LedgerError::NoTicket(ticket))?;
            let newest = ledger.sessions_of_ticket(ticket).wait()?.pop();
            let newest = newest.ok_or_else(|| eyre!("no agent has worked on ticket #{ticket}"))?;
            newest.session_id
        }
        (None, None) => match ledger.sessions(1).wait()?.pop() {
            Some(newest) => newest.session_id,
            None => return Err(eyre!("{} holds no session yet", path.display())),
        },
    };
    let off = || Role::Off("this is a replay.".into());
    watch::show(Config {
        subject: "tikv".into(),
        place: "replay".into(),
        look: crate::cluster::Options::new(""),
        ledger: path,
        lab: None,
        palette: args.theme.palette()?,
        agent: off(),
        monitor: off(),
        replay: Some((session, args.speed)),
        demo: None,
    })
}
