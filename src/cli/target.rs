//! Which ledger and which cluster a command is about. Flags win over the environment, that over
//! `config.toml`, that over the defaults.

use super::config_file;
use crate::{
    cluster::{self, Prometheus},
    stage,
};
use color_eyre::eyre::eyre;
use operator_ledger::{Reader, home::Home};
use std::{path::PathBuf, time::Duration};

/// Set in the shell of an agent's command: the session it belongs to.
pub const SESSION_VAR: &str = "OPERATOR_SESSION";

/// Where PD is when nobody says.
pub const DEFAULT_PD: &str = "http://127.0.0.1:2379";

#[derive(Debug, Clone, Default, clap::Args)]
pub struct LedgerArgs {
    /// The ledger [default: tickets.db in OPERATOR_HOME]
    #[arg(long, value_name = "PATH")]
    pub db: Option<PathBuf>,
    /// The ledger of the embedded lab, where the demo records
    #[arg(long, conflicts_with = "db")]
    pub lab: bool,
}

impl LedgerArgs {
    pub fn path(&self) -> color_eyre::Result<PathBuf> {
        if self.db.is_none() {
            refuse_in_agent_shell("a ledger that is not named", "the record is not an agent's")?;
        }
        Ok(match &self.db {
            Some(path) => path.clone(),
            None if self.lab => stage::ledger()?,
            None => Home::from_env()?.ledger(),
        })
    }

    /// Opens an existing ledger; the error says where another one is.
    pub fn open(&self) -> color_eyre::Result<Reader> {
        let path = self.path()?;
        let hint = || -> Option<String> {
            let lab = stage::ledger().ok()?;
            (lab != path && lab.exists()).then(|| "; the demo's is read with --lab".to_owned())
        };
        match Reader::open(&path).wait() {
            Err(e @ operator_ledger::LedgerError::Missing { .. }) => {
                Err(eyre!("{e}{}", hint().unwrap_or_default()))
            }
            other => Ok(other?),
        }
    }
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct PdArgs {
    /// Addresses of PD, separated by commas [default: http://127.0.0.1:2379]
    #[arg(long, env = "PD_ENDPOINT", value_name = "URL")]
    pub pd: Option<String>,
}

impl PdArgs {
    pub fn options(&self) -> color_eyre::Result<cluster::Options> {
        if let Some(pd) = self.pd.as_deref().filter(|p| !p.is_empty()) {
            return Ok(cluster::Options::new(pd));
        }
        let written = config_file::read()?.pd;
        Ok(cluster::Options::new(
            written.as_deref().unwrap_or(DEFAULT_PD),
        ))
    }
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct PrometheusArgs {
    /// Address of Prometheus: the stores' metrics are read there, and not from each store
    #[arg(
        long,
        env = "PROMETHEUS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    prometheus: Option<String>,
}

impl PrometheusArgs {
    /// The address as given, or as `config.toml` has it. Given and empty: none.
    pub fn url(&self) -> color_eyre::Result<Option<String>> {
        if let Some(given) = &self.prometheus {
            return Ok(Some(given.clone()).filter(|p| !p.is_empty()));
        }
        let written = config_file::read()?.prometheus;
        Ok(written.filter(|p| !p.is_empty()))
    }

    /// It, to ask; each request within `timeout`.
    pub fn client(&self, timeout: Duration) -> color_eyre::Result<Option<Prometheus>> {
        let url = self.url()?;
        Ok(url.map(|url| Prometheus::new(&url, timeout)).transpose()?)
    }
}

/// Refuses what an agent's shell must not do, and says why it is not for an agent.
pub fn refuse_in_agent_shell(what: &str, why: &str) -> color_eyre::Result<()> {
    if std::env::var_os(SESSION_VAR).is_some() {
        return Err(eyre!("{what} is refused in an agent's shell: {why}"));
    }
    Ok(())
}
