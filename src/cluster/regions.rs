//! From PD's list of regions to how many are in trouble, and how. Pure.
//!
//! Only voters vote; in a joint configuration the voters that were and the voters that will be
//! each need a majority. A peer counts as alive only on a store that is known to live.

use super::{
    pd::{PeerAnswer, PeerRole, RegionAnswer},
    snapshot::{Life, Regions, Store},
};
use jiff::Timestamp;
use std::collections::HashMap;

/// What a peer on a store is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Dead,
    Doubtful,
    Alive,
}

/// What is known of the stores that regions name.
pub(super) struct Ground {
    stores: HashMap<u64, Standing>,
    unlisted: Standing,
    /// Whether PD must have been told every region's leader by now.
    leaders_told: bool,
    /// Regions that the living stores say they lead, if each of them says so.
    led: Option<u64>,
}

impl Ground {
    /// `whole`: PD's list of stores could be read to the last entry. `leaders_told`: PD's leader
    /// has been in office long enough to have heard of every region.
    pub(super) fn new(stores: &[Store], whole: bool, leaders_told: bool) -> Self {
        let living = || stores.iter().filter(|s| s.life() == Life::Alive);
        let standing = |store: &Store| match store.life() {
            Life::Alive | Life::Joining => Standing::Alive,
            Life::Suspect(_) | Life::Unknown(_) => Standing::Doubtful,
            Life::Silent => Standing::Dead,
        };
        Self {
            stores: stores.iter().map(|s| (s.id, standing(s))).collect(),
            unlisted: if whole {
                Standing::Dead
            } else {
                Standing::Doubtful
            },
            leaders_told,
            led: living().map(|s| s.evidence.leads).sum(),
        }
    }

    /// Stores that are not known to live.
    pub(super) fn lost(&self) -> Vec<u64> {
        let lost = self.stores.iter().filter(|(_, s)| **s != Standing::Alive);
        let mut lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        lost.sort_unstable();
        lost
    }

    /// The first of them that a region names.
    pub(super) fn first_lost(&self, region: &RegionAnswer) -> Option<u64> {
        let named = region.peers.iter().map(|p| p.store_id);
        named
            .filter(|id| self.stores.get(id).is_some_and(|s| *s != Standing::Alive))
            .min()
    }

    fn of(&self, store: u64) -> Standing {
        self.stores.get(&store).copied().unwrap_or(self.unlisted)
    }

    fn all_alive(&self) -> bool {
        self.stores.values().all(|s| *s == Standing::Alive)
    }

    /// Whether the stores themselves say that so many regions are led.
    fn say_led(&self, regions: u64) -> bool {
        self.led.is_some_and(|led| led >= regions)
    }
}

/// Regions looked at so far, and what became of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    out: Regions,
    /// Those of which PD has not been told who leads them.
    untold: u64,
}

impl Tally {
    pub(super) fn add(&mut self, region: &RegionAnswer, ground: &Ground) {
        let out = &mut self.out;
        out.total += 1;
        let quorum = quorum(region, ground);
        let leader = leader(region, ground);
        let led = leader.unwrap_or(Standing::Doubtful);
        out.leaderless += u64::from(led == Standing::Dead);
        out.no_quorum += u64::from(quorum == Standing::Dead);
        match quorum.min(led) {
            Standing::Dead => out.unserved += 1,
            Standing::Doubtful if quorum == Standing::Alive && leader.is_none() => {
                self.untold += 1;
            }
            Standing::Doubtful => out.in_doubt += 1,
            Standing::Alive => {}
        }
        out.down_peer += u64::from(!region.down_peers.is_empty());
        out.pending_peer += u64::from(!region.pending_peers.is_empty());
        let mut named: Vec<u64> = region.peers.iter().map(|p| p.store_id).collect();
        named.sort_unstable();
        named.dedup();
        for store in named {
            if ground.of(store) != Standing::Alive {
                *out.on_lost.entry(store).or_default() += 1;
            }
        }
    }

    /// One that cannot be read.
    pub(super) fn odd(&mut self) {
        self.out.in_doubt += 1;
    }

    /// Of so many regions, when those of the stores that are not known to live were looked at.
    /// Those of the others are led where the stores say so.
    pub(super) fn of(&self, total: u64, ground: &Ground, at: Timestamp) -> Regions {
        let mut out = self.out.clone();
        out.total = total;
        out.counted_at = Some(at);
        out.in_doubt += self.untold;
        let elsewhere = total.saturating_sub(self.out.total);
        let seen = self.out.unserved + self.out.in_doubt + self.untold;
        let unled = match ground.led {
            Some(led) => total.saturating_sub(led).saturating_sub(seen),
            None if ground.leaders_told => 0,
            None => elsewhere,
        };
        out.in_doubt += unled;
        out
    }
}

/// `known`: the most regions that were ever seen. A leader that is new in office has not heard of
/// all of them yet.
pub(super) fn count_regions(list: &[RegionAnswer], known: u64, ground: &Ground) -> Regions {
    let mut tally = Tally::default();
    for region in list {
        tally.add(region, ground);
    }
    let Tally {
        mut out,
        mut untold,
    } = tally;
    let total = out.total;
    if !ground.leaders_told {
        untold += known.saturating_sub(total);
        out.total = total.max(known);
    }
    // PD has not been told who leads them. The stores say it themselves: between them they lead
    // all there are.
    let settled = out.unserved == 0 && out.in_doubt == 0 && ground.say_led(out.total);
    if !settled {
        out.in_doubt += untold;
    }
    out
}

/// What can be said of regions that are too many to be listed, from the stores alone. `down`:
/// those that PD lists as having a peer down.
pub(super) fn count_unlisted(down: &[RegionAnswer], total: u64, ground: &Ground) -> Regions {
    let mut out = count_regions(down, 0, ground);
    out.total = total;
    out.on_lost.clear();
    let served = ground.all_alive() && (ground.leaders_told || ground.say_led(total));
    if !served {
        out.uncounted = true;
        out.in_doubt = total - out.unserved.min(total);
    }
    out
}

/// Whether enough voters of a region live: in both configurations, if it is between two.
fn quorum(region: &RegionAnswer, ground: &Ground) -> Standing {
    let joint = region.peers.iter().any(|p| {
        let role = p.role();
        role == PeerRole::IncomingVoter || role == PeerRole::DemotingVoter
    });
    let coming = majority(region, ground, PeerRole::IncomingVoter);
    if !joint {
        return coming;
    }
    coming.min(majority(region, ground, PeerRole::DemotingVoter))
}

/// The majority among the voters and those of one more role, of whom one must hold the data.
fn majority(region: &RegionAnswer, ground: &Ground, also: PeerRole) -> Standing {
    let same = |a: &PeerAnswer, b: &PeerAnswer| a.id == b.id && a.store_id == b.store_id;
    let down = |p: &PeerAnswer| region.down_peers.iter().any(|d| same(&d.peer, p));
    let voters: Vec<(Standing, bool)> = region
        .peers
        .iter()
        .filter(|p| p.role() == PeerRole::Voter || p.role() == also)
        .map(|p| {
            let standing = if down(p) {
                Standing::Dead
            } else {
                ground.of(p.store_id)
            };
            (standing, !p.is_witness)
        })
        .collect();
    // Nobody said who they are.
    if voters.is_empty() {
        return Standing::Doubtful;
    }
    let enough = |least: Standing| {
        let living = || voters.iter().filter(|(standing, _)| *standing >= least);
        living().count() * 2 > voters.len() && living().any(|(_, data)| *data)
    };
    if enough(Standing::Alive) {
        Standing::Alive
    } else if enough(Standing::Doubtful) {
        Standing::Doubtful
    } else {
        Standing::Dead
    }
}

/// What the leader of a region is worth. PD keeps the last one it heard of, dead or not, until
/// another one reports. None: PD may not have been told yet.
fn leader(region: &RegionAnswer, ground: &Ground) -> Option<Standing> {
    if region.leader.store_id != 0 {
        return Some(ground.of(region.leader.store_id));
    }
    ground.leaders_told.then_some(Standing::Dead)
}

#[cfg(test)]
#[path = "regions_tests.rs"]
mod tests;
