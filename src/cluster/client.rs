//! One look at a cluster: PD over HTTP, any member that answers, and each store's metrics.
//!
//! A look never fails as a whole: what cannot be seen is unknown, with the reason. It judges
//! nothing and remembers nothing but the scrapes it needs for rates and who the members are.

mod traffic;

use self::traffic::total_traffic;
use super::{
    access::Access,
    address,
    http::{self, Http, HttpError},
    pd::{
        self, HealthAnswer, MemberAnswer, MembersAnswer, RegionsAnswer, StoreAnswer, StoresAnswer,
    },
    prometheus::Prometheus,
    rates::Window,
    regions::count_regions,
    snapshot::{ClusterSnapshot, MemberState, Observed, PdMember, Regions, Store},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use operator_ledger::{SystemId, endpoints};
use std::{collections::HashMap, time::Duration};

/// Above this many regions the full list is not fetched, only PD's own checks are.
const MAX_LISTED_REGIONS: u64 = 5_000;

/// How to look.
#[derive(Debug, Clone)]
pub struct Options {
    /// PD members, `http://host:port` or `host:port`, in order of preference.
    pub pd: Vec<String>,
    /// Limit of one request.
    pub timeout: Duration,
    /// Over which rates and percentiles are taken.
    pub rate_window: Duration,
    /// With what PD and the stores are asked.
    pub access: Access,
    /// Where each store's traffic is read. None: from the store itself.
    pub prometheus: Option<Prometheus>,
}

impl Options {
    /// Endpoints as people write them: separated by commas, `http://` left out or not.
    pub fn new(pd: &str) -> Self {
        Self::with(pd, Access::default())
    }

    /// The same; a user and a password in an address go into `access`.
    pub fn with(pd: &str, mut access: Access) -> Self {
        Self {
            pd: access.take_logins(endpoints::read(pd)),
            access,
            timeout: Duration::from_secs(2),
            rate_window: Duration::from_secs(10),
            prometheus: None,
        }
    }
}

/// Looks at one cluster again and again.
#[derive(Debug)]
pub struct Client {
    options: Options,
    http: Http,
    /// `/health` asks the peers in turn, so it may take longer than one request of ours.
    patient: Http,
    windows: HashMap<u64, Window>,
    members: Vec<MemberAnswer>,
    cluster_id: Option<SystemId>,
    /// The endpoint that answered last, asked first.
    preferred: Option<String>,
}

impl Client {
    pub fn new(options: Options) -> Result<Self, HttpError> {
        let encrypted = options.pd.iter().any(|e| e.starts_with("https://"));
        let http = Http::new(options.timeout, options.access.clone(), encrypted)?;
        Ok(Self {
            patient: http.patient(),
            http,
            options,
            windows: HashMap::new(),
            members: Vec::new(),
            cluster_id: None,
            preferred: None,
        })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// One look. Takes at most a few times the request limit, whatever is broken.
    pub async fn observe(&mut self) -> ClusterSnapshot {
        let endpoints = self.endpoints();
        if endpoints.is_empty() {
            let why = "no PD address is known: give one with --pd or PD_ENDPOINT";
            return ClusterSnapshot::unknown(why);
        }
        let ((members, stores, count), health) = tokio::join!(
            async {
                // One that is paused hangs: ask all for who they are, and go on with the first.
                let members = self.first::<MembersAnswer>(&endpoints, "/members").await;
                let from: Vec<String> = match &members {
                    Ok((endpoint, _)) => vec![endpoint.clone()],
                    Err(_) => endpoints.clone(),
                };
                let (stores, count) = tokio::join!(
                    self.first::<StoresAnswer>(&from, "/stores"),
                    self.first::<RegionsAnswer>(&from, "/regions/count")
                );
                (members, stores, count)
            },
            self.health(&endpoints)
        );
        let now = Timestamp::now();
        if let Ok((endpoint, answer)) = &members {
            self.preferred = Some(endpoint.clone());
            self.members.clone_from(&answer.members);
            if answer.header.cluster_id != 0 {
                self.cluster_id = Some(answer.header.cluster_id.into());
            }
        }
        let stores = stores.map(|(_, answer)| {
            let mut stores: Vec<Store> = answer
                .stores
                .into_iter()
                .map(StoreAnswer::into_store)
                .collect();
            stores.sort_by_key(|s| s.id);
            address::tell_apart(&mut stores);
            stores
        });
        let (stores, traffic) = match stores {
            Ok(stores) => {
                let stores = match &self.options.prometheus {
                    Some(_) => self.ask_prometheus(stores).await,
                    None => self.scrape(stores).await,
                };
                let traffic = total_traffic(&stores);
                (Observed::known(stores, now), traffic)
            }
            Err(e) => {
                let why = e.to_string();
                (
                    Observed::unknown(why.as_str()),
                    Observed::unknown(format!("stores unknown: {why}")),
                )
            }
        };
        let from: Vec<String> = self.preferred.clone().map_or(endpoints, |p| vec![p]);
        let regions = match (count, stores.fresh()) {
            (Ok((_, count)), Some(stores)) => self.regions(&from, count.count, stores).await,
            // Whether a region can be served depends on which stores are up.
            (Ok((url, _)), None) => Err(HttpError::NotYet {
                url,
                why: "the stores are unknown",
            }),
            (Err(e), _) => Err(e),
        };
        ClusterSnapshot {
            cluster_id: self.cluster_id.clone(),
            pd: self.pd_members(&members, health, now),
            pd_leader: leader(&members, now),
            stores,
            regions: match regions {
                Ok(regions) => Observed::known(regions, now),
                Err(e) => Observed::unknown(e.to_string()),
            },
            traffic,
            at: Timestamp::now(),
        }
    }

    /// Every address worth asking: the one that answered last, those given, those PD named.
    fn endpoints(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let named = self.members.iter().map(MemberAnswer::address);
        for e in self
            .preferred
            .iter()
            .chain(&self.options.pd)
            .cloned()
            .chain(named)
        {
            if !e.is_empty() && !out.contains(&e) {
                out.push(e);
            }
        }
        out
    }

    /// The first readable answer of any endpoint, all asked at once: a member that hangs must not
    /// delay the others. Else the most telling error.
    async fn first<T: serde::de::DeserializeOwned>(
        &self,
        endpoints: &[String],
        path: &str,
    ) -> Result<(String, T), HttpError> {
        // Without a leader PD waits some seconds before it says so.
        let http = if path == "/members" {
            &self.patient
        } else {
            &self.http
        };
        use futures_util::stream::{FuturesUnordered, StreamExt};
        let mut asked: FuturesUnordered<_> = endpoints
            .iter()
            .map(|endpoint| async move {
                let url = format!("{endpoint}/pd/api/v1{path}");
                let answer = http::get_json::<T>(http, &url).await;
                (endpoint.clone(), answer.map_err(pd::leaderless))
            })
            .collect();
        let mut worst: Option<HttpError> = None;
        while let Some((endpoint, answer)) = asked.next().await {
            match answer {
                Ok(answer) => return Ok((endpoint, answer)),
                // A member that answers tells more than one that cannot be reached.
                Err(e) if worst.is_none() || e.is_answer() => worst = Some(e),
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(|| HttpError::Unreachable {
            url: path.to_owned(),
            why: "nobody to ask".into(),
        }))
    }

    /// What the members that answer say of each other, by name.
    async fn health(&self, endpoints: &[String]) -> Health {
        let (told, pings) = tokio::join!(
            join_all(endpoints.iter().map(|e| async move {
                let url = format!("{e}/pd/api/v1/health");
                http::get_json::<Vec<HealthAnswer>>(&self.patient, &url)
                    .await
                    .ok()
            })),
            join_all(endpoints.iter().map(|e| async move {
                http::get(&self.http, &format!("{e}/pd/api/v1/ping"))
                    .await
                    .is_ok()
            }))
        );
        let mut health = Health::default();
        for (endpoint, ok) in endpoints.iter().zip(pings) {
            health.ping.insert(endpoint.clone(), ok);
        }
        for entry in told.into_iter().flatten().flatten() {
            // One witness who says "alive" is enough: two that cannot see each other are not dead.
            let alive = health.told.entry(entry.name.clone()).or_insert(false);
            *alive |= entry.health;
            health.names.entry(entry.name).or_insert(entry.client_urls);
        }
        health
    }

    fn pd_members(
        &self,
        members: &Result<(String, MembersAnswer), HttpError>,
        health: Health,
        now: Timestamp,
    ) -> Observed<Vec<PdMember>> {
        let leader = members
            .as_ref()
            .ok()
            .and_then(|(_, m)| m.leader.as_ref())
            .map(|l| &l.name);
        let mut known = self.members.clone();
        if known.is_empty() {
            known = health
                .names
                .iter()
                .map(|(name, urls)| MemberAnswer {
                    name: name.clone(),
                    client_urls: urls.clone(),
                })
                .collect();
            known.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let answered = health.ping.values().any(|ok| *ok);
        if known.is_empty() || !answered {
            return Observed::unknown(match members {
                Err(e) => e.to_string(),
                Ok(_) => "PD names no members".to_owned(),
            });
        }
        let list = known
            .into_iter()
            .map(|m| {
                let address = m.address();
                let told = health.told.get(&m.name).copied();
                let ping = health.ping.get(&address).copied().unwrap_or(false);
                let state = match (told, ping) {
                    (_, true) | (Some(true), _) if leader == Some(&m.name) => MemberState::Leader,
                    (_, true) | (Some(true), _) => MemberState::Follower,
                    (Some(false), false) => MemberState::Down,
                    (None, false) => MemberState::Unknown,
                };
                PdMember {
                    name: m.name,
                    address,
                    state,
                }
            })
            .collect();
        Observed::known(list, now)
    }

    async fn regions(
        &self,
        from: &[String],
        total: u64,
        stores: &[Store],
    ) -> Result<Regions, HttpError> {
        let none = || HttpError::NotYet {
            url: from.first().cloned().unwrap_or_default(),
            why: "PD knows no region yet",
        };
        if total == 0 {
            return Err(none());
        }
        if total <= MAX_LISTED_REGIONS {
            let (list, miss) = tokio::try_join!(
                self.first::<RegionsAnswer>(from, "/regions"),
                // How many peers a region should have is for PD to say.
                self.first::<RegionsAnswer>(from, "/regions/check/miss-peer")
            )?;
            let list = list.1.regions.unwrap_or_default();
            if list.is_empty() {
                return Err(none());
            }
            let mut regions = count_regions(&list, stores);
            regions.miss_peer = miss.1.regions.map_or(miss.1.count, |r| r.len() as u64);
            return Ok(regions);
        }
        let check = |what: &'static str| async move {
            let path = format!("/regions/check/{what}");
            self.first::<RegionsAnswer>(from, &path)
                .await
                .map(|(_, a)| a.regions.unwrap_or_default())
        };
        let (down, miss, pending) = tokio::try_join!(
            check("down-peer"),
            check("miss-peer"),
            check("pending-peer")
        )?;
        let mut regions = count_regions(&down, stores);
        regions.total = total;
        regions.miss_peer = miss.len() as u64;
        regions.pending_peer = pending.len() as u64;
        Ok(regions)
    }
}

#[derive(Default)]
struct Health {
    told: HashMap<String, bool>,
    names: HashMap<String, Vec<String>>,
    ping: HashMap<String, bool>,
}

/// Known and none only if PD itself says that it has no leader.
fn leader(
    members: &Result<(String, MembersAnswer), HttpError>,
    now: Timestamp,
) -> Observed<Option<String>> {
    match members {
        Ok((_, m)) => {
            // One that PD names without an address is a leader all the same.
            let leader = m.leader.as_ref().map(|l| match l.address() {
                address if address.is_empty() => l.name.clone(),
                address => address,
            });
            let leader = leader.filter(|l| !l.is_empty());
            Observed::known(leader, now)
        }
        Err(HttpError::NoLeader { .. }) => Observed::known(None, now),
        Err(e) => Observed::unknown(e.to_string()),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
