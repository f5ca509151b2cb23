//! Which cluster a command is about, and how it is spoken to. Flags win over the environment, that
//! over `config.toml`, that over the defaults.
//!
//! A child is told by variables what was settled here: nothing of it stands in a command line.

use super::config_file;
use crate::cluster::{
    self, Prometheus,
    access::{Access, Whose},
    prometheus::Filter,
};
use agent_lab::tls_args::{TlsArgs, file, file_name};
use color_eyre::eyre::{WrapErr, eyre};
use operator_ledger::{
    connections::{PrometheusSection, TlsFiles},
    endpoints::{self, ExposeSecret, SecretString},
};
use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

/// Where PD is when nobody says.
const DEFAULT_PD: &str = "http://127.0.0.1:2379";
/// Headers, one a line: they may be secret.
pub(super) const HEADERS: &str = "OPERATOR_PROMETHEUS_HEADERS";

/// What a child is told.
type Variables = Vec<(OsString, OsString)>;

#[derive(Clone, Default, clap::Args)]
pub(super) struct PdArgs {
    /// Addresses of PD, separated by commas [default: http://127.0.0.1:2379]
    #[arg(long, env = "PD_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pd: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

impl PdArgs {
    /// Whether somebody said where PD is, other than `config.toml`.
    pub(super) fn is_given(&self) -> bool {
        self.pd.as_ref().is_some_and(|pd| !pd.is_empty())
    }

    /// The same files, of a PD that is elsewhere.
    pub(super) fn at(&self, pd: String) -> Self {
        Self {
            pd: Some(pd),
            ..self.clone()
        }
    }

    pub(super) fn options(&self) -> color_eyre::Result<cluster::Options> {
        let (pd, tls) = self.settle()?;
        let access = Access::new(Whose::Cluster, tls);
        Ok(cluster::Options::with(pd.expose_secret(), access))
    }

    /// Of the monitor: all of it.
    pub(super) fn variables(&self) -> color_eyre::Result<Variables> {
        let (pd, tls) = self.settle()?;
        let mut told = tls.told();
        told.push(("PD_ENDPOINT".into(), pd.expose_secret().into()));
        Ok(told)
    }

    /// Of an agent: nothing that is secret.
    pub(super) fn open_variables(&self) -> color_eyre::Result<Variables> {
        Ok(self.settle()?.1.told())
    }

    fn settle(&self) -> color_eyre::Result<(SecretString, TlsFiles)> {
        let written = config_file::read()?;
        let given = self.pd.clone().filter(|pd| !pd.is_empty());
        let pd = given.map(SecretString::from).or(written.pd.url);
        let tls = self.tls.settle(written.tls);
        Ok((pd.unwrap_or_else(|| DEFAULT_PD.into()), tls))
    }
}

#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Prometheus")]
pub(super) struct PrometheusArgs {
    /// Address of Prometheus: the stores' metrics are read there, and not from each store
    #[arg(
        long,
        env = "PROMETHEUS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    prometheus: Option<String>,
    /// Which series there are of this cluster, as in '{cluster="a"}'
    #[arg(
        long,
        env = "OPERATOR_PROMETHEUS_MATCH",
        hide_env_values = true,
        value_name = "MATCHERS"
    )]
    prometheus_match: Option<String>,
    /// A file with the bearer token that Prometheus asks for; read anew when it changes
    #[arg(long, env = "OPERATOR_PROMETHEUS_TOKEN_FILE", hide_env_values = true, value_parser = file_name(), value_name = "FILE")]
    prometheus_token_file: Option<PathBuf>,
    /// A header for each request, as in 'X-Scope-OrgID: team-a'; one that is secret is better
    /// written in config.toml
    #[arg(long, env = HEADERS, hide_env_values = true, value_delimiter = '\n', value_name = "HEADER")]
    prometheus_header: Vec<String>,
    /// Whom to trust when Prometheus speaks TLS, in place of the system's authorities
    #[arg(long, env = "OPERATOR_PROMETHEUS_CA", hide_env_values = true, value_parser = file_name(), value_name = "FILE")]
    prometheus_ca: Option<PathBuf>,
    /// The client certificate that Prometheus asks for, in PEM
    #[arg(long, env = "OPERATOR_PROMETHEUS_CERT", hide_env_values = true, value_parser = file_name(), value_name = "FILE")]
    prometheus_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "OPERATOR_PROMETHEUS_KEY", hide_env_values = true, value_parser = file_name(), value_name = "FILE")]
    prometheus_key: Option<PathBuf>,
}

impl PrometheusArgs {
    /// It, to ask; each request within `timeout`.
    pub(super) fn client(&self, timeout: Duration) -> color_eyre::Result<Option<Prometheus>> {
        let said = self.settle()?;
        let Some(url) = &said.url else {
            return Ok(None);
        };
        let filter = said.filter.as_deref().map(str::parse::<Filter>).transpose();
        let filter = filter.map_err(|e| eyre!("which series are of this cluster: {e}"))?;
        let mut access = Access::new(Whose::Prometheus, said.tls());
        access.token_file.clone_from(&said.token_file);
        for (name, value) in &said.headers {
            access
                .header(name, value)
                .map_err(|e| eyre!("Prometheus: {e}"))?;
        }
        let made = Prometheus::with(url.expose_secret(), timeout, access, filter);
        Ok(Some(made.wrap_err("Prometheus cannot be asked")?))
    }

    /// Its address, for whom it may be shown.
    pub(super) fn place(&self) -> color_eyre::Result<Option<String>> {
        let url = self.settle()?.url;
        Ok(url.map(|url| endpoints::parse(url.expose_secret()).join(",")))
    }

    /// Of the monitor: all of it. Even none: what the environment or the file says was weighed here.
    pub(super) fn variables(&self) -> color_eyre::Result<Variables> {
        let said = self.settle()?;
        let url = said.url.as_ref().map_or("", |url| url.expose_secret());
        let lines: Vec<String> = said
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.expose_secret()))
            .collect();
        let mut told = self.open_variables()?;
        told.push(("PROMETHEUS_URL".into(), url.into()));
        told.push((HEADERS.into(), lines.join("\n").into()));
        Ok(told)
    }

    /// Of an agent: nothing that is secret.
    pub(super) fn open_variables(&self) -> color_eyre::Result<Variables> {
        let said = self.settle()?;
        let mut told = said.tls().told_of_prometheus();
        let filter = said.filter.clone().unwrap_or_default();
        told.push(("OPERATOR_PROMETHEUS_MATCH".into(), filter.into()));
        let token = said.token_file.clone().unwrap_or_default();
        told.push(("OPERATOR_PROMETHEUS_TOKEN_FILE".into(), token.into()));
        Ok(told)
    }

    /// Given and empty: none.
    fn settle(&self) -> color_eyre::Result<PrometheusSection> {
        let mut said = config_file::read()?.prometheus;
        if let Some(given) = &self.prometheus {
            let place = |url: &str| endpoints::parse(url);
            let written = said.url.as_ref().map(|url| place(url.expose_secret()));
            // What one address is shown is not shown to another.
            if written.is_some_and(|written| written != place(given)) {
                said = PrometheusSection::default();
            }
            said.url = Some(given.clone().into());
        }
        said.url = said
            .url
            .filter(|url| !url.expose_secret().trim().is_empty());
        if let Some(filter) = self.prometheus_match.clone().filter(|f| !f.is_empty()) {
            said.filter = Some(filter);
        }
        said.token_file = file(self.prometheus_token_file.as_ref(), said.token_file);
        said.ca = file(self.prometheus_ca.as_ref(), said.ca);
        said.cert = file(self.prometheus_cert.as_ref(), said.cert);
        said.key = file(self.prometheus_key.as_ref(), said.key);
        let headers = self
            .prometheus_header
            .iter()
            .filter(|h| !h.trim().is_empty());
        for header in headers {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                eyre!("a header of Prometheus looks like 'X-Scope-OrgID: team-a'")
            })?;
            said.headers.insert(name.trim().into(), value.trim().into());
        }
        Ok(said)
    }
}

/// An address may hold a password, and a header be one.
impl fmt::Debug for PdArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PdArgs").finish_non_exhaustive()
    }
}

impl fmt::Debug for PrometheusArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusArgs").finish_non_exhaustive()
    }
}
