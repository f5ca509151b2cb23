//! `operator-tui [watch]`: the dashboard on a cluster that somebody else runs.

use super::{CliResult, runtime};
use crate::{
    app::{self, Config, Role},
    supervisor::{Spec, executable},
    ui::{Screen, Theme},
};
use agent_lab::home::Home;
use color_eyre::eyre::eyre;
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// The dashboard needs a terminal and has none.
const NO_TERMINAL: u8 = 2;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// PD endpoints, separated by commas
    #[arg(long, env = "PD_ENDPOINT", default_value = "http://127.0.0.1:2379")]
    pd: String,

    /// Prometheus, where there is one; without it the stores are asked themselves
    #[arg(long, env = "PROMETHEUS_URL")]
    prometheus: Option<String>,

    /// Run this as the agent instead of our own: a program with arguments, or a shell line
    #[arg(long, value_name = "COMMAND")]
    agent_cmd: Option<String>,

    /// Start no agent
    #[arg(long, conflicts_with = "agent_cmd")]
    no_agent: bool,

    /// Start no monitor
    #[arg(long)]
    no_monitor: bool,

    /// Ledger, if not tickets.db in OPERATOR_HOME
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

pub fn run(args: Args) -> CliResult {
    let home = Home::from_env()?;
    let ledger = args.db.clone().unwrap_or_else(|| home.ledger());
    if args.db.is_none() {
        home.create()?;
    }
    let config = Config {
        subject: "tikv".into(),
        place: args.pd.clone(),
        pd: args.pd.clone(),
        agent: agent(&args, &ledger),
        monitor: monitor(&args, &ledger),
        ledger,
        demo: None,
    };
    show(config)
}

/// Runs a dashboard on the terminal until it ends.
pub fn show(config: Config) -> CliResult {
    runtime()?.block_on(async {
        let screen = match Screen::open(Theme::from_env()) {
            Ok(screen) => screen,
            Err(error) => {
                eprintln!("operator-tui: {error}");
                return Ok(ExitCode::from(NO_TERMINAL));
            }
        };
        let outcome = app::run(config, screen)
            .await
            .map_err(|e| eyre!("the dashboard: {e}"))?;
        if let Some(failure) = outcome.failure {
            eprintln!("operator-tui: {failure}");
        }
        Ok(ExitCode::from(outcome.code))
    })
}

fn agent(args: &Args, ledger: &PathBuf) -> Role {
    if args.no_agent {
        return Role::Off("--no-agent was given.".into());
    }
    if let Some(line) = &args.agent_cmd {
        return Role::Run(Spec {
            name: "agent",
            argv: ["sh".into(), "-c".into(), line.into()].to_vec(),
            env: environment(args, ledger),
            foreign: true,
            ..Spec::default()
        });
    }
    Role::Off("it has no consent to use a shell on this host.".into())
}

fn monitor(args: &Args, ledger: &PathBuf) -> Role {
    if args.no_monitor {
        return Role::Off("--no-monitor was given.".into());
    }
    let mut argv: Vec<OsString> = vec![executable().into()];
    argv.extend(["monitor", "run", "--json", "--supervised", "--pd", &args.pd].map(Into::into));
    argv.extend(["--db".into(), ledger.into()]);
    if let Some(prometheus) = &args.prometheus {
        argv.extend(["--prometheus".into(), prometheus.into()]);
    }
    Role::Run(Spec {
        name: "monitor",
        argv,
        ..Spec::default()
    })
}

fn environment(args: &Args, ledger: &PathBuf) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = vec![
        ("PD_ENDPOINT".into(), (&args.pd).into()),
        ("OPERATOR_LEDGER".into(), ledger.into()),
    ];
    if let Some(prometheus) = &args.prometheus {
        env.push(("PROMETHEUS_URL".into(), prometheus.into()));
    }
    env
}
