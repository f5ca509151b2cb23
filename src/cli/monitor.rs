//! `operator-tui monitor run`: the monitor in the foreground, or as a dashboard's child.

use super::{
    CliResult, config_file,
    connection::{PdArgs, PrometheusArgs},
    out, runtime,
    target::LedgerArgs,
};
use crate::{
    cluster::{self, Client},
    history::changes,
    monitor::{
        self, Config, Happened, Report, RunOptions, config,
        listener::{Listener, ListenerState, Token},
        notify::{self, Notify},
    },
    span,
};
use color_eyre::eyre::{WrapErr, eyre};
use operator_ledger::{
    Reading, SystemId,
    clean::{json_line, one_line},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

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
    #[arg(short, long, value_parser = span::parse)]
    interval: Option<Duration>,
    /// After this PD calls a silent store disconnected [default: 20s]
    #[arg(long, value_parser = span::parse)]
    heartbeat_limit: Option<Duration>,
    /// After this a region or PD has a new leader [default: 20s]
    #[arg(long, value_parser = span::parse)]
    election_limit: Option<Duration>,
    /// Over which rates and percentiles are taken [default: 10s]
    #[arg(long, value_parser = span::parse)]
    rate_window: Option<Duration>,
    /// What p99 of a store is not to be above, as in 100ms [default: high_latency's threshold]
    #[arg(long, value_parser = span::parse)]
    latency_limit: Option<Duration>,
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
        latency_limit: args.latency_limit,
    };
    let file = config_file::read()?;
    let config = Config::new(file.monitor, overrides)?;
    let notify = Notify::new(file.notify, std::env::var(notify::URL_VAR).ok())?;
    let token = token(&args)?;
    let mut look = if args.no_cluster {
        cluster::Options::new("")
    } else {
        args.pd.options()?
    };
    look.rate_window = config.rate_window;
    look.latency_limit = config.latency_limit();
    look.heartbeat_limit = config.heartbeat_limit;
    look.prometheus = args.prometheus.client(look.timeout)?;
    let options = RunOptions {
        ledger: args.ledger.path()?,
        config,
        cluster_id: args.cluster_id,
        once: args.once,
        listener: Arc::new(ListenerState::default()),
    };
    // Nothing is clear that nobody looked at.
    let mut clear = false;
    let runtime = runtime()?;
    let ran = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        if args.supervised {
            stop_at_end_of_input(stop.clone());
        }
        if let Some(address) = &args.listen {
            listen(address, token, &options).await?;
        }
        if let Some(notify) = notify.filter(|_| !args.once) {
            let (ledger, listener) = (options.ledger.clone(), options.listener.clone());
            tokio::spawn(notify::run(notify, ledger, listener, warn));
        }
        let mut told = false;
        monitor::run(
            Client::new(look)?,
            options,
            stop,
            |happened| match happened {
                Happened::Checked(report) => {
                    clear = report.violations.is_empty();
                    print(report, args.json);
                }
                Happened::Alerted(report) => print_changes(report, args.json),
                Happened::NotRecorded(why) => warn(format!("check not recorded: {why}")),
                Happened::Waiting(lock) => {
                    if !std::mem::replace(&mut told, true) {
                        warn(format!(
                            "another monitor watches this cluster ({}): waiting for it to end",
                            lock.display()
                        ));
                    }
                }
            },
        )
        .await?;
        color_eyre::Result::<()>::Ok(())
    });
    // A blocked read of stdin must not hold the process.
    runtime.shutdown_background();
    ran?;
    if args.supervised && TERMINATED.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(agent_lab::cli::TERMINATED));
    }
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
    errln!("operator-tui monitor: listening on http://{at}");
    if !at.ip().is_loopback() && token.is_none() {
        errln!(
            "operator-tui monitor: no alerts are taken there, for it can be reached from outside and no token is set"
        );
    }
    let (ledger, state) = (options.ledger.clone(), options.listener.clone());
    let rules = options.config.alerts.clone();
    tokio::spawn(async move {
        if let Err(e) = listener.serve(ledger, token, rules, state).await {
            errln!("operator-tui monitor: no longer listening: {e}");
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
        None => args.token.clone(),
    };
    if text.as_ref().is_some_and(|t| t.trim().is_empty()) {
        return Err(eyre!(
            "the token for alerts is empty (OPERATOR_WEBHOOK_TOKEN or --token-file): unset it to take alerts of this machine without one"
        ));
    }
    if text.as_ref().is_some_and(|t| t.trim().len() < 8) {
        return Err(eyre!(
            "the token is shorter than 8 characters: anybody could guess it"
        ));
    }
    Ok(text.as_deref().map(Token::new))
}

/// Tells people, and the developers' log.
#[expect(clippy::needless_pass_by_value, reason = "as the callbacks give it")]
fn warn(text: String) {
    tracing::warn!("{text}");
    errln!("operator-tui monitor: {text}");
}

/// Whether it was SIGTERM that asked for the end.
static TERMINATED: AtomicBool = AtomicBool::new(false);

fn stop_on_signal(stop: CancellationToken) -> color_eyre::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => TERMINATED.store(true, Ordering::Relaxed),
            _ = int.recv() => {}, _ = hup.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

fn stop_at_end_of_input(stop: CancellationToken) {
    tokio::spawn(async move {
        let mut buffer = [0; 256];
        let mut input = tokio::io::stdin();
        while !matches!(input.read(&mut buffer).await, Ok(0) | Err(_)) {}
        stop.cancel();
    });
}

/// Of a look between two checks: only what it changed.
fn print_changes(report: &Report, json: bool) {
    let o = &report.outcome;
    let changed = [&o.opened, &o.returned, &o.proven, &o.refuted, &o.cleared];
    if changed.iter().all(|ids| ids.is_empty()) {
        return;
    }
    let mut out = out::stdout();
    if json {
        print_json(&mut out, report);
    } else {
        print_tickets(&mut out, report);
    }
}

// The reader may be gone; the ledger has it all.
fn print_json(out: &mut impl Write, report: &Report) {
    let _ = json_line(&mut *out, report).and_then(|()| out.flush());
}

fn print_tickets(out: &mut impl Write, report: &Report) {
    let o = &report.outcome;
    for (ids, word) in [
        (&o.opened, "Created ticket"),
        (&o.returned, "Came back: incident"),
        (&o.proven, "Proven: ticket"),
        (&o.refuted, "Not proven: ticket"),
        (&o.cleared, "Cleared ticket"),
    ] {
        for id in ids {
            let _ = writeln!(out, "{word} #{id}");
        }
    }
    let _ = out.flush();
}

fn print(report: &Report, json: bool) {
    let mut out = out::stdout();
    if json {
        return print_json(&mut out, report);
    }
    print_tickets(&mut out, report);
    let o = &report.outcome;
    for change in &report.changes {
        let _ = writeln!(out, "Changed: {}", one_line(&changes::words(change)));
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
