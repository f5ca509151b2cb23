//! What the stores serve: read from each of them, or from Prometheus.

use super::Client;
use crate::cluster::{
    http::{self, HttpError},
    rates::{self, Counters},
    snapshot::{ClusterSnapshot, Evidence, Observed, Store, StoreState, Traffic, UnknownReason},
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
        let answer = prometheus.traffic(self.options.rate_window).await;
        let now = Timestamp::now();
        for store in &mut stores {
            store.traffic = match (&answer, store.instance()) {
                (Err(e), _) => Observed::unknown(e.to_string()),
                (_, None) => Observed::unknown("PD names no status address"),
                (Ok(known), Some(instance)) => match known.get(instance) {
                    Some(Ok(traffic)) => Observed::known(*traffic, now),
                    Some(Err(why)) => Observed::unknown(format!("{}: {why}", prometheus.place())),
                    None => Observed::unknown(format!(
                        "{} knows no instance {instance}",
                        prometheus.place()
                    )),
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
        let from = snapshot.at - length;
        let answer = prometheus.history(from, snapshot.at, second, window).await;
        Some(answer.map(|known| {
            let stores = snapshot.stores.value.iter().flatten();
            let kept = |store: &Store| Some((store.id, known.get(store.instance()?)?.clone()));
            stores.filter_map(kept).collect()
        }))
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
            let url = if address.contains("://") {
                format!("{address}/metrics")
            } else {
                format!("http://{address}/metrics")
            };
            Some((http::get(&self.http, &url).await, url))
        }))
        .await;
        let (at, now) = (Instant::now(), Timestamp::now());
        for (store, answer) in stores.iter_mut().zip(texts) {
            store.evidence = Evidence::of(answer.as_ref().map(|(answer, _)| answer));
            store.traffic = match answer {
                None => Observed::unknown("PD names no status address"),
                Some((Err(e), _)) => Observed::unknown(e.to_string()),
                Some((Ok(text), url)) => match Counters::read(&text) {
                    None => Observed::unknown(format!("{url}: no request metrics there")),
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
