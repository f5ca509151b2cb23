//! `operator-tui [watch]`: the dashboard on a cluster that somebody else runs.

use super::{
    CliResult,
    cell::CellArgs,
    connection::{self, PdArgs, PrometheusArgs},
    model_choice::{self, ConsentContext, ModelChoice},
    target::LedgerArgs,
    theme::ThemeArgs,
};
use crate::{
    app::{
        self,
        model::config::{Config, Role},
    },
    stage::{
        self,
        running_lab::{Launch, Monitor},
    },
    supervisor::Spec,
    ui::Screen,
};
use agent_lab::{cli::ModeArg, keys, model::rehearsal};
use clap::ValueEnum;
use color_eyre::eyre::eyre;
use operator_ledger::{PersonLedger, Reader, home::Home};
use operator_process::executable;
use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

/// The dashboard needs a terminal and has none.
const NO_TERMINAL: u8 = 2;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pd: PdArgs,

    #[command(flatten)]
    prometheus: PrometheusArgs,

    /// Run this as the agent instead of our own: a program with arguments, or a shell line; it
    /// finds PD_ENDPOINT and OPERATOR_LEDGER in its environment
    #[arg(long, value_name = "COMMAND")]
    agent_cmd: Option<String>,

    /// Put the model's keys of this environment into that of the program of --agent-cmd, which has
    /// to guard them itself. Without this it gets none
    #[arg(long, requires = "agent_cmd")]
    agent_cmd_keys: bool,

    /// Consent to a real model's shell on this host, outside a container
    #[arg(long)]
    host_shell: bool,

    /// How much the agent may do by itself: in `propose` a person approves what may change something
    #[arg(long, value_enum, default_value_t = ModeArg::Autonomous, conflicts_with = "agent_cmd")]
    mode: ModeArg,

    #[command(flatten)]
    cell: CellArgs,

    /// Start no agent
    #[arg(long, conflicts_with = "agent_cmd")]
    no_agent: bool,

    /// Start no monitor
    #[arg(long)]
    no_monitor: bool,

    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    theme: ThemeArgs,
}

/// Of one request to Prometheus.
const LOOK: Duration = Duration::from_secs(2);

/// Where things are, for the children.
struct Place {
    /// As it may be shown.
    pd: String,
    prometheus: Option<String>,
    ledger: PathBuf,
    /// What the monitor is told of connections, and what an agent is: that holds no secret.
    all: Vec<(OsString, OsString)>,
    open: Vec<(OsString, OsString)>,
}

pub fn run(args: &Args) -> CliResult {
    let home = Home::from_env()?;
    let reached = pd(args)?;
    let mut look = reached.options()?;
    look.prometheus = args.prometheus.client(LOOK)?;
    let place = Place {
        pd: look.pd.join(","),
        prometheus: args.prometheus.place()?,
        ledger: args.ledger.path()?,
        all: [reached.variables()?, args.prometheus.variables()?].concat(),
        open: [reached.open_variables()?, args.prometheus.open_variables()?].concat(),
    };
    // What is wrong with the ledger is said here, where it can be read in peace.
    if !args.no_monitor {
        drop(PersonLedger::open(&place.ledger).wait()?);
    } else if place.ledger.exists() {
        drop(Reader::open(&place.ledger).wait()?);
    }
    let lab = stage::watched(&place.pd)?;
    show(Config {
        subject: "tikv".into(),
        place: match lab {
            Some(_) => stage::place().into(),
            None => place.pd.clone(),
        },
        look,
        agent: agent(args, &home, &place)?,
        monitor: monitor(args, &place, lab.is_some())?,
        lab,
        palette: args.theme.palette()?,
        ledger: place.ledger,
        replay: None,
        demo: None,
    })
}

/// Runs a dashboard on the terminal until it ends.
pub fn show(config: Config) -> CliResult {
    let screen = match Screen::open() {
        Ok(screen) => screen,
        Err(error) => {
            super::complain(error);
            return Ok(ExitCode::from(NO_TERMINAL));
        }
    };
    let outcome = app::run(config, screen).map_err(|e| eyre!("the dashboard: {e}"))?;
    if let Some(failure) = outcome.failure {
        super::complain(failure);
    }
    Ok(ExitCode::from(outcome.code))
}

/// Who whoever asks for the lab's ledger means is the lab, if nobody says otherwise.
fn pd(args: &Args) -> color_eyre::Result<PdArgs> {
    if args.ledger.lab && !args.pd.is_given() {
        return Ok(args.pd.at(stage::pd()?.join(",")));
    }
    Ok(args.pd.clone())
}

fn agent(args: &Args, home: &Home, place: &Place) -> color_eyre::Result<Role> {
    if args.no_agent {
        return Ok(Role::Off("--no-agent was given.".into()));
    }
    if let Some(line) = &args.agent_cmd {
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PD_ENDPOINT".into(), (&place.pd).into()),
            ("OPERATOR_LEDGER".into(), (&place.ledger).into()),
        ];
        env.extend(place.open.clone());
        if let Some(prometheus) = &place.prometheus {
            env.push(("PROMETHEUS_URL".into(), prometheus.into()));
        }
        return Ok(Role::Run(Spec {
            name: "agent",
            argv: command(line)?,
            env,
            env_remove: keys::OF_THE_MONITOR.map(OsString::from).to_vec(),
            keys: args.agent_cmd_keys,
            warden: Some(executable()),
        }));
    }
    let launch = Launch::here()?;
    let mut argv = ours(launch.agent, place);
    argv.extend(args.cell.arguments(&launch.cell));
    argv.extend(["--pd", &place.pd].map(OsString::from));
    if let Some(prometheus) = &place.prometheus {
        argv.extend(["--prometheus", prometheus].map(OsString::from));
    }
    if let Some(mode) = args.mode.to_possible_value() {
        argv.extend(["--mode", mode.get_name()].map(OsString::from));
    }
    let settled = model_choice::settle(ConsentContext {
        home,
        ledger: &place.ledger,
        mode: args.mode.into(),
        cell: args.cell.cell(&launch.cell),
        agreed: args.host_shell,
        ask: Some("no agent is started; everything else works"),
    })?;
    match settled {
        ModelChoice::Real(more) => argv.extend(more),
        ModelChoice::Rehearsal => argv.extend(["--model", rehearsal::NAME].map(Into::into)),
        // On somebody's cluster nothing acts that nobody asked for.
        ModelChoice::Without(why) => return Ok(Role::Off(format!("{why}."))),
    }
    Ok(Role::Run(Spec {
        name: "agent",
        argv,
        env: place.open.clone(),
        env_remove: keys::OF_THE_MONITOR
            .into_iter()
            .chain([connection::HEADERS])
            .map(OsString::from)
            .collect(),
        keys: true,
        ..Spec::default()
    }))
}

fn monitor(args: &Args, place: &Place, lab: bool) -> color_eyre::Result<Role> {
    if args.no_monitor {
        return Ok(Role::Off("--no-monitor was given.".into()));
    }
    let times = match Launch::here()?.monitor {
        Monitor::There(place) => return Ok(Role::Off(format!("{place}."))),
        Monitor::Start(times) if lab => times,
        Monitor::Start(_) => Vec::new(),
    };
    let mut command: Vec<OsString> = [executable().into(), "monitor".into(), "run".into()].into();
    command.extend(times);
    Ok(Role::Run(Spec {
        name: "monitor",
        argv: ours(command, place),
        env: place.all.clone(),
        ..Spec::default()
    }))
}

/// What starts one of our own roles, as a child on this cluster and ledger.
fn ours(mut argv: Vec<OsString>, place: &Place) -> Vec<OsString> {
    argv.extend(["--supervised", "--json", "--db"].map(OsString::from));
    argv.push((&place.ledger).into());
    argv
}

/// The words of a command line, or a shell for one that needs it. A program that is not there is
/// an error here and not a crash loop later.
fn command(line: &str) -> color_eyre::Result<Vec<OsString>> {
    const SHELL: &str = "|&;<>()$`*?[]#~=%{}\n";
    if line.contains(|c| SHELL.contains(c)) {
        return Ok(["sh", "-c", line].map(Into::into).to_vec());
    }
    let words = shell_words::split(line).map_err(|e| eyre!("--agent-cmd {line}: {e}"))?;
    let Some(program) = words.first() else {
        return Err(eyre!(
            "--agent-cmd is empty; give a program, or --no-agent for none"
        ));
    };
    if which::which(program).is_err() {
        return Err(eyre!("--agent-cmd {line}: there is no program {program}"));
    }
    Ok(words.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_command_is_words_or_a_shell_line_or_an_error() {
        assert_eq!(command("cat -n").unwrap(), ["cat", "-n"]);
        assert_eq!(command("cat 'a b' c\\ d").unwrap(), ["cat", "a b", "c d"]);
        assert_eq!(command("cat | cat").unwrap(), ["sh", "-c", "cat | cat"]);
        assert!(command("cat 'a b").is_err());
        let error = command("no-such-agent --json").unwrap_err().to_string();
        assert!(error.contains("no-such-agent"), "{error}");
        assert!(command("  ").is_err());
    }
}
