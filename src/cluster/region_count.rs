//! Counts regions one by one where they are too many to be listed: those of the stores that are not
//! known to live, as PD streams them. However many there are, one is held at a time.
//!
//! Says when it counted; whether that is young enough, and what it means, is for others.

use super::{
    http::{Http, HttpError},
    pd::RegionAnswer,
    regions::{Ground, Tally},
    snapshot::Regions,
};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use reqwest::Method;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{
    fmt,
    io::{self, BufReader, Read},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::io::{StreamReader, SyncIoBridge};

/// A count is repeated no sooner: PD reads thousands of regions for it.
const AGAIN: Duration = Duration::from_secs(60);
/// Where other stores are lost than were counted, it says too little, and is repeated no sooner.
const OTHERS: Duration = Duration::from_secs(10);
/// Of one count, over all its stores.
const LIMIT: Duration = Duration::from_secs(8);

/// The last count, and whether another one is wanted.
#[derive(Debug, Default)]
pub(super) struct Counter {
    last: Option<Counted>,
    wanted: bool,
}

#[derive(Debug)]
struct Counted {
    at: Instant,
    lost: Vec<u64>,
    /// None: it could not be finished.
    tally: Option<Tally>,
}

impl Counter {
    /// Somebody waits for proof: the next look counts anew.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// What is known of `total` regions: counted now, or not long ago over the same stores. None:
    /// nobody knows.
    pub(super) async fn count(
        &mut self,
        http: &Http,
        endpoint: &str,
        total: u64,
        ground: Ground,
    ) -> Option<Regions> {
        let lost = ground.lost();
        let ground = Arc::new(ground);
        let due = self.last.as_ref().is_none_or(|last| {
            let age = last.at.elapsed();
            age >= AGAIN || (last.lost != lost && age >= OTHERS)
        });
        if due || std::mem::take(&mut self.wanted) {
            let tally = all(http, endpoint, &lost, &ground).await;
            if let Err(why) = &tally {
                tracing::warn!("the regions of lost stores were not counted: {why}");
            }
            self.last = Some(Counted {
                at: Instant::now(),
                lost: lost.clone(),
                tally: tally.ok(),
            });
        }
        let last = self.last.as_ref().filter(|last| last.lost == lost)?;
        let at = Timestamp::now() - last.at.elapsed();
        Some(last.tally.as_ref()?.of(total, &ground, at))
    }
}

async fn all(
    http: &Http,
    endpoint: &str,
    lost: &[u64],
    ground: &Arc<Ground>,
) -> Result<Tally, HttpError> {
    let until = Instant::now() + LIMIT;
    let mut tally = Tally::default();
    for store in lost {
        let left = until.saturating_duration_since(Instant::now());
        let url = format!("{endpoint}/pd/api/v1/regions/store/{store}");
        let http = http.within(left);
        let response = http.open(http.request(Method::GET, &url)?, &url).await?;
        let body = response.bytes_stream().map_err(io::Error::other);
        let body = SyncIoBridge::new(StreamReader::new(body));
        let (ground, store) = (ground.clone(), *store);
        let counting = tokio::task::spawn_blocking(move || {
            // One that several lost stores hold is counted with the first of them.
            let read = each(body, |region| match region {
                Some(region) if ground.first_lost(&region) == Some(store) => {
                    tally.add(&region, &ground);
                }
                Some(_) => {}
                None => tally.odd(),
            });
            (tally, read)
        });
        let unreadable = |why: String| HttpError::Body {
            url: url.clone(),
            why,
        };
        let (counted, read) = counting.await.map_err(|e| unreadable(e.to_string()))?;
        read.map_err(|e| unreadable(e.to_string()))?;
        tally = counted;
    }
    Ok(tally)
}

/// Hands on the regions of an answer as they are read; None: an element that is no region.
fn each(body: impl Read, mut take: impl FnMut(Option<RegionAnswer>)) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, body));
    json.deserialize_map(Answer(&mut take))?;
    json.end()
}

/// The object around the list.
struct Answer<'f, F>(&'f mut F);

impl<'de, F: FnMut(Option<RegionAnswer>)> Visitor<'de> for Answer<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of regions")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "regions" {
                map.next_value_seed(List(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The list, which is null where it is empty.
struct List<'f, F>(&'f mut F);

impl<'de, F: FnMut(Option<RegionAnswer>)> DeserializeSeed<'de> for List<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Option<RegionAnswer>)> Visitor<'de> for List<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of regions")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while let Some(element) = list.next_element::<Value>()? {
            let object = Some(element).filter(Value::is_object);
            (self.0)(object.and_then(|element| serde_json::from_value(element).ok()));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "region_count_tests.rs"]
mod tests;
