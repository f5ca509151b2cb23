//! `[tls]`, `pd` and `prometheus` of `config.toml`: where a cluster is, and how it is spoken to.
//!
//! ```toml
//! [tls]                          # PD and the stores
//! ca = "/etc/operator/ca.crt"    # whom to trust, in place of the system's authorities
//! cert = "/etc/operator/client.crt"
//! key = "/etc/operator/client.key"
//!
//! [prometheus]                   # or prometheus = "http://prometheus:9090"
//! url = "https://thanos.example/prometheus"
//! match = '{cluster="a"}'        # which series are of this cluster
//! token_file = "/var/run/secrets/token"
//! headers = { X-Scope-OrgID = "team-a" }
//! ca = "/etc/ssl/thanos.crt"     # cert and key as in [tls]
//! ```
//!
//! Files are named here and not read.

use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{collections::BTreeMap, ffi::OsString, fmt, marker::PhantomData, path::PathBuf};

/// Files for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PdSection {
    /// Addresses, separated by commas.
    pub url: Option<SecretString>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusSection {
    pub url: Option<SecretString>,
    #[serde(rename = "match")]
    pub filter: Option<String>,
    pub token_file: Option<PathBuf>,
    pub headers: BTreeMap<String, SecretString>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// How a process tells those it starts what it was told of connections. None of these holds a
/// secret: they are files, and a choice.
pub const TOLD: [&str; 8] = [
    TLS[0],
    TLS[1],
    TLS[2],
    PROMETHEUS_TLS[0],
    PROMETHEUS_TLS[1],
    PROMETHEUS_TLS[2],
    "OPERATOR_PROMETHEUS_MATCH",
    "OPERATOR_PROMETHEUS_TOKEN_FILE",
];
const TLS: [&str; 3] = ["OPERATOR_TLS_CA", "OPERATOR_TLS_CERT", "OPERATOR_TLS_KEY"];
const PROMETHEUS_TLS: [&str; 3] = [
    "OPERATOR_PROMETHEUS_CA",
    "OPERATOR_PROMETHEUS_CERT",
    "OPERATOR_PROMETHEUS_KEY",
];

impl TlsFiles {
    /// Variables by which a process that asks PD and the stores is told.
    pub fn told(&self) -> Vec<(OsString, OsString)> {
        self.variables(TLS)
    }

    /// The same of Prometheus.
    pub fn told_of_prometheus(&self) -> Vec<(OsString, OsString)> {
        self.variables(PROMETHEUS_TLS)
    }

    fn variables(&self, names: [&str; 3]) -> Vec<(OsString, OsString)> {
        let files = [self.ca.clone(), self.cert.clone(), self.key.clone()];
        let said = |file: Option<PathBuf>| file.unwrap_or_default().into_os_string();
        names
            .into_iter()
            .map(Into::into)
            .zip(files.map(said))
            .collect()
    }
}

impl PrometheusSection {
    pub fn tls(&self) -> TlsFiles {
        TlsFiles {
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
        }
    }
}

/// An address alone, or a table with more.
pub(crate) fn address_or_table<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<SecretString>,
{
    struct Either<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + From<SecretString>> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address, or a table")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            Ok(SecretString::from(text).into())
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    source.deserialize_any(Either(PhantomData))
}

impl From<SecretString> for PdSection {
    fn from(url: SecretString) -> Self {
        Self { url: Some(url) }
    }
}

impl From<SecretString> for PrometheusSection {
    fn from(url: SecretString) -> Self {
        Self {
            url: Some(url),
            ..Self::default()
        }
    }
}
