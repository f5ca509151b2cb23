//! `[agent]` of `config.toml`, as it is written: every field may be left out, none may be unknown.

use crate::model::catalog::Entries;
use operator_ledger::config;
use serde::Deserialize;

/// `config.toml`, as the agent reads it.
pub type ConfigFile = config::ConfigFile<AgentSection>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSection {
    pub model: Option<String>,
    pub small_model: Option<String>,
    pub effort: Option<String>,
    pub max_tokens: Option<u32>,
    pub api: ApiSection,
    pub budget: BudgetSection,
    pub web: WebSection,
    pub models: Entries,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSection {
    pub base_url: Option<String>,
    pub version: Option<String>,
    pub betas: Option<String>,
    pub headers: Option<String>,
    pub tries: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSection {
    pub turns: Option<u64>,
    pub tokens: Option<u64>,
    pub usd: Option<f64>,
    pub time: Option<String>,
    pub usd_per_day: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSection {
    pub search: Option<String>,
    pub searxng: Option<String>,
    pub brave: Option<String>,
    pub private_addresses: bool,
}
