//! A log for developers: `OPERATOR_LOG=debug` writes one file a process and a day into `log/` of
//! OPERATOR_HOME, never to stderr, which belongs to people and, under a dashboard, to nobody.
//!
//! What an agent did is not looked up here: that is in the ledger.

use color_eyre::eyre::{WrapErr, eyre};
use operator_ledger::home::Home;
use tracing_appender::{
    non_blocking::WorkerGuard,
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::EnvFilter;

/// A level, or directives as `tracing_subscriber` reads them.
pub const LOG_VAR: &str = "OPERATOR_LOG";

/// Days that are kept.
const DAYS: usize = 7;

/// Crates that a bare level is about: at `debug` those of others would fill the file, and some
/// write down what they send.
const OURS: [&str; 4] = [
    "operator_tui",
    "agent_lab",
    "operator_ledger",
    "operator_lab",
];

/// Begins to log, if that is asked for. `process` names the file. What is returned must live as long
/// as the process: it writes down what is left when it is dropped.
pub fn start(process: &str) -> color_eyre::Result<Option<WorkerGuard>> {
    let Some(asked) = std::env::var(LOG_VAR).ok().filter(|v| !v.trim().is_empty()) else {
        return Ok(None);
    };
    let filter = filter(&asked)?;
    let folder = Home::from_env()?.create()?.dir().join("log");
    std::fs::create_dir_all(&folder)
        .wrap_err_with(|| format!("cannot log to {}", folder.display()))?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(process)
        .filename_suffix("log")
        .max_log_files(DAYS)
        .build(&folder)
        .wrap_err_with(|| format!("cannot log to {}", folder.display()))?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer)
        .try_init()
        .map_err(|e| eyre!("cannot log: {e}"))?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, pid = std::process::id(), "{process} starts");
    Ok(Some(guard))
}

fn filter(asked: &str) -> color_eyre::Result<EnvFilter> {
    let asked = asked.trim();
    let directives = if asked.contains(['=', ',']) {
        asked.to_owned()
    } else {
        let ours = OURS.map(|name| format!("{name}={asked}"));
        format!("warn,{}", ours.join(","))
    };
    EnvFilter::try_new(directives).map_err(|e| eyre!("{LOG_VAR}={asked}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_about_our_crates_alone() {
        let all = filter("debug").unwrap().to_string();
        assert!(
            all.contains("agent_lab=debug") && all.contains("warn") && !all.contains("hyper"),
            "{all}"
        );
        assert_eq!(filter("hyper=trace").unwrap().to_string(), "hyper=trace");
        assert!(filter("louder").unwrap_err().to_string().contains("louder"));
    }
}
