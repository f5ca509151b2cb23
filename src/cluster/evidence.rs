//! Whether stores live, from look to look: PD's word, weighed by how long its leader has been in
//! office, what was heard under earlier leaders, and whether a store answers us itself.
//!
//! A PD leader that is new in office knows of a store what was stored minutes ago, until the store's
//! next heartbeat. So its silence about a store counts once it must have been told; until then
//! what we saw before counts, and what the store says. Pure: time is passed in.

use super::{
    exposition,
    http::HttpError,
    snapshot::{Contact, Doubt, Evidence, Life, Store, StoreState},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// In PD, which calls a store Disconnected after this.
const PD_LIMIT: SignedDuration = SignedDuration::from_secs(20);
/// The newest of many heartbeats is this old at the most, where clocks agree.
const USUAL_LAG: SignedDuration = SignedDuration::from_secs(3);

/// How soon things are heard of, from how long PD waits before it calls a store Disconnected: its
/// stores report twice in that time, its regions once in three times as long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace(pub Duration);

impl Pace {
    /// With a fifth for the way, and for the store to find the new leader.
    fn store_report(self) -> Duration {
        self.0 * 3 / 5
    }

    fn region_report(self) -> Duration {
        self.0 * 3 + self.0 / 10
    }

    /// A heartbeat is late before it is missing.
    fn late(self) -> SignedDuration {
        signed(self.0 * 17 / 20)
    }

    fn limit(self) -> SignedDuration {
        signed(self.0)
    }
}

fn signed(length: Duration) -> SignedDuration {
    SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

/// One look: by our clock, and by one that does not jump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub at: Timestamp,
    pub now: Instant,
}

/// What earlier looks saw.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Who led PD when last somebody did.
    leader: Option<String>,
    /// PD said since then that nobody leads it.
    vacant: bool,
    /// Since when this leader has been seen in office.
    seen_since: Option<Instant>,
    /// Whether it took office while we watched; else it may have led for long.
    saw_it_begin: bool,
    /// What it knows proves that it has been in office for longer than a store's report takes.
    proven_old: bool,
    stores: HashMap<u64, Heard>,
    regions: u64,
    /// The least by which our clock was ever ahead of the newest heartbeat of a store that is Up.
    lag: Option<SignedDuration>,
}

/// What is remembered of a store.
#[derive(Debug)]
struct Heard {
    listed_since: Instant,
    /// It was not on an earlier list.
    appeared: bool,
    /// The newest heartbeat that PD ever had, by PD's clock.
    heartbeat: Option<Timestamp>,
    /// PD's leader has heard of it since it took office.
    in_term: bool,
    /// PD's leader knows less of it than the one before.
    forgotten: bool,
    answered: bool,
    /// Since when it does not answer any more.
    failing: Option<Failing>,
    silent: bool,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Moment,
    /// The same by PD's clock.
    by_pd: Timestamp,
    looks: u32,
    refused: bool,
}

impl Failing {
    /// A store that is busy is late once or twice; one that hangs is late again and again, and one
    /// that ended refuses.
    fn counts(&self) -> bool {
        self.refused || self.looks > 2
    }
}

impl Memory {
    /// Says of each store whether it lives. `leader`: who leads PD, if anybody says so.
    pub(super) fn judge(
        &mut self,
        stores: &mut [Store],
        leader: Option<&str>,
        moment: Moment,
        pace: Pace,
    ) {
        let first_look = self.stores.is_empty();
        self.note_leader(leader, moment.now);
        let pd_now = self.pd_clock(stores, moment.at);
        self.stores
            .retain(|id, _| stores.iter().any(|s| s.id == *id));
        let mut forgot = false;
        for store in stores.iter() {
            let heard = self.stores.entry(store.id).or_insert_with(|| Heard {
                listed_since: moment.now,
                appeared: !first_look,
                heartbeat: None,
                in_term: false,
                forgotten: false,
                answered: false,
                failing: None,
                silent: false,
            });
            forgot |= heard.note(store, self.saw_it_begin, moment, pd_now);
        }
        // It knows less than the one before it, whoever was seen to lead: its term is new.
        if forgot && self.in_office(moment.now) > pace.store_report() {
            self.begin_term(moment.now);
        }
        self.proven_old |= stores.iter().any(|store| {
            let heard = self.stores.get(&store.id).is_some_and(|h| h.in_term);
            let heard = heard && store.capacity.is_some();
            let age = store.last_heartbeat.map(|at| pd_now.duration_since(at));
            heard && age.is_some_and(|age| age >= signed(pace.store_report()))
        });
        let told = self.proven_old || self.in_office(moment.now) >= pace.store_report();
        for store in stores {
            let Some(heard) = self.stores.get_mut(&store.id) else {
                continue;
            };
            let life = heard.life(store, told, moment, pd_now, pace);
            heard.silent = life == Life::Silent;
            store.last_heartbeat = heard.heartbeat;
            store.evidence.life = Some(life);
        }
    }

    /// PD says that nobody leads it: whoever leads next is new in office.
    pub(super) fn nobody_leads(&mut self) {
        self.vacant = true;
    }

    /// Whether PD's leader must have been told by now who leads each region.
    pub(super) fn leaders_told(&self, now: Instant, pace: Pace) -> bool {
        self.in_office(now) >= pace.region_report()
    }

    /// The most regions there have been. A leader that is new in office has yet to hear of all.
    pub(super) fn known_regions(&mut self, counted: u64, now: Instant, pace: Pace) -> u64 {
        self.regions = if self.leaders_told(now, pace) {
            counted
        } else {
            self.regions.max(counted)
        };
        self.regions
    }

    fn note_leader(&mut self, leader: Option<&str>, now: Instant) {
        let Some(leader) = leader else { return };
        let begins = self.vacant || self.leader.as_deref().is_some_and(|l| l != leader);
        if begins {
            self.begin_term(now);
        }
        self.seen_since.get_or_insert(now);
        self.leader = Some(leader.to_owned());
        self.vacant = false;
    }

    fn begin_term(&mut self, now: Instant) {
        self.seen_since = Some(now);
        self.saw_it_begin = true;
        self.proven_old = false;
        for heard in self.stores.values_mut() {
            heard.in_term = false;
        }
    }

    /// How long PD's leader has been in office at the least.
    fn in_office(&self, now: Instant) -> Duration {
        self.seen_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The time by PD's clock: ours, less what it is ahead, and not before the newest heartbeat.
    fn pd_clock(&mut self, stores: &[Store], ours: Timestamp) -> Timestamp {
        let up = stores.iter().filter(|s| s.state == StoreState::Up);
        if let Some(newest) = up.filter_map(|s| s.last_heartbeat).max() {
            let lag = ours.duration_since(newest);
            // PD would not call it Up: a clock was set.
            let set = self.lag.is_none_or(|least| lag - least > PD_LIMIT);
            self.lag = Some(if set {
                lag
            } else {
                self.lag.unwrap_or(lag).min(lag)
            });
        }
        let ahead = self.lag.unwrap_or_default() - USUAL_LAG;
        let now = ours - ahead.max(SignedDuration::ZERO);
        let had = stores.iter().filter_map(|s| s.last_heartbeat);
        let had = had.chain(self.stores.values().filter_map(|h| h.heartbeat));
        had.max().map_or(now, |newest| now.max(newest))
    }
}

impl Heard {
    /// Takes in what a look says of a store. True: PD's leader knows less than the one before, as
    /// of this look.
    fn note(
        &mut self,
        store: &Store,
        saw_term_begin: bool,
        moment: Moment,
        pd_now: Timestamp,
    ) -> bool {
        let newer = store.last_heartbeat > self.heartbeat;
        let forgotten = store.last_heartbeat < self.heartbeat;
        let forgot = forgotten && !self.forgotten;
        self.forgotten = forgotten;
        if newer {
            self.heartbeat = store.last_heartbeat;
        }
        // Sizes are not among the things that are stored: who knows them has been told.
        let told_sizes = store.capacity.is_some() && !forgotten && !saw_term_begin;
        self.in_term |= newer && saw_term_begin || store.state == StoreState::Up || told_sizes;
        self.in_term &= !forgotten;
        match store.evidence.contact {
            Contact::Answered => {
                self.answered = true;
                self.failing = None;
            }
            contact @ (Contact::Failed | Contact::Late) if self.answered => {
                let failing = self.failing.get_or_insert(Failing {
                    since: moment,
                    by_pd: pd_now,
                    looks: 0,
                    refused: false,
                });
                failing.looks += 1;
                failing.refused |= contact == Contact::Failed;
            }
            Contact::Failed | Contact::Late | Contact::NotAsked => {}
        }
        // It has reported to PD since: it lives, and only we cannot reach it.
        let reported = |failing: Failing| self.heartbeat > Some(failing.by_pd);
        if self.failing.is_some_and(reported) {
            self.failing = None;
            self.answered = false;
        }
        forgot
    }

    /// `told`: PD's leader must have heard of every living store by now.
    fn life(
        &self,
        store: &Store,
        told: bool,
        moment: Moment,
        pd_now: Timestamp,
        pace: Pace,
    ) -> Life {
        let Some(heartbeat) = self.heartbeat else {
            return self.newcomer(store, moment, pd_now, pace);
        };
        let age = pd_now.duration_since(heartbeat);
        let answers = store.evidence.contact == Contact::Answered;
        let failing = self.failing.filter(Failing::counts);
        let silent = if self.in_term || told && !self.forgotten {
            match store.state {
                StoreState::Up => false,
                StoreState::Disconnected | StoreState::Down => true,
                StoreState::Offline | StoreState::Tombstone | StoreState::Unknown => {
                    age > pace.limit()
                }
            }
        } else if told {
            age > pace.limit()
        } else if answers {
            return Life::Alive;
        } else {
            let unheard = failing.is_some_and(|f| moment.now - f.since.now > pace.0);
            let unheard = unheard && age > pace.limit();
            self.silent || unheard
        };
        if silent {
            return Life::Silent;
        }
        if let Some(failing) = failing {
            return Life::Suspect(Doubt::NoAnswer(failing.since.at));
        }
        if age <= pace.late() {
            return Life::Alive;
        }
        if self.in_term || told {
            return Life::Suspect(Doubt::NoHeartbeat(heartbeat));
        }
        Life::Unknown(Doubt::NewTerm)
    }

    /// A store of which PD never had a heartbeat.
    fn newcomer(&self, store: &Store, moment: Moment, pd_now: Timestamp, pace: Pace) -> Life {
        let listed = moment.now - self.listed_since;
        // Its clock may be off either way.
        let started = store
            .started
            .map(|at| pd_now.duration_since(at).unsigned_abs());
        let new = self.appeared && listed <= pace.0;
        if new || started.is_some_and(|since| since <= pace.0) {
            Life::Joining
        } else if store.state == StoreState::Up {
            Life::Alive
        } else {
            Life::Silent
        }
    }
}

impl Evidence {
    /// What a store said, asked for its metrics. None: it was not asked.
    pub(super) fn of(answer: Option<&Result<String, HttpError>>) -> Self {
        let contact = match answer {
            None => Contact::NotAsked,
            Some(answer) => Contact::of(answer.as_ref().err()),
        };
        let text = answer.and_then(|answer| answer.as_ref().ok());
        Self {
            life: None,
            leads: text.and_then(|text| regions_led(text)),
            contact,
        }
    }
}

/// How many regions a store counts as led by it. TiFlash, which only learns, prefixes its names.
fn regions_led(text: &str) -> Option<u64> {
    const NAMES: [&str; 2] = [
        "tikv_raftstore_region_count{",
        "tiflash_proxy_tikv_raftstore_region_count{",
    ];
    let of_regions = |line: &&str| NAMES.iter().any(|name| line.starts_with(name));
    let lines: Vec<&str> = text.lines().filter(of_regions).collect();
    let lines = lines.join("\n");
    let leaders = exposition::samples(&lines).find(|s| s.label("type") == Some("leader"));
    leaders.map(|s| s.value as u64)
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
