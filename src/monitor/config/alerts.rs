//! How alerts of others are read: which label says how bad one is and in which words, what it is
//! about, which ones are heartbeats, and when there are too many for a ticket each. The
//! `[monitor.alerts]` part of `config.toml`; what is not written is as below.
//!
//! ```toml
//! [monitor.alerts]
//! severity_labels = ["severity", "level"]      # in place of ours: the first whose word is known
//! subject_labels = ["pod", "instance"]         # in place of ours: the first that there is
//! heartbeats = ["Watchdog"]                    # in place of ours: a ticket when one stops
//! heartbeat_within = "15m"                     # it is told again within this
//! ignore = ["InfoInhibitor"]                   # in place of ours: never a ticket
//! tickets_of_a_name = 10                       # begun within ten minutes; more share one
//! tickets = 30                                 # the same, of all names
//!
//! [monitor.alerts.severity]                    # besides ours
//! "sev-gold" = "critical"
//! ```

use super::ConfigError;
use crate::span::Span;
use operator_ledger::{Crowd, Severity};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table of settings of alerts"
)]
pub(super) struct AlertSection {
    severity_labels: Option<Vec<String>>,
    severity: BTreeMap<String, Severity>,
    subject_labels: Option<Vec<String>>,
    heartbeats: Option<Vec<String>>,
    heartbeat_within: Option<Span>,
    ignore: Option<Vec<String>>,
    tickets_of_a_name: Option<usize>,
    tickets: Option<usize>,
}

/// How alerts of others are read.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRules {
    severity_labels: Vec<String>,
    words: BTreeMap<String, Severity>,
    subject_labels: Vec<String>,
    heartbeats: Vec<String>,
    ignore: Vec<String>,
    /// A heartbeat is told again within this. None: as it has shown itself, or [`REPEAT`].
    heartbeat_within: Option<Duration>,
    pub crowd: Crowd,
}

/// Labels that say how bad it is, in the order in which they are asked.
const SEVERITY_LABELS: [&str; 9] = [
    "severity",
    "level",
    "priority",
    "sev",
    "criticality",
    "alert_severity",
    "severity_level",
    "urgency",
    "importance",
];

/// The words that are used for the three that there are here.
const WORDS: [(Severity, &[&str]); 3] = [
    (
        Severity::Critical,
        &[
            "critical",
            "crit",
            "page",
            "pager",
            "error",
            "err",
            "emergency",
            "emerg",
            "fatal",
            "panic",
            "disaster",
            "blocker",
            "severe",
            "major",
            "urgent",
            "high",
            "highest",
            "alert",
            "p0",
            "p1",
            "sev0",
            "sev1",
            "s0",
            "s1",
            "red",
        ],
    ),
    (
        Severity::Warning,
        &[
            "warning", "warn", "minor", "average", "medium", "moderate", "ticket", "p2", "p3",
            "sev2", "sev3", "s2", "s3", "yellow", "orange",
        ],
    ),
    (
        Severity::Info,
        &[
            "info",
            "information",
            "informational",
            "none",
            "low",
            "lowest",
            "notice",
            "debug",
            "trivial",
            "ok",
            "p4",
            "p5",
            "sev4",
            "sev5",
            "s4",
            "s5",
            "green",
            "notification",
        ],
    ),
];

/// Labels that name what an alert is about, the most telling first. What an exporter says of others
/// goes before its own address.
const SUBJECT_LABELS: [&str; 36] = [
    "exported_pod",
    "exported_instance",
    "persistentvolumeclaim",
    "pod",
    "pod_name",
    "horizontalpodautoscaler",
    "statefulset",
    "deployment",
    "daemonset",
    "job_name",
    "exported_job",
    "cronjob",
    "replicaset",
    "topic",
    "queue",
    "database",
    "datname",
    "store",
    "node",
    "nodename",
    "host",
    "hostname",
    "host_name",
    "server",
    "machine",
    "vm",
    "target",
    "instance",
    "address",
    "exported_service",
    "service",
    "app",
    "container",
    "exported_namespace",
    "namespace",
    "job",
];

const HEARTBEATS: [&str; 5] = [
    "Watchdog",
    "DeadMansSwitch",
    "DeadMansSnitch",
    "DeadManSwitch",
    "AlwaysFiring",
];

/// It fires only while others of `info` do, and means nothing by itself.
const IGNORED: [&str; 1] = ["InfoInhibitor"];

/// Alertmanager's `repeat_interval` where nobody sets it, and its `group_interval`.
const REPEAT: Duration = Duration::from_secs(4 * 3600 + 5 * 60);
/// Words that a sender must have said before its own pace is believed.
const PACED: u32 = 4;

impl Default for AlertRules {
    fn default() -> Self {
        Self::new(AlertSection::default()).unwrap_or_else(|_| unreachable!("ours are allowed"))
    }
}

impl AlertRules {
    pub(super) fn new(file: AlertSection) -> Result<Self, ConfigError> {
        let usual = Crowd::default();
        let crowd = Crowd {
            of_a_name: file.tickets_of_a_name.unwrap_or(usual.of_a_name),
            of_all: file.tickets.unwrap_or(usual.of_all),
            ..usual
        };
        if crowd.of_a_name == 0 || crowd.of_all == 0 {
            return Err(ConfigError(
                "alerts.tickets, alerts.tickets_of_a_name: at least 1".into(),
            ));
        }
        let within = file.heartbeat_within.map(|span| span.0);
        if within.is_some_and(|within| within < Duration::from_secs(1)) {
            return Err(ConfigError("alerts.heartbeat_within: at least 1s".into()));
        }
        let mut words: BTreeMap<String, Severity> = WORDS
            .iter()
            .flat_map(|(severity, words)| words.iter().map(|word| (plain(word), *severity)))
            .collect();
        words.extend(file.severity.iter().map(|(word, s)| (plain(word), *s)));
        let or = |written: Option<Vec<String>>, ours: &[&str]| {
            written.unwrap_or_else(|| ours.iter().map(ToString::to_string).collect())
        };
        let names = |written, ours: &[&str]| {
            let names = or(written, ours);
            names.iter().map(|name| plain(name)).collect()
        };
        Ok(Self {
            severity_labels: or(file.severity_labels, &SEVERITY_LABELS),
            words,
            subject_labels: or(file.subject_labels, &SUBJECT_LABELS),
            heartbeats: names(file.heartbeats, &HEARTBEATS),
            ignore: names(file.ignore, &IGNORED),
            heartbeat_within: within,
            crowd,
        })
    }

    /// By the first label whose word is known.
    pub fn severity(&self, labels: &BTreeMap<String, String>) -> Severity {
        self.severity_labels
            .iter()
            .filter_map(|name| {
                let word = plain(find(labels, name)?);
                let ranked = matches!(word.as_str(), "0" | "1" | "2" | "3" | "4" | "5");
                // A bare number is a rank only where the label says so: others count upwards.
                if ranked && plain(name) == "priority" {
                    return self.words.get(&format!("p{word}"));
                }
                self.words.get(&word)
            })
            .copied()
            .next()
            .unwrap_or_default()
    }

    /// What an alert is about: the first label that there is. What only names the exporter that
    /// told of it is the last resort.
    pub fn subject(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        let named = || {
            self.subject_labels
                .iter()
                .filter_map(|name| labels.get(name))
                .filter(|value| !value.trim().is_empty())
        };
        let telling = named().find(|value| !names_exporter(value));
        telling.or_else(|| named().next()).cloned()
    }

    /// Whether it fires while all is well.
    pub fn is_heartbeat(&self, alertname: &str) -> bool {
        self.heartbeats.contains(&plain(alertname))
    }

    pub fn is_ignored(&self, alertname: &str) -> bool {
        self.ignore.contains(&plain(alertname))
    }

    /// How long a heartbeat may be silent before it has stopped.
    pub fn silence(&self, words: u32, longest: Option<Duration>) -> Duration {
        if let Some(within) = self.heartbeat_within {
            return within;
        }
        match longest {
            Some(longest) if words >= PACED => {
                (longest * 2 + Duration::from_secs(60)).min(REPEAT * 2)
            }
            _ => REPEAT,
        }
    }
}

fn find<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> Option<&'a String> {
    labels.get(name).or_else(|| {
        let other = labels
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        other.map(|(_, value)| value)
    })
}

fn names_exporter(value: &str) -> bool {
    value.contains("exporter") || value.contains("kube-state-metrics")
}

/// Letters and digits alone, small: people write one word in many ways.
fn plain(text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;
