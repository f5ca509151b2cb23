//! Consent to give a real model a shell outside a container. It names user, host, cell, ledger, the
//! endpoint that the key is sent to, and spend cap; it is asked for once, by whoever has a person in front of it, and remembered in
//! OPERATOR_HOME.
//!
//! Does not ask. An agent without consent does not start with a real model.

use crate::{cell::Cell, model::anthropic::DEFAULT_BASE, settings};
use operator_ledger::{event::Mode, home::Home};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const FILE: &str = "consent.toml";

/// What a person agreed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    pub user: String,
    pub host: String,
    pub ledger: PathBuf,
    /// Where the key is sent; without a password. Empty: agreed to before this was asked, when only
    /// the original was meant.
    #[serde(default)]
    pub endpoint: String,
    /// How much the agent may do by itself. None: agreed to before this was asked, when it was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Where commands run, as people write it.
    #[serde(default = "this_host")]
    pub cell: String,
    /// US dollars a ticket may cost.
    pub spend_cap_usd: f64,
}

/// Agreed to before there was any other.
fn this_host() -> String {
    Cell::Host.to_string()
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    #[serde(default)]
    host_shell: Vec<Consent>,
}

impl Consent {
    /// What would have to be agreed to for work on `ledger`, here and now.
    pub fn wanted(ledger: &Path, spend_cap_usd: f64, endpoint: &str) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let name = std::env::var("USER")
            .or_else(|_| std::env::var("LOGNAME"))
            .unwrap_or_default();
        let user = if name.is_empty() {
            format!("uid {uid}")
        } else {
            format!("{name} (uid {uid})")
        };
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let ledger = fs::canonicalize(ledger).unwrap_or_else(|_| ledger.to_path_buf());
        Self {
            user,
            host,
            ledger,
            endpoint: settings::shown(endpoint),
            mode: None,
            cell: this_host(),
            spend_cap_usd,
        }
    }

    #[must_use]
    pub fn in_cell(self, cell: &Cell) -> Self {
        Self {
            cell: cell.to_string(),
            ..self
        }
    }

    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        Self {
            mode: Some(mode),
            ..self
        }
    }

    fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Autonomous)
    }

    /// Who agreed that it does all by itself agreed to less, too.
    fn covers(&self, wanted: &Self) -> bool {
        let mode = self.mode();
        self.is_to(wanted) && (mode == Mode::Autonomous || mode == wanted.mode())
    }

    fn is_to(&self, other: &Self) -> bool {
        let original = settings::shown(DEFAULT_BASE);
        let endpoint = |c: &Self| Some(c.endpoint.clone()).filter(|e| !e.is_empty());
        let endpoint = |c| endpoint(c).unwrap_or_else(|| original.clone());
        (&self.user, &self.host, &self.ledger, &self.cell)
            == (&other.user, &other.host, &other.ledger, &other.cell)
            && endpoint(self) == endpoint(other)
    }

    /// A remembered consent to the same user, host, ledger and endpoint, and to this mode, if there is
    /// one. Its cap holds.
    pub fn remembered(&self, home: &Home) -> Option<Self> {
        let text = fs::read_to_string(home.dir().join(FILE)).ok()?;
        let file: File = toml::from_str(&text).ok()?;
        file.host_shell.into_iter().rev().find(|c| c.covers(self))
    }

    /// Remembers this consent.
    pub fn remember(&self, home: &Home) -> io::Result<()> {
        home.create().map_err(io::Error::other)?;
        let path = home.dir().join(FILE);
        let mut file: File = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(io::Error::other)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => File::default(),
            Err(e) => return Err(e),
        };
        file.host_shell
            .retain(|c| !(c.is_to(self) && c.mode() == self.mode()));
        file.host_shell.push(self.clone());
        let text = toml::to_string(&file).map_err(io::Error::other)?;
        let new = path.with_extension("new");
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(new, path)
    }
}

/// Whether a container is the boundary of what commands in this cell can do.
pub fn is_contained(cell: &Cell) -> bool {
    match cell {
        Cell::Docker(_) => true,
        Cell::Host | Cell::User(_) => in_container(),
        Cell::Prefix(_) => false,
    }
}

/// Whether this process runs in a container.
fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"]
        .iter()
        .any(|mark| Path::new(mark).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_is_remembered_for_the_same_user_host_and_ledger_only() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home::at(tmp.path());
        let wanted = Consent::wanted(&tmp.path().join("tickets.db"), 5.0, DEFAULT_BASE);
        assert_eq!(wanted.remembered(&home), None);
        wanted.remember(&home).unwrap();
        Consent {
            spend_cap_usd: 9.0,
            ..wanted.clone()
        }
        .remember(&home)
        .unwrap();
        let cap = wanted.remembered(&home).unwrap().spend_cap_usd;
        assert!((cap - 9.0).abs() < 1e-9, "the newest holds: {cap}");
        let old = Consent {
            endpoint: String::new(),
            ..wanted.clone()
        };
        assert!(old.remembered(&home).is_some(), "the original was meant");
        let elsewhere = Consent {
            endpoint: "http://127.0.0.1:1/".into(),
            ..wanted.clone()
        };
        assert_eq!(elsewhere.remembered(&home), None, "to that nobody agreed");
        let far = wanted.clone().in_cell(&"cmd:ssh db1".parse().unwrap());
        assert_eq!(far.remembered(&home), None, "nor to a shell there");
        let other = Consent {
            ledger: "/elsewhere".into(),
            ..wanted.clone()
        };
        assert_eq!(other.remembered(&home), None);
        assert!(wanted.in_mode(Mode::Propose).remembered(&home).is_some());
    }

    #[test]
    fn who_agreed_to_be_asked_did_not_agree_to_be_not() {
        let tmp = tempfile::tempdir().unwrap();
        let home = Home::at(tmp.path());
        let wanted = Consent::wanted(&tmp.path().join("tickets.db"), 5.0, DEFAULT_BASE);
        let asks = wanted.clone().in_mode(Mode::Propose);
        asks.remember(&home).unwrap();
        assert!(asks.remembered(&home).is_some());
        assert_eq!(wanted.in_mode(Mode::Autonomous).remembered(&home), None);
    }
}
