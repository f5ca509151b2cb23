//! What can be changed in a running PD: kept in the replicated state, shown by `/config`.

use crate::{
    pd::duration,
    timing::{PEER_DOWN, STORE_DISCONNECTED, STORE_DOWN},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// Without a heartbeat for this long a store is Disconnected. A constant in PD.
    pub disconnected: Duration,
    /// And for this long, Down.
    pub max_store_down_time: Duration,
    /// A peer that has not answered its leader for this long is a down peer. In TiKV's own
    /// configuration there.
    pub max_peer_down_time: Duration,
    /// Hand-overs that may be under way at a time; zero stops balancing.
    pub leader_schedule_limit: u64,
    /// Stores that must lead nothing (`evict-leader-scheduler`).
    #[serde(default)]
    pub evict_leaders: BTreeSet<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disconnected: STORE_DISCONNECTED,
            max_store_down_time: STORE_DOWN,
            max_peer_down_time: PEER_DOWN,
            leader_schedule_limit: 4,
            evict_leaders: BTreeSet::new(),
        }
    }
}

impl Config {
    /// Applies `{"schedule.max-store-down-time": "1m"}`; bare leaf names do too.
    pub(crate) fn change(&mut self, changes: &Map<String, Value>) -> Result<(), String> {
        for (name, value) in changes {
            let leaf = name.rsplit('.').next().unwrap_or(name);
            let time = || {
                value
                    .as_str()
                    .and_then(duration::parse)
                    .filter(|d| !d.is_zero())
                    .ok_or_else(|| format!("{name}: {value} is not a duration such as \"30s\""))
            };
            match leaf {
                "max-store-disconnect-time" => self.disconnected = time()?,
                "max-store-down-time" => self.max_store_down_time = time()?,
                "max-peer-down-duration" => self.max_peer_down_time = time()?,
                "leader-schedule-limit" => {
                    self.leader_schedule_limit = value
                        .as_u64()
                        .ok_or_else(|| format!("{name}: {value} is not a number"))?;
                }
                _ => return Err(format!("config item {name} not found")),
            }
        }
        Ok(())
    }

    pub(crate) fn schedule(&self) -> Value {
        json!({
            "leader-schedule-limit": self.leader_schedule_limit,
            "region-schedule-limit": 0,
            "replica-schedule-limit": 0,
            "max-store-down-time": duration::format(self.max_store_down_time),
            "max-store-disconnect-time": duration::format(self.disconnected),
            "max-peer-down-duration": duration::format(self.max_peer_down_time),
            "leader-schedule-policy": "count",
            "low-space-ratio": 0.8,
            "high-space-ratio": 0.7,
        })
    }

    pub(crate) fn replication() -> Value {
        json!({
            "max-replicas": 3,
            "location-labels": "",
            "strictly-match-label": "false",
            "enable-placement-rules": "false",
        })
    }

    /// Names of the schedulers at work.
    pub(crate) fn schedulers(&self) -> Vec<String> {
        let evict = if self.evict_leaders.is_empty() {
            None
        } else {
            Some("evict-leader-scheduler")
        };
        let balance = if self.leader_schedule_limit > 0 {
            Some("balance-leader-scheduler")
        } else {
            None
        };
        balance
            .into_iter()
            .chain(evict)
            .map(str::to_string)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(config: &mut Config, text: &str) -> Result<(), String> {
        config.change(
            serde_json::from_str::<Value>(text)
                .unwrap()
                .as_object()
                .unwrap(),
        )
    }

    #[test]
    fn durations_change_by_full_and_by_bare_name_and_nonsense_is_refused() {
        let mut config = Config::default();
        change(&mut config, r#"{"schedule.max-store-down-time":"1m"}"#).unwrap();
        assert_eq!(config.schedule()["max-store-down-time"], "1m0s");
        change(&mut config, r#"{"max-store-disconnect-time":"6s"}"#).unwrap();
        assert_eq!(config.disconnected, Duration::from_secs(6));
        assert!(change(&mut config, r#"{"max-store-down-time":"0s"}"#).is_err());
        assert!(change(&mut config, r#"{"max-store-down-time":5}"#).is_err());
        assert!(
            change(&mut config, r#"{"no-such":1}"#)
                .unwrap_err()
                .contains("no-such")
        );
    }
}
