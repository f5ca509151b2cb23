//! Which model an agent that we start may use: a real one needs a key and somebody's consent to
//! give it a shell on this host. Without either it is the rehearsal, and people are told why.

use agent_lab::{
    consent::{self, Consent},
    home::Home,
};
use color_eyre::eyre::Context;
use std::{
    ffi::OsString,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

/// US dollars a session may cost, unless somebody agreed to another cap.
const SPEND_CAP: f64 = 5.0;

/// What was settled before the dashboard opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brain {
    /// Arguments for the agent.
    Real(Vec<OsString>),
    /// No real model, and why.
    Rehearsal(String),
}

/// Whether the environment holds a credential for a real model.
pub fn has_credential() -> bool {
    ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// Settles it; asks, once, if there is a person to ask. `consented` is `--host-shell`.
pub fn settle(home: &Home, ledger: &Path, consented: bool, ask: bool) -> color_eyre::Result<Brain> {
    if std::env::var("ANTHROPIC_MODEL").is_ok_and(|m| m == "rehearsal") {
        return Ok(Brain::Rehearsal("ANTHROPIC_MODEL says so".into()));
    }
    if !has_credential() {
        return Ok(Brain::Rehearsal("no API key is set".into()));
    }
    if consent::in_container() {
        return Ok(Brain::Real(Vec::new()));
    }
    let real = || Ok(Brain::Real(vec!["--host-shell".into()]));
    let wanted = Consent::wanted(ledger, SPEND_CAP);
    if consented || wanted.remembered(home).is_some() {
        return real();
    }
    if !(ask && io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let why = "a key is set, but nobody agreed to give a model a shell on this host: --host-shell does";
        return Ok(Brain::Rehearsal(why.into()));
    }
    if !asked(&wanted)? {
        return Ok(Brain::Rehearsal(
            "a shell on this host was not agreed to".into(),
        ));
    }
    wanted
        .remember(home)
        .context("cannot remember the consent")?;
    real()
}

fn asked(wanted: &Consent) -> io::Result<bool> {
    eprint!(
        "A key for a real model is set. Its agent would have a full shell, without asking again:\n\
         \n  user    {}\n  host    {}\n  ledger  {}\n  cap     ${:.2} a session\n\
         \nWithout it the demo rehearses: same lab, same commands, no model.\n\
         Give the model that shell? [y/N] ",
        wanted.user,
        wanted.host,
        wanted.ledger.display(),
        wanted.spend_cap_usd
    );
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
