//! One cause, one ticket: when the metrics of many stores cannot be read for one reason, that is
//! said once, of the source, and not of each store. Pure.

use super::invariants::{Judgement, Scene};
use crate::cluster::{ClusterSnapshot, Life, Store, UnknownReason};
use operator_ledger::Reading;
use std::collections::HashMap;

/// Why the metrics of several stores cannot be read.
pub(super) struct Shared<'a> {
    why: &'a str,
    /// It is the same for all; else it is only that none can be read.
    same: bool,
    stores: Vec<u64>,
    of: usize,
}

impl Shared<'_> {
    pub(super) fn blinds(&self, store: &Store) -> bool {
        self.stores.contains(&store.id)
    }
}

/// What keeps the metrics of more than one living store from being read: either none of them can
/// be, or several cannot for a reason that names none of them, so that it is somebody else's.
pub(super) fn shared_failure(snapshot: &ClusterSnapshot) -> Option<Shared<'_>> {
    let living: Vec<&Store> = snapshot
        .stores
        .fresh()?
        .iter()
        .filter(|s| matches!(s.life(), Life::Alive | Life::Joining))
        .collect();
    let failing: Vec<(&Store, &str)> = living
        .iter()
        .filter_map(|store| match &store.traffic.error {
            Some(UnknownReason::Failed(why)) => Some((*store, why.as_str())),
            _ => None,
        })
        .collect();
    let mut by_reason: HashMap<&str, Vec<u64>> = HashMap::new();
    for (store, why) in &failing {
        by_reason.entry(why).or_default().push(store.id);
    }
    let most = by_reason.into_iter().max_by_key(|(_, of)| of.len());
    let (why, alike) = most.filter(|_| failing.len() > 1)?;
    let same = alike.len() > 1;
    let all = failing.len() == living.len();
    (all || same).then(|| Shared {
        why,
        same: same && alike.len() == failing.len(),
        stores: if all {
            failing.iter().map(|(store, _)| store.id).collect()
        } else {
            alike
        },
        of: living.len(),
    })
}

/// The source of the stores' metrics, as a subject of its own.
pub(super) fn blind_metrics(scene: &Scene<'_>) -> Judgement {
    let snapshot = scene.snapshot;
    if snapshot.stores.fresh().is_none() {
        return (Reading::Unknown, "the stores are unknown".to_owned());
    }
    let Some(shared) = shared_failure(snapshot) else {
        return (Reading::Clear, "no source of metrics fails".to_owned());
    };
    let for_example = if shared.same { "" } else { "for example " };
    let text = format!(
        "the metrics of {} of {} stores cannot be read: {for_example}{}. Unknown for it: their traffic and latency",
        shared.stores.len(),
        shared.of,
        shared.why
    );
    (Reading::Violated, text)
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
