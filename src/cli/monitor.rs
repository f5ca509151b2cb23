//! `operator-tui monitor run`: the monitor in the foreground, or as a dashboard's child.

use super::{
    CliResult, runtime,
    table::one_line,
    target::{LedgerArgs, PdArgs, PrometheusArgs},
};
use crate::{
    cluster::{self, Client},
    monitor::{
        self, Config, Report, RunOptions, config,
        listener::{Door, Listener, Token},
        notify::{self, Notify},
    },
};
use color_eyre::eyre::{WrapErr, eyre};
use operator_ledger::{Reading, SystemId, home::Home};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Watch a cluster and open, prove and close tickets, until stopped
    Run(RunArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Time between checks, as in 5s or 500ms [default: 5s]
    #[arg(short, long, value_parser = config::parse_duration)]
    interval: Option<Duration>,
    /// After this PD calls a silent store disconnected [default: 20s]
    #[arg(long, value_parser = config::parse_duration)]
    heartbeat_limit: Option<Duration>,
    /// After this a region or PD has a new leader [default: 20s]
    #[arg(long, value_parser = config::parse_duration)]
    election_limit: Option<Duration>,
    /// Over which rates and percentiles are taken [default: 10s]
    #[arg(long, value_parser = config::parse_duration)]
    rate_window: Option<Duration>,
    /// The cluster's id, if it is known before PD is asked
    #[arg(long)]
    cluster_id: Option<SystemId>,
    /// One check, then end: exit code 1 if anything is violated or unknown
    #[arg(long)]
    once: bool,
    /// One JSON object a check
    #[arg(long)]
    json: bool,
    /// Serve /metrics, /healthz and Alertmanager's webhook (/webhook/alertmanager) here, as in
    /// 127.0.0.1:9105
    #[arg(long, value_name = "ADDR", conflicts_with = "once")]
    listen: Option<String>,
    /// What Alertmanager must show as bearer token
    #[arg(
        long,
        env = "OPERATOR_WEBHOOK_TOKEN",
        hide_env_values = true,
        hide = true
    )]
    token: Option<String>,
    /// A file with the bearer token that Alertmanager must show [env: OPERATOR_WEBHOOK_TOKEN, the
    /// token itself]
    #[arg(long, value_name = "FILE", requires = "listen")]
    token_file: Option<PathBuf>,
    /// Watch no cluster, whatever PD_ENDPOINT says: alerts of Alertmanager alone become tickets
    #[arg(long, requires = "listen")]
    no_cluster: bool,
    /// End when stdin does
    #[arg(long, hide = true)]
    supervised: bool,
    #[command(flatten)]
    pd: PdArgs,
    #[command(flatten)]
    prometheus: PrometheusArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
}

pub fn run(args: Args) -> CliResult {
    let Command::Run(args) = args.command;
    let overrides = config::Overrides {
        interval: args.interval,
        heartbeat_limit: args.heartbeat_limit,
        election_limit: args.election_limit,
        rate_window: args.rate_window,
    };
    let file = Home::from_env()?.config()?;
    let config = Config::from_table(&file, overrides)?;
    let notify = Notify::from_table(&file, std::env::var(notify::URL_VAR).ok())?;
    let token = token(&args)?;
    let mut look = if args.no_cluster {
        cluster::Options::new("")
    } else {
        args.pd.options()?
    };
    look.rate_window = config.rate_window;
    look.prometheus = args.prometheus.client(look.timeout)?;
    let options = RunOptions {
        ledger: args.ledger.path()?,
        config,
        cluster_id: args.cluster_id,
        once: args.once,
        door: Arc::new(Door::default()),
    };
    // Nothing is clear that nobody looked at.
    let mut clear = false;
    let runtime = runtime()?;
    let ran = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        stop_on_signal(stop.clone())?;
        if args.supervised {
            stop_at_end_of_input(stop);
        } else {
            // Nobody else may hold the last sender, or the loop would think it was told to end.
            std::mem::forget(stop);
        }
        if let Some(address) = &args.listen {
            listen(address, token, &options).await?;
        }
        if let Some(notify) = notify.filter(|_| !args.once) {
            let (ledger, door) = (options.ledger.clone(), options.door.clone());
            tokio::spawn(notify::run(notify, ledger, door, |text| {
                tracing::warn!("{text}");
                eprintln!("operator-tui monitor: {text}");
            }));
        }
        let mut told = false;
        monitor::run(
            Client::new(look),
            options,
            stopped,
            |report| {
                clear = report.violations.is_empty();
                print(report, args.json);
            },
            |lock| {
                if !std::mem::replace(&mut told, true) {
                    eprintln!(
                        "operator-tui monitor: another monitor watches this cluster ({}): waiting for it to end",
                        lock.display()
                    );
                }
            },
        )
        .await?;
        color_eyre::Result::<()>::Ok(())
    });
    // A blocked read of stdin must not hold the process.
    runtime.shutdown_background();
    ran?;
    Ok(if args.once && !clear {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Takes the port, or says why it cannot; then serves beside the checks.
async fn listen(
    address: &str,
    token: Option<Token>,
    options: &RunOptions,
) -> color_eyre::Result<()> {
    let listener = Listener::bind(address).await?;
    let at = listener.address();
    eprintln!("operator-tui monitor: listening on http://{at}");
    if !at.ip().is_loopback() && token.is_none() {
        eprintln!(
            "operator-tui monitor: no alerts are taken there, for it can be reached from outside and no token is set"
        );
    }
    let (ledger, door) = (options.ledger.clone(), options.door.clone());
    tokio::spawn(async move {
        if let Err(e) = listener.serve(ledger, token, door).await {
            eprintln!("operator-tui monitor: listens no more: {e}");
        }
    });
    Ok(())
}

fn token(args: &RunArgs) -> color_eyre::Result<Option<Token>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).wrap_err_with(|| format!("--token-file {}", path.display()))
    };
    let text = match &args.token_file {
        Some(path) => Some(read(path)?),
        None => args.token.clone().filter(|t| !t.is_empty()),
    };
    if text.as_ref().is_some_and(|t| t.trim().len() < 8) {
        return Err(eyre!(
            "the token is shorter than 8 characters: anybody could guess it"
        ));
    }
    Ok(text.as_deref().map(Token::new))
}

fn stop_on_signal(stop: watch::Sender<bool>) -> color_eyre::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {}, _ = hup.recv() => {} }
        let _ = stop.send(true);
    });
    Ok(())
}

fn stop_at_end_of_input(stop: watch::Sender<bool>) {
    tokio::spawn(async move {
        let mut buffer = [0; 256];
        let mut input = tokio::io::stdin();
        while !matches!(input.read(&mut buffer).await, Ok(0) | Err(_)) {}
        let _ = stop.send(true);
    });
}

fn print(report: &Report, json: bool) {
    use std::io::Write;
    // The reader may be gone; the ledger has it all.
    let mut out = std::io::stdout().lock();
    if json {
        let line = serde_json::to_string(report).unwrap_or_default();
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
        return;
    }
    let o = &report.outcome;
    for (ids, word) in [
        (&o.opened, "Created ticket"),
        (&o.reopened, "Reopened ticket"),
        (&o.proven, "Proven: ticket"),
        (&o.refuted, "Not proven: ticket"),
        (&o.cleared, "Cleared ticket"),
    ] {
        for id in ids {
            let _ = writeln!(out, "{word} #{id}");
        }
    }
    for v in &report.violations {
        let word = if v.reading == Reading::Violated {
            "violated"
        } else {
            "unknown"
        };
        let _ = writeln!(out, "  {word:<9} {}  {}", v.key, one_line(&v.message));
    }
    let _ = match (report.ok, o.violated, o.unknown) {
        (true, 0, 0) => writeln!(out, "Check complete: all clear"),
        (_, v, u) => writeln!(out, "Check complete: {v} violated, {u} unknown"),
    };
    let _ = out.flush();
}
