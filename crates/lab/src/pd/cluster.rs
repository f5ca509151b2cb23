//! What a PD member knows of stores and regions, from their heartbeats.
//!
//! Pure state: time is passed in. Every member keeps it, only the leader is asked about it.

use crate::{
    pd::config::Config,
    timing::{
        PD_FROZEN, PD_TICK, REGION_HEARTBEAT, REGION_LEADER_SILENT, SETTLED, STORE_HEARTBEAT,
    },
    topology::{MEMBERS, REGIONS},
    wire::{Instruction, RegionReport, StoreReport},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What the members agree to remember of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreRecord {
    pub address: String,
    pub status_address: String,
    pub deploy_path: String,
    pub version: String,
    /// Seconds since 1970.
    pub start_timestamp: u64,
    /// Nanoseconds since 1970. 0: it has joined and not reported yet.
    pub last_heartbeat: u64,
}

impl StoreRecord {
    fn of(report: &StoreReport, last_heartbeat: u64) -> Self {
        Self {
            address: report.address.clone(),
            status_address: report.status_address.clone(),
            deploy_path: report.deploy_path.clone(),
            version: report.version.clone(),
            start_timestamp: report.start_timestamp,
            last_heartbeat,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreState {
    Up,
    Disconnected,
    Down,
}

impl StoreState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "Up",
            Self::Disconnected => "Disconnected",
            Self::Down => "Down",
        }
    }
}

/// A store that this member has heard.
#[derive(Debug, Clone)]
pub(crate) struct StoreView {
    pub report: StoreReport,
    pub heard: Instant,
    /// Nanoseconds since 1970.
    pub heard_at: u64,
    /// Since when it has been reporting without a break.
    pub since: Instant,
}

#[derive(Debug, Clone)]
pub(crate) struct RegionView {
    pub report: RegionReport,
    pub leader: u64,
    pub heard: Instant,
    /// Since when it has been this leader in this term.
    pub since: Instant,
}

/// A hand-over that has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub from: u64,
    pub to: u64,
    pub asked: Instant,
    pub manual: bool,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub stores: BTreeMap<u64, StoreView>,
    pub regions: BTreeMap<u64, RegionView>,
    pub operators: BTreeMap<u64, Operator>,
    /// What stores are to be told with their next heartbeat.
    pub instructions: BTreeMap<u64, Vec<Instruction>>,
    /// Finished hand-overs, as text, the newest last.
    pub records: VecDeque<(u64, String)>,
    /// What was stored of the stores when this member took office.
    stored: BTreeMap<u64, StoreRecord>,
    /// In which term of the members' group it did. 0: in none.
    pub term: u64,
    /// From when on it hears of regions: one after another.
    office: Option<Instant>,
    ticked: Instant,
}

const KEPT_RECORDS: usize = 100;

impl Cluster {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            stores: BTreeMap::new(),
            regions: BTreeMap::new(),
            operators: BTreeMap::new(),
            instructions: BTreeMap::new(),
            records: VecDeque::new(),
            stored: BTreeMap::new(),
            term: 0,
            office: None,
            ticked: now,
        }
    }

    /// A leader knows what was stored, and what it is told from now on, whatever it heard as a
    /// follower: so it is in PD.
    pub(crate) fn take_office(
        &mut self,
        term: u64,
        stored: BTreeMap<u64, StoreRecord>,
        now: Instant,
    ) {
        if self.term == term {
            return;
        }
        self.term = term;
        self.stores.clear();
        self.regions.clear();
        self.operators.clear();
        self.instructions.clear();
        // Where no store has joined yet there is nothing to be forgotten.
        self.office = (!stored.is_empty()).then_some(now);
        self.stored = stored;
    }

    /// Whether a region has had its turn to report to this leader.
    fn hears_of(&self, region: u64, now: Instant) -> bool {
        self.office.is_none_or(|since| {
            let turn = REGION_HEARTBEAT * region as u32 / REGIONS as u32;
            now.saturating_duration_since(since) >= turn
        })
    }

    /// Takes a heartbeat in.
    pub(crate) fn heard(&mut self, report: StoreReport, now: Instant) {
        let store = report.store;
        if self.term > 0 && !self.stored.contains_key(&store) && !self.stores.contains_key(&store) {
            // It joins; its first heartbeat is the next one.
            self.stored.insert(store, StoreRecord::of(&report, 0));
            return;
        }
        let told: Vec<&RegionReport> = report
            .leads
            .iter()
            .filter(|region| self.hears_of(region.region, now))
            .collect();
        for region in told {
            let newer = self.regions.get(&region.region).is_none_or(|known| {
                region.term >= known.report.term || now - known.heard > REGION_LEADER_SILENT
            });
            if newer {
                let same = self
                    .regions
                    .get(&region.region)
                    .filter(|known| known.leader == store && known.report.term == region.term);
                let since = same.map_or(now, |known| known.since);
                let report = region.clone();
                let view = RegionView {
                    report,
                    leader: store,
                    heard: now,
                    since,
                };
                self.regions.insert(region.region, view);
            }
        }
        let since = match self.stores.get(&store) {
            Some(known)
                if known.report.start_timestamp == report.start_timestamp
                    && now - known.heard < 3 * STORE_HEARTBEAT =>
            {
                known.since
            }
            _ => now,
        };
        let heard_at = since_1970();
        self.stores.insert(
            store,
            StoreView {
                report,
                heard: now,
                heard_at,
                since,
            },
        );
    }

    /// Called at every tick. Time in which this member was frozen is not held against others.
    pub(crate) fn tick(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.ticked);
        self.ticked = now;
        if gap > PD_TICK + PD_FROZEN {
            let lost = gap.saturating_sub(PD_TICK);
            for store in self.stores.values_mut() {
                store.heard += lost;
            }
            for region in self.regions.values_mut() {
                region.heard += lost;
            }
        }
    }

    /// How a store is. Of one that has not reported to this leader, what was stored counts.
    pub(crate) fn state(&self, store: u64, config: &Config, now: Instant) -> StoreState {
        let silent = match self.stores.get(&store) {
            Some(view) => now.saturating_duration_since(view.heard),
            None => {
                let last = self.stored.get(&store).map_or(0, |s| s.last_heartbeat);
                Duration::from_nanos(since_1970().saturating_sub(last))
            }
        };
        if silent > config.max_store_down_time {
            StoreState::Down
        } else if silent > config.disconnected {
            StoreState::Disconnected
        } else {
            StoreState::Up
        }
    }

    /// Whether leaders may be sent to a store.
    pub(crate) fn settled(&self, store: u64, config: &Config, now: Instant) -> bool {
        self.state(store, config, now) == StoreState::Up
            && self.stores.get(&store).is_some_and(|view| {
                now.saturating_duration_since(view.since) >= SETTLED
                    && now.saturating_duration_since(view.heard) < 3 * STORE_HEARTBEAT
            })
    }

    /// The region's leader; `None` if none has reported lately.
    pub(crate) fn leader(&self, region: u64, now: Instant) -> Option<u64> {
        self.regions
            .get(&region)
            .filter(|view| now.saturating_duration_since(view.heard) <= REGION_LEADER_SILENT)
            .map(|view| view.leader)
    }

    /// Peers of a region that have not answered for the configured time, and for how long.
    pub(crate) fn down_peers(
        &self,
        region: u64,
        config: &Config,
        now: Instant,
    ) -> BTreeMap<u64, u64> {
        let Some(view) = self.regions.get(&region) else {
            return BTreeMap::new();
        };
        if self.leader(region, now).is_none() {
            return BTreeMap::new();
        }
        let limit = config.max_peer_down_time;
        let down = view.report.silent.iter();
        down.filter(|(_, s)| Duration::from_secs(**s) >= limit)
            .map(|(id, s)| (*id, *s))
            .collect()
    }

    /// Regions that no store holds, while all stores report.
    pub(crate) fn unborn(&self, now: Instant) -> Vec<u64> {
        let fresh =
            |view: &&StoreView| now.saturating_duration_since(view.heard) < 3 * STORE_HEARTBEAT;
        let reporting: Vec<_> = self.stores.values().filter(fresh).collect();
        if reporting.len() as u64 != MEMBERS {
            return Vec::new();
        }
        (1..=REGIONS)
            .filter(|region| {
                reporting
                    .iter()
                    .all(|s| s.report.empty_regions.contains(region))
            })
            .collect()
    }

    pub(crate) fn instruct(&mut self, store: u64, instruction: Instruction) {
        let instructions = self.instructions.entry(store).or_default();
        if !instructions.contains(&instruction) {
            instructions.push(instruction);
        }
    }

    pub(crate) fn take_instructions(&mut self, store: u64) -> Vec<Instruction> {
        self.instructions.remove(&store).unwrap_or_default()
    }

    /// Notes how a hand-over ended; `at` is in seconds since 1970.
    pub(crate) fn note(&mut self, at: u64, text: String) {
        if self.records.len() == KEPT_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back((at, text));
    }

    /// Stores that have joined this leader, with what it knows of them.
    pub(crate) fn records(&self) -> BTreeMap<u64, StoreRecord> {
        let heard = self.stores.iter();
        let heard = heard.map(|(id, view)| (*id, StoreRecord::of(&view.report, view.heard_at)));
        let mut all = self.stored.clone();
        all.extend(heard);
        all
    }
}

/// Nanoseconds.
fn since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn report(store: u64, leads: &[u64]) -> StoreReport {
        let lead = |&region: &u64| RegionReport {
            region,
            term: 1,
            ..RegionReport::default()
        };
        StoreReport {
            store,
            address: format!("127.0.0.1:{}", 100 + store),
            status_address: format!("127.0.0.1:{}", 200 + store),
            deploy_path: "/".into(),
            version: "8.5.7".into(),
            start_timestamp: 1_769_767_200,
            capacity: 256 << 20,
            available: 200 << 20,
            used: 56 << 20,
            slow_score: 1,
            empty_regions: vec![],
            regions: (1..=REGIONS).collect(),
            leads: leads.iter().map(lead).collect(),
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_silent_store_is_disconnected_and_then_down() {
        let (start, config) = (Instant::now(), Config::default());
        let mut cluster = Cluster::new(start);
        cluster.heard(report(1, &[]), start);
        let state = |after| cluster.state(1, &config, start + after);
        assert_eq!(state(config.disconnected), StoreState::Up);
        assert_eq!(
            state(config.disconnected + seconds(1)),
            StoreState::Disconnected
        );
        assert_eq!(
            state(config.max_store_down_time + seconds(1)),
            StoreState::Down
        );
    }

    #[test]
    fn a_member_that_was_frozen_does_not_call_the_stores_silent() {
        let (start, config) = (Instant::now(), Config::default());
        let mut cluster = Cluster::new(start);
        cluster.heard(report(1, &[]), start);
        cluster.tick(start + seconds(1));
        cluster.tick(start + seconds(61));
        assert_eq!(
            cluster.state(1, &config, start + seconds(61)),
            StoreState::Up
        );
        assert_eq!(
            cluster.state(1, &config, start + seconds(70)),
            StoreState::Disconnected
        );
    }

    #[test]
    fn a_leader_that_is_new_in_office_knows_what_was_stored_until_it_is_told() {
        let (start, config) = (Instant::now(), Config::default());
        let mut cluster = Cluster::new(start);
        cluster.heard(report(1, &[1, 6]), start);
        let mut stored = cluster.records();
        stored.get_mut(&1).unwrap().last_heartbeat = since_1970() - 300_000_000_000;
        cluster.take_office(2, stored, start);
        assert_eq!(cluster.state(1, &config, start), StoreState::Down);
        assert_eq!(cluster.records()[&1].start_timestamp, 1_769_767_200);
        assert_eq!(cluster.leader(1, start), None);
        let later = start + REGION_HEARTBEAT / 2;
        cluster.heard(report(1, &[1, 6]), later);
        assert_eq!(cluster.state(1, &config, later), StoreState::Up);
        assert_eq!(cluster.leader(1, later), Some(1));
        assert_eq!(cluster.leader(6, later), None, "its turn comes later");
        let last = start + REGION_HEARTBEAT;
        cluster.heard(report(1, &[1, 6]), last);
        assert_eq!(cluster.leader(6, last), Some(1));
    }

    #[test]
    fn a_store_that_joins_has_no_heartbeat_until_its_next_report() {
        let (start, config) = (Instant::now(), Config::default());
        let mut cluster = Cluster::new(start);
        cluster.take_office(1, BTreeMap::new(), start);
        cluster.heard(report(1, &[]), start);
        assert_eq!(cluster.records()[&1].last_heartbeat, 0);
        assert_eq!(cluster.state(1, &config, start), StoreState::Down);
        cluster.heard(report(1, &[]), start + seconds(1));
        assert_eq!(
            cluster.state(1, &config, start + seconds(1)),
            StoreState::Up
        );
        assert!(cluster.records()[&1].last_heartbeat > 0);
    }

    #[test]
    fn a_region_whose_leader_is_silent_has_none_and_an_older_term_does_not_win() {
        let start = Instant::now();
        let mut cluster = Cluster::new(start);
        let mut newer = report(2, &[1]);
        newer.leads[0].term = 5;
        cluster.heard(newer, start);
        cluster.heard(report(1, &[1]), start + seconds(1));
        assert_eq!(cluster.leader(1, start + seconds(1)), Some(2));
        assert_eq!(
            cluster.leader(1, start + REGION_LEADER_SILENT + seconds(1)),
            None
        );
        cluster.heard(report(1, &[1]), start + REGION_LEADER_SILENT + seconds(1));
        assert_eq!(
            cluster.leader(1, start + REGION_LEADER_SILENT + seconds(1)),
            Some(1)
        );
    }

    #[test]
    fn a_region_is_born_only_when_every_store_says_it_holds_nothing() {
        let now = Instant::now();
        let mut cluster = Cluster::new(now);
        let empty = |store| StoreReport {
            empty_regions: vec![1, 2],
            ..report(store, &[])
        };
        cluster.heard(empty(1), now);
        cluster.heard(empty(2), now);
        assert!(cluster.unborn(now).is_empty());
        cluster.heard(
            StoreReport {
                empty_regions: vec![2],
                ..report(3, &[])
            },
            now,
        );
        assert_eq!(cluster.unborn(now), [2]);
    }
}
