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
//!
//! `[monitor.alerts]` is in `alerts`.

mod alerts;
mod section;

use super::invariants::{Grace, Invariant};
pub use alerts::AlertRules;
use operator_ledger::Severity;
pub use section::MonitorSection;
use section::Setting;
use std::{collections::BTreeMap, time::Duration};
use strum::IntoEnumIterator;

/// How one invariant is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Milliseconds for `high_latency`, a score for `slow_store`, available share (0 to 1) for `low_disk_space`, a count
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
    /// How alerts of others are read.
    pub alerts: AlertRules,
    rules: BTreeMap<Invariant, Rule>,
}

#[derive(Debug, thiserror::Error)]
#[error("config.toml, [monitor]: {0}")]
pub struct ConfigError(pub(super) String);

/// Settings of the command line; each wins over the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    pub interval: Option<Duration>,
    pub heartbeat_limit: Option<Duration>,
    pub election_limit: Option<Duration>,
    pub rate_window: Option<Duration>,
    pub latency_limit: Option<Duration>,
}

/// Faster than this the monitor would be a burden on what it watches.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

impl Default for Config {
    fn default() -> Self {
        Self::new(MonitorSection::default(), Overrides::default())
            .unwrap_or_else(|_| unreachable!("the defaults are allowed"))
    }
}

impl Config {
    /// What the file says, and the command line in place of it.
    pub fn new(file: MonitorSection, over: Overrides) -> Result<Self, ConfigError> {
        let interval = over.interval.unwrap_or(file.get(Setting::Interval));
        if interval < MIN_INTERVAL {
            return Err(ConfigError("interval: at least 100ms".into()));
        }
        let election_limit = over
            .election_limit
            .unwrap_or(file.get(Setting::ElectionLimit));
        let mut rules: BTreeMap<_, _> = Invariant::iter()
            .map(|invariant| (invariant, usual(invariant, election_limit)))
            .collect();
        for (invariant, section) in &file.rules {
            let Some(rule) = rules.get_mut(invariant) else {
                continue;
            };
            if let Some(threshold) = section.threshold {
                if !threshold.is_finite() || threshold < 0.0 {
                    return Err(ConfigError(format!(
                        "{invariant}.threshold: not a number from 0 up"
                    )));
                }
                rule.threshold = threshold;
            }
            if let Some(grace) = section.grace {
                rule.grace = grace.0;
            }
            rule.severity = section.severity.unwrap_or(rule.severity);
            rule.enabled = section.enabled.unwrap_or(rule.enabled);
        }
        if let (Some(limit), Some(rule)) =
            (over.latency_limit, rules.get_mut(&Invariant::HighLatency))
        {
            rule.threshold = limit.as_secs_f64() * 1e3;
        }
        Ok(Self {
            interval,
            heartbeat_limit: over
                .heartbeat_limit
                .unwrap_or(file.get(Setting::HeartbeatLimit)),
            election_limit,
            rate_window: over.rate_window.unwrap_or(file.get(Setting::RateWindow)),
            alert_patience: file.get(Setting::AlertPatience),
            alerts: AlertRules::new(file.alerts)?,
            rules,
        })
    }

    /// The rule of an invariant. None: it is switched off.
    pub fn rule(&self, invariant: Invariant) -> Option<&Rule> {
        self.rules.get(&invariant).filter(|r| r.enabled)
    }

    /// What p99 of a store is not to be above. None: nobody judges it.
    pub fn latency_limit(&self) -> Option<Duration> {
        let rule = self.rule(Invariant::HighLatency)?;
        Duration::try_from_secs_f64(rule.threshold / 1e3).ok()
    }

    /// How long an invariant must read clear before it is believed: twice the time it takes to
    /// see a violation.
    pub fn hold(&self, invariant: Invariant) -> Duration {
        let mut detection = self.heartbeat_limit + self.interval;
        if invariant.facts().from_rates {
            detection += self.rate_window;
        }
        detection * 2
    }
}

fn usual(invariant: Invariant, election: Duration) -> Rule {
    let facts = invariant.facts();
    Rule {
        threshold: facts.threshold,
        grace: match facts.grace {
            Grace::Time(time) => time,
            Grace::Elections(n) => election.mul_f64(n),
        },
        severity: facts.severity,
        enabled: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::config::{self, ConfigFile};
    use serde::de::IgnoredAny;
    use std::path::Path;

    fn section(text: &str) -> Result<MonitorSection, String> {
        let file: Result<ConfigFile<IgnoredAny, MonitorSection>, _> =
            config::parse(Path::new("config.toml"), text.as_bytes());
        file.map(|f| f.monitor).map_err(|e| e.to_string())
    }

    fn read(text: &str) -> Result<Config, String> {
        Config::new(section(text)?, Overrides::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_file_changes_only_what_it_names() {
        let c =
            read("[monitor]\ninterval='2s'\n[monitor.high_latency]\nthreshold=50\ngrace='5s'\n")
                .unwrap();
        assert_eq!(c.interval, Duration::from_secs(2));
        let rule = c.rule(Invariant::HighLatency).unwrap();
        assert!((rule.threshold - 50.0).abs() < 1e-9 && rule.grace == Duration::from_secs(5));
        assert_eq!(rule.severity, Severity::Warning);
        let down = Invariant::StoreDown;
        assert_eq!(c.rule(down), Config::default().rule(down));
        let off = read("[monitor.store_down]\nenabled=false").unwrap();
        assert!(off.rule(down).is_none());
    }

    #[test]
    fn the_command_line_wins() {
        let over = Overrides {
            interval: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        let c = Config::new(section("[monitor]\ninterval='9s'").unwrap(), over).unwrap();
        assert_eq!(c.interval, Duration::from_secs(1));
        let over = Overrides {
            latency_limit: Some(Duration::from_millis(450)),
            ..Default::default()
        };
        let file = section("[monitor.high_latency]\nthreshold=50").unwrap();
        let c = Config::new(file, over).unwrap();
        assert_eq!(c.latency_limit(), Some(Duration::from_millis(450)));
        let rule = c.rule(Invariant::HighLatency).unwrap();
        assert!((rule.threshold - 450.0).abs() < 1e-9);
        let off = section("[monitor.high_latency]\nenabled=false").unwrap();
        let c = Config::new(off, Overrides::default()).unwrap();
        assert_eq!(c.latency_limit(), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            (
                "[monitor.store_dwon]\ngrace='1s'",
                "line 1: unknown field `store_dwon`, expected one of `interval`",
            ),
            ("[monitor.store_dwon]", "; did you mean `store_down`?"),
            (
                "[monitor]\n\nintervall='5s'",
                "line 3: unknown field `intervall`",
            ),
            ("[monitor]\ninterval='soon'", "line 2: interval: soon"),
            ("[monitor]\ninterval='0s'", "interval"),
            (
                "[monitor.store_down]\nseverity='bad'",
                "line 2: severity: unknown variant `bad`, expected one of `critical`",
            ),
            (
                "[monitor.store_down]\nthresold=1",
                "line 2: unknown field `thresold`, expected one of `threshold`",
            ),
            ("[monitor.store_down]\nthreshold=-1", "store_down.threshold"),
        ] {
            let err = read(text).unwrap_err();
            assert!(err.contains(words), "{text}: {err}");
        }
    }

    #[test]
    fn a_hold_is_twice_the_time_it_takes_to_see_a_violation() {
        let c = Config::default();
        let secs = Duration::from_secs;
        assert_eq!(c.hold(Invariant::StoreDown), secs(2 * (20 + 5)));
        assert_eq!(c.hold(Invariant::HighLatency), secs(2 * (20 + 5 + 10)));
        let unavailable = c.rule(Invariant::RegionUnavailable).unwrap();
        assert_eq!(unavailable.grace, secs(30));
    }
}
