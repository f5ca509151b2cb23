//! Arguments of the agent, and putting it together: which model, which ledger, who may steer it.

use crate::{
    access::{Access, Whose},
    cell::{Cell, Connection, Door, Surroundings},
    cluster_id::ClusterId,
    consent::{self, Consent},
    control::{self, ControlInbox, Stop},
    emit::{Emitter, Form},
    keys, log,
    model::{
        Model,
        anthropic::{Anthropic, Api, RequestOptions},
        rehearsal,
    },
    prompt::Place,
    redact::Redactor,
    runner::environment::LAB,
    session::SessionContext,
    settings::{ConfigFile, Flags, Settings},
    summaries::{Summaries, SummaryBudget},
    tls_args::TlsArgs,
    tools::{shell, web_fetch::Fetcher, web_search::Search},
    work::{self, Finished, Plan},
};
use clap::{Parser, ValueEnum};
use color_eyre::eyre::{Context, Report, bail, eyre};
use operator_ledger::{
    AgentLedger, DEFAULT_LEASE, Holder, SystemId,
    endpoints::{self, ExposeSecret},
    event::{Kind, Mode, Outcome},
    home::{Home, lab_dir},
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Exit code of a supervised role that ended because of TERM: who supervises it knows whether that
/// was its own.
pub const TERMINATED: u8 = 128 + 15;
/// Time between the wish to stop and the end, whatever hangs.
const LAST_RESORT: Duration = Duration::from_millis(1800);
/// How long summaries that are still missing are waited for, when the work is done and when
/// somebody wants the end.
const LAST_SUMMARIES: Duration = Duration::from_secs(10);
const LAST_WORDS: Duration = Duration::from_millis(300);
/// The part of a cap up to which summaries are paid for; the rest is for the work.
const SUMMARIES_UP_TO: f64 = 0.9;
/// How long whoever reads the events is waited for at the end.
const FLUSH: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Parser)]
#[command(name = "agent_lab", version, about, max_term_width = 100)]
pub struct Args {
    /// Ledger to work on [default: tickets.db in OPERATOR_HOME]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// End after one session, exit code 0 if its repair was proven
    #[arg(long)]
    pub once: bool,
    /// Work on this ticket, then end
    #[arg(long, value_name = "ID")]
    pub ticket: Option<i64>,
    /// How much it may do by itself
    #[arg(long, value_enum, default_value_t = ModeArg::Autonomous)]
    pub mode: ModeArg,
    /// `rehearsal`, or a model id [default: a current model if there is a key, else rehearsal]
    /// [env: ANTHROPIC_MODEL]
    #[arg(long, value_name = "ID")]
    pub model: Option<String>,
    /// How hard it thinks: low, medium, high, xhigh or max
    #[arg(long, value_name = "LEVEL")]
    pub effort: Option<String>,
    /// Consent to a real model's shell outside a container
    #[arg(long)]
    pub host_shell: bool,
    /// US dollars a ticket may cost [default: as agreed to, or 5]
    #[arg(long, value_name = "USD")]
    pub spend_cap: Option<f64>,
    /// Tokens a ticket may take [default: 20000000]
    #[arg(long, value_name = "N")]
    pub token_cap: Option<u64>,
    /// Turns a ticket may take [default: 200]
    #[arg(long, value_name = "N")]
    pub turn_cap: Option<u64>,
    /// Time a ticket may take [default: 2h]
    #[arg(long, value_name = "TIME")]
    pub time_cap: Option<String>,
    /// US dollars all agents of the ledger may spend in a day, UTC [default: 25]
    #[arg(long, value_name = "USD")]
    pub day_cap: Option<f64>,
    /// End when stdin ends or nobody reads stdout
    #[arg(long)]
    pub supervised: bool,
    /// Events as JSON lines, in a terminal too
    #[arg(long)]
    pub json: bool,
    /// Take tickets of this cluster [default: as PD, or the ledger's monitor, says]
    #[arg(long, value_name = "ID")]
    pub cluster_id: Option<SystemId>,
    /// PD addresses, separated by commas
    #[arg(long, env = "PD_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub pd: Option<String>,
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Prometheus address
    #[arg(
        long,
        env = "PROMETHEUS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub prometheus: Option<String>,
    /// The lab that the shell is in, as whoever starts the agent knows it
    #[arg(long = "lab-kind", env = LAB, hide_env_values = true, value_parser = Lab::parse, default_value = "", hide = true)]
    pub lab: Lab,
    /// Where commands run: host, host:USER, docker:CONTAINER, or a program that leads there, as in
    /// 'cmd:ssh HOST' or 'cmd:kubectl exec -i POD --' [default: host]
    #[arg(long, value_name = "CELL", default_value_t, hide_default_value = true)]
    pub cell: Cell,
    /// What the runner is called in the cell [default: this program on this host, else operator-tui]
    #[arg(long, value_name = "PATH")]
    pub runner: Option<PathBuf>,
    /// Seconds a claim lasts without renewal
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub lease: Option<f64>,
}

/// What the nodes are that the shell can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lab {
    /// Processes of this machine, if it is a lab at all.
    Embedded,
    /// Containers of Docker Compose.
    Compose,
}

impl Lab {
    fn parse(word: &str) -> Result<Self, String> {
        match word {
            "" | "embedded" => Ok(Self::Embedded),
            "compose" => Ok(Self::Compose),
            _ => Err("it is embedded or compose".into()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ModeArg {
    /// Runs what it thinks right
    #[default]
    Autonomous,
    /// A person approves what may change something
    Propose,
    /// Runs only what is known to change nothing
    Observe,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Autonomous => Self::Autonomous,
            ModeArg::Propose => Self::Propose,
            ModeArg::Observe => Self::Observe,
        }
    }
}

/// The arguments of this process. Wrong ones are quoted, and may be anybody's text: what is said of
/// them is cleaned as everything is.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|wrong| {
        if wrong.use_stderr() {
            let said = wrong.render().to_string();
            operator_ledger::clean::complain(format_args!("{}", said.trim_end()));
        } else {
            let _ = wrong.print();
        }
        u8::try_from(wrong.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    })
}

/// The executable `agent_lab`.
pub fn main() -> ExitCode {
    let args = match arguments() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(code) => code,
        Err(report) => {
            let causes: Vec<String> = report.chain().map(ToString::to_string).collect();
            operator_ledger::clean::complain(format_args!("agent_lab: {}", causes.join(": ")));
            ExitCode::FAILURE
        }
    }
}

/// Runs the agent until it is asked to end, or as the arguments say.
pub fn run(args: &Args) -> color_eyre::Result<ExitCode> {
    let _log = log::start("agent")?;
    // Fails only when one is installed already, and then it is this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let home = Home::from_env()?;
    let ledger = match &args.db {
        Some(path) => {
            std::path::absolute(path).wrap_err_with(|| format!("--db {}", path.display()))?
        }
        None => home.create()?.ledger(),
    };
    // Says what is wrong with it before anything else starts.
    let opened = AgentLedger::open(&ledger).wait()?;
    let mut chosen = choose_model(args, &home, &ledger)?;
    tracing::info!(model = chosen.settings.model, ledger = %ledger.display(), "model chosen");
    if !chosen.settings.api.secrets().is_empty() || chosen.settings.search.secret().is_some() {
        // One that is in the configuration is as secret as one that was handed over.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .wrap_err("cannot start the runtime")?;
    let outcome = runtime.block_on(agent(args, &home, opened, &mut chosen));
    runtime.shutdown_background();
    let outcome = outcome?;
    if args.supervised && matches!(outcome, Finished::Stopped) && control::terminated() {
        return Ok(ExitCode::from(TERMINATED));
    }
    Ok(match outcome {
        Finished::Stopped | Finished::Once(Outcome::Resolved) => ExitCode::SUCCESS,
        Finished::Once(_) => ExitCode::FAILURE,
    })
}

/// A model, and what it is allowed.
struct Chosen {
    model: Box<dyn Model>,
    settings: Settings,
    /// For what is asked beside the work. None in a rehearsal.
    api: Option<Api>,
}

impl Args {
    fn flags(&self) -> Flags {
        Flags {
            model: self.model.clone(),
            effort: self.effort.clone(),
            turns: self.turn_cap,
            tokens: self.token_cap,
            usd: self.spend_cap,
            time: self.time_cap.clone(),
            usd_per_day: self.day_cap,
        }
    }
}

fn choose_model(args: &Args, home: &Home, ledger: &Path) -> color_eyre::Result<Chosen> {
    let config: ConfigFile = home.config()?;
    let mut settings = Settings::settle(config.agent, args.flags(), keys::var)?;
    if settings.is_rehearsal() {
        let model = Box::new(rehearsal::Rehearsal::default());
        return Ok(Chosen {
            model,
            settings,
            api: None,
        });
    }
    settings.check_price()?;
    let id = settings.model.clone();
    let wanted = Consent::wanted(ledger, settings.budget.usd, &settings.api.base)
        .in_mode(args.mode.into())
        .in_cell(&args.cell);
    // What was agreed to holds, unless less is asked for.
    let agreed = wanted.remembered(home);
    let agreed_endpoint = agreed.is_some();
    if let Some(Consent { spend_cap_usd, .. }) = agreed {
        let asked = settings.budget.usd;
        if settings.usd_chosen && asked > spend_cap_usd {
            settings.warnings.push(format!(
                "a ticket may cost {spend_cap_usd:.2} US dollars, as was agreed to, not {asked:.2}"
            ));
        }
        settings.budget.usd = if settings.usd_chosen {
            asked.min(spend_cap_usd)
        } else {
            spend_cap_usd
        };
    }
    if !args.host_shell && agreed.is_none() && !consent::is_contained(&args.cell) {
        bail!(
            "{id} would get a shell on this machine, as {} on {}, outside a container, to work on \
             {}, for at most {:.2} US dollars a ticket; nobody has agreed to that yet: agree with \
             --host-shell, run it in a container, or rehearse with --model {}",
            wanted.user,
            wanted.host,
            wanted.ledger.display(),
            settings.budget.usd,
            rehearsal::NAME
        );
    }
    if let Some(refused) = settings.key_would_leave(agreed_endpoint) {
        bail!("{refused}");
    }
    let api = Api::new(&settings.api).map_err(|e| eyre!(e))?;
    let options = RequestOptions {
        model: id,
        effort: settings.effort.clone(),
        thinking: settings.facts.thinking,
    };
    let model = Box::new(Anthropic {
        api: api.clone(),
        options,
        tries: settings.api.tries,
    });
    Ok(Chosen {
        model,
        settings,
        api: Some(api),
    })
}

async fn agent(
    args: &Args,
    home: &Home,

    ledger: AgentLedger,
    chosen: &mut Chosen,
) -> color_eyre::Result<Finished> {
    let Chosen {
        model,
        settings,
        api,
    } = chosen;
    let model = model.as_mut();
    let stop = Stop::new();
    control::handle_signals(&stop).wrap_err("cannot listen for signals")?;
    let last_resort = stop.clone();
    tokio::spawn(async move {
        last_resort.until_asked().await;
        tokio::time::sleep(LAST_RESORT).await;
        std::process::exit(1);
    });
    let (requests, mut inbox) = ControlInbox::new();
    if args.supervised || !io::stdin().is_terminal() {
        control::read_stdin(args.supervised, stop.clone(), requests)
            .wrap_err("cannot read control lines")?;
    }
    let person = io::stdout().is_terminal() && !args.supervised && !args.json;
    let form = if person { Form::Human } else { Form::Json };
    let (supervised, broken) = (args.supervised, stop.clone());
    let (emitter, writer) = Emitter::start(io::stdout(), form, move || {
        if supervised {
            broken.ask("nobody reads its events any more");
        }
    })
    .wrap_err("cannot write events")?;
    let (endpoints, access) = pd(args, home)?;
    let pd = (!endpoints.is_empty()).then(|| endpoints.join(","));
    let door = Door {
        cell: args.cell.clone(),
        runner: args.runner.clone(),
        executable: operator_process::executable(),
        dashboard: dashboard(),
        around: Surroundings {
            lab_dir: lab_dir()?,
            pd: pd.clone(),
            prometheus: shown(args.prometheus.as_deref()),
        },
    };
    // A cell that cannot be used is said before any ticket is taken.
    let first = Connection::open(&door, "", Vec::new()).await;
    let first = first.map_err(|e| eyre!(e))?;
    let has_dashboard = first.place.dashboard;
    tracing::info!(cell = %door.cell, place = ?first.place, "there is a runner");
    first.leave().await;
    let tell = |e: String| eyre!(e);
    let search = Search::new(&settings.search, api.as_ref(), settings.small.as_ref());
    let summary_budget = SummaryBudget {
        ticket: settings.budget.usd * SUMMARIES_UP_TO,
        day: settings.budget.usd_per_day * SUMMARIES_UP_TO,
    };
    let (behind, watch) = (
        AgentLedger::open_existing(ledger.path()),
        AgentLedger::open_existing(ledger.path()),
    );
    let (behind, watch) = (behind.await?, watch.await?);
    let summaries = match (api, &settings.small) {
        (Some(api), Some(small)) => Some(Summaries::start(
            api.clone(),
            small.clone(),
            behind.clone(),
            summary_budget,
        )),
        _ => None,
    };
    // Hidden even in a rehearsal: they are in this process all the same.
    let mut secrets = settings.api.secrets();
    secrets.extend(settings.search.secret());
    let context = SessionContext {
        ledger: ledger.clone(),
        behind,
        watch,
        home: home.dir().to_path_buf(),
        emitter: emitter.clone(),
        stop,
        redactor: Redactor::new(secrets),
        holder: Holder::this_process(),
        place: Place {
            pd,
            prometheus: shown(args.prometheus.as_deref()),
            dashboard: has_dashboard,
            compose: args.lab == Lab::Compose,
            mode: Some(args.mode.into()),
            limit_s: shell::DEFAULT_LIMIT.as_secs(),
        },
        door,
        mode: args.mode.into(),
        lease: lease(args.lease)?,
        facts: settings.facts,
        effort: settings.effort.clone(),
        max_tokens: settings.max_tokens,
        budget: settings.budget,
        fetcher: Fetcher::new(settings.private_addresses),
        search: search.map_err(tell)?,
        summaries,
    };
    emitter.emit(Kind::Hello {
        agent: "agent_lab".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        model: model.name().into(),
        mode: context.mode,
        cell: context.door.cell.to_string(),
        ledger: ledger.path().display().to_string(),
    });
    for warning in &settings.warnings {
        emitter.notice(None, operator_ledger::event::Level::Warn, warning.clone());
    }
    let plan = Plan {
        cluster: ClusterId::find(args.cluster_id.clone(), endpoints, access),
        once: args.once,
        ticket: args.ticket,
    };
    let finished = work::run(&context, &plan, model, &mut inbox).await;
    if let Err(e) = &finished {
        emitter.notice(None, operator_ledger::event::Level::Error, e.to_string());
    }
    if let Some(summaries) = &context.summaries {
        let stopped = context.stop.asked().is_some();
        summaries
            .finish(if stopped { LAST_WORDS } else { LAST_SUMMARIES })
            .await;
    }
    // One that is locked by another writer is left as it is.
    let _ = tokio::time::timeout(FLUSH, async {
        let _ = context.watch.close().await;
        let _ = context.behind.close().await;
        ledger.close().await
    })
    .await;
    writer.close(FLUSH);
    finished.map_err(Report::from)
}

/// The addresses of PD, which may be shown, and with what it is asked: as given, else as it is written
/// in `config.toml`. A dashboard gives an agent no login; that of the file is for the same address alone.
fn pd(args: &Args, home: &Home) -> color_eyre::Result<(Vec<String>, Access)> {
    let config: ConfigFile = home.config()?;
    let mut access = Access::new(Whose::Cluster, args.tls.settle(config.tls));
    let mut take = |text: &str| access.take_logins(endpoints::read(text));
    let given = args.pd.as_deref().map(&mut take).unwrap_or_default();
    let written = config.pd.url.map(|url| take(url.expose_secret()));
    let endpoints = if given.is_empty() {
        written.unwrap_or_default()
    } else {
        given
    };
    Ok((endpoints, access))
}

/// Addresses without the passwords that may be in them: neither a model nor a shell is told those.
fn shown(addresses: Option<&str>) -> Option<String> {
    let addresses = addresses.filter(|a| !a.trim().is_empty())?;
    Some(endpoints::parse(addresses).join(","))
}

/// What has `lab exec`: this executable, or the one beside `agent_lab`.
fn dashboard() -> PathBuf {
    let this = operator_process::executable();
    let file = std::fs::read_link(&this).unwrap_or_else(|_| this.clone());
    let is_agent = file.file_name().is_some_and(|n| n == "agent_lab");
    if is_agent {
        file.with_file_name("operator-tui")
    } else {
        this
    }
}

fn lease(seconds: Option<f64>) -> color_eyre::Result<Duration> {
    let Some(seconds) = seconds else {
        return Ok(DEFAULT_LEASE);
    };
    if !(0.1..=3600.0).contains(&seconds) {
        bail!("--lease must be between 0.1 and 3600 seconds");
    }
    Duration::try_from_secs_f64(seconds).map_err(|e| eyre!("--lease: {e}"))
}
