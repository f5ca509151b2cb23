//! What is known of a cluster at one moment. Everything may be unknown and everything has an age.
//!
//! Plain data: no fetching (see [`super::client`]), no judging (see `monitor`), no drawing.
//! `operator-tui cluster --json` prints it, and the ledger keeps samples of it for replay.

use jiff::{SignedDuration, Timestamp};
use operator_ledger::SystemId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A value together with when it was true and why the last look failed, if it did.
///
/// A failed look keeps no old value: the caller decides whether to remember one (see
/// [`ClusterSnapshot::remember`]), and then its `at` says how old it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed<T> {
    pub value: Option<T>,
    /// When the value was read at its source. None: never.
    pub at: Option<Timestamp>,
    /// Why the last look failed, naming the address that was tried.
    pub error: Option<UnknownReason>,
}

/// Why something is unknown. Kept in samples as the words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum UnknownReason {
    /// It was read, but a rate needs two readings.
    FirstSample,
    /// PD runs, and no store has ever joined it.
    NotBootstrapped,
    /// The look failed; why, in words.
    Failed(String),
}

const FIRST_SAMPLE: &str = "one sample so far: no rate yet";
const NOT_BOOTSTRAPPED: &str = "not bootstrapped: PD runs, no store has joined yet";

impl UnknownReason {
    pub fn as_str(&self) -> &str {
        match self {
            Self::FirstSample => FIRST_SAMPLE,
            Self::NotBootstrapped => NOT_BOOTSTRAPPED,
            Self::Failed(why) => why,
        }
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for UnknownReason {
    fn from(text: String) -> Self {
        match text.as_str() {
            FIRST_SAMPLE => Self::FirstSample,
            NOT_BOOTSTRAPPED => Self::NotBootstrapped,
            _ => Self::Failed(text),
        }
    }
}

impl From<&str> for UnknownReason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<UnknownReason> for String {
    fn from(reason: UnknownReason) -> Self {
        reason.to_string()
    }
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Self {
            value: None,
            at: None,
            error: None,
        }
    }
}

impl<T> Observed<T> {
    pub fn known(value: T, at: Timestamp) -> Self {
        Self {
            value: Some(value),
            at: Some(at),
            error: None,
        }
    }

    pub fn unknown(why: impl Into<UnknownReason>) -> Self {
        Self {
            value: None,
            at: None,
            error: Some(why.into()),
        }
    }

    /// The value, if the last look gave one: what may be judged, as opposed to shown.
    pub fn fresh(&self) -> Option<&T> {
        if self.error.is_some() {
            None
        } else {
            self.value.as_ref()
        }
    }

    /// Time since the value was read. None: never read. Never negative.
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.at
            .map(|at| now.duration_since(at).max(SignedDuration::ZERO))
    }

    fn remember(&mut self, earlier: &Self)
    where
        T: Clone,
    {
        if self.value.is_none() {
            self.value.clone_from(&earlier.value);
            self.at = earlier.at;
        }
    }
}

/// One look at a cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClusterSnapshot {
    /// When the look ended.
    pub at: Timestamp,
    /// PD's cluster id, as text: it can be above 2^53.
    pub cluster_id: Option<SystemId>,
    pub pd: Observed<Vec<PdMember>>,
    /// Address of the PD member that answers as leader. Known and `None`: PD answered that there
    /// is none.
    #[serde(deserialize_with = "known_to_be_none")]
    pub pd_leader: Observed<Option<String>>,
    pub stores: Observed<Vec<Store>>,
    /// Entries of PD's list of stores that could not be read: a store that is not named may be one.
    #[serde(default)]
    pub odd_stores: usize,
    pub regions: Observed<Regions>,
    pub traffic: Observed<Traffic>,
    /// Over how many milliseconds rates are taken. None: nobody said.
    #[serde(default)]
    pub rate_window_ms: Option<u64>,
    /// What p99 of a store is not to be above, in milliseconds. None: who looked does not judge it.
    #[serde(default)]
    pub p99_limit_ms: Option<f64>,
}

/// In JSON "there is none" and "nobody knows" are the same null: it is known if it was read and
/// nothing failed.
fn known_to_be_none<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Observed<Option<String>>, D::Error> {
    let read = Observed::<String>::deserialize(from)?;
    let known = read.at.is_some() && read.error.is_none();
    Ok(Observed {
        value: if known {
            Some(read.value)
        } else {
            read.value.map(Some)
        },
        at: read.at,
        error: read.error,
    })
}

impl ClusterSnapshot {
    /// A look that saw nothing, and why.
    pub fn unknown(why: &str) -> Self {
        Self {
            at: Timestamp::now(),
            cluster_id: None,
            pd: Observed::unknown(why),
            pd_leader: Observed::unknown(why),
            stores: Observed::unknown(why),
            odd_stores: 0,
            regions: Observed::unknown(why),
            traffic: Observed::unknown(why),
            rate_window_ms: None,
            p99_limit_ms: None,
        }
    }

    /// Whether PD runs and no store has joined it yet.
    pub fn not_bootstrapped(&self) -> bool {
        self.stores.error == Some(UnknownReason::NotBootstrapped)
    }

    /// Whether more will be known soon: PD's leader may be new in office and still has to be told.
    pub fn unripe(&self) -> bool {
        let stores = self.stores.fresh().into_iter().flatten();
        let unheard = |s: &Store| s.life() == Life::Unknown(Doubt::NewTerm);
        stores.into_iter().any(unheard)
    }

    /// Fills what this look could not see from an earlier one, with the earlier one's age. The
    /// errors stay, so that [`Observed::fresh`] still says unknown.
    pub fn remember(&mut self, earlier: &Self) {
        if self.cluster_id.is_none() {
            self.cluster_id.clone_from(&earlier.cluster_id);
        }
        self.pd.remember(&earlier.pd);
        self.pd_leader.remember(&earlier.pd_leader);
        self.stores.remember(&earlier.stores);
        self.regions.remember(&earlier.regions);
        self.traffic.remember(&earlier.traffic);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PdMember {
    pub name: String,
    /// Client address, `http://host:port`.
    pub address: String,
    pub state: MemberState,
    /// When its process began. None: it did not answer us.
    #[serde(default)]
    pub started: Option<Timestamp>,
    #[serde(default)]
    pub version: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    Leader,
    Follower,
    /// It did not answer, or a member that did says so.
    Down,
    /// It was added and has never run: it has told nobody its name or address.
    NeverStarted,
    #[default]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Store {
    pub id: u64,
    /// Short name for people: the host of its address, or the lab's node name. No two stores of a
    /// snapshot have one name.
    pub name: String,
    pub address: String,
    /// Where its status port can be asked. None: PD does not say.
    pub status_address: Option<String>,
    #[serde(default)]
    pub engine: Engine,
    /// What PD calls it. Whether it lives is [`Store::life`].
    pub state: StoreState,
    /// The newest that PD, under whichever leader, is known to have had. None: it never sent one.
    pub last_heartbeat: Option<Timestamp>,
    pub started: Option<Timestamp>,
    #[serde(default)]
    pub version: Option<String>,
    pub leaders: Option<u64>,
    pub regions: Option<u64>,
    /// Bytes.
    pub capacity: Option<u64>,
    /// Bytes.
    pub available: Option<u64>,
    #[serde(default)]
    pub strain: Strain,
    /// From the store's own metrics over the last rate window.
    pub traffic: Observed<Traffic>,
    #[serde(default)]
    pub evidence: Evidence,
}

/// What a store tells PD of how it keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Strain {
    /// From 1, well, to 100: how slow its disk is for it. None: PD keeps none.
    pub slow_score: Option<u64>,
    /// It takes no snapshots for now.
    pub busy: bool,
    /// Peers on it that lag behind.
    pub pending_peers: Option<u64>,
}

/// What is known of whether a store lives, beyond PD's word for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// None: only PD's word is there (a sample of an earlier version).
    pub life: Option<Life>,
    /// How many regions it says it leads.
    pub leads: Option<u64>,
    /// Whether it answered us in this look.
    #[serde(default)]
    pub contact: Contact,
}

/// Whether a store answered, asked by ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contact {
    #[default]
    NotAsked,
    Answered,
    /// It took longer than a request may; it may be busy.
    Late,
    Failed,
}

/// Whether a store lives, from all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "of", rename_all = "snake_case")]
pub enum Life {
    /// Heard of within its limit.
    Alive,
    /// Registered with PD; its first heartbeat is on its way.
    Joining,
    /// Not heard of where it should have been, but not for long enough to call it silent.
    Suspect(Doubt),
    /// Not heard of for longer than its limit.
    Silent,
    Unknown(Doubt),
}

/// Why it is not known whether a store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It answered us and does not any more, since then.
    NoAnswer(Timestamp),
    /// Its heartbeat is late: the last one PD had.
    NoHeartbeat(Timestamp),
    /// PD's leader may be new in office, and has not heard of it yet.
    NewTerm,
    /// PD calls it something that is not known here.
    State,
}

impl Store {
    /// Whether it lives.
    pub fn life(&self) -> Life {
        self.evidence.life.unwrap_or(match self.state {
            StoreState::Up | StoreState::Offline | StoreState::Tombstone => Life::Alive,
            StoreState::Disconnected | StoreState::Down => Life::Silent,
            StoreState::Unknown => Life::Unknown(Doubt::State),
        })
    }

    /// Whether it lives and is to stay.
    pub fn serves(&self) -> bool {
        self.life() == Life::Alive && self.state != StoreState::Tombstone
    }

    /// Share of the capacity in use, 0 to 1.
    pub fn disk_used(&self) -> Option<f64> {
        match (self.capacity, self.available) {
            (Some(capacity), Some(available)) if capacity > 0 => {
                Some(1.0 - (available as f64 / capacity as f64).clamp(0.0, 1.0))
            }
            _ => None,
        }
    }
}

/// What a store keeps its data in. TiFlash answers queries of its own kind, and holds learners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    #[default]
    Tikv,
    Tiflash,
}

/// PD's word for a store (reference: `state_name`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreState {
    Up,
    Disconnected,
    Down,
    Offline,
    Tombstone,
    #[default]
    Unknown,
}

/// Counts of regions in trouble, from PD and from what is known of the stores.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Regions {
    pub total: u64,
    /// Regions without a leader, or with one on a store that is silent.
    pub leaderless: u64,
    /// Regions whose voters have no majority left on stores that live.
    pub no_quorum: u64,
    /// Regions that are one or the other.
    #[serde(default)]
    pub unserved: u64,
    /// Regions of which it is not known whether they can be served, besides those.
    #[serde(default)]
    pub in_doubt: u64,
    /// There are too many regions to look at each of them, and nobody has counted those of the
    /// stores that are not known to live.
    #[serde(default)]
    pub uncounted: bool,
    /// When they were counted, where that is not done at each look.
    #[serde(default)]
    pub counted_at: Option<Timestamp>,
    /// Regions with a peer reported down.
    pub down_peer: u64,
    /// Regions with fewer peers than wanted.
    pub miss_peer: u64,
    /// Regions with a peer that lags.
    pub pending_peer: u64,
    /// How many regions name a store that is not known to live, listed by PD or not.
    #[serde(default)]
    pub on_lost: BTreeMap<u64, u64>,
}

impl Regions {
    /// Regions that cannot be served.
    pub fn unserved(&self) -> u64 {
        self.unserved.max(self.leaderless).max(self.no_quorum)
    }
}

/// Requests as the stores count them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Those that succeeded.
    pub ops_per_s: Option<f64>,
    /// 99th percentile of the request duration, milliseconds. None where nothing was served.
    pub p99_ms: Option<f64>,
    /// Those that were refused or failed: not led here, too late, no room.
    #[serde(alias = "errors_per_s")]
    pub refused_per_s: Option<f64>,
}

impl Traffic {
    /// The share of requests that were refused, 0 to 1. None: there were none, or nobody knows.
    pub fn refused_share(&self) -> Option<f64> {
        let (served, refused) = (self.ops_per_s?, self.refused_per_s?);
        let all = served + refused;
        (all > 0.0).then(|| refused / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_value_is_shown_with_its_age_but_is_not_fresh() {
        let then: Timestamp = "2026-01-30T10:00:00Z".parse().unwrap();
        let now: Timestamp = "2026-01-30T10:00:09Z".parse().unwrap();
        let earlier = ClusterSnapshot {
            pd_leader: Observed::known(Some("http://pd0".into()), then),
            ..Default::default()
        };
        let mut later = ClusterSnapshot {
            at: now,
            pd_leader: Observed::unknown("http://pd0: connection refused"),
            ..Default::default()
        };
        later.remember(&earlier);
        assert_eq!(later.pd_leader.value, Some(Some("http://pd0".into())));
        assert_eq!(later.pd_leader.age(now), Some(SignedDuration::from_secs(9)));
        assert_eq!(later.pd_leader.fresh(), None);
    }

    #[test]
    fn a_reason_is_kept_as_its_words_and_read_back_as_itself() {
        for reason in [UnknownReason::FirstSample, "pd: refused".into()] {
            let kept = serde_json::to_string(&reason).unwrap();
            assert_eq!(kept, format!("\"{reason}\""));
            let read: UnknownReason = serde_json::from_str(&kept).unwrap();
            assert_eq!(read, reason);
        }
    }

    #[test]
    fn pd_without_a_leader_is_not_read_back_as_unknown() {
        let at = Timestamp::UNIX_EPOCH;
        for leader in [
            Observed::known(None, at),
            Observed::known(Some("http://pd0".to_owned()), at),
            Observed::unknown("no answer in time"),
        ] {
            let seen = ClusterSnapshot {
                pd_leader: leader,
                ..Default::default()
            };
            let kept = serde_json::to_string(&seen).unwrap();
            assert_eq!(
                serde_json::from_str::<ClusterSnapshot>(&kept).unwrap(),
                seen
            );
        }
    }

    #[test]
    fn a_clock_that_jumped_back_gives_no_negative_age() {
        let at: Timestamp = "2026-01-30T10:00:09Z".parse().unwrap();
        let now: Timestamp = "2026-01-30T10:00:00Z".parse().unwrap();
        assert_eq!(Observed::known(1, at).age(now), Some(SignedDuration::ZERO));
    }
}
