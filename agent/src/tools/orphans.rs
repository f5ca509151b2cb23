//! Orphans: processes that lost their runner, as a command can kill the runner around it. The agent
//! adopts what is left then, and ends it.
//!
//! Works only in a process whose children are all runners; so it is asked for, not assumed.

use operator_process::{
    stop::{Step, Stop},
    tree,
};
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};
use std::time::{Duration, Instant};

/// How long a killed process may take to go.
const LIMIT: Duration = Duration::from_secs(1);

/// Makes this process the parent of every orphan among its descendants. False: the system cannot.
pub fn adopt() -> bool {
    set_child_subreaper(Some(getpid())).is_ok()
}

/// Ends all descendants of this process but `runners` and theirs. Returns how many there were.
pub async fn end(runners: &[Pid]) -> usize {
    let mut stop = Stop::new(Instant::now(), Duration::ZERO).giving_up_after(LIMIT);
    let mut ended: Vec<Pid> = Vec::new();
    loop {
        let orphans = tree::descendants_without(getpid(), runners);
        let new = orphans.iter().filter(|p| !ended.contains(p)).copied();
        ended.extend(new.collect::<Vec<_>>());
        let next = match stop.step(Instant::now(), true, !orphans.is_empty()) {
            Step::Wait(at) => Some(at),
            Step::Kill(at) => {
                tree::kill_each(&orphans);
                Some(at)
            }
            Step::Done => None,
        };
        // Zombies are no descendants any more; those that are our children are ours to reap.
        for pid in &ended {
            let _ = waitpid(Some(*pid), WaitOptions::NOHANG);
        }
        let Some(next) = next else {
            return ended.len();
        };
        tokio::time::sleep_until(next.into()).await;
    }
}
