//! From a snapshot to what every invariant reads on every subject: violated, clear or unknown.
//! Pure.
//!
//! It goes through the subjects; what is judged, and how, is written in `invariants`.

use super::{
    Config,
    config::Rule,
    extent::extent,
    invariants::{Invariant, Judge, Judgement, Scene, ViolationKey, unknown, unlisted},
};
use crate::cluster::{ClusterSnapshot, StoreState};
use operator_ledger::{Observation, Reading};
use std::time::Duration;
use strum::IntoEnumIterator;

/// The subjects of `observation_failed` that are no stores.
const PD: &str = "pd";
const METRICS: &str = "metrics";

/// What every invariant reads. `ticketed` are the keys of unresolved tickets, `seen` those of
/// subjects seen before: those that the snapshot no longer names read clear if their list could be
/// seen, unknown if not.
pub(super) fn evaluate(
    snapshot: &ClusterSnapshot,
    config: &Config,
    ticketed: &[ViolationKey],
    seen: &[ViolationKey],
) -> Vec<Observation> {
    let mut all = Evaluation {
        snapshot,
        config,
        ticketed,
        seen,
        out: Vec::new(),
    };
    for invariant in Invariant::iter() {
        if let Some(rule) = config.rule(invariant) {
            all.of(invariant, rule);
        }
    }
    all.out
}

/// What people call the store that a key is about. None: it is about something else.
fn store_name(snapshot: &ClusterSnapshot, key: &ViolationKey) -> Option<String> {
    // Members are known by their names alone, which may be numbers.
    if matches!(key.invariant.facts().judge, Judge::EachMember(_)) {
        return None;
    }
    let id: u64 = key.subject.as_ref()?.parse().ok()?;
    let mut stores = snapshot.stores.value.iter().flatten();
    stores.find(|s| s.id == id).map(|s| s.name.clone())
}

/// The keys that each invariant has on the subjects of an earlier snapshot.
pub(super) fn known_keys(snapshot: &ClusterSnapshot) -> Vec<ViolationKey> {
    let stores = || snapshot.stores.value.iter().flatten();
    let members = || snapshot.pd.value.iter().flatten();
    let mut keys = Vec::new();
    for invariant in Invariant::iter() {
        match invariant.facts().judge {
            Judge::EachStore(_) => keys.extend(
                stores()
                    .filter(|s| s.state != StoreState::Tombstone)
                    .map(|s| invariant.on(Some(s.id))),
            ),
            Judge::EachMember(_) => keys.extend(members().map(|m| invariant.on(Some(&m.name)))),
            // These are judged whether or not anything can be seen.
            Judge::Cluster(_) | Judge::Sources { .. } => {}
        }
    }
    keys
}

struct Evaluation<'a> {
    snapshot: &'a ClusterSnapshot,
    config: &'a Config,
    ticketed: &'a [ViolationKey],
    seen: &'a [ViolationKey],
    out: Vec<Observation>,
}

impl Evaluation<'_> {
    fn of(&mut self, invariant: Invariant, rule: &Rule) {
        let first = self.out.len();
        let scene = |key: &ViolationKey| Scene {
            snapshot: self.snapshot,
            threshold: rule.threshold,
            ticketed: self.ticketed.contains(key),
        };
        let stores = self.snapshot.stores.fresh().into_iter().flatten();
        let members = self.snapshot.pd.fresh().into_iter().flatten();
        let whole = invariant.on(None::<&str>);
        let read: Vec<(ViolationKey, Judgement)> = match invariant.facts().judge {
            Judge::Cluster(judge) => vec![(whole.clone(), judge(&scene(&whole)))],
            Judge::EachStore(judge) => stores
                .map(|store| {
                    let key = invariant.on(Some(store.id));
                    let read = judge(&scene(&key), store);
                    (key, read)
                })
                .collect(),
            Judge::EachMember(judge) => members
                .map(|member| {
                    let key = invariant.on(Some(&member.name));
                    let read = judge(&scene(&key), member);
                    (key, read)
                })
                .collect(),
            Judge::Sources { pd, metrics, store } => [(PD, pd), (METRICS, metrics)]
                .into_iter()
                .map(|(source, judge)| {
                    let key = invariant.on(Some(source));
                    let read = judge(&scene(&key));
                    (key, read)
                })
                .chain(stores.map(|of| {
                    let key = invariant.on(Some(of.id));
                    let read = store(&scene(&key), of);
                    (key, read)
                }))
                .collect(),
        };
        for (key, judgement) in read {
            self.add(rule, key, judgement);
        }
        let unlisted: Vec<ViolationKey> = match invariant {
            Invariant::StoreDown => self.unlisted().map(|id| invariant.on(Some(id))).collect(),
            _ => Vec::new(),
        };
        let (ticketed, seen) = (self.ticketed, self.seen);
        let earlier = ticketed.iter().chain(seen).chain(&unlisted);
        for key in earlier.filter(|key| key.invariant == invariant) {
            let text = key.to_string();
            if !self.out[first..].iter().any(|o| o.key == text) {
                let judgement = self.no_longer_named(key);
                self.add(rule, key.clone(), judgement);
            }
        }
    }

    /// Stores that regions name and PD does not.
    fn unlisted(&self) -> impl Iterator<Item = u64> {
        let s = self.snapshot;
        let whole = s.stores.fresh().filter(|_| s.odd_stores == 0);
        let named = s.regions.fresh().into_iter().flat_map(|r| r.on_lost.keys());
        named.copied().filter(move |id| {
            whole.is_some_and(|listed| !listed.iter().any(|store| store.id == *id))
        })
    }

    /// What a subject reads that the snapshot does not name.
    fn no_longer_named(&self, key: &ViolationKey) -> Judgement {
        let s = self.snapshot;
        if key.invariant == Invariant::StoreDown && s.stores.fresh().is_some() {
            return self.unlisted_store(key);
        }
        let unseen = match key.invariant.facts().judge {
            Judge::EachMember(_) => s.pd.fresh().is_none().then_some(&s.pd.error),
            Judge::EachStore(_) | Judge::Sources { .. } | Judge::Cluster(_) => {
                s.stores.fresh().is_none().then_some(&s.stores.error)
            }
        };
        match unseen {
            Some(why) => (Reading::Unknown, unknown(why.as_ref())),
            None => (Reading::Clear, "no longer part of the cluster".to_owned()),
        }
    }

    /// A store that PD lists no more is gone only when no region is left on it.
    fn unlisted_store(&self, key: &ViolationKey) -> Judgement {
        let s = self.snapshot;
        if s.odd_stores > 0 {
            let text = "PD's list of stores cannot be read to its end".to_owned();
            return (Reading::Unknown, text);
        }
        let store = key.subject.as_deref().unwrap_or_default();
        let id: Option<u64> = store.parse().ok();
        match s.regions.fresh() {
            Some(regions) if !regions.uncounted => {
                let left = id.and_then(|id| regions.on_lost.get(&id));
                left.map_or_else(
                    || (Reading::Clear, "no longer part of the cluster".to_owned()),
                    |left| unlisted(store, *left),
                )
            }
            Some(_) => {
                let text = format!(
                    "store {store} is gone from PD's list; nobody has counted what is left on it"
                );
                (Reading::Unknown, text)
            }
            None => (Reading::Unknown, unknown(s.regions.error.as_ref())),
        }
    }

    /// Leaders move after every fault, and the grace is there for the elections. Where no election
    /// can be won a third of it is enough to be sure.
    fn grace(&self, invariant: Invariant, rule: &Rule) -> Duration {
        let regions = self.snapshot.regions.fresh();
        let hopeless = regions.is_some_and(|r| r.no_quorum as f64 > rule.threshold);
        if invariant == Invariant::RegionUnavailable && hopeless {
            rule.grace / 3
        } else {
            rule.grace
        }
    }

    fn add(&mut self, rule: &Rule, key: ViolationKey, (reading, message): Judgement) {
        let grace = self.grace(key.invariant, rule);
        let violated = reading == Reading::Violated;
        self.out.push(Observation {
            extent: extent(self.snapshot, &key).filter(|_| violated),
            key: key.to_string(),
            invariant: key.invariant.to_string(),
            hold: self.config.hold(key.invariant),
            subject_name: store_name(self.snapshot, &key),
            subject: key.subject,
            reading,
            message,
            severity: rule.severity,
            grace,
            outside: None,
        });
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
