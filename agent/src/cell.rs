//! The cell: where commands run. Only a runner is in there ([`crate::runner`]); the model, the key
//! and the record stay outside.

mod connection;

pub use connection::{Connection, Event, Route};

use crate::runner::{self, environment::is_passed_on};
use operator_ledger::{connections, home::LAB_DIR_VAR};
use rustix::io::{FdFlags, fcntl_setfd};
use std::{
    collections::BTreeMap, ffi::OsString, fmt, fs, io, os::fd::AsRawFd, path::PathBuf, str::FromStr,
};
use tokio::process::Command;

/// What a runner is called where it is not this very executable.
const RUNNER: &str = "operator-tui";

/// Where commands run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cell {
    /// On this machine, as this user.
    #[default]
    Host,
    /// On this machine, as another user.
    User(String),
    /// In a container that runs.
    Docker(String),
    /// Wherever a program leads that starts another one: ssh, kubectl.
    Prefix(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CellError(String);

impl FromStr for Cell {
    type Err = CellError;

    fn from_str(text: &str) -> Result<Self, CellError> {
        let wrong = |why: &str| {
            Err(CellError(format!(
                "{why}; a cell is host, host:USER, docker:CONTAINER or 'cmd:PROGRAM ARGUMENTS', as \
                 in 'cmd:ssh host' or 'cmd:kubectl exec -i pod --'"
            )))
        };
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            Some((_, "")) => wrong("nothing follows the colon"),
            Some(("host", user)) => Ok(Self::User(user.into())),
            Some(("docker", container)) => Ok(Self::Docker(container.into())),
            Some(("cmd", line)) => match shell_words::split(line) {
                Ok(words) if !words.is_empty() => Ok(Self::Prefix(words)),
                Ok(_) => wrong("no program is named"),
                Err(e) => wrong(&format!("{line}: {e}")),
            },
            _ => wrong(&format!("{text} is no cell")),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::User(user) => write!(f, "host:{user}"),
            Self::Docker(container) => write!(f, "docker:{container}"),
            Self::Prefix(words) => write!(f, "cmd:{}", shell_words::join(words)),
        }
    }
}

impl Cell {
    /// Whether commands see this machine's own files and processes.
    pub fn is_this_host(&self) -> bool {
        matches!(self, Self::Host | Self::User(_))
    }
}

/// How runners are started.
#[derive(Debug, Clone)]
pub struct Door {
    pub cell: Cell,
    /// What a runner is called in the cell. None: this very executable on this host, else
    /// `operator-tui`.
    pub runner: Option<PathBuf>,
    /// This executable.
    pub executable: PathBuf,
    /// What has the `lab exec` that leads into a container.
    pub dashboard: PathBuf,
    /// Where the things are that a command may ask for. Where the record is, is not among them.
    pub around: Surroundings,
}

#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub lab_dir: PathBuf,
    pub pd: Option<String>,
    pub prometheus: Option<String>,
}

impl Door {
    /// What starts a runner, and a file that must stay open until it has begun.
    fn program(&self) -> io::Result<(Command, Option<fs::File>)> {
        let named = |name: &str| {
            let given = self.runner.clone().map(PathBuf::into_os_string);
            given.unwrap_or_else(|| name.into())
        };
        let (argv, open): (Vec<OsString>, _) = match &self.cell {
            Cell::Host => (
                vec![
                    self.runner
                        .clone()
                        .unwrap_or_else(|| self.executable.clone())
                        .into(),
                ],
                None,
            ),
            Cell::User(user) => {
                // The path may lead through folders that this user cannot enter.
                let file = fs::File::open(&self.executable)?;
                fcntl_setfd(&file, FdFlags::empty())?;
                let own = format!("/proc/self/fd/{}", file.as_raw_fd());
                let argv = ["runuser", "-u", user, "--"].map(OsString::from);
                (argv.into_iter().chain([named(&own)]).collect(), Some(file))
            }
            Cell::Docker(container) => {
                let mut argv = vec![self.dashboard.clone().into_os_string()];
                argv.extend(["lab", "exec", "--in", container, "--"].map(OsString::from));
                argv.push(named(RUNNER));
                (argv, None)
            }
            Cell::Prefix(words) => {
                let words = words.iter().map(OsString::from);
                (words.chain([named(RUNNER)]).collect(), None)
            }
        };
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).arg(runner::ROLE);
        if self.cell.is_this_host() {
            command.env_clear();
            let own = std::env::vars_os().filter(|(name, _)| is_passed_on(name));
            command.envs(own).env(LAB_DIR_VAR, &self.around.lab_dir);
            if let Cell::User(user) = &self.cell {
                command.env_remove("HOME").env_remove("TMPDIR");
                command.env("USER", user).env("LOGNAME", user);
            }
        }
        Ok((command, open))
    }

    /// What commands are told of their surroundings.
    fn environment(&self) -> BTreeMap<String, String> {
        let mut told = BTreeMap::new();
        let mut set = |name: &str, value: String| told.insert(name.to_owned(), value);
        if let Some(pd) = &self.around.pd {
            set("PD_ENDPOINT", pd.clone());
        }
        if let Some(prometheus) = &self.around.prometheus {
            set("PROMETHEUS_URL", prometheus.clone());
        }
        // Files of this machine mean nothing elsewhere.
        if self.cell.is_this_host() {
            set(LAB_DIR_VAR, self.around.lab_dir.display().to_string());
            for name in connections::TOLD {
                if let Some(value) = std::env::var(name).ok().filter(|v| !v.is_empty()) {
                    set(name, value);
                }
            }
        }
        told
    }

    /// What to do about a cell in which there is no runner.
    fn advice(&self) -> String {
        let bring = "bring operator-tui there (one file, of the same system and processor) and name \
                     it with --runner PATH";
        match &self.cell {
            Cell::Host => "--runner names another one".into(),
            Cell::User(user) => format!(
                "it needs root here, `runuser`, a user {user}, and an executable that {user} may run \
                 (--runner PATH)"
            ),
            Cell::Docker(container) => format!(
                "the container must run, and have a runner: `docker cp $(command -v operator-tui) \
                 {container}:/usr/local/bin/`, or --runner PATH"
            ),
            Cell::Prefix(_) => bring.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_as_it_is_shown() {
        for text in [
            "host",
            "host:deploy",
            "docker:lab-agent-1",
            "cmd:ssh -p 2222 'a host'",
            "cmd:kubectl exec -i pod --",
        ] {
            assert_eq!(text.parse::<Cell>().unwrap().to_string(), text);
        }
        for text in [
            "", "hosts", "host:", "docker:", "cmd:", "cmd:  ", "cmd:a 'b", "ssh:x",
        ] {
            let why = text.parse::<Cell>().unwrap_err().to_string();
            assert!(why.contains("a cell is host"), "{text}: {why}");
        }
    }
}
