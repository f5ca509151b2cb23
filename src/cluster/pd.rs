//! PD's answers, as far as they are read. Every field is optional on the wire: PD omits zeros.
//!
//! Shapes: the PD API at v8.5, prefix `/pd/api/v1`. Unknown fields are ignored, ids are 64 bit.

use super::{
    address,
    http::HttpError,
    snapshot::{Engine, Store, StoreState},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

#[derive(Debug, Deserialize)]
pub struct StoresAnswer {
    #[serde(deserialize_with = "some")]
    pub stores: Vec<StoreAnswer>,
}

/// A cluster has members and stores. A list of none comes from a PD that does not know yet, or
/// from something that is no PD: it must not read as "they all left".
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.is_empty() {
        return Err(serde::de::Error::custom("PD names none"));
    }
    Ok(list)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StoreAnswer {
    store: StoreMeta,
    status: StoreStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoreMeta {
    id: u64,
    address: String,
    status_address: String,
    state_name: String,
    last_heartbeat: Option<i64>,
    labels: Vec<Label>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Label {
    key: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoreStatus {
    capacity: String,
    available: String,
    leader_count: Option<u64>,
    region_count: Option<u64>,
    start_ts: Option<String>,
    last_heartbeat_ts: Option<String>,
}

impl StoreAnswer {
    pub fn into_store(self) -> Store {
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
            started: self.status.start_ts.as_deref().and_then(|t| t.parse().ok()),
            leaders: Some(self.status.leader_count.unwrap_or(0)),
            regions: Some(self.status.region_count.unwrap_or(0)),
            capacity: parse_size(&self.status.capacity).filter(|&c| c > 0),
            available: parse_size(&self.status.available),
            traffic: super::Observed::default(),
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
    #[serde(default)]
    pub header: Header,
    #[serde(deserialize_with = "some")]
    pub members: Vec<MemberAnswer>,
    #[serde(default)]
    pub leader: Option<MemberAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Header {
    pub cluster_id: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MemberAnswer {
    pub name: String,
    pub client_urls: Vec<String>,
}

impl MemberAnswer {
    pub fn address(&self) -> String {
        self.client_urls.first().cloned().unwrap_or_default()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthAnswer {
    pub name: String,
    pub health: bool,
    pub client_urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct RegionsAnswer {
    pub count: u64,
    /// `null` where only the count was asked for.
    #[serde(default)]
    pub regions: Option<Vec<RegionAnswer>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegionAnswer {
    pub id: u64,
    pub peers: Vec<PeerAnswer>,
    pub leader: PeerAnswer,
    pub down_peers: Vec<DownPeer>,
    pub pending_peers: Vec<PeerAnswer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeerAnswer {
    pub id: u64,
    pub store_id: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DownPeer {
    pub peer: PeerAnswer,
}

/// PD's errors have no codes but in their text: 503 "redirect finds no leader", 500 "redirect
/// failed" or "redirect to not leader", with or without `[PD:apiutil:ErrRedirect…]` before it.
pub fn leaderless(error: HttpError) -> HttpError {
    match error {
        HttpError::Status { url, status, text } if text.contains("edirect") => {
            HttpError::NoLeader { url, status, text }
        }
        other => other,
    }
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
        assert_eq!(members.members[0].address(), "http://pd0:2379");
    }

    #[test]
    fn a_leaderless_region_is_seen_as_such() {
        let text = r#"{"count":1,"regions":[{"id":3,"peers":[{"id":1,"store_id":1}],"leader":{"role_name":""}}]}"#;
        let regions: RegionsAnswer = serde_json::from_str(text).unwrap();
        assert_eq!(regions.regions.unwrap()[0].leader.store_id, 0);
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
