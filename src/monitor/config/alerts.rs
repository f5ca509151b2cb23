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
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn rules(text: &str) -> Result<AlertRules, String> {
        let file: AlertSection = toml::from_str(text).map_err(|e| e.to_string())?;
        AlertRules::new(file).map_err(|e| e.to_string())
    }

    #[test]
    fn how_bad_it_is_is_read_from_any_label_and_word() {
        let rules = AlertRules::default();
        for (name, word, severity) in [
            ("severity", "critical", Severity::Critical),
            ("level", "emergency", Severity::Critical),
            ("level", "warning", Severity::Warning),
            ("priority", "P1", Severity::Critical),
            ("priority", "3", Severity::Warning),
            ("priority", "p4", Severity::Info),
            ("Severity", "Page", Severity::Critical),
            ("severity", "SEV-2", Severity::Warning),
            ("severity", "major", Severity::Critical),
            ("severity", "minor", Severity::Warning),
            ("severity", "none", Severity::Info),
            ("severity", " Informational ", Severity::Info),
            ("urgency", "high", Severity::Critical),
            // Of what is not known it is not said that it is harmless.
            ("severity", "5", Severity::Warning),
            ("severity", "purple", Severity::Warning),
            ("team", "critical", Severity::Warning),
        ] {
            assert_eq!(
                rules.severity(&labels(&[(name, word)])),
                severity,
                "{name}={word}"
            );
        }
        // A word that is not known leaves it to the next label.
        let both = labels(&[("severity", "purple"), ("priority", "P1")]);
        assert_eq!(rules.severity(&both), Severity::Critical);
    }

    #[test]
    fn what_it_is_about_is_said_before_who_told_it() {
        let rules = AlertRules::default();
        for (given, about) in [
            (
                &[
                    ("instance", "10.244.1.7:8080"),
                    ("pod", "app-0"),
                    ("service", "ksm"),
                ][..],
                "app-0",
            ),
            (
                &[("instance", "tikv1:20180"), ("job", "tikv")],
                "tikv1:20180",
            ),
            (&[("node", "n1"), ("instance", "10.0.0.1:8080")], "n1"),
            // The pod is the exporter's own.
            (
                &[("pod", "node-exporter-x7"), ("instance", "n1:9100")],
                "n1:9100",
            ),
            (
                &[("pod", "kube-state-metrics-0"), ("deployment", "shop")],
                "shop",
            ),
            (&[("exported_pod", "app-1"), ("pod", "ksm-0")], "app-1"),
            (&[("pod", ""), ("instance", "a:1")], "a:1"),
            // Better than nothing.
            (&[("pod", "node-exporter-x7")], "node-exporter-x7"),
        ] {
            assert_eq!(rules.subject(&labels(given)).as_deref(), Some(about));
        }
        assert_eq!(rules.subject(&labels(&[("alertname", "X")])), None);
    }

    #[test]
    fn names_are_known_however_they_are_written() {
        let rules = AlertRules::default();
        for name in [
            "Watchdog",
            "watchdog",
            "Dead Man's Switch",
            "dead_mans_switch",
        ] {
            assert!(rules.is_heartbeat(name), "{name}");
        }
        assert!(rules.is_ignored("InfoInhibitor") && !rules.is_heartbeat("InfoInhibitor"));
        assert!(!rules.is_heartbeat("WatchdogBarks"));
    }

    #[test]
    fn the_file_wins() {
        let rules = rules(
            "severity_labels = ['grade']\nsubject_labels = ['shop']\nheartbeats = ['Pulse']\n\
             heartbeat_within = '90s'\nignore = []\ntickets_of_a_name = 2\n\
             [severity]\nGold = 'critical'\n",
        )
        .unwrap();
        let given = labels(&[
            ("severity", "info"),
            ("grade", "gold"),
            ("shop", "7"),
            ("pod", "p"),
        ]);
        assert_eq!(rules.severity(&given), Severity::Critical);
        assert_eq!(rules.subject(&given).as_deref(), Some("7"));
        assert!(rules.is_heartbeat("pulse") && !rules.is_heartbeat("Watchdog"));
        assert!(!rules.is_ignored("InfoInhibitor"));
        assert_eq!(rules.silence(9, None), Duration::from_secs(90));
        assert_eq!((rules.crowd.of_a_name, rules.crowd.of_all), (2, 30));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("tickets = 0", "at least 1"),
            ("heartbeat_within = '0s'", "at least 1s"),
            ("severty = {}", "unknown field `severty`"),
            ("[severity]\nx = 'bad'", "unknown variant `bad`"),
        ] {
            let why = rules(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }

    #[test]
    fn a_heartbeat_is_waited_for_as_long_as_it_has_shown_to_take() {
        let rules = AlertRules::default();
        let minutes = |n: u64| Duration::from_secs(n * 60);
        assert_eq!(rules.silence(1, None), REPEAT);
        assert_eq!(rules.silence(3, Some(minutes(1))), REPEAT);
        assert_eq!(rules.silence(4, Some(minutes(5))), minutes(11));
        // What was an outage is no pace.
        assert!(rules.silence(9, Some(minutes(60 * 24))) <= REPEAT * 2);
    }
}
