//! `operator-tui steer services`: what commands of agents left running that stays, and ending one.
//!
//! A pid alone is nobody's name: a process is ended only if it is the one that was written down, by
//! its start, on this machine, since the same boot.

use crate::cli::{
    CliResult, out, table,
    target::{self, LedgerArgs},
};
use agent_lab::control::person;
use color_eyre::eyre::{Context, bail, eyre};
use jiff::tz::TimeZone;
use operator_ledger::{PersonLedger, ServiceRow};
use operator_process::{proc, tree};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(10);
/// What a service that ended left has so long, once it was asked.
const REST: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Those too that do not run any more
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// End one, with what it started: TERM, and KILL after ten seconds
    Stop {
        /// As `steer services` lists it
        pid: i32,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
}

/// What is known of a service now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Ended,
    /// Of another machine, or of another namespace of pids: nobody here can tell.
    Elsewhere,
}

impl State {
    fn of(row: &ServiceRow, place: Option<&str>) -> Self {
        let boot = |place: &str| place.split(' ').next().map(str::to_owned);
        if place != Some(row.place.as_str()) {
            let here = rustix::system::uname();
            let rebooted = here.nodename().to_string_lossy() == row.host.as_str()
                && place.and_then(boot) != boot(&row.place);
            return if rebooted {
                Self::Ended
            } else {
                Self::Elsewhere
            };
        }
        if is_it(row) {
            Self::Running
        } else {
            Self::Ended
        }
    }

    fn words(self, row: &ServiceRow) -> String {
        match (self, &row.ended_by) {
            (Self::Running, Some(by)) => format!("running, though {by} ended it"),
            (Self::Running, None) => "running".into(),
            (Self::Ended, Some(by)) => format!("ended by {by}"),
            (Self::Ended, None) => "ended".into(),
            (Self::Elsewhere, _) => format!("? on {}", row.host),
        }
    }
}

#[derive(Debug, Serialize)]
struct Shown<'r> {
    state: State,
    #[serde(flatten)]
    row: &'r ServiceRow,
}

pub(super) fn run(args: Args) -> CliResult {
    match args.command {
        Some(Command::Stop { pid, ledger }) => stop(pid, &ledger),
        None => list(&args),
    }
}

fn list(args: &Args) -> CliResult {
    let rows = args.ledger.open()?.services().wait()?;
    let place = proc::place();
    let shown: Vec<Shown<'_>> = rows
        .iter()
        .map(|row| Shown {
            state: State::of(row, place.as_deref()),
            row,
        })
        .filter(|shown| args.all || shown.state != State::Ended)
        .collect();
    if args.json {
        out::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    if shown.is_empty() {
        let none = if args.all {
            "No command of an agent left a service."
        } else {
            "No service that an agent's command left is running."
        };
        outln!("{none}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = TimeZone::system();
    let rows: Vec<[String; 6]> = shown
        .iter()
        .map(|Shown { state, row }| {
            let began = row.began_at.or(row.at).map_or("?".into(), |at| {
                let at = at.to_zoned(zone.clone());
                at.strftime("%Y-%m-%d %H:%M:%S").to_string()
            });
            [
                row.pid.to_string(),
                began,
                row.ticket_id.map_or("-".into(), |id| format!("#{id}")),
                row.session_id.clone(),
                state.words(row),
                row.command.clone(),
            ]
        })
        .collect();
    table::print(
        ["PID", "STARTED", "TICKET", "SESSION", "STATE", "COMMAND"],
        &rows,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn stop(pid: i32, ledger: &LedgerArgs) -> CliResult {
    target::refuse_in_agent_shell("ending a service", "a person decides what is ended")?;
    ledger.open()?;
    let ledger = PersonLedger::open_existing(&ledger.path()?).wait()?;
    let place = proc::place();
    let rows = ledger.services().wait()?;
    let mut named = rows.iter().filter(|row| row.pid == pid).peekable();
    if named.peek().is_none() {
        bail!("no service has the pid {pid}: `operator-tui steer services` lists them");
    }
    let found = named.find(|row| State::of(row, place.as_deref()) == State::Running);
    let Some(row) = found else {
        let newest = rows.iter().find(|row| row.pid == pid);
        return Err(match newest {
            Some(row) if State::of(row, place.as_deref()) == State::Elsewhere => eyre!(
                "service {pid} ({}) runs on {}, or in another container: end it there",
                row.command,
                row.host
            ),
            Some(row) if Pid::from_raw(pid).is_some_and(proc::is_alive) => eyre!(
                "process {pid} is not the service that was left ({}): it began at another time; \
                 nothing was ended",
                row.command
            ),
            Some(row) => eyre!("service {pid} ({}) does not run any more", row.command),
            None => eyre!("no service has the pid {pid}"),
        });
    };
    // Written down before it is done.
    ledger.end_service(row.id, &person()).wait()?;
    end(row).wrap_err_with(|| format!("cannot end service {pid} ({})", row.command))?;
    outln!("Service {pid} is ended: {}", row.command)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the process with its pid is it.
fn is_it(row: &ServiceRow) -> bool {
    let stat = Pid::from_raw(row.pid).and_then(proc::Stat::of);
    stat.is_some_and(|stat| stat.start_ticks == row.start_ticks && !stat.has_ended())
}

/// The service itself is asked; what it started is its own to end, as long as it can.
fn end(row: &ServiceRow) -> color_eyre::Result<()> {
    let pid = Pid::from_raw(row.pid).ok_or_else(|| eyre!("it has no pid"))?;
    let below: Vec<(Pid, u64)> = tree::descendants(pid)
        .into_iter()
        .filter_map(|p| Some((p, proc::Stat::of(p)?.start_ticks)))
        .collect();
    let below = || -> Vec<Pid> {
        let same = |(p, ticks): &&(Pid, u64)| {
            proc::Stat::of(*p).is_some_and(|s| s.start_ticks == *ticks && !s.has_ended())
        };
        below.iter().filter(same).map(|(p, _)| *p).collect()
    };
    kill_process(pid, Signal::TERM)?;
    let _ = kill_process(pid, Signal::CONT);
    if until(GRACE, || !is_it(row)) {
        // What it did not end itself is asked now.
        tree::terminate(&below());
    }
    if until(REST, || !is_it(row) && below().is_empty()) {
        return Ok(());
    }
    tree::kill_all(|| {
        let mut all = tree::descendants(pid);
        all.extend(below());
        all.extend(is_it(row).then_some(pid));
        all
    });
    if until(GRACE, || !is_it(row)) {
        return Ok(());
    }
    bail!("it is still there after KILL")
}

fn until(limit: Duration, done: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}
