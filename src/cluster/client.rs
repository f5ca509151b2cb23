//! One look at a cluster: PD over HTTP, any member that answers, and each store's metrics.
//!
//! A look never fails as a whole: what cannot be seen is unknown, with the reason. It judges
//! nothing and remembers nothing but the scrapes it needs for rates and who the members are.

mod contact;
mod members;
mod traffic;

use self::{contact::Contacts, traffic::total_traffic};
use super::{
    access::Access,
    address,
    evidence::{Memory, Moment, Pace},
    http::{self, Http, HttpError},
    pd::{self, MemberAnswer, MembersAnswer, RegionsAnswer, StoresAnswer},
    prometheus::Prometheus,
    rates::Window,
    region_count::Counter,
    regions::{Ground, count_regions, count_unlisted},
    snapshot::{ClusterSnapshot, Observed, Regions, Store, UnknownReason},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use operator_ledger::{SystemId, endpoints};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Until the host of a name is found.
const NAME: Duration = Duration::from_secs(1);
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
    /// What p99 of a store is not to be above. None: whoever looks does not judge.
    pub latency_limit: Option<Duration>,
    /// With what PD and the stores are asked.
    pub access: Access,
    /// After this much silence a store is not counted as alive.
    pub heartbeat_limit: Duration,
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
            latency_limit: None,
            heartbeat_limit: Duration::from_secs(20),
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
    memory: Memory,
    contacts: Contacts,
    counter: Counter,
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
            memory: Memory::default(),
            contacts: Contacts::default(),
            counter: Counter::default(),
            members: Vec::new(),
            cluster_id: None,
            preferred: None,
        })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The next look counts regions, even if that was done not long ago.
    pub fn count_anew(&mut self) {
        self.counter.want();
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
            self.members.clone_from(&answer.members.read);
            if answer.header.cluster_id != 0 {
                self.cluster_id = Some(answer.header.cluster_id.into());
            }
        }
        let leader_now = leader(&members, now);
        if leader_now.fresh() == Some(&None) {
            self.memory.nobody_leads();
        }
        let mut odd_stores = 0;
        let mut ground = None;
        let (stores, traffic) = match stores {
            Ok((_, answer)) => {
                let on_loopback = answer.on_loopback();
                let (mut stores, odd) = answer.into_stores();
                if self.preferred.as_deref().is_some_and(address::is_loopback) {
                    reached_through_here(&mut stores, on_loopback).await;
                }
                address::tell_apart(&mut stores);
                odd_stores = odd;
                let asked = self.ask_stores(&stores);
                let figures = async {
                    match &self.options.prometheus {
                        Some(_) => self.ask_prometheus(stores).await,
                        None => self.scrape(stores).await,
                    }
                };
                let (contacts, mut stores) = tokio::join!(asked, figures);
                self.note_contacts(&mut stores, &contacts);
                // PD's word is of when it gave it, however long the stores took.
                let moment = Moment {
                    at: now,
                    now: Instant::now(),
                };
                let pace = Pace(self.options.heartbeat_limit);
                let in_office = leader_now.fresh().and_then(Option::as_deref);
                self.memory.judge(&mut stores, in_office, moment, pace);
                let told = self.memory.leaders_told(moment.now, pace);
                ground = Some(Ground::new(&stores, odd == 0, told));
                let traffic = total_traffic(&stores);
                (Observed::known(stores, now), traffic)
            }
            Err(e) => {
                let why = unknown_because(&e);
                let traffic = match &why {
                    UnknownReason::Failed(why) => format!("stores unknown: {why}").into(),
                    other => other.clone(),
                };
                (Observed::unknown(why), Observed::unknown(traffic))
            }
        };
        let from: Vec<String> = self.preferred.clone().map_or(endpoints, |p| vec![p]);
        let regions = match (count, ground) {
            (Ok((_, count)), Some(ground)) => self.regions(&from, count.count, ground).await,
            // Whether a region can be served depends on which stores live.
            (Ok((url, _)), None) => Err(HttpError::NotYet {
                url,
                why: "the stores are unknown",
            }),
            (Err(e), _) => Err(e),
        };
        ClusterSnapshot {
            cluster_id: self.cluster_id.clone(),
            pd: self.pd_members(&members, health, now),
            pd_leader: leader_now,
            stores,
            odd_stores,
            regions: match regions {
                Ok(regions) => Observed::known(regions, now),
                Err(e) => Observed::unknown(unknown_because(&e)),
            },
            traffic,
            rate_window_ms: u64::try_from(self.options.rate_window.as_millis()).ok(),
            p99_limit_ms: self.options.latency_limit.map(|l| l.as_secs_f64() * 1e3),
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

    async fn regions(
        &mut self,
        from: &[String],
        total: u64,
        ground: Ground,
    ) -> Result<Regions, HttpError> {
        let none = || HttpError::NotYet {
            url: from.first().cloned().unwrap_or_default(),
            why: "PD knows no region yet",
        };
        if total == 0 {
            return Err(none());
        }
        let known =
            self.memory
                .known_regions(total, Instant::now(), Pace(self.options.heartbeat_limit));
        if total <= MAX_LISTED_REGIONS {
            let (list, miss) = tokio::try_join!(
                self.first::<RegionsAnswer>(from, "/regions"),
                // How many peers a region should have is for PD to say.
                self.first::<RegionsAnswer>(from, "/regions/check/miss-peer")
            )?;
            let list = list.1.regions.unwrap_or_default();
            if list.read.is_empty() {
                return Err(none());
            }
            let odd = list.odd as u64;
            let mut regions = count_regions(&list.read, known.saturating_sub(odd), &ground);
            regions.total += odd;
            regions.in_doubt += odd;
            regions.miss_peer = miss.1.regions.map_or(miss.1.count, |r| r.count());
            return Ok(regions);
        }
        let this = &*self;
        let check = |what: &'static str| async move {
            let path = format!("/regions/check/{what}");
            let (_, answer) = this.first::<RegionsAnswer>(from, &path).await?;
            Ok::<_, HttpError>(answer.regions.unwrap_or_default())
        };
        let (down, miss, pending) = tokio::try_join!(
            check("down-peer"),
            check("miss-peer"),
            check("pending-peer")
        )?;
        let mut regions = count_unlisted(&down.read, known, &ground);
        if let (true, Some(endpoint)) = (regions.uncounted, from.first()) {
            let counted = self.counter.count(&self.http, endpoint, known, ground);
            if let Some(counted) = counted.await {
                let down_peer = regions.down_peer;
                regions = Regions {
                    down_peer,
                    ..counted
                };
            }
        }
        regions.miss_peer = miss.count();
        regions.pending_peer = pending.count();
        Ok(regions)
    }
}

fn unknown_because(error: &HttpError) -> UnknownReason {
    if pd::is_not_bootstrapped(error) {
        UnknownReason::NotBootstrapped
    } else {
        error.to_string().into()
    }
}

/// PD is asked on loopback, and there the stores' status ports are, by PD's word. That is this
/// machine's own port by mistake where a store's host can be found, and is all there is where no host
/// of that name is known: a cluster that is reached through forwarded ports.
async fn reached_through_here(stores: &mut [Store], told: HashMap<u64, (String, String)>) {
    let known = told.into_iter().map(|(id, (status, host))| async move {
        let found = tokio::net::lookup_host((host.as_str(), 0));
        let unknown = matches!(tokio::time::timeout(NAME, found).await, Ok(Err(_)));
        unknown.then_some((id, status))
    });
    let unknown: HashMap<u64, String> = join_all(known).await.into_iter().flatten().collect();
    for store in stores {
        if let Some(status) = unknown.get(&store.id) {
            store.status_address = Some(status.clone());
        }
    }
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
