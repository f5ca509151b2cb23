//! `operator-tui demo`: the walkthrough of a failure, on the embedded lab or on the one in
//! Docker Compose.

use super::{
    CliResult,
    cell::CellArgs,
    model_choice::{self, ConsentContext, ModelChoice},
    theme::ThemeArgs,
    watch,
};
use crate::{
    app::{
        self,
        model::{
            config::{Config, DemoChildren, DemoConfig, Role},
            palette::Palette,
        },
    },
    demo::{Chapter, Fault, Options, Pace, Walkthrough, chapters},
    headless::Headless,
    monitor,
    stage::{
        self,
        control::Control,
        running_lab::{Launch, Monitor},
    },
    supervisor::Spec,
};
use agent_lab::keys;
use color_eyre::eyre::Context;
use operator_lab::{LabDir, LabInfo, UpOptions};
use operator_ledger::{
    PersonLedger,
    event::Mode,
    home::{HOME_VAR, Home, LAB_DIR_VAR},
};
use operator_process::executable;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is broken
    #[arg(default_value = "tikv", value_parser = ["tikv"])]
    subject: String,
    /// Go through the chapters without being told to
    #[arg(long)]
    auto: bool,
    /// No screen: one line for each thing that happens. Exit code 0 only if the repair is proven
    #[arg(long, requires = "auto")]
    headless: bool,
    /// What is done to the store [default: what the chapter says, which is kill]
    #[arg(long)]
    fault: Option<Fault>,
    /// Leave the lab running at the end; `lab down` ends it
    #[arg(long)]
    keep_lab: bool,
    /// Fixes what is left to chance: which store is broken
    #[arg(long)]
    seed: Option<u64>,
    /// A folder with other chapters
    #[arg(long, value_name = "FOLDER")]
    chapters: Option<PathBuf>,
    /// Consent to a real model's shell on this host
    #[arg(long)]
    host_shell: bool,
    #[command(flatten)]
    cell: CellArgs,
    #[command(flatten)]
    theme: ThemeArgs,
}

pub fn run(args: Args) -> CliResult {
    let chapters = match &args.chapters {
        Some(folder) => chapters::from_folder(folder)?,
        None => chapters::tikv()?,
    };
    let nothing_runs = stage::check_free()?;
    let ledger = stage::ledger()?;
    if nothing_runs {
        monitor::lock::sweep(&ledger);
    }
    // A ledger that cannot be used is told here, not after the lab is up.
    PersonLedger::open(&ledger).wait()?;
    let home = Home::from_env()?;
    let choice = model_choice::settle(ConsentContext {
        home: &home,
        ledger: &ledger,
        mode: Mode::Autonomous,
        cell: args.cell.cell(&Launch::here()?.cell),
        agreed: args.host_shell,
        ask: (!args.headless).then_some("the demo rehearses: same lab, same commands, no model"),
    })?;
    let config = Config {
        palette: args.theme.palette()?,
        ..config(&args, chapters, ledger, choice.clone())?
    };
    if args.headless {
        return headless(config, &choice);
    }
    watch::show(config)
}

fn config(
    args: &Args,
    chapters: Vec<Chapter>,
    ledger: PathBuf,
    choice: ModelChoice,
) -> color_eyre::Result<Config> {
    let cell = args.cell.clone();
    let walk = Walkthrough::new(
        chapters,
        Options {
            pace: match (args.headless, args.auto) {
                (true, _) => Pace::Headless,
                (false, true) => Pace::Auto,
                (false, false) => Pace::Person,
            },
            fault: args.fault,
            victim: victim(args.seed),
            patience: stage::patience(),
        },
    );
    let off = || Role::Off("it starts when the lab is up".into());
    let lab: Arc<dyn Control> = stage::control()?.into();
    let dir = LabDir::from_env()?;
    let folders = Folders {
        ledger: ledger.clone(),
        lab: dir.path().into(),
    };
    Ok(Config {
        subject: args.subject.clone(),
        place: stage::place().into(),
        look: crate::cluster::Options::new(""),
        agent: off(),
        monitor: off(),
        ledger,
        lab: Some(lab),
        palette: Palette::default(),
        replay: None,
        demo: Some(DemoConfig {
            walk: Some(walk),
            lab: UpOptions {
                dir,
                lifeline: !args.keep_lab,
                fresh: true,
                load: Some(0),
            },
            children: Box::new(move |info, launch| {
                children(info, launch, &folders, &choice, &cell)
            }),
        }),
    })
}

/// The store that is broken. Without a seed, by chance.
fn victim(seed: Option<u64>) -> String {
    let mut rng = seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
    format!("tikv{}", rng.random_range(0..3))
}

/// Where a demo's record and its lab are.
struct Folders {
    ledger: PathBuf,
    lab: PathBuf,
}

/// The agent and the monitor of a lab that is up.
fn children(
    info: &LabInfo,
    launch: &Launch,
    folders: &Folders,
    choice: &ModelChoice,
    cell: &CellArgs,
) -> DemoChildren {
    let ledger = folders.ledger.as_path();
    let cluster = info.cluster_id.to_string();
    let pd = info.pd_endpoints.join(",");
    // The folder of the lab's record is their home: the user's settings are about real systems, and
    // whom they notify has not asked for a demo.
    let home = ledger.parent().unwrap_or(ledger);
    let env: Vec<(OsString, OsString)> = vec![
        (HOME_VAR.into(), home.into()),
        (LAB_DIR_VAR.into(), folders.lab.clone().into()),
        ("PD_ENDPOINT".into(), pd.into()),
    ];
    let argv = |mut argv: Vec<OsString>| -> Vec<OsString> {
        argv.extend(
            ["--supervised", "--json", "--cluster-id", &cluster, "--db"].map(OsString::from),
        );
        argv.push(ledger.into());
        argv
    };
    let mut agent = argv(launch.agent.clone());
    agent.extend(cell.arguments(&launch.cell));
    match choice {
        ModelChoice::Real(more) => agent.extend(more.iter().cloned()),
        ModelChoice::Rehearsal | ModelChoice::Without(_) => {
            agent.extend(["--model", "rehearsal"].map(OsString::from));
        }
    }
    let spec = |name, argv| Spec {
        name,
        argv,
        env: env.clone(),
        ..Spec::default()
    };
    DemoChildren {
        monitor: match &launch.monitor {
            Monitor::Start(times) => {
                let command = [executable().into(), "monitor".into(), "run".into()];
                let mut monitor = argv(command.to_vec());
                monitor.extend(times.iter().cloned());
                Role::Run(spec("monitor", monitor))
            }
            Monitor::There(place) => Role::Off(place.clone()),
        },
        agent: Spec {
            env_remove: keys::OF_THE_MONITOR.map(OsString::from).to_vec(),
            keys: true,
            ..spec("agent", agent)
        },
    }
}

fn headless(config: Config, choice: &ModelChoice) -> CliResult {
    let mut front = Headless::new();
    if let ModelChoice::Without(why) = choice {
        front.say(&format!("rehearsal: {why}"));
    }
    let outcome = app::run(config, &mut front).context("the demo")?;
    let proven = front.summary();
    if let Some(failure) = outcome.failure {
        super::complain(failure);
    }
    // Chapters may all be met and yet prove nothing: another folder's may not even ask for it.
    Ok(match outcome.code {
        0 if !proven => ExitCode::FAILURE,
        code => ExitCode::from(code),
    })
}
