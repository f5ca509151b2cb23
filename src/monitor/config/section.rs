//! `[monitor]` of `config.toml`, as it is written: settings, which are all lengths of time, beside
//! a table for each invariant. What is neither is an error that names them all.

use super::alerts::AlertSection;
use crate::{monitor::invariants::Invariant, span::Span};
use operator_ledger::Severity;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt, sync::LazyLock, time::Duration};
use strum::VariantNames;

#[derive(Debug, Default)]
pub struct MonitorSection {
    settings: BTreeMap<Setting, Span>,
    pub(super) rules: BTreeMap<Invariant, RuleSection>,
    pub(super) alerts: AlertSection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Setting {
    Interval,
    HeartbeatLimit,
    ElectionLimit,
    RateWindow,
    AlertPatience,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of settings of an invariant")]
pub(super) struct RuleSection {
    pub threshold: Option<f64>,
    pub grace: Option<Span>,
    pub severity: Option<Severity>,
    pub enabled: Option<bool>,
}

impl Setting {
    fn usual(self) -> Duration {
        Duration::from_secs(match self {
            Self::Interval => 5,
            Self::HeartbeatLimit | Self::ElectionLimit => 20,
            Self::RateWindow => 10,
            Self::AlertPatience => 600,
        })
    }
}

impl MonitorSection {
    /// As written, or as usual.
    pub(super) fn get(&self, setting: Setting) -> Duration {
        let written = self.settings.get(&setting);
        written.map_or_else(|| setting.usual(), |span| span.0)
    }
}

/// The table about alerts.
const ALERTS: &str = "alerts";

/// All keys there are.
static KEYS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| [Setting::VARIANTS, &[ALERTS], Invariant::VARIANTS].concat());

enum Key {
    Setting(Setting),
    Rule(Invariant),
    Alerts,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let key = String::deserialize(source)?;
        if let Ok(setting) = key.parse() {
            return Ok(Self::Setting(setting));
        }
        if key == ALERTS {
            return Ok(Self::Alerts);
        }
        key.parse()
            .map(Self::Rule)
            .map_err(|_| de::Error::unknown_field(&key, &KEYS))
    }
}

impl<'de> Deserialize<'de> for MonitorSection {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = MonitorSection;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of settings and invariants")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut section = MonitorSection::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        Key::Setting(setting) => {
                            section.settings.insert(setting, map.next_value()?);
                        }
                        Key::Rule(invariant) => {
                            section.rules.insert(invariant, map.next_value()?);
                        }
                        Key::Alerts => section.alerts = map.next_value()?,
                    }
                }
                Ok(section)
            }
        }

        source.deserialize_map(Keys)
    }
}
