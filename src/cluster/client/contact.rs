//! Whether stores answer: a request of a few bytes to each, beside whatever their figures are read
//! from. A store whose metrics are long in coming is not one that is silent.

use super::Client;
use crate::cluster::{
    http::{self, Http, HttpError},
    snapshot::{Contact, Store, StoreState},
};
use futures_util::future::join_all;
use std::collections::HashMap;

/// A store that never answered is asked again only now and then: it may be out of reach for good,
/// and each attempt costs the whole limit of a request.
const SELDOM: u32 = 30;
const ATTEMPTS: u32 = 3;

/// How often a store has failed to answer that never did; none of one that did.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    failures: HashMap<u64, Option<u32>>,
}

impl Client {
    /// Where a store is asked for something. PD names no scheme: stores speak TLS where PD does.
    pub(super) fn at_store(&self, address: &str, path: &str) -> String {
        let encrypted = self.options.pd.iter().any(|e| e.starts_with("https://"));
        let scheme = if encrypted { "https" } else { "http" };
        if address.contains("://") {
            format!("{}/{path}", address.trim_end_matches('/'))
        } else {
            format!("{scheme}://{address}/{path}")
        }
    }

    /// What asking each store for a sign of life takes; on its own, so that it can run beside
    /// the reading of figures.
    pub(super) fn ask_stores(
        &mut self,
        stores: &[Store],
    ) -> impl Future<Output = HashMap<u64, Contact>> + use<> {
        let mut failures = std::mem::take(&mut self.contacts.failures);
        failures.retain(|id, _| stores.iter().any(|s| s.id == *id));
        let asked: Vec<(u64, String)> = stores
            .iter()
            .filter(|store| store.state != StoreState::Tombstone)
            .filter_map(|store| {
                let address = store.status_address.as_deref()?;
                let failed = failures.entry(store.id).or_insert(Some(0));
                let worth = failed.is_none_or(|n| n < ATTEMPTS || n.is_multiple_of(SELDOM));
                if !worth {
                    *failed = failed.map(|n| n + 1);
                }
                worth.then(|| (store.id, self.at_store(address, "status")))
            })
            .collect();
        self.contacts.failures = failures;
        answers(self.http.clone(), asked)
    }

    /// Takes the answers in.
    pub(super) fn note_contacts(&mut self, stores: &mut [Store], told: &HashMap<u64, Contact>) {
        for store in stores {
            let seen = &mut store.evidence.contact;
            if let (Some(told), false) = (told.get(&store.id), *seen == Contact::Answered) {
                *seen = *told;
            }
            let failed = self.contacts.failures.entry(store.id).or_insert(Some(0));
            match seen {
                Contact::Answered => *failed = None,
                Contact::Late | Contact::Failed => *failed = failed.map(|n| n + 1),
                Contact::NotAsked => {}
            }
        }
    }
}

impl Contact {
    /// From the error of a request, if there was one.
    pub(in crate::cluster) fn of(error: Option<&HttpError>) -> Self {
        match error {
            None => Self::Answered,
            // Something is there, if not what was asked for.
            Some(e) if e.is_answer() => Self::Answered,
            Some(e) if e.is_timeout() => Self::Late,
            Some(_) => Self::Failed,
        }
    }
}

async fn answers(http: Http, asked: Vec<(u64, String)>) -> HashMap<u64, Contact> {
    let each = asked.into_iter().map(|(id, url)| {
        let http = &http;
        async move {
            let answer = http::get(http, &url).await;
            (id, Contact::of(answer.as_ref().err()))
        }
    });
    join_all(each).await.into_iter().collect()
}
