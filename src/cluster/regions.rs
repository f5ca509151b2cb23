//! From PD's list of regions to how many are in trouble, and how. Pure.

use super::{
    pd::RegionAnswer,
    snapshot::{Regions, Store, StoreState},
};

pub(super) fn count_regions(list: &[RegionAnswer], stores: &[Store]) -> Regions {
    let dead = |id: u64| {
        stores
            .iter()
            .any(|s| s.id == id && matches!(s.state, StoreState::Disconnected | StoreState::Down))
    };
    let mut out = Regions {
        total: list.len() as u64,
        ..Regions::default()
    };
    for region in list {
        let lost = region
            .peers
            .iter()
            .filter(|p| dead(p.store_id) || region.down_peers.iter().any(|d| d.peer.id == p.id))
            .count();
        // PD keeps the last leader it heard of, dead or not, until another one reports.
        let led = region.leader.store_id != 0 && !dead(region.leader.store_id);
        out.leaderless += u64::from(!led);
        out.no_quorum += u64::from(lost * 2 >= region.peers.len() && !region.peers.is_empty());
        out.down_peer += u64::from(!region.down_peers.is_empty());
        out.pending_peer += u64::from(!region.pending_peers.is_empty());
    }
    out
}
