//! Arguments of the agent, and putting it together: which model, which ledger, who may steer it.

use crate::{
    cluster_id::ClusterId,
    consent::{self, Consent},
    control::{self, Desk, Stop},
    emit::{Emitter, Form},
    event::{Kind, Mode, Outcome},
    home::Home,
    ledger::{DEFAULT_LEASE, Holder, Ledger},
    model::{
        DEFAULT_MODEL, Model,
        anthropic::{Anthropic, Credential, Options},
        rehearsal,
    },
    price::Price,
    prompt::Place,
    redact::Redactor,
    session::Setting,
    tools::{
        environment::{RunFolder, Surroundings},
        shell, strays,
    },
    work::{self, Finished, Plan},
};
use clap::{Parser, ValueEnum};
use color_eyre::eyre::{Context, Report, bail, eyre};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Time between the wish to stop and the end, whatever hangs.
const LAST_RESORT: Duration = Duration::from_millis(1800);
/// US dollars a session may cost where nobody says.
const SPEND_CAP: f64 = 5.0;
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
    /// Consent to a real model's shell outside a container
    #[arg(long)]
    pub host_shell: bool,
    /// US dollars a session of a real model may cost [default: as agreed to, or 5]
    #[arg(long, value_name = "USD")]
    pub spend_cap: Option<f64>,
    /// End when stdin ends or nobody reads stdout
    #[arg(long)]
    pub supervised: bool,
    /// Events as JSON lines, in a terminal too
    #[arg(long)]
    pub json: bool,
    /// Take tickets of this cluster [default: as PD, or the ledger's monitor, says]
    #[arg(long, value_name = "ID")]
    pub cluster_id: Option<String>,
    /// PD addresses, separated by commas
    #[arg(long, env = "PD_ENDPOINT", value_name = "URL")]
    pub pd: Option<String>,
    /// Prometheus address
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    pub prometheus: Option<String>,
    /// Seconds a claim lasts without renewal
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub lease: Option<f64>,
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

/// The executable `agent_lab`.
pub fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(report) => {
            let causes: Vec<String> = report.chain().map(ToString::to_string).collect();
            eprintln!("agent_lab: {}", causes.join(": "));
            ExitCode::FAILURE
        }
    }
}

/// Runs the agent until it is asked to end, or as the arguments say.
pub fn run(args: &Args) -> color_eyre::Result<ExitCode> {
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
    drop(Ledger::open(&ledger)?);
    let mut chosen = choose_model(args, &home, &ledger)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .wrap_err("cannot start the runtime")?;
    let outcome = runtime.block_on(agent(args, &home, &ledger, &mut chosen));
    runtime.shutdown_background();
    Ok(match outcome? {
        Finished::Stopped | Finished::Once(Outcome::Resolved) => ExitCode::SUCCESS,
        Finished::Once(_) => ExitCode::FAILURE,
    })
}

/// A model, and what it is allowed.
struct Chosen {
    model: Box<dyn Model>,
    /// Secrets that must never leave this process.
    own: Vec<String>,
    /// US dollars a session may cost.
    spend_cap: f64,
}

fn choose_model(args: &Args, home: &Home, ledger: &Path) -> color_eyre::Result<Chosen> {
    let credential = Credential::from_env();
    if !credential.is_none() {
        // Neither a command of the same user nor a core dump gets at the key.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    // Hidden even in a rehearsal: it is in this process all the same.
    let own: Vec<String> = credential.secret().into_iter().collect();
    let wanted = Consent::wanted(ledger, args.spend_cap.unwrap_or(SPEND_CAP));
    let agreed = wanted.remembered(home);
    // What was agreed to holds, unless less is asked for.
    let agreed_cap = agreed
        .as_ref()
        .map_or(wanted.spend_cap_usd, |a| a.spend_cap_usd);
    let spend_cap = args.spend_cap.map_or(agreed_cap, |cap| cap.min(agreed_cap));
    let rehearse = || {
        let model = Box::new(rehearsal::Rehearsal::default());
        Ok(Chosen {
            model,
            own: own.clone(),
            spend_cap,
        })
    };
    let flag = args.model.clone().filter(|m| !m.is_empty());
    let environment = std::env::var("ANTHROPIC_MODEL")
        .ok()
        .filter(|m| !m.is_empty());
    let own_server = std::env::var_os("ANTHROPIC_BASE_URL").is_some_and(|v| !v.is_empty());
    let id = match (flag, environment) {
        (Some(id), _) if id == rehearsal::NAME => return rehearse(),
        (Some(id), _) if credential.is_none() && !own_server => bail!(
            "--model {id} needs a key: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or rehearse \
             with --model {}",
            rehearsal::NAME
        ),
        (Some(id), _) => id,
        (None, Some(id)) if id == rehearsal::NAME => return rehearse(),
        _ if credential.is_none() => return rehearse(),
        (None, id) => id.unwrap_or_else(|| DEFAULT_MODEL.into()),
    };
    if !args.host_shell && agreed.is_none() && !consent::in_container() {
        bail!(
            "{id} would get a shell on this machine, as {} on {}, outside a container, to work on \
             {}, for at most {spend_cap:.2} US dollars a session; nobody has agreed to that yet: \
             agree with --host-shell, run it in a container, or rehearse with --model {}",
            wanted.user,
            wanted.host,
            wanted.ledger.display(),
            rehearsal::NAME
        );
    }
    let model = Anthropic::new(&Options::from_env(&id, credential)).map_err(|e| eyre!(e))?;
    Ok(Chosen {
        model: Box::new(model),
        own,
        spend_cap,
    })
}

async fn agent(
    args: &Args,
    home: &Home,
    ledger: &Path,
    chosen: &mut Chosen,
) -> color_eyre::Result<Finished> {
    let model = chosen.model.as_mut();
    let stop = Stop::new();
    control::heed_signals(&stop).wrap_err("cannot listen for signals")?;
    let last_resort = stop.clone();
    tokio::spawn(async move {
        last_resort.until_asked().await;
        tokio::time::sleep(LAST_RESORT).await;
        std::process::exit(1);
    });
    let (requests, mut desk) = Desk::new();
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
    let folder = RunFolder::create(home.dir())
        .wrap_err_with(|| format!("cannot use {}", home.dir().display()))?;
    let setting = Setting {
        ledger: ledger.to_path_buf(),
        emitter: emitter.clone(),
        stop,
        redactor: Redactor::new(chosen.own.iter().cloned()),
        holder: Holder::this_process(),
        place: Place {
            pd: args.pd.clone(),
            prometheus: args.prometheus.clone(),
            ledger: ledger.display().to_string(),
            dashboard: folder.has_dashboard(),
            limit_s: shell::DEFAULT_LIMIT.as_secs(),
        },
        around: Surroundings {
            operator_home: home.dir().to_path_buf(),
            pd: args.pd.clone(),
            prometheus: args.prometheus.clone(),
        },
        folder,
        executable: PathBuf::from("/proc/self/exe"),
        adopts: strays::adopt(),
        mode: args.mode.into(),
        lease: lease(args.lease)?,
        price: if model.name() == rehearsal::NAME {
            Some(Price::FREE)
        } else {
            Price::of_model(model.name())
        },
        spend_cap_usd: chosen.spend_cap,
    };
    emitter.emit(Kind::Hello {
        agent: "agent_lab".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        model: model.name().into(),
        mode: setting.mode,
        ledger: ledger.display().to_string(),
    });
    let plan = Plan {
        cluster: ClusterId::find(args.cluster_id.clone(), args.pd.as_deref()),
        once: args.once,
        ticket: args.ticket,
    };
    let finished = work::run(&setting, &plan, model, &mut desk).await;
    if let Err(e) = &finished {
        emitter.notice(None, crate::event::Level::Error, e.to_string());
    }
    writer.close(FLUSH);
    finished.map_err(Report::from)
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
