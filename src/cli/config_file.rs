//! `config.toml`, with the sections of everybody who is in this program.

use crate::monitor::{config::MonitorSection, notify::NotifySection};
use agent_lab::settings::AgentSection;
use operator_ledger::{config, home::Home};

pub type ConfigFile = config::ConfigFile<AgentSection, MonitorSection, NotifySection>;

/// The file in OPERATOR_HOME.
pub fn read() -> color_eyre::Result<ConfigFile> {
    Ok(Home::from_env()?.config()?)
}
