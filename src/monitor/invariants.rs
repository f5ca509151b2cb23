//! From a snapshot to what each invariant reads: violated, clear or unknown. Pure.
//!
//! A subject whose data is missing reads unknown, never clear. The messages say what was seen,
//! not why.

use super::Config;
use crate::cluster::{ClusterSnapshot, FIRST_SAMPLE, MemberState, Store, StoreState};
use operator_ledger::{ALERT_KEY, Observation, Reading};

/// A violation key, its invariant and its subject, as the ledger lists them.
pub type LiveKey = (String, String, Option<String>);

/// What every invariant reads. `live` are the keys of unresolved tickets: those that the snapshot
/// no longer names read clear if their list could be seen, unknown if not.
pub fn evaluate(snapshot: &ClusterSnapshot, config: &Config, live: &[LiveKey]) -> Vec<Observation> {
    let mut all = Judge {
        config,
        live,
        out: Vec::new(),
    };
    all.stores(snapshot);
    all.pd(snapshot);
    all.regions(snapshot);
    all.sight(snapshot);
    for (key, invariant, subject) in live {
        if key.starts_with(ALERT_KEY) || all.out.iter().any(|o| o.key == *key) {
            continue;
        }
        let (reading, message) = match unseen(snapshot, invariant) {
            Some(why) => (Reading::Unknown, why),
            None => (Reading::Clear, "no longer part of the cluster".to_owned()),
        };
        all.add(invariant, subject.clone(), reading, message);
    }
    let order = |o: &Observation| super::config::NAMES.iter().position(|n| *n == o.invariant);
    all.out.sort_by_key(order);
    for observation in &mut all.out {
        observation.subject_name = store_name(snapshot, observation);
    }
    all.out
}

/// What people call the store that an observation is of. None: it is of something else.
fn store_name(snapshot: &ClusterSnapshot, observation: &Observation) -> Option<String> {
    // Members are known by their names alone, which may be numbers.
    if observation.invariant == "pd_member_down" {
        return None;
    }
    let id: u64 = observation.store_id.as_ref()?.parse().ok()?;
    let mut stores = snapshot.stores.value.iter().flatten();
    stores.find(|s| s.id == id).map(|s| s.name.clone())
}

struct Judge<'a> {
    config: &'a Config,
    live: &'a [LiveKey],
    out: Vec<Observation>,
}

impl Judge<'_> {
    fn add(&mut self, invariant: &str, subject: Option<String>, reading: Reading, message: String) {
        let Some(rule) = self.config.rule(invariant) else {
            return;
        };
        self.out.push(Observation {
            key: subject
                .as_ref()
                .map_or_else(|| invariant.to_owned(), |s| format!("{invariant}:{s}")),
            invariant: invariant.to_owned(),
            store_id: subject,
            subject_name: None,
            reading,
            message,
            severity: rule.severity,
            grace: rule.grace,
            hold: self.config.hold(invariant),
            outside: None,
        });
    }

    fn threshold(&self, invariant: &str) -> f64 {
        self.config.rule(invariant).map_or(0.0, |r| r.threshold)
    }

    fn stores(&mut self, snapshot: &ClusterSnapshot) {
        let Some(stores) = snapshot.stores.fresh() else {
            return;
        };
        for store in stores {
            let id = Some(store.id.to_string());
            let (reading, message) = store_down(store, snapshot);
            self.add("store_down", id.clone(), reading, message);
            let down = reading == Reading::Violated;
            let (reading, message) = self.latency(store, down);
            self.add("high_latency", id.clone(), reading, message);
            let (reading, message) = self.disk(store);
            self.add("low_disk_space", id, reading, message);
        }
    }

    fn is_live(&self, invariant: &str, store: u64) -> bool {
        let key = format!("{invariant}:{store}");
        self.live.iter().any(|(live, ..)| *live == key)
    }

    fn latency(&self, store: &Store, down: bool) -> (Reading, String) {
        let limit = self.threshold("high_latency");
        let Some(traffic) = store.traffic.fresh() else {
            let why = store.traffic.error.as_deref().unwrap_or("not measured");
            return (
                Reading::Unknown,
                format!("{}: latency unknown: {why}", store.name),
            );
        };
        match traffic.p99_ms {
            _ if down => (Reading::Unknown, format!("{}: not up", store.name)),
            Some(p99) if p99 > limit => (
                Reading::Violated,
                format!(
                    "{} answers slowly: p99 {p99:.0} ms, limit {limit:.0} ms",
                    store.name
                ),
            ),
            Some(p99) => (Reading::Clear, format!("{}: p99 {p99:.1} ms", store.name)),
            // Silence proves nothing of a store that was slow and still has something to serve:
            // it may hang.
            None if store.leaders != Some(0) && self.is_live("high_latency", store.id) => (
                Reading::Unknown,
                format!("{}: no requests to measure", store.name),
            ),
            None => (Reading::Clear, format!("{}: no requests", store.name)),
        }
    }

    fn disk(&self, store: &Store) -> (Reading, String) {
        let limit = self.threshold("low_disk_space");
        match store.disk_used().map(|used| 1.0 - used) {
            Some(free) if free < limit => (
                Reading::Violated,
                format!(
                    "{} is short of disk: {:.0} % available, limit {:.0} %",
                    store.name,
                    free * 100.0,
                    limit * 100.0
                ),
            ),
            Some(free) => (
                Reading::Clear,
                format!("{}: {:.0} % available", store.name, free * 100.0),
            ),
            None => (
                Reading::Unknown,
                format!("{}: PD does not say how full it is", store.name),
            ),
        }
    }

    fn pd(&mut self, snapshot: &ClusterSnapshot) {
        let (reading, message) = match snapshot.pd_leader.fresh() {
            Some(Some(leader)) => (Reading::Clear, format!("PD leader is {leader}")),
            Some(None) => (Reading::Violated, "PD has no leader".to_owned()),
            None => (
                Reading::Unknown,
                reason(snapshot.pd_leader.error.as_deref()),
            ),
        };
        self.add("pd_no_leader", None, reading, message);
        for member in snapshot.pd.fresh().into_iter().flatten() {
            let (reading, message) = match member.state {
                MemberState::Down => (
                    Reading::Violated,
                    format!(
                        "PD member {} does not answer at {}",
                        member.name, member.address
                    ),
                ),
                MemberState::Unknown => (
                    Reading::Unknown,
                    format!("PD member {}: no word from it or of it", member.name),
                ),
                MemberState::Leader | MemberState::Follower => {
                    (Reading::Clear, format!("PD member {} answers", member.name))
                }
            };
            self.add(
                "pd_member_down",
                Some(member.name.clone()),
                reading,
                message,
            );
        }
    }

    fn regions(&mut self, snapshot: &ClusterSnapshot) {
        let Some(r) = snapshot.regions.fresh() else {
            let why = reason(snapshot.regions.error.as_deref());
            for invariant in ["region_unavailable", "under_replicated"] {
                self.add(invariant, None, Reading::Unknown, why.clone());
            }
            return;
        };
        let allowed = |invariant: &str, n: u64| n as f64 <= self.threshold(invariant);
        let stuck = r.leaderless.max(r.no_quorum);
        let unavailable = if allowed("region_unavailable", stuck) {
            (
                Reading::Clear,
                format!("all {} regions can be served", r.total),
            )
        } else {
            let text = format!(
                "{stuck} of {} regions cannot be served: {} without leader, {} without quorum",
                r.total, r.leaderless, r.no_quorum
            );
            (Reading::Violated, text)
        };
        let short = r.down_peer.max(r.miss_peer);
        let replicated = if allowed("under_replicated", short) {
            (
                Reading::Clear,
                format!("all {} regions have their replicas", r.total),
            )
        } else {
            let text = format!(
                "{short} of {} regions lack a replica: {} with a peer down, {} with one missing",
                r.total, r.down_peer, r.miss_peer
            );
            (Reading::Violated, text)
        };
        self.add("region_unavailable", None, unavailable.0, unavailable.1);
        self.add("under_replicated", None, replicated.0, replicated.1);
    }

    /// Not being able to look is a violation of its own, if it lasts.
    fn sight(&mut self, snapshot: &ClusterSnapshot) {
        let blind = [
            &snapshot.stores.error,
            &snapshot.pd.error,
            &snapshot.regions.error,
        ];
        let (reading, message) = match blind.into_iter().flatten().next() {
            // PD that answers "no leader" is seen well: that is pd_no_leader.
            Some(_) if snapshot.pd_leader.fresh() == Some(&None) => {
                (Reading::Clear, "PD answers, without a leader".to_owned())
            }
            Some(why) => (
                Reading::Violated,
                format!("the cluster cannot be observed: {why}"),
            ),
            None => (Reading::Clear, "PD answers".to_owned()),
        };
        self.add("observation_failed", Some("pd".into()), reading, message);
        for store in snapshot.stores.fresh().into_iter().flatten() {
            let subject = Some(store.id.to_string());
            let (reading, message) = match (&store.traffic.error, store.state) {
                (Some(why), StoreState::Up) if why != FIRST_SAMPLE => (
                    Reading::Violated,
                    format!("{}: metrics cannot be read: {why}", store.name),
                ),
                (Some(_), state) if state != StoreState::Up => (
                    Reading::Clear,
                    format!("{}: not up, nothing to read", store.name),
                ),
                _ => (Reading::Clear, format!("{}: metrics are read", store.name)),
            };
            self.add("observation_failed", subject, reading, message);
        }
    }
}

fn store_down(store: &Store, snapshot: &ClusterSnapshot) -> (Reading, String) {
    let silent = match store.last_heartbeat {
        Some(at) => {
            let s = snapshot.at.duration_since(at).as_secs().max(0);
            format!("last heartbeat {s} s ago")
        }
        None => "no heartbeat yet".to_owned(),
    };
    match store.state {
        StoreState::Up => (Reading::Clear, format!("{} is up, {silent}", store.name)),
        StoreState::Disconnected => (
            Reading::Violated,
            format!(
                "{} ({}) is disconnected: {silent}",
                store.name, store.address
            ),
        ),
        StoreState::Down => (
            Reading::Violated,
            format!("{} ({}) is down: {silent}", store.name, store.address),
        ),
        // Leaving on purpose.
        StoreState::Offline | StoreState::Tombstone => {
            (Reading::Clear, format!("{} is being removed", store.name))
        }
        StoreState::Unknown => (
            Reading::Unknown,
            format!("{}: PD gives no state that is known here", store.name),
        ),
    }
}

/// Why the list an invariant's subjects come from cannot be seen. None: it can.
fn unseen(snapshot: &ClusterSnapshot, invariant: &str) -> Option<String> {
    let error = match invariant {
        "pd_no_leader" => {
            (snapshot.pd_leader.fresh().is_none()).then_some(&snapshot.pd_leader.error)
        }
        "pd_member_down" => (snapshot.pd.fresh().is_none()).then_some(&snapshot.pd.error),
        "region_unavailable" | "under_replicated" => {
            (snapshot.regions.fresh().is_none()).then_some(&snapshot.regions.error)
        }
        _ => (snapshot.stores.fresh().is_none()).then_some(&snapshot.stores.error),
    };
    error.map(|e| reason(e.as_deref()))
}

fn reason(error: Option<&str>) -> String {
    format!("unknown: {}", error.unwrap_or("not observed"))
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
