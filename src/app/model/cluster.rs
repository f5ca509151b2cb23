//! The cluster as last seen, how it fared before, and what that amounts to in one word.

use crate::{
    cluster::{
        self, ClusterSnapshot, Life, MemberState, Observed, Regions, Store, StoreState, Traffic,
        UnknownReason,
    },
    transcript::clean::clean_text,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{HashMap, VecDeque},
    mem::{Discriminant, discriminant},
    ops::Range,
    time::Duration,
};

/// The dashboard looks this often, and not longer apart than this when nobody answers.
pub const INTERVAL: Duration = Duration::from_secs(1);
pub const MAX_INTERVAL: Duration = Duration::from_secs(4);
/// What is older than this is unknown: three looks of our own, and the time a slow one may take.
pub const STALE: SignedDuration = SignedDuration::from_secs(5);
/// Values kept for the charts, one a second.
const VALUES: usize = 300;
/// As time.
pub const HISTORY: Duration = Duration::from_secs(VALUES as u64);
/// The share of requests that are refused in a cluster that is not well.
pub const MUCH_REFUSED: f64 = 0.1;
/// Seconds that one look can stand for.
const MAX_AT_ONCE: i128 = 10;

/// The whole cluster in one word. Unknown is not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    Unknown,
    /// PD runs, and no store has joined it yet.
    NotBootstrapped,
    /// A store may have been lost, and it is not known yet.
    Suspect,
    Healthy,
    Degraded,
    /// PD has no leader: nothing moves and nobody knows of regions; what has a leader is served.
    NoPdLeader,
    /// Something cannot be served.
    Unavailable,
}

#[derive(Debug)]
pub struct Cluster {
    /// The addresses that are asked.
    pub pd: String,
    pub snapshot: Option<ClusterSnapshot>,
    /// What is older than this is unknown. A monitor looks less often than we do ourselves.
    pub patience: SignedDuration,
    pub ops: VecDeque<Option<f64>>,
    pub p99: VecDeque<Option<f64>>,
    /// Refused requests a second.
    pub refused: VecDeque<Option<f64>>,
    overall: Overall,
    overall_since: Option<Timestamp>,
    store_since: HashMap<u64, (How, Timestamp)>,
    /// Of each store, as of the whole.
    stores: HashMap<u64, History>,
    /// The store the reader stands on.
    selected: Option<u64>,
}

/// What was measured of one store, the newest last.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub ops: VecDeque<Option<f64>>,
    pub p99: VecDeque<Option<f64>>,
}

impl Cluster {
    pub fn new(pd: String) -> Self {
        Self {
            pd,
            snapshot: None,
            patience: STALE,
            ops: VecDeque::new(),
            p99: VecDeque::new(),
            refused: VecDeque::new(),
            overall: Overall::Unknown,
            overall_since: None,
            store_since: HashMap::new(),
            stores: HashMap::new(),
            selected: None,
        }
    }

    /// Stores as last seen, whether that is to be believed or not.
    pub fn stores(&self) -> &[Store] {
        let seen = self.snapshot.as_ref().and_then(|s| s.stores.value.as_ref());
        seen.map_or(&[], Vec::as_slice)
    }

    /// The store the reader stands on: the first, until they move.
    pub fn selected(&self) -> Option<&Store> {
        let stores = self.stores();
        let chosen = stores.iter().find(|s| Some(s.id) == self.selected);
        chosen.or(stores.first())
    }

    /// Moves the selection by `rows`, staying in the list.
    pub fn step(&mut self, rows: isize) {
        let at = self.selected().map(|s| s.id);
        let at = self.stores().iter().position(|s| Some(s.id) == at);
        let last = self.stores().len().saturating_sub(1);
        let index = at.unwrap_or(0).saturating_add_signed(rows).min(last);
        self.selected = self.stores().get(index).map(|s| s.id);
    }

    /// Which stores there is room for in so many rows, the chosen one among them.
    pub fn window(&self, rows: usize) -> Range<usize> {
        let chosen = self.selected().map(|s| s.id);
        let at = self.stores().iter().position(|s| Some(s.id) == chosen);
        let rows = rows.min(self.stores().len());
        let top = at.unwrap_or(0).saturating_sub(rows.saturating_sub(1));
        top..top + rows
    }

    /// Chooses the store in a row of so many.
    pub fn select_row(&mut self, row: usize, rows: usize) {
        let index = self.window(rows).start + row;
        if let Some(store) = self.stores().get(index).filter(|_| row < rows) {
            self.selected = Some(store.id);
        }
    }

    pub fn history(&self, store: u64) -> Option<&History> {
        self.stores.get(&store)
    }

    pub fn seen(&mut self, mut snapshot: ClusterSnapshot, now: Timestamp) {
        clean(&mut snapshot);
        // A value a second, however far apart the looks are; a clock may jump.
        let seconds = self.snapshot.as_ref().map_or(1, |earlier| {
            let passed = snapshot.at.duration_since(earlier.at);
            passed
                .as_millis()
                .saturating_add(500)
                .div_euclid(1000)
                .clamp(1, MAX_AT_ONCE)
        });
        let push = |history: &mut VecDeque<_>, value: Option<f64>| {
            for _ in 0..seconds {
                push(history, value);
            }
        };
        let traffic = snapshot.traffic.fresh().copied().unwrap_or_default();
        push(&mut self.ops, traffic.ops_per_s);
        push(&mut self.p99, traffic.p99_ms);
        push(&mut self.refused, traffic.refused_per_s);
        if let Some(earlier) = &self.snapshot {
            snapshot.remember(earlier);
        }
        // Of two hundred stores those that need somebody come first; else they stay as PD has them.
        if let Some(stores) = &mut snapshot.stores.value {
            stores.sort_by_key(|store| (worst_first(store), store.id));
        }
        let fresh = snapshot.stores.fresh().map_or(&[][..], Vec::as_slice);
        self.stores
            .retain(|id, _| fresh.is_empty() || fresh.iter().any(|s| s.id == *id));
        for (id, history) in &mut self.stores {
            if !fresh.iter().any(|s| s.id == *id) {
                push(&mut history.ops, None);
                push(&mut history.p99, None);
            }
        }
        for store in fresh {
            let traffic = store.traffic.fresh().copied().unwrap_or_default();
            let history = self.stores.entry(store.id).or_default();
            push(&mut history.ops, traffic.ops_per_s);
            push(&mut history.p99, traffic.p99_ms);
            let since = self
                .store_since
                .entry(store.id)
                .or_insert((how(store), now));
            if since.0 != how(store) {
                *since = (how(store), now);
            }
        }
        self.snapshot = Some(snapshot);
        self.judge(now);
    }

    /// How the stores fared before they were first looked at.
    pub fn backfill(&mut self, past: &HashMap<u64, Vec<Traffic>>) {
        let length = past.values().map(Vec::len).max().unwrap_or(0);
        let at = |values: &Vec<Traffic>, second: usize| {
            // All end now.
            let from = length - values.len();
            second
                .checked_sub(from)
                .and_then(|n| values.get(n))
                .copied()
        };
        for second in (0..length).rev() {
            let all = past.values().filter_map(|values| at(values, second));
            let all: Vec<Traffic> = all.collect();
            let total = cluster::total(all.iter()).unwrap_or_default();
            push_before(&mut self.ops, total.ops_per_s);
            push_before(&mut self.p99, total.p99_ms);
            push_before(&mut self.refused, total.refused_per_s);
        }
        for (id, values) in past {
            let history = self.stores.entry(*id).or_default();
            for traffic in values.iter().rev() {
                push_before(&mut history.ops, traffic.ops_per_s);
                push_before(&mut history.p99, traffic.p99_ms);
            }
        }
    }

    /// Time passes: what was known may be no longer.
    pub fn judge(&mut self, now: Timestamp) {
        let overall = self.judged(now);
        if overall != self.overall || self.overall_since.is_none() {
            self.overall = overall;
            self.overall_since = Some(now);
        }
    }

    /// What all stores serve together, if that is known now.
    pub fn traffic(&self, now: Timestamp) -> Option<&Traffic> {
        self.current(&self.snapshot.as_ref()?.traffic, now)
    }

    /// The word, and since when it holds.
    pub fn overall(&self) -> (Overall, Option<Timestamp>) {
        (self.overall, self.overall_since)
    }

    /// Since when a store is in its state: its last heartbeat if it is down, else since we saw it
    /// change.
    pub fn store_since(&self, id: u64) -> Option<Timestamp> {
        self.store_since.get(&id).map(|(_, at)| *at)
    }

    /// The value, if it is known and not stale: what may be shown as true.
    pub fn current<'a, T>(&self, observed: &'a Observed<T>, now: Timestamp) -> Option<&'a T> {
        if observed.age(now)? > self.patience {
            None
        } else {
            observed.fresh()
        }
    }

    /// Whether more is refused than leaders that move explain.
    fn refuses(&self, now: Timestamp) -> bool {
        let share = self.traffic(now).and_then(Traffic::refused_share);
        share.is_some_and(|share| share >= MUCH_REFUSED)
    }

    fn judged(&self, now: Timestamp) -> Overall {
        let Some(snapshot) = &self.snapshot else {
            return Overall::Unknown;
        };
        if self
            .current(&snapshot.pd_leader, now)
            .is_some_and(Option::is_none)
        {
            return Overall::NoPdLeader;
        }
        if snapshot.not_bootstrapped() {
            return Overall::NotBootstrapped;
        }
        let Some(stores) = self.current(&snapshot.stores, now) else {
            return Overall::Unknown;
        };
        let regions = self.current(&snapshot.regions, now);
        if regions.is_some_and(|r| r.unserved() > 0) {
            return Overall::Unavailable;
        }
        let dead = stores.iter().any(|s| match s.state {
            // Its regions have moved: it is not missed.
            StoreState::Offline | StoreState::Tombstone => {
                s.life() == Life::Silent && on_it(s, regions) != Some(0)
            }
            _ => s.life() == Life::Silent,
        });
        let Some(members) = self.current(&snapshot.pd, now) else {
            return Overall::Unknown;
        };
        let suspect = stores.iter().any(|s| matches!(s.life(), Life::Suspect(_)));
        let unknown = stores.iter().any(|s| matches!(s.life(), Life::Unknown(_)))
            || members.iter().any(|m| m.state == MemberState::Unknown)
            || regions.is_some_and(|r| r.in_doubt > 0);
        let members_up = members
            .iter()
            .all(|m| !matches!(m.state, MemberState::Down | MemberState::NeverStarted));
        let replicated = regions.map(|r| r.down_peer == 0 && r.miss_peer == 0);
        if stores.is_empty() {
            Overall::Unknown
        } else if dead || !members_up || replicated == Some(false) || self.refuses(now) {
            Overall::Degraded
        } else if suspect {
            Overall::Suspect
        } else if unknown || replicated.is_none() {
            Overall::Unknown
        } else {
            Overall::Healthy
        }
    }
}

/// How a store is: what PD calls it, and whether it lives.
type How = (StoreState, Discriminant<Life>);

fn how(store: &Store) -> How {
    (store.state, discriminant(&store.life()))
}

/// How many regions are left on a silent store, as far as anybody knows.
fn on_it(store: &Store, regions: Option<&Regions>) -> Option<u64> {
    let counted = regions.filter(|r| !r.uncounted);
    counted.map_or(store.regions, |r| {
        Some(r.on_lost.get(&store.id).copied().unwrap_or(0))
    })
}

/// Where a store stands in a list.
fn worst_first(store: &Store) -> u8 {
    match (store.life(), store.state) {
        (Life::Silent, StoreState::Down) => 0,
        (Life::Silent, _) => 1,
        (Life::Suspect(_), _) => 2,
        (Life::Unknown(_), _) => 3,
        (Life::Joining, _) => 4,
        (Life::Alive, StoreState::Offline) => 5,
        (Life::Alive, StoreState::Tombstone) => 7,
        (Life::Alive, _) => 6,
    }
}

/// Names and errors come from whoever answered at PD's address.
fn clean(snapshot: &mut ClusterSnapshot) {
    for store in snapshot.stores.value.iter_mut().flatten() {
        clean_text(&mut store.name);
        clean_text(&mut store.address);
    }
    for member in snapshot.pd.value.iter_mut().flatten() {
        clean_text(&mut member.name);
        clean_text(&mut member.address);
    }
    for error in [
        &mut snapshot.stores.error,
        &mut snapshot.pd.error,
        &mut snapshot.pd_leader.error,
        &mut snapshot.regions.error,
        &mut snapshot.traffic.error,
    ] {
        if let Some(UnknownReason::Failed(why)) = error {
            clean_text(why);
        }
    }
}

fn push_before(history: &mut VecDeque<Option<f64>>, value: Option<f64>) {
    if history.len() < VALUES {
        history.push_front(value.filter(|v| v.is_finite()));
    }
}

fn push(history: &mut VecDeque<Option<f64>>, value: Option<f64>) {
    if history.len() == VALUES {
        history.pop_front();
    }
    history.push_back(value.filter(|v| v.is_finite()));
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
