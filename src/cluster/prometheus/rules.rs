//! What Prometheus says of its alerting rules, and of itself as far as that bears on them. Thanos,
//! Mimir and VictoriaMetrics leave parts of it out, so every part but the rules may be missing.

use super::{HttpError, Labels, Prometheus};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A rule that alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertRule {
    pub name: String,
    /// Labels that the rule itself gives.
    pub labels: Labels,
    /// Whether its last evaluation went well.
    pub healthy: bool,
    pub evaluated: Option<Timestamp>,
    /// Seconds between evaluations of its group.
    pub interval: f64,
    /// Seconds for which its condition must hold before it fires, and for which it fires on after
    /// that.
    pub waits: f64,
    pub keeps: f64,
    /// Labels of those that are pending or firing.
    pub active: Vec<Labels>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    rules: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    interval: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default, deserialize_with = "lenient")]
    labels: Option<Labels>,
    #[serde(default, deserialize_with = "lenient")]
    health: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    last_evaluation: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient")]
    duration: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    keep_firing_for: Option<f64>,
    #[serde(default)]
    alerts: Option<Vec<Active>>,
}

#[derive(Deserialize)]
struct Active {
    #[serde(default)]
    labels: Labels,
}

/// What cannot be read is not there.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let value = Option::<Value>::deserialize(from)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

/// A rule whose alerts cannot be read must not look as if it had none: nothing is known of it.
fn rule(value: Value, interval: f64) -> AlertRule {
    let name = value["name"].as_str().unwrap_or_default().to_owned();
    let Ok(rule) = serde_json::from_value::<Rule>(value) else {
        return AlertRule {
            name,
            interval,
            ..AlertRule::default()
        };
    };
    AlertRule {
        name,
        labels: rule.labels.unwrap_or_default(),
        healthy: rule.health.as_deref() == Some("ok"),
        // The zero of Go: never.
        evaluated: rule.last_evaluation.filter(|at| at.as_second() > 0),
        interval,
        waits: rule.duration.unwrap_or_default(),
        keeps: rule.keep_firing_for.unwrap_or_default(),
        active: rule
            .alerts
            .into_iter()
            .flatten()
            .map(|alert| alert.labels)
            .collect(),
    }
}

impl Prometheus {
    /// Its rules that alert.
    pub async fn rules(&self) -> Result<Vec<AlertRule>, HttpError> {
        let data: Data = self.get("rules", &[("type", "alert")]).await?;
        let rules = data.groups.into_iter().flatten().flat_map(|group| {
            let interval = group.interval.unwrap_or_default();
            let rules = group.rules.into_iter().flatten();
            rules.map(move |value| rule(value, interval))
        });
        Ok(rules.collect())
    }

    /// When its process began.
    pub async fn started(&self) -> Result<Timestamp, HttpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            start_time: Timestamp,
        }
        Ok(self
            .get::<Data>("status/runtimeinfo", &[])
            .await?
            .start_time)
    }

    /// Labels that it adds to what it tells others.
    pub async fn external_labels(&self) -> Result<Labels, HttpError> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(default)]
            yaml: String,
        }
        Ok(external(
            &self.get::<Data>("status/config", &[]).await?.yaml,
        ))
    }
}

/// `global.external_labels` of a configuration as Prometheus prints it: two spaces a level, one
/// label a line. Of values with escapes nothing is known.
fn external(yaml: &str) -> Labels {
    let lines = yaml.lines().skip_while(|line| *line != "global:").skip(1);
    let global = lines.take_while(|line| line.starts_with(' '));
    let labels = global
        .skip_while(|line| *line != "  external_labels:")
        .skip(1)
        .take_while(|line| line.starts_with("    "));
    labels
        .filter_map(|line| {
            let (name, value) = line.trim().split_once(": ")?;
            let quoted = value.len() > 1
                && (value.starts_with('"') && value.ends_with('"')
                    || value.starts_with('\'') && value.ends_with('\''));
            let value = if quoted {
                &value[1..value.len() - 1]
            } else {
                value
            };
            (!value.contains(['\\', '"', '\''])).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_are_read_from_the_printed_configuration() {
        let yaml = "global:\n  scrape_interval: 15s\n  external_labels:\n    cluster: eu-1\n    \
replica: \"0\"\n    odd: 'it''s'\n  evaluation_interval: 5s\nscrape_configs:\n- job_name: x\n";
        let labels = external(yaml);
        assert_eq!(labels["cluster"], "eu-1");
        assert_eq!(labels["replica"], "0");
        assert_eq!(labels.len(), 2, "{labels:?}");
        for none in [
            "",
            "global:\n  scrape_interval: 1m\n",
            "alerting:\n  external_labels:\n    a: b\n",
        ] {
            assert!(external(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn odd_parts_are_not_there_and_a_rule_whose_alerts_are_odd_is_not_well() {
        let odd = serde_json::json!({"name": "A", "health": "ok", "lastEvaluation": "soon",
            "duration": "1m", "labels": null, "alerts": null});
        let read = rule(odd, 5.0);
        assert!(read.healthy && read.evaluated.is_none() && read.active.is_empty());
        let odd = serde_json::json!({"name": "A", "health": "ok", "alerts": [{"labels": "none"}]});
        let read = rule(odd, 5.0);
        assert!(!read.healthy && read.name == "A");
    }
}
