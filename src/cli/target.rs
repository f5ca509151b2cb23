//! Which ledger a command is about. Flags win over the environment, that over the defaults. Which
//! cluster it is about is in `connection`.

use crate::stage;
use color_eyre::eyre::eyre;
use operator_ledger::{Reader, home::Home};
use std::path::PathBuf;

/// Set in the shell of an agent's command: the session it belongs to.
pub const SESSION_VAR: &str = "OPERATOR_SESSION";

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

/// Refuses what an agent's shell must not do, and says why it is not for an agent.
pub fn refuse_in_agent_shell(what: &str, why: &str) -> color_eyre::Result<()> {
    if std::env::var_os(SESSION_VAR).is_some() {
        return Err(eyre!("{what} is refused in an agent's shell: {why}"));
    }
    Ok(())
}
