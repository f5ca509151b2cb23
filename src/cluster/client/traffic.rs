//! What the stores serve: read from each of them, or from Prometheus.

use super::Client;
use crate::cluster::{
    exposition,
    http::{self, HttpError},
    rates::{self, Counters},
    snapshot::{
        ClusterSnapshot, Engine, Evidence, Observed, Store, StoreState, Traffic, UnknownReason,
    },
};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

impl Client {
    /// Adds each store's traffic as Prometheus has it.
    pub(super) async fn ask_prometheus(&mut self, mut stores: Vec<Store>) -> Vec<Store> {
        let Some(prometheus) = &mut self.options.prometheus else {
            return stores;
        };
        let answer = prometheus.traffic(&stores, self.options.rate_window).await;
        let now = Timestamp::now();
        let place = prometheus.place();
        for (n, store) in stores.iter_mut().enumerate() {
            store.traffic = match &answer {
                _ if store.engine == Engine::Tiflash => Observed::known(Traffic::default(), now),
                Err(e) => Observed::unknown(e.to_string()),
                Ok(known) => match known.get(n) {
                    Some(Ok(traffic)) => Observed::known(*traffic, now),
                    Some(Err(why)) => Observed::unknown(format!("{place}: {why}")),
                    None => Observed::unknown(format!("{place}: no answer of it")),
                },
            };
        }
        stores
    }

    /// What Prometheus kept of the stores of a snapshot, by their ids: a value for each second of
    /// the last `length`, the oldest first. None where Prometheus is not the source.
    pub async fn history(
        &mut self,
        snapshot: &ClusterSnapshot,
        length: Duration,
    ) -> Option<Result<HashMap<u64, Vec<Traffic>>, HttpError>> {
        let prometheus = self.options.prometheus.as_mut()?;
        let second = Duration::from_secs(1);
        let window = self.options.rate_window;
        let (from, to) = (snapshot.at - length, snapshot.at);
        let stores = snapshot.stores.value.as_deref().unwrap_or_default();
        Some(prometheus.history(stores, from, to, second, window).await)
    }

    /// Adds each store's own traffic.
    pub(super) async fn scrape(&mut self, mut stores: Vec<Store>) -> Vec<Store> {
        self.windows
            .retain(|id, _| stores.iter().any(|s| s.id == *id));
        let texts = join_all(stores.iter().map(|store| async {
            let address = store
                .status_address
                .as_deref()
                .filter(|_| store.state != StoreState::Tombstone)?;
            let url = self.at_store(address, "metrics");
            Some((http::get(&self.http, &url).await, url))
        }))
        .await;
        let (at, now) = (Instant::now(), Timestamp::now());
        for (store, answer) in stores.iter_mut().zip(texts) {
            store.evidence = Evidence::of(answer.as_ref().map(|(answer, _)| answer));
            store.traffic = match answer {
                None => Observed::unknown("PD names no status address"),
                Some((Err(e), _)) => Observed::unknown(e.to_string()),
                Some((Ok(text), _)) if store.engine == Engine::Tiflash && is_tiflash(&text) => {
                    Observed::known(Traffic::default(), now)
                }
                Some((Ok(text), url)) => match Counters::read(&text) {
                    None => Observed::unknown(format!("{url}: what answers is no store's metrics")),
                    Some(counters) => {
                        let window = self.windows.entry(store.id).or_default();
                        match window.add(at, counters, self.options.rate_window) {
                            Some(traffic) => Observed::known(traffic, now),
                            None => Observed::unknown(UnknownReason::FirstSample),
                        }
                    }
                },
            };
        }
        stores
    }
}

/// TiFlash counts what it serves in metrics that are not read here.
fn is_tiflash(text: &str) -> bool {
    exposition::samples(text).any(|s| s.name.starts_with("tiflash_"))
}

/// The sum over stores that can be seen. Unknown when none can.
pub(super) fn total_traffic(stores: &[Store]) -> Observed<Traffic> {
    let known = || stores.iter().filter_map(|s| s.traffic.fresh());
    match rates::total(known()) {
        Some(total) => {
            let at = stores
                .iter()
                .filter_map(|s| s.traffic.at)
                .max()
                .unwrap_or_default();
            Observed::known(total, at)
        }
        None => Observed::unknown(
            stores
                .iter()
                .find_map(|s| s.traffic.error.clone())
                .unwrap_or_else(|| "no store to ask".into()),
        ),
    }
}
