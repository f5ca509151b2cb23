//! The `[agent]` part of `config.toml`, and what flags and the environment make of it: flags win
//! over the environment, that over the file, that over the defaults.
//!
//! ```toml
//! [agent]
//! model = "claude-opus-5-5"
//! small_model = "claude-haiku-5-5"   # summaries and web searches; "none" for neither
//! effort = "high"                    # low, medium, high, xhigh or max
//! max_tokens = 32000                 # of one turn
//!
//! [agent.api]
//! base_url = "https://api.anthropic.com"
//! version = "2023-06-01"
//! betas = "one,two"
//! headers = "x-team: sre"            # one `Name: value` a line
//! tries = 8                          # of one turn, the first included
//!
//! [agent.budget]                     # of one ticket, all its sessions together
//! turns = 200
//! tokens = 20000000
//! usd = 5.0
//! time = "2h"
//! usd_per_day = 25.0                 # of all agents of the ledger, by UTC days
//!
//! [agent.web]
//! search = "api"                     # or "searxng", "brave", "none"
//! searxng = "http://search.internal:8080"
//! private_addresses = false          # whether web_fetch may read them
//!
//! [agent.models."my-model"]          # in place of what is known of it
//! price = { input = 1.0, output = 5.0, cache_read = 0.1, cache_write = 1.25 }
//! context = 128000
//! output = 32000
//! effort = false
//! ```

mod file;

use crate::{
    budget::Budget,
    model::{
        DEFAULT_MODEL, SMALL_MODEL,
        anthropic::{Credential, Options},
        catalog::{Facts, SmallModel},
        rehearsal,
    },
    tools::web_search::SearchBackend,
};
pub use file::{AgentSection, ConfigFile};
use jiff::SignedDuration;
use std::time::Duration;

/// Tokens of one turn, where nobody says.
const MAX_TOKENS: u32 = 32_000;
/// Sent to models that are known to take one, where nobody says.
const EFFORT: &str = "high";
/// Tries of one turn that may be asked for.
const MAX_TRIES: u32 = 15;
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];
/// For `small_model`: do without.
const NONE: &str = "none";

/// What flags say; None where they do not.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub model: Option<String>,
    pub effort: Option<String>,
    pub turns: Option<u64>,
    pub tokens: Option<u64>,
    pub usd: Option<f64>,
    pub time: Option<String>,
    pub usd_per_day: Option<f64>,
}

/// Everything settled.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `rehearsal`, or the id of a model.
    pub model: String,
    /// Facts of the model for the work.
    pub facts: Facts,
    /// The model for summaries and searches, if there is to be one.
    pub small: Option<SmallModel>,
    pub effort: Option<String>,
    pub max_tokens: u32,
    pub api: Options,
    pub budget: Budget,
    /// Whether somebody chose the token cap, and the cap in dollars.
    pub tokens_chosen: bool,
    pub usd_chosen: bool,
    /// What people should know about what was made of their settings.
    pub warnings: Vec<String>,
    pub search: SearchBackend,
    pub private_addresses: bool,
    /// The configuration names the server that a key of the environment would be sent to.
    pub key_led_elsewhere: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Settings {
    /// `file`: what `config.toml` says. `env`: a variable of the environment, if it is set.
    pub fn settle(
        file: AgentSection,
        flags: Flags,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let env = |name: &str| env(name).filter(|v| !v.trim().is_empty());
        let credential = Credential::find(env);
        let mut api = Options::new(credential);
        let mut endpoint_of_file = false;
        if let Some(base) = env("ANTHROPIC_BASE_URL") {
            api.base = base;
        } else if let Some(base) = file.api.base_url {
            api.base = base;
            endpoint_of_file = !api.is_original();
        }
        if let Some(version) = env("ANTHROPIC_VERSION").or(file.api.version) {
            api.version = version;
        }
        api.betas = env("ANTHROPIC_BETAS").or(file.api.betas);
        let headers = env("ANTHROPIC_CUSTOM_HEADERS");
        let key_of_environment = !api.credential.is_none() || headers.is_some();
        api.headers = headers.or(file.api.headers).unwrap_or_default();
        api.tries = file.api.tries.unwrap_or(api.tries).clamp(1, MAX_TRIES);
        let asked = flags.model.filter(|m| !m.is_empty());
        if let Some(id) = &asked
            && id != rehearsal::NAME
            && api.credential.is_none()
            && api.is_original()
        {
            return Err(SettingsError(format!(
                "--model {id} needs a key: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or \
                 rehearse with --model {}",
                rehearsal::NAME
            )));
        }
        let named = asked.or_else(|| env("ANTHROPIC_MODEL")).or(file.model);
        // A server that wants no key must at least be told which model.
        let model = match named {
            Some(id) if !api.credential.is_none() || !api.is_original() => id,
            None if !api.credential.is_none() => DEFAULT_MODEL.into(),
            _ => rehearsal::NAME.into(),
        };
        let facts = if model == rehearsal::NAME {
            Facts::FREE
        } else {
            Facts::of_model(&model, &file.models)
        };
        // Another server need not have the small model of the original.
        let small = env("ANTHROPIC_DEFAULT_HAIKU_MODEL")
            .or(file.small_model)
            .or_else(|| api.is_original().then(|| SMALL_MODEL.into()))
            .filter(|id| id != NONE && model != rehearsal::NAME)
            .map(|id| SmallModel {
                facts: Facts::of_model(&id, &file.models),
                model: id,
            });
        let mut warnings = Vec::new();
        let small = small.filter(|small| {
            let known = small.facts.price.is_some();
            if !known {
                let id = &small.model;
                warnings.push(format!(
                    "{id} writes no summaries and searches nothing: what it costs is not known; \
                     [agent.models.\"{id}\"] in config.toml can say so"
                ));
            }
            known
        });
        let effort = flags
            .effort
            .or(file.effort)
            .or_else(|| facts.effort.then(|| EFFORT.into()));
        if let Some(effort) = effort.as_deref().filter(|e| !EFFORTS.contains(e)) {
            return Err(SettingsError(format!(
                "no effort {effort}: it is one of {}",
                EFFORTS.join(", ")
            )));
        }
        let usual = Budget::default();
        let tokens = flags.tokens.or(file.budget.tokens);
        let usd = flags.usd.or(file.budget.usd);
        let budget = Budget {
            turns: flags.turns.or(file.budget.turns).unwrap_or(usual.turns),
            tokens: tokens.unwrap_or(usual.tokens),
            usd: usd.unwrap_or(usual.usd),
            wall: match flags.time.or(file.budget.time) {
                Some(text) => duration(&text)?,
                None => usual.wall,
            },
            usd_per_day: flags
                .usd_per_day
                .or(file.budget.usd_per_day)
                .unwrap_or(usual.usd_per_day),
        };
        check(&budget)?;
        let search = SearchBackend::settle(
            file.web.search.as_deref(),
            file.web.searxng,
            file.web.brave.as_deref(),
            env("BRAVE_API_KEY"),
            api.is_original() && small.is_some(),
        )
        .map_err(SettingsError)?;
        Ok(Self {
            max_tokens: file
                .max_tokens
                .unwrap_or(MAX_TOKENS)
                .clamp(1, facts.output.max(1)),
            search,
            model,
            facts,
            small,
            effort,
            api,
            budget,
            tokens_chosen: tokens.is_some(),
            usd_chosen: usd.is_some(),
            warnings,
            key_led_elsewhere: endpoint_of_file && key_of_environment,
            private_addresses: file.web.private_addresses,
        })
    }

    pub fn is_rehearsal(&self) -> bool {
        self.model == rehearsal::NAME
    }

    /// Why the key must not be sent where the configuration says. A file that others may have
    /// written does not decide that; `agreed`: a person did, to this endpoint.
    pub fn key_would_leave(&self, agreed: bool) -> Option<String> {
        (self.key_led_elsewhere && !agreed && !self.is_rehearsal()).then(|| {
            format!(
                "config.toml would send the key of your environment to {}, and nobody has agreed to \
                 that: set ANTHROPIC_BASE_URL to that address too, or start operator-tui in a \
                 terminal, which asks",
                shown(&self.api.base)
            )
        })
    }

    /// Dollars cannot bound what costs nobody knows how much: then somebody must choose how many
    /// tokens.
    pub fn check_price(&self) -> Result<(), SettingsError> {
        if self.facts.price.is_some() || self.tokens_chosen {
            return Ok(());
        }
        let id = &self.model;
        Err(SettingsError(format!(
            "what {id} costs is not known, so no cap in dollars can hold: say how many tokens a \
             ticket may take, with --token-cap (2000000, for instance), or what it costs, in \
             config.toml under [agent.models.\"{id}\"]"
        )))
    }
}

/// An address without the password that may be in it.
pub fn shown(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else {
        return address.to_owned();
    };
    if url.password().is_some() {
        let _ = url.set_password(Some("..."));
    }
    url.to_string()
}

fn duration(text: &str) -> Result<Duration, SettingsError> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| SettingsError(format!("{text} is no length of time: write 90m or 2h")))
}

fn check(budget: &Budget) -> Result<(), SettingsError> {
    let bad = |what: &str| {
        Err(SettingsError(format!(
            "the budget of {what} must be more than nothing"
        )))
    };
    if budget.turns == 0 {
        return bad("turns");
    }
    if budget.tokens == 0 {
        return bad("tokens");
    }
    if budget.wall.is_zero() {
        return bad("time");
    }
    for usd in [budget.usd, budget.usd_per_day] {
        if !usd.is_finite() || usd <= 0.0 {
            return bad("US dollars");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
