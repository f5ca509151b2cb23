//! From a snapshot to what every invariant reads on every subject: violated, clear or unknown.
//! Pure.
//!
//! It goes through the subjects; what is judged, and how, is written in `invariants`.

use super::{
    Config,
    config::Rule,
    invariants::{Invariant, Judge, Judgement, Scene, ViolationKey, unknown},
};
use crate::cluster::{ClusterSnapshot, StoreState};
use operator_ledger::{Observation, Reading};
use strum::IntoEnumIterator;

/// The subject of `observation_failed` that is no store.
const PD: &str = "pd";

/// What every invariant reads. `known` are the keys of unresolved tickets and of subjects seen
/// before: those that the snapshot no longer names read clear if their list could be seen, unknown
/// if not.
pub(super) fn evaluate(
    snapshot: &ClusterSnapshot,
    config: &Config,
    known: &[ViolationKey],
) -> Vec<Observation> {
    let mut all = Evaluation {
        snapshot,
        config,
        known,
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
            Judge::Cluster(_) | Judge::PdAndEachStore(..) => {}
        }
    }
    keys
}

struct Evaluation<'a> {
    snapshot: &'a ClusterSnapshot,
    config: &'a Config,
    known: &'a [ViolationKey],
    out: Vec<Observation>,
}

impl Evaluation<'_> {
    fn of(&mut self, invariant: Invariant, rule: &Rule) {
        let first = self.out.len();
        let scene = |key: &ViolationKey| Scene {
            snapshot: self.snapshot,
            threshold: rule.threshold,
            known: self.known.contains(key),
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
            Judge::PdAndEachStore(pd, judge) => {
                let key = invariant.on(Some(PD));
                let read = pd(&scene(&key));
                std::iter::once((key, read))
                    .chain(stores.map(|store| {
                        let key = invariant.on(Some(store.id));
                        let read = judge(&scene(&key), store);
                        (key, read)
                    }))
                    .collect()
            }
        };
        for (key, judgement) in read {
            self.add(rule, key, judgement);
        }
        let known = self.known;
        for key in known.iter().filter(|key| key.invariant == invariant) {
            let text = key.to_string();
            if !self.out[first..].iter().any(|o| o.key == text) {
                let judgement = self.no_longer_named(invariant);
                self.add(rule, key.clone(), judgement);
            }
        }
    }

    /// What a subject reads that the snapshot does not name.
    fn no_longer_named(&self, invariant: Invariant) -> Judgement {
        let s = self.snapshot;
        let unseen = match invariant.facts().judge {
            Judge::EachMember(_) => s.pd.fresh().is_none().then_some(&s.pd.error),
            Judge::EachStore(_) | Judge::PdAndEachStore(..) | Judge::Cluster(_) => {
                s.stores.fresh().is_none().then_some(&s.stores.error)
            }
        };
        match unseen {
            Some(why) => (Reading::Unknown, unknown(why.as_ref())),
            None => (Reading::Clear, "no longer part of the cluster".to_owned()),
        }
    }

    fn add(&mut self, rule: &Rule, key: ViolationKey, (reading, message): Judgement) {
        self.out.push(Observation {
            key: key.to_string(),
            invariant: key.invariant.to_string(),
            hold: self.config.hold(key.invariant),
            subject_name: store_name(self.snapshot, &key),
            subject: key.subject,
            reading,
            message,
            severity: rule.severity,
            grace: rule.grace,
            outside: None,
        });
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
