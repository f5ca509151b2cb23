//! `operator-tui [watch]`: the dashboard on a cluster that somebody else runs.

use super::{CliResult, runtime};
use crate::{
    app::{self, Config, Role},
    supervisor::{Spec, executable},
    ui::{Screen, Theme},
};
use agent_lab::{
    consent::{self, Consent},
    home::Home,
    ledger::Ledger,
};
use color_eyre::eyre::eyre;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

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

    /// Consent to a real model's shell on this host, outside a container
    #[arg(long)]
    host_shell: bool,

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

pub fn run(args: &Args) -> CliResult {
    let home = Home::from_env()?;
    let ledger = args.db.clone().unwrap_or_else(|| home.ledger());
    if args.db.is_none() {
        home.create()?;
    }
    // What is wrong with the ledger is said here, where it can be read in peace.
    if !args.no_monitor {
        drop(Ledger::open(&ledger)?);
    } else if ledger.exists() {
        drop(Ledger::open_existing(&ledger)?);
    }
    let config = Config {
        subject: "tikv".into(),
        place: args.pd.clone(),
        pd: args.pd.clone(),
        agent: agent(args, &home, &ledger)?,
        monitor: monitor(args, &ledger),
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

fn agent(args: &Args, home: &Home, ledger: &Path) -> color_eyre::Result<Role> {
    if args.no_agent {
        return Ok(Role::Off("--no-agent was given.".into()));
    }
    if let Some(line) = &args.agent_cmd {
        return Ok(Role::Run(Spec {
            name: "agent",
            argv: command(line)?,
            env: environment(args, ledger),
            foreign: true,
            ..Spec::default()
        }));
    }
    if let Some(why) = no_agent(args, home, ledger) {
        return Ok(Role::Off(why));
    }
    let mut argv: Vec<OsString> = vec![executable().into()];
    argv.extend(["agent", "--supervised", "--json", "--pd", &args.pd].map(Into::into));
    argv.extend(["--db".into(), ledger.into()]);
    if let Some(prometheus) = &args.prometheus {
        argv.extend(["--prometheus".into(), prometheus.into()]);
    }
    if args.host_shell {
        argv.push("--host-shell".into());
    }
    Ok(Role::Run(Spec {
        name: "agent",
        argv,
        ..Spec::default()
    }))
}

/// Why no agent of ours is started: on a real cluster it works only for a real model, with a
/// person's consent to its shell.
fn no_agent(args: &Args, home: &Home, ledger: &Path) -> Option<String> {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    if std::env::var("ANTHROPIC_MODEL").is_ok_and(|model| model == "rehearsal") {
        return None;
    }
    if !set("ANTHROPIC_API_KEY") && !set("ANTHROPIC_AUTH_TOKEN") {
        return Some("there is no key: ANTHROPIC_API_KEY is not set.".into());
    }
    let agreed = args.host_shell
        || consent::in_container()
        || Consent::wanted(ledger, 0.0).remembered(home).is_some();
    (!agreed)
        .then(|| "nobody agreed to give a model a shell on this host; --host-shell does.".into())
}

/// The words of a command line, or a shell for one that needs it. A program that is not there is
/// an error here and not a crash loop later.
fn command(line: &str) -> color_eyre::Result<Vec<OsString>> {
    const SHELL: &str = "|&;<>()$`\\\"'*?[]#~=%{}\n";
    if line.contains(|c| SHELL.contains(c)) {
        return Ok(["sh", "-c", line].map(Into::into).to_vec());
    }
    let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
    let Some(program) = words.first() else {
        return Err(eyre!(
            "--agent-cmd is empty; give a program, or --no-agent for none"
        ));
    };
    let path = Path::new(program);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let there = if path.components().count() > 1 {
        path.exists()
    } else {
        std::env::split_paths(&folders).any(|folder| folder.join(path).is_file())
    };
    if !there {
        return Err(eyre!(
            "--agent-cmd {line}: there is no program {}",
            path.display()
        ));
    }
    Ok(words)
}

fn monitor(args: &Args, ledger: &Path) -> Role {
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

fn environment(args: &Args, ledger: &Path) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = vec![
        ("PD_ENDPOINT".into(), (&args.pd).into()),
        ("OPERATOR_LEDGER".into(), ledger.into()),
    ];
    if let Some(prometheus) = &args.prometheus {
        env.push(("PROMETHEUS_URL".into(), prometheus.into()));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_command_is_words_or_a_shell_line_or_an_error() {
        assert_eq!(command("cat -n").unwrap(), ["cat", "-n"]);
        assert_eq!(command("cat | cat").unwrap(), ["sh", "-c", "cat | cat"]);
        let error = command("no-such-agent --json").unwrap_err().to_string();
        assert!(error.contains("no-such-agent"), "{error}");
        assert!(command("  ").is_err());
    }
}
