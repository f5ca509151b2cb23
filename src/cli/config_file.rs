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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scribble::{inputs, scribbled};
    use operator_ledger::config::ConfigError;
    use proptest::prelude::*;
    use std::path::Path;

    const FUZZ: &str = include_str!("../../tests/fuzz/config.txt");

    /// A configuration, or where in the file what is wrong.
    fn is_told(bytes: &[u8]) -> bool {
        let read: Result<ConfigFile, _> = config::parse(Path::new("config.toml"), bytes);
        let lines = bytes.split(|b| *b == b'\n').count();
        match read {
            Ok(_) => true,
            Err(ConfigError::Invalid { line, what, .. }) => {
                (1..=lines).contains(&line) && !what.is_empty()
            }
            Err(_) => false,
        }
    }

    #[test]
    fn fuzz_inputs_are_configurations_or_say_where_they_are_not() {
        for input in inputs(FUZZ) {
            assert!(is_told(&input), "{}", String::from_utf8_lossy(&input));
        }
    }

    proptest! {
        #[test]
        fn fuzz_no_configuration_is_too_odd(bytes in scribbled(FUZZ)) {
            prop_assert!(is_told(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
