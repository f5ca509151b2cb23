//! What the monitor asks of a cluster, and how patient it is: the `[monitor]` part of
//! `config.toml`, with defaults for a TiKV cluster with stock settings.
//!
//! ```toml
//! [monitor]
//! interval = "5s"
//! heartbeat_limit = "20s"      # PD calls a store Disconnected after this
//! election_limit = "20s"       # a region has a new leader after this
//! alert_patience = "10m"       # a claimed repair waits so long for Alertmanager's "resolved"
//!
//! [monitor.high_latency]
//! threshold = 100.0            # milliseconds
//! grace = "60s"
//! severity = "warning"         # critical, warning or info
//! enabled = true
//! ```

use jiff::SignedDuration;
use operator_ledger::Severity;
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// The invariants, in the order in which they are checked: causes before their effects.
pub const NAMES: [&str; 8] = [
    "store_down",
    "pd_no_leader",
    "pd_member_down",
    "region_unavailable",
    "under_replicated",
    "high_latency",
    "low_disk_space",
    "observation_failed",
];

/// How one invariant is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Milliseconds for `high_latency`, available share (0 to 1) for `low_disk_space`, a count
    /// that is still all right for the others.
    pub threshold: f64,
    /// How long it must be violated before it is a ticket.
    pub grace: Duration,
    pub severity: Severity,
    pub enabled: bool,
}

/// How the monitor judges.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub interval: Duration,
    /// After this much silence PD calls a store Disconnected.
    pub heartbeat_limit: Duration,
    /// After this a region, or PD, has a new leader.
    pub election_limit: Duration,
    pub rate_window: Duration,
    /// How long a claimed repair of an alert waits for word that it is resolved: scrapes, the
    /// rule's own pace and Alertmanager's group interval (5 minutes by default) lie between.
    pub alert_patience: Duration,
    rules: BTreeMap<&'static str, Rule>,
}

#[derive(Debug, thiserror::Error)]
#[error("config.toml, [monitor]: {0}")]
pub struct ConfigError(String);

/// Settings of the command line; each wins over the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    pub interval: Option<Duration>,
    pub heartbeat_limit: Option<Duration>,
    pub election_limit: Option<Duration>,
    pub rate_window: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    interval: Option<String>,
    heartbeat_limit: Option<String>,
    election_limit: Option<String>,
    rate_window: Option<String>,
    alert_patience: Option<String>,
    #[serde(flatten)]
    rules: BTreeMap<String, RuleFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    threshold: Option<f64>,
    grace: Option<String>,
    severity: Option<String>,
    enabled: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new(File::default(), Overrides::default()).unwrap_or_else(|_| unreachable!())
    }
}

impl Config {
    /// Reads the `[monitor]` table of the whole config file.
    pub fn from_table(table: &toml::Table, over: Overrides) -> Result<Self, ConfigError> {
        let file = match table.get("monitor") {
            Some(section) => section
                .clone()
                .try_into()
                .map_err(|e| ConfigError(e.to_string()))?,
            None => File::default(),
        };
        Self::new(file, over)
    }

    fn new(file: File, over: Overrides) -> Result<Self, ConfigError> {
        let pick = |over: Option<Duration>, text: Option<&str>, name, default: u64| match over {
            Some(d) => Ok(d),
            None => text.map_or(Ok(Duration::from_secs(default)), |t| duration(name, t)),
        };
        let interval = pick(over.interval, file.interval.as_deref(), "interval", 5)?;
        if interval < Duration::from_millis(100) {
            return Err(ConfigError("interval: at least 100ms".into()));
        }
        let heartbeat_limit = pick(
            over.heartbeat_limit,
            file.heartbeat_limit.as_deref(),
            "heartbeat_limit",
            20,
        )?;
        let election_limit = pick(
            over.election_limit,
            file.election_limit.as_deref(),
            "election_limit",
            20,
        )?;
        let rate_window = pick(
            over.rate_window,
            file.rate_window.as_deref(),
            "rate_window",
            10,
        )?;
        let alert_patience = pick(None, file.alert_patience.as_deref(), "alert_patience", 600)?;
        let mut rules = defaults(election_limit);
        for (name, rule) in file.rules {
            let Some(known) = rules.get_mut(name.as_str()) else {
                let names = NAMES.join(", ");
                return Err(ConfigError(format!(
                    "{name}: no such invariant or setting; there are {names}"
                )));
            };
            if let Some(t) = rule.threshold {
                if !t.is_finite() || t < 0.0 {
                    return Err(ConfigError(format!(
                        "{name}.threshold: not a number from 0 up"
                    )));
                }
                known.threshold = t;
            }
            if let Some(g) = rule.grace {
                known.grace = duration("grace", &g)?;
            }
            if let Some(s) = rule.severity {
                known.severity = s.parse().map_err(|_| {
                    let words = "critical, warning or info";
                    ConfigError(format!("{name}.severity: {words}, not {s}"))
                })?;
            }
            if let Some(e) = rule.enabled {
                known.enabled = e;
            }
        }
        Ok(Self {
            interval,
            heartbeat_limit,
            election_limit,
            rate_window,
            alert_patience,
            rules,
        })
    }

    /// The rule of an invariant. None: it is switched off, or there is no such.
    pub fn rule(&self, invariant: &str) -> Option<&Rule> {
        self.rules.get(invariant).filter(|r| r.enabled)
    }

    /// How long an invariant must read clear before it is believed: twice the time it takes to
    /// see a violation.
    pub fn hold(&self, invariant: &str) -> Duration {
        let mut detection = self.heartbeat_limit + self.interval;
        if invariant == "high_latency" {
            detection += self.rate_window;
        }
        detection * 2
    }
}

fn defaults(election: Duration) -> BTreeMap<&'static str, Rule> {
    let secs = Duration::from_secs;
    let rule = |threshold: f64, grace: Duration, severity: Severity| Rule {
        threshold,
        grace,
        severity,
        enabled: true,
    };
    BTreeMap::from([
        ("store_down", rule(0.0, Duration::ZERO, Severity::Critical)),
        ("pd_no_leader", rule(0.0, election, Severity::Critical)),
        ("pd_member_down", rule(0.0, secs(5), Severity::Warning)),
        // Leaders move after every fault: only what takes longer than an election is a violation.
        (
            "region_unavailable",
            rule(0.0, election + election / 2, Severity::Critical),
        ),
        ("under_replicated", rule(0.0, secs(60), Severity::Warning)),
        ("high_latency", rule(100.0, secs(60), Severity::Warning)),
        ("low_disk_space", rule(0.2, secs(10), Severity::Warning)),
        ("observation_failed", rule(0.0, secs(30), Severity::Warning)),
    ])
}

fn duration(name: &str, text: &str) -> Result<Duration, ConfigError> {
    parse_duration(text).map_err(|e| ConfigError(format!("{name}: {e}")))
}

/// A duration as people write it: `500ms`, `5s`, `2m 30s`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|e| format!("{text}: {e}"));
    }
    text.parse::<SignedDuration>()
        .map_err(|e| e.to_string())
        .and_then(|d| Duration::try_from(d).map_err(|_| format!("{text}: less than nothing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::from_table(&text.parse().unwrap(), Overrides::default())
    }

    #[test]
    fn the_file_changes_only_what_it_names() {
        let c =
            read("[monitor]\ninterval='2s'\n[monitor.high_latency]\nthreshold=50\ngrace='5s'\n")
                .unwrap();
        assert_eq!(c.interval, Duration::from_secs(2));
        let rule = c.rule("high_latency").unwrap();
        assert!((rule.threshold - 50.0).abs() < 1e-9 && rule.grace == Duration::from_secs(5));
        assert_eq!(rule.severity, Severity::Warning);
        assert_eq!(c.rule("store_down"), Config::default().rule("store_down"));
        assert!(
            read("[monitor.store_down]\nenabled=false")
                .unwrap()
                .rule("store_down")
                .is_none()
        );
    }

    #[test]
    fn the_command_line_wins() {
        let over = Overrides {
            interval: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        let c = Config::from_table(&"[monitor]\ninterval='9s'".parse().unwrap(), over).unwrap();
        assert_eq!(c.interval, Duration::from_secs(1));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("[monitor.store_dwon]\ngrace='1s'", "store_dwon"),
            ("[monitor]\ninterval='soon'", "interval"),
            ("[monitor]\ninterval='0s'", "interval"),
            ("[monitor.store_down]\nseverity='bad'", "severity"),
            ("[monitor.store_down]\nthresold=1", "thresold"),
        ] {
            let err = read(text).unwrap_err().to_string();
            assert!(err.contains(word), "{text}: {err}");
        }
    }

    #[test]
    fn a_hold_is_twice_the_time_it_takes_to_see_a_violation() {
        let c = Config::default();
        assert_eq!(c.hold("store_down"), Duration::from_secs(2 * (20 + 5)));
        assert_eq!(
            c.hold("high_latency"),
            Duration::from_secs(2 * (20 + 5 + 10))
        );
        assert!(c.rule("region_unavailable").unwrap().grace > c.election_limit);
    }
}
