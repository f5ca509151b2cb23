//! `config.toml`, with the sections of everybody who is in this program.

use super::target::SESSION_VAR;
use crate::monitor::{config::MonitorSection, notify::NotifySection};
use agent_lab::settings::AgentSection;
use operator_ledger::{config, home::Home};

pub type ConfigFile = config::ConfigFile<AgentSection, MonitorSection, NotifySection>;

/// The file in OPERATOR_HOME. For a command of an agent there is none: it is told addresses by
/// variables, and where the record is, is not its business.
pub(super) fn read() -> color_eyre::Result<ConfigFile> {
    if std::env::var_os(SESSION_VAR).is_some() {
        return Ok(ConfigFile::default());
    }
    Ok(Home::from_env()?.config()?)
}
