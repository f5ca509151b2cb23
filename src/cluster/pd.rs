//! PD's answers, as far as they are read. Every field is optional on the wire: PD omits zeros.
//!
//! Shapes: the PD API at v8.5, prefix `/pd/api/v1`. Unknown fields are ignored, ids are 64 bit.

use super::{
    address,
    http::HttpError,
    lenient::{Lenient, list, or_default, texts},
    snapshot::{Engine, Evidence, Store, StoreState, Strain},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use std::collections::HashMap;

#[derive(Debug, Deserialize)]
pub struct StoresAnswer {
    #[serde(deserialize_with = "some")]
    stores: Lenient<StoreAnswer>,
}

impl StoresAnswer {
    /// Stores that are said to have their status port on loopback and serve elsewhere, by id: the
    /// status address, and the name of the host that they serve at.
    pub fn on_loopback(&self) -> HashMap<u64, (String, String)> {
        let all = self.stores.read.iter().map(|s| &s.store);
        all.filter_map(|store| {
            let host = address::loopback_of(&store.status_address, &store.address)?;
            Some((store.id, (store.status_address.clone(), host)))
        })
        .collect()
    }

    /// The stores that can be read, by id, and how many entries cannot.
    pub fn into_stores(self) -> (Vec<Store>, usize) {
        let Lenient { read, odd } = self.stores;
        let count = read.len();
        let named = read.into_iter().filter(|s| s.store.id != 0);
        let mut stores: Vec<Store> = named.map(StoreAnswer::into_store).collect();
        stores.sort_by_key(|s| s.id);
        stores.dedup_by_key(|s| s.id);
        let odd = odd + count - stores.len();
        (stores, odd)
    }
}

/// A cluster has members and stores. A list of none comes from a PD that does not know yet, or
/// from something that is no PD: it must not read as "they all left".
fn some<'de, D, T>(from: D) -> Result<Lenient<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let list = Lenient::deserialize(from)?;
    if list.read.is_empty() {
        return Err(serde::de::Error::custom("PD names none"));
    }
    Ok(list)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StoreAnswer {
    #[serde(deserialize_with = "or_default")]
    store: StoreMeta,
    #[serde(deserialize_with = "or_default")]
    status: StoreStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoreMeta {
    #[serde(deserialize_with = "or_default")]
    id: u64,
    #[serde(deserialize_with = "or_default")]
    address: String,
    #[serde(deserialize_with = "or_default")]
    status_address: String,
    #[serde(deserialize_with = "or_default")]
    state_name: String,
    #[serde(deserialize_with = "or_default")]
    version: String,
    #[serde(deserialize_with = "or_default")]
    last_heartbeat: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    start_timestamp: i64,
    #[serde(deserialize_with = "list")]
    labels: Vec<Label>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Label {
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoreStatus {
    #[serde(deserialize_with = "or_default")]
    capacity: String,
    #[serde(deserialize_with = "or_default")]
    available: String,
    #[serde(deserialize_with = "or_default")]
    leader_count: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    region_count: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    slow_score: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    is_busy: bool,
    #[serde(deserialize_with = "or_default")]
    pending_peer_count: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    start_ts: Option<String>,
    #[serde(deserialize_with = "or_default")]
    last_heartbeat_ts: Option<String>,
}

impl StoreAnswer {
    fn into_store(self) -> Store {
        let heartbeat = match self.store.last_heartbeat {
            Some(ns) => Timestamp::from_nanosecond(i128::from(ns)).ok(),
            None => self
                .status
                .last_heartbeat_ts
                .as_deref()
                .and_then(|t| t.parse().ok()),
        };
        let is_tiflash = |l: &Label| l.key == "engine" && l.value.starts_with("tiflash");
        let engine = if self.store.labels.iter().any(is_tiflash) {
            Engine::Tiflash
        } else {
            Engine::Tikv
        };
        Store {
            id: self.store.id,
            name: name(&self.store),
            status_address: address::status_address(
                &self.store.status_address,
                &self.store.address,
            ),
            address: self.store.address,
            engine,
            state: match self.store.state_name.as_str() {
                "Up" => StoreState::Up,
                "Disconnected" => StoreState::Disconnected,
                "Down" => StoreState::Down,
                "Offline" => StoreState::Offline,
                "Tombstone" => StoreState::Tombstone,
                _ => StoreState::Unknown,
            },
            // PD dates what never came to 1970.
            last_heartbeat: heartbeat.filter(|t| t.as_second() > 0),
            started: Timestamp::from_second(self.store.start_timestamp)
                .ok()
                .filter(|t| t.as_second() > 0)
                .or_else(|| self.status.start_ts.as_deref().and_then(|t| t.parse().ok())),
            version: Some(self.store.version).filter(|v| !v.is_empty()),
            leaders: Some(self.status.leader_count.unwrap_or(0)),
            regions: Some(self.status.region_count.unwrap_or(0)),
            capacity: parse_size(&self.status.capacity).filter(|&c| c > 0),
            available: parse_size(&self.status.available),
            strain: Strain {
                slow_score: self.status.slow_score.filter(|score| *score > 0),
                busy: self.status.is_busy,
                pending_peers: self.status.pending_peer_count,
            },
            traffic: super::Observed::default(),
            evidence: Evidence::default(),
        }
    }
}

/// The label `host` where there is one, else the host of the address if it is a name.
fn name(store: &StoreMeta) -> String {
    if let Some(label) = store
        .labels
        .iter()
        .find(|l| l.key == "host" && !l.value.is_empty())
    {
        return label.value.clone();
    }
    let host = store
        .address
        .rsplit_once(':')
        .map_or(store.address.as_str(), |(host, _)| host);
    if host.is_empty() || host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
        return format!("store {}", store.id);
    }
    host.split('.').next().unwrap_or(host).to_owned()
}

/// PD's sizes: a decimal number and a unit of 1024s, as in `99.95GiB`. Bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let power = UNITS.iter().position(|u| *u == unit)?;
    let number: f64 = number.trim().parse().ok().filter(|n: &f64| *n >= 0.0)?;
    Some((number * 1024f64.powi(power as i32)).round() as u64)
}

#[derive(Debug, Deserialize)]
pub struct MembersAnswer {
    #[serde(default, deserialize_with = "or_default")]
    pub header: Header,
    #[serde(deserialize_with = "some")]
    pub members: Lenient<MemberAnswer>,
    #[serde(default, deserialize_with = "or_default")]
    pub leader: Option<MemberAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Header {
    #[serde(deserialize_with = "or_default")]
    pub cluster_id: u64,
}

/// A member, as `/members` names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MemberAnswer {
    /// Empty until it has started for the first time.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub member_id: u64,
    #[serde(deserialize_with = "texts")]
    pub client_urls: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub binary_version: String,
}

impl MemberAnswer {
    pub fn address(&self) -> String {
        self.client_urls.first().cloned().unwrap_or_default()
    }

    /// Whether both are about one member: names need not be there, nor be different.
    pub fn same(&self, other: &Self) -> bool {
        if self.member_id != 0 && other.member_id != 0 {
            return self.member_id == other.member_id;
        }
        !self.name.is_empty() && self.name == other.name
    }
}

/// What a member says of its own process.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusAnswer {
    #[serde(deserialize_with = "or_default")]
    pub start_timestamp: i64,
}

/// What a member says of another's health.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthAnswer {
    #[serde(flatten)]
    pub member: MemberAnswer,
    #[serde(deserialize_with = "or_default")]
    pub health: bool,
}

#[derive(Debug, Deserialize)]
pub struct RegionsAnswer {
    pub count: u64,
    /// `null` where only the count was asked for.
    #[serde(default)]
    pub regions: Option<Lenient<RegionAnswer>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegionAnswer {
    #[serde(deserialize_with = "or_default")]
    pub id: u64,
    #[serde(deserialize_with = "list")]
    pub peers: Vec<PeerAnswer>,
    #[serde(deserialize_with = "or_default")]
    pub leader: PeerAnswer,
    #[serde(deserialize_with = "list")]
    pub down_peers: Vec<DownPeer>,
    #[serde(deserialize_with = "list")]
    pub pending_peers: Vec<PeerAnswer>,
}

/// A replica. What it is stands there twice, and older versions write less of it: `role_name` is
/// a word, `role` its number or word (none: a voter), `is_learner` a flag beside both.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeerAnswer {
    #[serde(deserialize_with = "or_default")]
    pub id: u64,
    #[serde(deserialize_with = "or_default")]
    pub store_id: u64,
    #[serde(deserialize_with = "or_default")]
    role_name: String,
    #[serde(deserialize_with = "or_default")]
    role: Value,
    #[serde(deserialize_with = "or_default")]
    is_learner: bool,
    /// It votes and holds no data.
    #[serde(deserialize_with = "or_default")]
    pub is_witness: bool,
}

/// What a replica is in its region's configuration (`metapb.PeerRole`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerRole {
    Voter,
    Learner,
    /// A learner that becomes a voter: it votes in the configuration that comes.
    IncomingVoter,
    /// A voter that becomes a learner: it votes in the configuration that goes.
    DemotingVoter,
}

impl PeerAnswer {
    pub fn role(&self) -> PeerRole {
        let number = self.role.as_u64();
        let word = self.role.as_str().unwrap_or(&self.role_name);
        let word: String = word.chars().filter(char::is_ascii_alphabetic).collect();
        match (number, word.to_ascii_lowercase().as_str()) {
            (Some(2), _) | (_, "incomingvoter") => PeerRole::IncomingVoter,
            (Some(3), _) | (_, "demotingvoter") => PeerRole::DemotingVoter,
            (Some(1), _) | (_, "learner") => PeerRole::Learner,
            _ if self.is_learner => PeerRole::Learner,
            _ => PeerRole::Voter,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DownPeer {
    #[serde(deserialize_with = "or_default")]
    pub peer: PeerAnswer,
}

/// PD's errors have no codes but in their text, with `[PD:apiutil:ErrRedirect…]` before it or, in
/// older versions, without. Only these words are PD's: a page of a gateway may speak of redirects too.
pub fn leaderless(error: HttpError) -> HttpError {
    match error {
        HttpError::Status { url, status, text } if is_leaderless(&text) => {
            HttpError::NoLeader { url, status, text }
        }
        other => other,
    }
}

fn is_leaderless(text: &str) -> bool {
    const CODES: [&str; 3] = [
        "ErrRedirectNoLeader",
        "ErrRedirectToNotLeader",
        "ErrRedirect",
    ];
    const WORDS: [&str; 3] = [
        "redirect finds no leader",
        "redirect to not leader",
        "redirect failed",
    ];
    let text = text.trim();
    match text.strip_prefix("[PD:apiutil:") {
        Some(rest) => CODES
            .iter()
            .any(|code| rest.starts_with(&format!("{code}]"))),
        None => WORDS.contains(&text),
    }
}

/// Whether PD answers that no store has joined it yet.
pub fn is_not_bootstrapped(error: &HttpError) -> bool {
    matches!(error, HttpError::Status { status: 500, text, .. }
        if text.starts_with("[PD:cluster:ErrNotBootstrapped]") || text.starts_with("TiKV cluster not bootstrapped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = r#"{"store":{"id":1,"address":"tikv0:20160","status_address":"tikv0:20180",
        "last_heartbeat":1769770812345678901,"node_state":1,"state_name":"Up"},
        "status":{"capacity":"99.95GiB","available":"61.3GiB","leader_count":7,"region_count":21,
        "start_ts":"2026-01-30T10:00:00Z","uptime":"1h0m12.3s","slow_score":1}}"#;

    #[test]
    fn a_store_is_read_with_its_units() {
        let store = serde_json::from_str::<StoreAnswer>(STORE)
            .unwrap()
            .into_store();
        assert_eq!(
            (store.name.as_str(), store.state),
            ("tikv0", StoreState::Up)
        );
        assert_eq!(store.capacity, Some(107_320_495_309));
        assert_eq!((store.leaders, store.regions), (Some(7), Some(21)));
        assert!((store.disk_used().unwrap() - 0.3867).abs() < 0.001);
        assert_eq!(store.last_heartbeat.unwrap().as_second(), 1_769_770_812);
    }

    #[test]
    fn what_pd_omits_is_zero_or_unknown_and_1970_is_never() {
        let text = r#"{"store":{"id":4,"address":"127.0.0.1:20160","state_name":"Disconnected",
            "last_heartbeat":-62135596800000000},"status":{"capacity":"0B","available":"0B"}}"#;
        let store = serde_json::from_str::<StoreAnswer>(text)
            .unwrap()
            .into_store();
        assert_eq!(store.name, "store 4");
        assert_eq!(
            (store.leaders, store.capacity, store.last_heartbeat),
            (Some(0), None, None)
        );
        assert_eq!(store.disk_used(), None);
        let new = serde_json::from_str::<StoreAnswer>(r#"{"store":{"state_name":"Sleeping"}}"#);
        assert_eq!(new.unwrap().into_store().state, StoreState::Unknown);
    }

    #[test]
    fn a_host_label_names_a_store() {
        let text = r#"{"store":{"id":4,"address":"127.0.0.1:1","labels":[{"key":"host","value":"tikv2"}]}}"#;
        assert_eq!(
            serde_json::from_str::<StoreAnswer>(text)
                .unwrap()
                .into_store()
                .name,
            "tikv2"
        );
    }

    #[test]
    fn ids_above_2_to_53_stay_exact() {
        let text = r#"{"header":{"cluster_id":7468201134512345678},"members":[{"name":"pd0",
            "member_id":13195394291058371180,"client_urls":["http://pd0:2379"]}],"leader":{"name":"pd0"}}"#;
        let members: MembersAnswer = serde_json::from_str(text).unwrap();
        assert_eq!(members.header.cluster_id, 7_468_201_134_512_345_678);
        let first = &members.members.read[0];
        assert_eq!(first.address(), "http://pd0:2379");
        assert_eq!(first.member_id, 13_195_394_291_058_371_180);
    }

    #[test]
    fn a_leaderless_region_is_seen_as_such() {
        let text = r#"{"count":1,"regions":[{"id":3,"peers":[{"id":1,"store_id":1}],"leader":{"role_name":""}}]}"#;
        let regions: RegionsAnswer = serde_json::from_str(text).unwrap();
        assert_eq!(regions.regions.unwrap().read[0].leader.store_id, 0);
        let count: RegionsAnswer = serde_json::from_str(r#"{"count":5,"regions":null}"#).unwrap();
        assert_eq!((count.count, count.regions.is_none()), (5, true));
    }

    #[test]
    fn sizes_are_read_or_refused() {
        assert_eq!(parse_size("1.5KiB"), Some(1536));
        assert_eq!(parse_size("0B"), Some(0));
        for bad in ["", "GiB", "12", "1.2.3GiB", "5GB", "-1B", "nanB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
