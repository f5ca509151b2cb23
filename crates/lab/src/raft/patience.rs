//! Elections wait after a start and after a freeze.
//!
//! openraft has no pre-vote: a replica that stands for election before it has heard the leader
//! that is there drives that leader out with its higher term. Both a restarted process and one
//! that was frozen would do so at their first tick, and every recovery would begin with an
//! outage. So nobody stands before a leader, if there is one, must have been heard.

use crate::{raft::group::Group, timing::ELECTION_MAX, topology::MEMBERS};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(250);
/// A gap between two ticks longer than this means that the process was frozen.
const FROZEN: Duration = Duration::from_millis(1200);
/// After a start of the whole lab the replicas stand one after another, each group in another
/// order: no votes are split, and leaders are spread from the beginning.
const STAGGER: Duration = Duration::from_millis(700);

/// Guards the elections of all groups of this process, for as long as it runs.
pub(crate) async fn guard(me: u64, groups: Vec<Arc<Group>>) {
    let mut waiting: Vec<(Arc<Group>, Instant)> = after(me, &groups, Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        if now - last > FROZEN {
            tracing::warn!("was frozen for {:.1} s", (now - last).as_secs_f64());
            for group in &groups {
                group.allow_elections(false);
            }
            waiting = after(me, &groups, now);
        }
        last = now;
        for group in &groups {
            group.note_leadership();
        }
        waiting.retain(|(group, from)| {
            let ready = now >= *from;
            if ready {
                group.allow_elections(true);
            }
            !ready
        });
    }
}

fn after(me: u64, groups: &[Arc<Group>], now: Instant) -> Vec<(Arc<Group>, Instant)> {
    let wait = |group: &Group| ELECTION_MAX + STAGGER * turn(group.id, me) as u32;
    groups
        .iter()
        .map(|group| (group.clone(), now + wait(group)))
        .collect()
}

/// Whose turn it is: 0 for the store that PD bootstraps the region on.
fn turn(group: u64, me: u64) -> u64 {
    (me + MEMBERS * group - group) % MEMBERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_store_is_first_for_two_regions() {
        for me in 1..=MEMBERS {
            let first = (1..=6).filter(|region| turn(*region, me) == 0);
            assert_eq!(first.collect::<Vec<_>>(), [me, me + MEMBERS]);
        }
    }
}
