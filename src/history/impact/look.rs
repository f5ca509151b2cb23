//! What one look says of requests, and what later looks make of it. The monitor keeps it beside each
//! sample, so that hours of them are read in a moment.

use crate::cluster::{ClusterSnapshot, Engine, Life, Store, StoreState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// How much of what a look saw there was to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Each store was read.
    All,
    /// Those not read are silent: they serve nothing, and what they would have refused nobody counts.
    AllThatServe,
    Part,
    Nothing,
}

/// What one look says of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The sample's own.
    #[serde(skip)]
    pub at: Timestamp,
    pub seen: Seen,
    /// Stores that were not read, and whether they are known to be silent.
    pub unread: Vec<(u64, bool)>,
    /// What each of the others served.
    pub rates: Vec<(u64, f64)>,
    /// Seconds over which rates are taken.
    pub window_s: f64,
    pub ops_per_s: Option<f64>,
    pub p99_ms: Option<f64>,
    /// What that was not to be above, for the monitor that looked.
    pub p99_limit_ms: Option<f64>,
    pub refused_per_s: Option<f64>,
}

impl Look {
    pub fn of(at: Timestamp, snapshot: &ClusterSnapshot) -> Self {
        let traffic = snapshot.traffic.fresh().copied().unwrap_or_default();
        let stores = snapshot.stores.fresh();
        let rate = |s: &Store| Some((s.id, s.traffic.fresh()?.ops_per_s?));
        let rates = stores.into_iter().flatten().filter_map(rate).collect();
        let serves = |s: &&Store| s.engine == Engine::Tikv && s.state != StoreState::Tombstone;
        let unread = |s: &Store| s.traffic.fresh().is_none_or(|t| t.ops_per_s.is_none());
        let unread = stores
            .into_iter()
            .flatten()
            .filter(serves)
            .filter(|s| unread(s));
        let unread = unread.map(|s| (s.id, s.life() == Life::Silent));
        let unread: Vec<(u64, bool)> = unread.collect();
        let seen = match traffic.ops_per_s {
            None => Seen::Nothing,
            Some(_) if snapshot.odd_stores > 0 => Seen::Part,
            Some(_) => all_but(&unread),
        };
        Self {
            at,
            seen,
            unread,
            rates,
            window_s: snapshot.rate_window_ms.unwrap_or(0) as f64 / 1000.0,
            ops_per_s: traffic.ops_per_s,
            p99_ms: traffic.p99_ms,
            p99_limit_ms: snapshot.p99_limit_ms,
            refused_per_s: traffic.refused_per_s,
        }
    }

    /// As it stands beside its sample.
    pub fn figures(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// None: they say nothing that is understood here.
    pub(super) fn of_figures(at: Timestamp, figures: &str) -> Option<Self> {
        let look: Self = serde_json::from_str(figures).ok()?;
        Some(Self { at, ..look })
    }

    /// Whether p99 was above the limit of then.
    pub(super) fn is_slow(&self) -> bool {
        self.p99_ms
            .zip(self.p99_limit_ms)
            .is_some_and(|(p99, limit)| p99 > limit)
    }

    /// What succeeded, where all that serves was seen.
    pub(super) fn whole_ops(&self) -> Option<f64> {
        let whole = matches!(self.seen, Seen::All | Seen::AllThatServe);
        self.ops_per_s.filter(|_| whole)
    }
}

pub(super) fn all_but(unread: &[(u64, bool)]) -> Seen {
    match unread {
        [] => Seen::All,
        some if some.iter().all(|(_, silent)| *silent) => Seen::AllThatServe,
        _ => Seen::Part,
    }
}

/// Takes what is known by the end into looks in order.
pub(super) fn settle(looks: &mut [Look]) {
    know_the_dead(looks);
    outlast(looks);
}

/// A store that could not be read from some look on, until it was called silent, was silent all the
/// while: its process had ended before the cluster noticed.
fn know_the_dead(looks: &mut [Look]) {
    let mut silent: HashSet<u64> = HashSet::new();
    for look in looks.iter_mut().rev() {
        silent.retain(|id| look.unread.iter().any(|(other, _)| other == id));
        for (id, known) in &mut look.unread {
            *known |= silent.contains(id);
            if *known {
                silent.insert(*id);
            }
        }
        if look.seen == Seen::Part && !look.unread.is_empty() {
            look.seen = all_but(&look.unread);
        }
    }
}

/// A rate is of half a window ago. So what a store that died was last seen to serve, it served for half
/// a window longer; else what the others serve in its place would be missed for as long.
fn outlast(looks: &mut [Look]) {
    let mut last: HashMap<u64, (f64, Timestamp)> = HashMap::new();
    for look in looks {
        let served = look.unread.iter().filter(|(_, silent)| *silent);
        let served = served.filter_map(|(id, _)| last.get(id));
        let lately =
            |at: &Timestamp| look.at.duration_since(*at).as_secs_f64() <= look.window_s / 2.0;
        let more: f64 = served
            .filter(|(_, at)| lately(at))
            .map(|(rate, _)| rate)
            .sum();
        look.ops_per_s = look.ops_per_s.map(|ops| ops + more);
        last.extend(look.rates.iter().map(|(id, rate)| (*id, (*rate, look.at))));
    }
}
