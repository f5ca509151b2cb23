//! Files for TLS of PD and the stores, as flags and variables name them.

use clap::builder::{OsStringValueParser, TypedValueParser};
use operator_ledger::connections::TlsFiles;
use std::path::PathBuf;

#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the flags are called so")]
pub struct TlsArgs {
    /// Whom to trust when PD and the stores speak TLS: certificates of authorities, in PEM
    #[arg(
        long,
        env = "OPERATOR_TLS_CA",
        hide_env_values = true,
        value_parser = file_name(),
        value_name = "FILE",
        help_heading = "TLS of PD and the stores"
    )]
    tls_ca: Option<PathBuf>,
    /// The client certificate that PD asks for, in PEM
    #[arg(
        long,
        env = "OPERATOR_TLS_CERT",
        hide_env_values = true,
        value_parser = file_name(),
        value_name = "FILE",
        help_heading = "TLS of PD and the stores"
    )]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(
        long,
        env = "OPERATOR_TLS_KEY",
        hide_env_values = true,
        value_parser = file_name(),
        value_name = "FILE",
        help_heading = "TLS of PD and the stores"
    )]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// As given, else as it is written in `config.toml`.
    pub fn settle(&self, written: TlsFiles) -> TlsFiles {
        TlsFiles {
            ca: file(self.tls_ca.as_ref(), written.ca),
            cert: file(self.tls_cert.as_ref(), written.cert),
            key: file(self.tls_key.as_ref(), written.key),
        }
    }
}

/// A variable may be there and empty, which says that there is none.
pub fn file_name() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// As given, or as written; an empty one is none.
pub fn file(given: Option<&PathBuf>, written: Option<PathBuf>) -> Option<PathBuf> {
    let is_one = |file: &PathBuf| !file.as_os_str().is_empty();
    given.cloned().filter(is_one).or(written).filter(is_one)
}
