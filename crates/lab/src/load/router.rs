//! Finds the leader of a key's region and retries until it has answered.
//!
//! Leaders are learned from refusals and, when those do not help, from PD.

use crate::{
    frame::Channel,
    http,
    node::unix_millis,
    timing::{CONNECT_LIMIT, LOAD_CALL, LOAD_OPERATION},
    topology::{NodeRole, REGIONS, Topology, region_of},
    wire::{Answer, Call, Refusal, decode, encode},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;

const RETRY: Duration = Duration::from_millis(60);
const ASK_PD_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("no answer within {} s: {last}", LOAD_OPERATION.as_secs())]
    NoAnswer { last: String },
    #[error("{0}")]
    Refused(Refusal),
}

pub(super) struct Router {
    stores: BTreeMap<u64, Channel>,
    leaders: Mutex<BTreeMap<u64, u64>>,
    pd: Vec<String>,
    http: reqwest::Client,
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Router {
    pub(super) fn new(topology: &Topology) -> reqwest::Result<Self> {
        let stores = topology.peers(NodeRole::Store).into_iter();
        Ok(Self {
            stores: stores
                .map(|(id, at)| (id, Channel::new(at, CONNECT_LIMIT)))
                .collect(),
            leaders: Mutex::default(),
            pd: topology.pd_endpoints(),
            http: http::client(CONNECT_LIMIT)?,
            asked: tokio::sync::Mutex::default(),
        })
    }

    fn leaders(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the leader of every region is known.
    pub(super) async fn wait_for_leaders(&self, limit: Duration) {
        let give_up = Instant::now() + limit;
        while (self.leaders().len() as u64) < REGIONS && Instant::now() < give_up {
            self.ask_pd().await;
            sleep(RETRY).await;
        }
    }

    pub(super) async fn read(&self, key: &str) -> Result<Option<String>, RouteError> {
        let make = |deadline| Call::Read {
            key: key.into(),
            deadline,
        };
        match self.call(region_of(key), make).await? {
            Answer::Value(value) => Ok(value),
            other => Err(RouteError::Refused(Refusal::Other(format!(
                "answered {other:?}"
            )))),
        }
    }

    /// `Ok` means that the write is durable on a majority.
    pub(super) async fn write(&self, key: &str, value: &str) -> Result<(), RouteError> {
        let make = |deadline| Call::Write {
            key: key.into(),
            value: value.into(),
            deadline,
        };
        self.call(region_of(key), make).await.map(|_| ())
    }

    async fn call(&self, region: u64, make: impl Fn(u64) -> Call) -> Result<Answer, RouteError> {
        let give_up = Instant::now() + LOAD_OPERATION;
        let mut last = String::from("no leader is known");
        let mut turns = self.stores.keys().copied().cycle().skip(region as usize);
        loop {
            if Instant::now() >= give_up {
                return Err(RouteError::NoAnswer { last });
            }
            if !self.leaders().contains_key(&region) {
                self.ask_pd().await;
            }
            // Where nobody knows a leader any store may know more: it is asked as clients of TiKV
            // ask, and says that it is none, or who is.
            let leader = self.leaders().get(&region).copied();
            let Some(channel) = leader
                .or_else(|| turns.next())
                .and_then(|id| self.stores.get(&id))
            else {
                sleep(RETRY).await;
                continue;
            };
            let deadline = unix_millis() + LOAD_CALL.as_millis() as u64;
            let result = channel.call(encode(&make(deadline)), LOAD_CALL).await;
            match result.and_then(|body| decode::<Answer>(&body)) {
                Ok(Answer::Refused(Refusal::NotLeader { leader: hint })) => {
                    last = Refusal::NotLeader { leader: hint }.to_string();
                    self.moved(region, leader, hint);
                    sleep(RETRY).await;
                }
                Ok(Answer::Refused(Refusal::TimedOut | Refusal::Expired)) => {
                    last = Refusal::TimedOut.to_string();
                    self.moved(region, leader, None);
                }
                Ok(Answer::Refused(refusal)) => return Err(RouteError::Refused(refusal)),
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let waited = error.kind() == io::ErrorKind::TimedOut;
                    last = error.to_string();
                    self.moved(region, leader, None);
                    if !waited {
                        sleep(RETRY).await;
                    }
                }
            }
        }
    }

    /// The leader is not where it was thought to be, unless somebody else has found out already.
    fn moved(&self, region: u64, from: Option<u64>, to: Option<u64>) {
        let mut leaders = self.leaders();
        if leaders.get(&region).copied() == from {
            match to {
                Some(to) => leaders.insert(region, to),
                None => leaders.remove(&region),
            };
        }
    }

    /// Asks PD who leads what, not more often than now and then.
    async fn ask_pd(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < ASK_PD_EVERY) {
            return;
        }
        for endpoint in &self.pd {
            let url = format!("{endpoint}/pd/api/v1/regions");
            let Ok(answer) = self.http.get(url).send().await else {
                continue;
            };
            let Ok(regions) = answer.json::<Value>().await else {
                continue;
            };
            let mut leaders = self.leaders();
            for region in regions["regions"].as_array().into_iter().flatten() {
                let (id, store) = (region["id"].as_u64(), region["leader"]["store_id"].as_u64());
                if let (Some(id @ 1..=REGIONS), Some(store)) = (id, store) {
                    leaders.insert(id, store);
                }
            }
            break;
        }
        *asked = Some(Instant::now());
    }
}
