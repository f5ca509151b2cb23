//! `config.toml`: one struct for the whole file, read in one place. What is unknown or of another
//! type than it must be is an error, at every level, that names the file, the line and what there is.
//!
//! ```toml
//! name = "ada"
//! pd = "http://pd0:2379,http://pd1:2379"
//! prometheus = "http://prometheus:9090"
//! theme = "sixteen"
//!
//! [tls]       # connections
//! [agent]     # agent_lab::settings
//! [monitor]   # operator_tui::monitor
//! [notify]    # operator_tui::monitor::notify
//! ```
//!
//! A section's type belongs to whoever uses it. Who does not use one leaves its type out and does
//! not judge what is in it. Flags and the environment, which win over the file, are not known here.

use crate::{
    connections::{PdSection, PrometheusSection, TlsFiles, address_or_table},
    home::Home,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// The whole of `config.toml`, as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    bound = "A: Section, M: Section, N: Section"
)]
pub struct ConfigFile<A = IgnoredAny, M = IgnoredAny, N = IgnoredAny> {
    /// What the person at this machine is called in the record; else `user@host`.
    pub name: Option<String>,
    #[serde(deserialize_with = "address_or_table")]
    pub pd: PdSection,
    #[serde(deserialize_with = "address_or_table")]
    pub prometheus: PrometheusSection,
    /// Of PD and the stores.
    pub tls: TlsFiles,
    /// Colours of the dashboard.
    pub theme: Option<String>,
    pub agent: A,
    pub monitor: M,
    pub notify: N,
}

/// A section of the file; one that is not there is its default.
pub trait Section: DeserializeOwned + Default {}
impl<T: DeserializeOwned + Default> Section for T {}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The line itself is not repeated: it may hold a key or an address that is secret.
    #[error("{}, line {line}: {what}", .path.display())]
    Invalid {
        path: PathBuf,
        line: usize,
        what: String,
    },
}

impl Home {
    /// `config.toml` of this folder; all defaults if there is none.
    pub fn config<A: Section, M: Section, N: Section>(
        &self,
    ) -> Result<ConfigFile<A, M, N>, ConfigError> {
        let path = self.dir().join("config.toml");
        match fs::read(&path) {
            Ok(bytes) => parse(&path, &bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(ConfigFile::default()),
            Err(source) => Err(ConfigError::Io { path, source }),
        }
    }
}

/// Reads `bytes`, which are those of `path`.
pub fn parse<A: Section, M: Section, N: Section>(
    path: &Path,
    bytes: &[u8],
) -> Result<ConfigFile<A, M, N>, ConfigError> {
    let invalid = |line, what| ConfigError::Invalid {
        path: path.to_owned(),
        line,
        what,
    };
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = line_of(bytes, e.valid_up_to());
        invalid(line, "this is not UTF-8".to_owned())
    })?;
    toml::from_str(text).map_err(|e| {
        let span = e.span().unwrap_or_default();
        invalid(
            line_of(bytes, span.start),
            explain(text, &span, e.message()),
        )
    })
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    let before = bytes.get(..at).unwrap_or(bytes);
    before.split(|b| *b == b'\n').count()
}

/// The parser's message, after the key it is about and before the name that was probably meant.
fn explain(text: &str, span: &Range<usize>, message: &str) -> String {
    let message = message.trim_end().replace('\n', ", ");
    let hint = near_miss(&message)
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    match text[line_start..span.start].split_once('=') {
        Some((key, _)) => format!("{}: {message}{hint}", key.trim()),
        None => message + &hint,
    }
}

/// Of the names that the message says there are, the one most like the one that is written.
fn near_miss(message: &str) -> Option<&str> {
    let is_unknown = ["unknown field", "unknown variant"]
        .iter()
        .any(|start| message.starts_with(start));
    if !is_unknown {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let written = names.next()?;
    names
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3 + 1)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::ExposeSecret;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Part {
        usd: Option<f64>,
        turns: Option<u64>,
    }

    fn read(bytes: &[u8]) -> Result<ConfigFile<Part>, String> {
        parse(Path::new("/h/config.toml"), bytes).map_err(|e| e.to_string())
    }

    #[test]
    fn a_missing_file_and_an_empty_one_are_all_defaults() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home::at(tmp.path());
        let read = |home: &Home| home.config::<Part, Part, Part>().unwrap();
        assert!(read(&home).pd.url.is_none());
        fs::write(tmp.path().join("config.toml"), "").unwrap();
        let config = read(&home);
        assert!(config.theme.is_none() && config.agent.usd.is_none());
    }

    #[test]
    fn every_mistake_is_said_with_its_file_its_line_and_what_there_is() {
        let cases: [(&[u8], &str); 9] = [
            (
                b"pdd = 'http://x'",
                "line 1: unknown field `pdd`, expected one of `name`, `pd`, `prometheus`, `tls`, \
                 `theme`, `agent`, `monitor`, `notify`; did you mean `pd`?",
            ),
            (b"\n\n[agnet.budget]\nusd = 1.0", "did you mean `agent`?"),
            (b"\n[notfy]\nurl = 'x'", "line 2: unknown field `notfy`"),
            (
                b"[agent]\nusd = 1.0\nturn = 2",
                "line 3: unknown field `turn`, expected `usd` or `turns`; did you mean `turns`?",
            ),
            (
                b"theme = 'mono'\npd = 5",
                "line 2: pd: invalid type: integer",
            ),
            (b"prometheus = ['x']", "line 1: prometheus: invalid type"),
            (b"agent = 'high'", "line 1: agent: invalid type: string"),
            (b"pd = 'a'\npd = 'b'", "line 2: duplicate key"),
            (b"pd = 'a'\n\xff\xfe", "line 2: this is not UTF-8"),
        ];
        for (bytes, expected) in cases {
            let why = read(bytes).unwrap_err();
            assert!(
                why.starts_with("/h/config.toml, line ") && why.contains(expected),
                "{why}"
            );
        }
    }

    #[test]
    fn what_is_written_beside_a_mistake_is_not_repeated() {
        let why = read(b"[notify]\nurl = 'http://h/secret\n").unwrap_err();
        assert!(why.contains("line 2") && !why.contains("secret"), "{why}");
    }

    #[test]
    fn an_address_stands_alone_or_in_a_table() {
        let alone = read(b"pd = 'op:secret@x'\nprometheus = 'http://p'").unwrap();
        assert_eq!(
            alone.pd.url.as_ref().unwrap().expose_secret(),
            "op:secret@x"
        );
        let shown = format!("{:?}", alone.pd);
        assert!(!shown.contains("secret"), "{shown}");
        let table = read(
            b"[pd]\nurl = 'x'\n[tls]\nca = '/c'\n[prometheus]\nurl = 'p'\n\
              match = '{cluster=\"a\"}'\nheaders = { X-Scope-OrgID = 'team' }",
        )
        .unwrap();
        assert_eq!(table.pd.url.unwrap().expose_secret(), "x");
        assert_eq!(table.tls.ca.as_deref(), Some(Path::new("/c")));
        assert_eq!(table.prometheus.filter.as_deref(), Some("{cluster=\"a\"}"));
        assert!(!format!("{:?}", table.prometheus.headers).contains("team"));
        let why = read(b"[prometheus]\ntoken = 'x'").unwrap_err();
        assert!(why.contains("line 2: unknown field `token`"), "{why}");
        assert!(why.contains("did you mean `token_file`?") || why.contains("`token_file`"));
    }

    #[test]
    fn a_section_of_somebody_else_is_not_judged() {
        let read = read(b"[monitor]\nwhatever = 1\n[agent]\nturns = 3").unwrap();
        assert_eq!(read.agent.turns, Some(3));
    }
}
