//! How the members and stores of a cluster stood when they were last seen, and what a look finds
//! changed since. Pure.
//!
//! Unknown is no change: each fact is compared with the last time it was known. It says what changed,
//! and never by whom.

use crate::cluster::{ClusterSnapshot, Life, MemberState, PdMember, Store, StoreState};
use jiff::Timestamp;
use operator_ledger::{ChangeKind, ObservedChange, Stored, ThingKind, clean::one_line};
use std::collections::BTreeMap;

/// So many changes are told of one look; what is more is told of the next, as it then still is.
const AT_ONCE: usize = 32;
/// Of a name, an address or a version.
const LONGEST_TEXT: usize = 200;

/// What is remembered of a cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    things: BTreeMap<(ThingKind, String), Thing>,
    /// When the lists of them were last read whole.
    stores_listed: Option<Timestamp>,
    members_listed: Option<Timestamp>,
    leader: Option<Seen<Option<Leader>>>,
}

/// Who leads PD. The same address is the same member, whatever it is called.
#[derive(Debug, Clone)]
struct Leader {
    address: String,
    name: String,
}

impl PartialEq for Leader {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

/// A value, and when it was last seen to be so.
#[derive(Debug, Clone)]
struct Seen<T> {
    value: T,
    at: Timestamp,
}

#[derive(Debug, Clone, Default)]
struct Thing {
    name: String,
    address: String,
    seen: Timestamp,
    facts: BTreeMap<Fact, Seen<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Started,
    Version,
    State,
}

impl Fact {
    fn kind(self) -> ChangeKind {
        match self {
            Self::Started => ChangeKind::Started,
            Self::Version => ChangeKind::Version,
            Self::State => ChangeKind::State,
        }
    }
}

/// A thing as one look shows it. None: unknown.
struct Shown {
    key: (ThingKind, String),
    name: String,
    address: String,
    facts: [(Fact, Option<String>); 3],
}

impl Standing {
    /// Takes a look in. What is seen for the first time is no change, unless it is new on a list that
    /// was read before.
    pub(super) fn note(&mut self, look: &ClusterSnapshot) -> Vec<ObservedChange> {
        let mut changes = Changes(Vec::new());
        let at = look.at;
        if let Some(members) = look.pd.fresh() {
            // One that was added and never ran has told nobody its name.
            let here = members
                .iter()
                .filter(|m| m.state != MemberState::NeverStarted);
            let here = here.map(of_member).collect();
            let listed = self.members_listed.replace(at);
            self.compare(ThingKind::PdMember, here, true, listed, at, &mut changes);
        }
        if let Some(stores) = look.stores.fresh() {
            let here = stores.iter().map(of_store).collect();
            let whole = look.odd_stores == 0;
            let listed = self.stores_listed.replace(at);
            self.compare(ThingKind::Store, here, whole, listed, at, &mut changes);
        }
        if let Some(leader) = look.pd_leader.fresh() {
            self.lead(leader.as_deref(), at, &mut changes);
        }
        changes.0
    }

    /// `whole`: what is not on the list is not there. `listed`: when there was one before.
    fn compare(
        &mut self,
        kind: ThingKind,
        here: Vec<Shown>,
        whole: bool,
        listed: Option<Timestamp>,
        at: Timestamp,
        changes: &mut Changes,
    ) {
        let missing: Vec<_> = self
            .things
            .keys()
            .filter(|key| whole && key.0 == kind && !here.iter().any(|shown| shown.key == **key))
            .cloned()
            .collect();
        for key in missing {
            let Some(thing) = self.things.get(&key) else {
                continue;
            };
            let gone = change(&key, &thing.name, ChangeKind::Gone, thing.seen, at);
            let from = Some(thing.address.clone());
            if changes.add(ObservedChange { from, ..gone }) {
                self.things.remove(&key);
            }
        }
        for shown in here {
            let Some(thing) = self.things.get_mut(&shown.key) else {
                let told = listed.is_none_or(|since| {
                    let joined = change(&shown.key, &shown.name, ChangeKind::Joined, since, at);
                    let to = Some(shown.address.clone());
                    changes.add(ObservedChange { to, ..joined })
                });
                if told {
                    self.things.insert(shown.key.clone(), Thing::new(shown, at));
                }
                continue;
            };
            thing.seen = at;
            thing.name = shown.name;
            thing.address = shown.address;
            for (fact, value) in shown.facts {
                let Some(value) = value else { continue };
                if let Some(seen) = thing.facts.get(&fact).filter(|s| s.value != value) {
                    let changed = ObservedChange {
                        from: Some(seen.value.clone()),
                        to: Some(value.clone()),
                        ..change(&shown.key, &thing.name, fact.kind(), seen.at, at)
                    };
                    if !changes.add(changed) {
                        continue;
                    }
                }
                thing.facts.insert(fact, Seen { value, at });
            }
        }
    }

    fn lead(&mut self, address: Option<&str>, at: Timestamp, changes: &mut Changes) {
        let now = address.map(|address| {
            let members = self
                .things
                .iter()
                .filter(|(key, _)| key.0 == ThingKind::PdMember);
            let mut named = members.filter(|(_, member)| member.address == bounded(address));
            Leader {
                address: bounded(address),
                name: named
                    .next()
                    .map_or_else(|| bounded(address), |(_, m)| m.name.clone()),
            }
        });
        if let Some(seen) = self.leader.as_ref().filter(|seen| seen.value != now) {
            let name = |leader: &Option<Leader>| leader.as_ref().map(|l| l.name.clone());
            let key = (ThingKind::Pd, "pd".to_owned());
            let changed = ObservedChange {
                from: name(&seen.value),
                to: name(&now),
                ..change(&key, "PD", ChangeKind::Leader, seen.at, at)
            };
            if !changes.add(changed) {
                return;
            }
        }
        self.leader = Some(Seen { value: now, at });
    }
}

impl Thing {
    fn new(shown: Shown, at: Timestamp) -> Self {
        let facts = shown.facts.into_iter();
        Self {
            name: shown.name,
            address: shown.address,
            seen: at,
            facts: facts
                .filter_map(|(fact, value)| Some((fact, Seen { value: value?, at })))
                .collect(),
        }
    }
}

/// What is told of one look.
struct Changes(Vec<ObservedChange>);

impl Changes {
    /// False: there are too many already.
    fn add(&mut self, change: ObservedChange) -> bool {
        let room = self.0.len() < AT_ONCE;
        if room {
            self.0.push(change);
        }
        room
    }
}

fn change(
    (thing_kind, thing): &(ThingKind, String),
    name: &str,
    kind: ChangeKind,
    since: Timestamp,
    at: Timestamp,
) -> ObservedChange {
    ObservedChange {
        since,
        at,
        kind: Stored::Known(kind),
        thing_kind: Stored::Known(*thing_kind),
        thing: thing.clone(),
        name: name.to_owned(),
        from: None,
        to: None,
    }
}

fn of_member(member: &PdMember) -> Shown {
    let state = match member.state {
        MemberState::Leader | MemberState::Follower => Some("up"),
        MemberState::Down => Some("down"),
        MemberState::NeverStarted | MemberState::Unknown => None,
    };
    Shown {
        key: (ThingKind::PdMember, bounded(&member.name)),
        name: bounded(&member.name),
        address: bounded(&member.address),
        facts: facts(member.started, member.version.as_deref(), state),
    }
}

fn of_store(store: &Store) -> Shown {
    // A PD leader that is new in office calls a store by what was stored, until it hears of it.
    let silent = store.life() == Life::Silent;
    let state = match store.state {
        StoreState::Up if !silent => Some("up"),
        StoreState::Disconnected if silent => Some("disconnected"),
        StoreState::Down if silent => Some("down"),
        StoreState::Offline => Some("offline"),
        StoreState::Tombstone => Some("tombstone"),
        StoreState::Up | StoreState::Disconnected | StoreState::Down | StoreState::Unknown => None,
    };
    Shown {
        key: (ThingKind::Store, store.id.to_string()),
        name: bounded(&store.name),
        address: bounded(&store.address),
        facts: facts(store.started, store.version.as_deref(), state),
    }
}

fn facts(
    started: Option<Timestamp>,
    version: Option<&str>,
    state: Option<&str>,
) -> [(Fact, Option<String>); 3] {
    [
        (Fact::State, state.map(str::to_owned)),
        (Fact::Started, started.map(|at| at.to_string())),
        (Fact::Version, version.map(bounded)),
    ]
}

fn bounded(text: &str) -> String {
    one_line(text).chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
