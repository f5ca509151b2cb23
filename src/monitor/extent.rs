//! How bad a violation is, where it can be counted: of the looks of one outage a ticket keeps the worst
//! beside the last. More is worse; what is compared are looks of one invariant on one subject only.

use super::invariants::{Invariant, ViolationKey};
use crate::cluster::{ClusterSnapshot, Store};

/// None: it is violated or it is not.
pub(super) fn extent(snapshot: &ClusterSnapshot, key: &ViolationKey) -> Option<f64> {
    let regions = || snapshot.regions.fresh();
    let store = || -> Option<&Store> {
        let id: u64 = key.subject.as_ref()?.parse().ok()?;
        snapshot.stores.fresh()?.iter().find(|s| s.id == id)
    };
    match key.invariant {
        // Without a quorum it is worse than without a leader: that one elects no other by itself.
        Invariant::RegionUnavailable => regions().map(|r| (r.unserved() + r.no_quorum) as f64),
        Invariant::UnderReplicated => regions().map(|r| r.down_peer.max(r.miss_peer) as f64),
        Invariant::HighLatency => store()?.traffic.fresh()?.p99_ms,
        Invariant::SlowStore => store()?.strain.slow_score.map(|score| score as f64),
        Invariant::LowDiskSpace => store()?.disk_used(),
        Invariant::StoreDown
        | Invariant::PdNoLeader
        | Invariant::PdMemberDown
        | Invariant::ObservationFailed => None,
    }
}
