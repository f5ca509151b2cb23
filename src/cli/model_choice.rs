//! Which model an agent that we start may use: a real one needs a key and somebody's consent to
//! give it a shell on this host. What is done without either is for the caller; people are told why.

use super::ConfigFile;
use agent_lab::{
    cell::Cell,
    consent::{self, Consent},
    keys,
    model::rehearsal,
    settings::{Flags, Settings},
};
use color_eyre::eyre::Context;
use operator_ledger::{clean::CleanWriter, event::Mode, home::Home};
use std::{
    ffi::OsString,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

/// What was settled before the dashboard opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelChoice {
    /// A real model; arguments for the agent.
    Real(Vec<OsString>),
    /// The rehearsal, because somebody asked for it.
    Rehearsal,
    /// No real model, and why.
    Without(String),
}

/// Who settles it, and with whom.
#[derive(Debug, Clone)]
pub(super) struct ConsentContext<'a> {
    pub home: &'a Home,
    pub ledger: &'a Path,
    pub mode: Mode,
    pub cell: Cell,
    /// `--host-shell` was given.
    pub agreed: bool,
    /// Whether a person may be asked. What happens without consent, in words.
    pub ask: Option<&'a str>,
}

/// Settles it; asks, once, if there is a person to ask.
pub(super) fn settle(context: ConsentContext<'_>) -> color_eyre::Result<ModelChoice> {
    if std::env::var("ANTHROPIC_MODEL").is_ok_and(|m| m == rehearsal::NAME) {
        return Ok(ModelChoice::Rehearsal);
    }
    let set = |name| keys::var(name).is_some_and(|v| !v.is_empty());
    if !set("ANTHROPIC_API_KEY") && !set("ANTHROPIC_AUTH_TOKEN") {
        return Ok(ModelChoice::Without(
            "no key is set (ANTHROPIC_API_KEY)".into(),
        ));
    }
    let real = || Ok(ModelChoice::Real(vec!["--host-shell".into()]));
    let config: ConfigFile = context.home.config()?;
    let settings = Settings::settle(config.agent, Flags::default(), keys::var)?;
    let wanted = Consent::wanted(context.ledger, settings.budget.usd, &settings.api.base)
        .in_mode(context.mode)
        .in_cell(&context.cell);
    let remembered = wanted.remembered(context.home).is_some();
    let led_elsewhere = settings.key_would_leave(remembered);
    if led_elsewhere.is_none() {
        if consent::is_contained(&context.cell) {
            return Ok(ModelChoice::Real(Vec::new()));
        }
        if context.agreed || remembered {
            return real();
        }
    }
    let Some(otherwise) = context
        .ask
        .filter(|_| io::stdin().is_terminal() && io::stderr().is_terminal())
    else {
        let why = "a key is set, but nobody agreed to give a model a shell on this host; --host-shell does";
        return Ok(ModelChoice::Without(
            led_elsewhere.unwrap_or_else(|| why.into()),
        ));
    };
    if !asked(&wanted, context.mode, otherwise)? {
        return Ok(ModelChoice::Without(
            "a shell on this host was not agreed to".into(),
        ));
    }
    wanted
        .remember(context.home)
        .context("cannot remember the consent")?;
    real()
}

fn asked(wanted: &Consent, mode: Mode, otherwise: &str) -> io::Result<bool> {
    let meaning = match mode {
        Mode::Autonomous => "autonomous: it runs what it thinks right",
        Mode::Propose => "propose: what may change something waits for a person",
        Mode::Observe => "observe: only what is known to change nothing is run",
    };
    let question = format!(
        "A key for a real model is set. Its agent would have a shell, and you are not asked again:\n\
         \n  user    {}\n  host    {}\n  ledger  {}\n  cell    {}\n  mode    {meaning}\n  key to  {}\n  cap     ${:.2} a ticket\n\
         \nWithout it {otherwise}.\n\
         Give the model that shell? [y/N] ",
        wanted.user,
        wanted.host,
        wanted.ledger.display(),
        wanted.cell,
        wanted.endpoint,
        wanted.spend_cap_usd
    );
    let mut terminal = CleanWriter::of(io::stderr());
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
