//! What Alertmanager, Grafana and their like told the monitor: one row for each time an alert
//! fired, told by its fingerprint and start.
//!
//! A notification is written down before it is acknowledged. It opens and closes nothing: the
//! monitor reads what stands here at its next check. Notifications come late, twice, and in the
//! wrong order (`receive`); what stands is read back one by one, or counted where a ticket stands
//! for many (`standing`).

mod receive;
mod standing;

use crate::{Severity, stored::words};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

pub(crate) use standing::{ended, matched};

/// What every violation key of an alert begins with; its fingerprint follows, of letters and digits.
pub const KEY: &str = "alert:";

/// What the key of a ticket that stands for many alerts begins with; the name that they share
/// follows, or nothing.
pub(crate) const MANY: &str = "alert:*";

/// The least key of an alert that has a ticket of its own: all of [`MANY`] sort before it.
const OWN: &str = "alert:0";

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AlertState {
    Firing,
    /// Its end was told.
    Resolved,
    /// Its end was not told, and Prometheus has long not seen it.
    Unseen,
    /// It fired anew before its end was told.
    Overtaken,
}

words!(AlertState);

/// One alert of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertNotice {
    pub fingerprint: String,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    pub firing: bool,
    /// Label `alertname`, as a clean line.
    pub name: String,
    pub severity: Severity,
    /// One line for people.
    pub summary: String,
    /// What its sender sends together.
    pub group_key: String,
    pub detail: AlertDetail,
    /// Everything else that the agent should know of it, as text.
    pub context: String,
    /// It fires while all is well.
    pub heartbeat: bool,
}

impl AlertNotice {
    pub fn key(&self) -> String {
        format!("{KEY}{}", self.fingerprint)
    }
}

/// What an alert came with. Byte for byte: labels are what it is told by. Whoever shows them cleans
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertDetail {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub links: Vec<AlertLink>,
    /// Alerts that fire and that the ticket stands for, where that is not one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertLink {
    /// `runbook`, `rule`, `dashboard`, `sender`…
    pub title: String,
    pub url: String,
}

/// When alerts are too many for a ticket each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// Of one name, begun within the window.
    pub of_a_name: usize,
    /// Of all names, begun within the window.
    pub of_all: usize,
    pub window: Duration,
    /// Standing at once, whenever they began.
    pub standing: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            of_a_name: 10,
            of_all: 30,
            window: Duration::from_secs(600),
            standing: 300,
        }
    }
}

/// What came of a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Firing, and not known before.
    pub fired: usize,
    pub resolved: usize,
    /// Known already.
    pub repeated: usize,
    /// Of an alert that has been resolved, or fired anew, since.
    pub late: usize,
}

impl std::ops::AddAssign for Received {
    fn add_assign(&mut self, more: Self) {
        self.fired += more.fired;
        self.resolved += more.resolved;
        self.repeated += more.repeated;
        self.late += more.late;
    }
}

/// An alert with a ticket of its own, as it stands: its newest start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingAlert {
    pub notice: AlertNotice,
    pub state: AlertState,
    /// When its sender last spoke of it.
    pub last_at: Option<Timestamp>,
    /// How long ago that was, as far as this machine's clock can say.
    pub silent_for: Duration,
    /// The longest that its sender was silent between two words.
    pub longest_silence: Option<Duration>,
    /// How often its sender spoke of it.
    pub words: u32,
    /// Prometheus was once seen to see it.
    pub matched: bool,
    /// Its sender spoke of it again after Prometheus had long not seen it.
    pub contested: bool,
}

/// What one ticket stands for where alerts are too many for one each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingCrowd {
    pub key: String,
    /// The name that they share.
    pub name: Option<String>,
    pub firing: u64,
    /// Those that have ended.
    pub ended: u64,
    /// The worst of those that fire.
    pub severity: Severity,
    /// When the first of those that fire began.
    pub since: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
    /// Some that fire, the first.
    pub examples: Vec<CrowdMember>,
    /// Names of those that fire, the most frequent first, and how many have it: not all.
    pub names: Vec<(String, u64)>,
}

/// One of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrowdMember {
    pub id: i64,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub matched: bool,
    pub contested: bool,
    pub last_at: Option<Timestamp>,
}

/// All that stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub alerts: Vec<StandingAlert>,
    pub crowds: Vec<StandingCrowd>,
    /// Rows that cannot be read: their tickets are left as they are.
    pub unreadable: u64,
}

#[cfg(test)]
#[path = "alerts/tests.rs"]
mod tests;
