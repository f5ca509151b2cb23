//! Ending processes, a group or a tree: TERM, grace, then STOP and KILL until nobody answers.
//!
//! The order of steps is pure; [`signal_group`] is the only system call.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::time::{Duration, Instant};

/// A group that was killed is looked at this often until it is gone.
const LOOK: Duration = Duration::from_millis(10);
/// A fork can outrun one kill.
const KILLS: u8 = 3;
/// After its leader ended by TERM, the rest of the group has this long.
const REST: Duration = Duration::from_millis(500);
/// A process that KILL cannot end (another user's, say) is not waited for longer, unless said so.
const LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Stop {
    kill_at: Instant,
    kills: u8,
    limit: Duration,
    give_up_at: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Wait(Instant),
    Kill(Instant),
    Done,
}

impl Stop {
    /// TERM was sent at `now`.
    pub fn new(now: Instant, grace: Duration) -> Self {
        Self {
            kill_at: now + grace,
            kills: 0,
            limit: LIMIT,
            give_up_at: None,
        }
    }

    /// How long it goes on killing.
    #[must_use]
    pub fn giving_up_after(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// No more grace.
    pub fn hurry(&mut self, now: Instant) {
        self.kill_at = self.kill_at.min(now);
    }

    pub fn step(&mut self, now: Instant, exited: bool, group_alive: bool) -> Step {
        if exited && !group_alive {
            return Step::Done;
        }
        if exited {
            self.kill_at = self.kill_at.min(now + REST);
        }
        if now < self.kill_at {
            return Step::Wait(if exited { now + LOOK } else { self.kill_at });
        }
        let give_up = *self.give_up_at.get_or_insert(now + self.limit);
        if now >= give_up {
            return Step::Done;
        }
        if self.kills < KILLS {
            self.kills += 1;
            return Step::Kill(now + LOOK);
        }
        // A zombie of the group that nobody reaps still answers; kill again now and then.
        self.kills = 0;
        Step::Wait(now + LOOK)
    }
}

/// Signals the group; a group that is gone is no error.
pub fn signal_group(group: Pid, signal: Signal) {
    let _ = kill_process_group(group, signal);
}

pub fn group_alive(group: Pid) -> bool {
    test_kill_process_group(group).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[test]
    fn a_child_that_ends_is_not_killed() {
        let now = Instant::now();
        let mut stop = Stop::new(now, GRACE);
        assert_eq!(stop.step(now, false, true), Step::Wait(now + GRACE));
        assert_eq!(stop.step(now, true, false), Step::Done);
    }

    #[test]
    fn a_stubborn_one_is_killed_until_it_is_gone_but_not_for_ever() {
        let start = Instant::now();
        let mut stop = Stop::new(start, GRACE);
        let (mut now, mut kills) = (start, 0);
        loop {
            match stop.step(now, false, true) {
                Step::Wait(at) => now = at,
                Step::Kill(at) => {
                    kills += 1;
                    now = at;
                }
                Step::Done => break,
            }
        }
        assert!(kills > 3);
        assert!(now - start >= GRACE && now - start < GRACE + LIMIT + REST);
    }

    #[test]
    fn the_rest_of_a_group_gets_less_grace_and_a_hurry_none() {
        let now = Instant::now();
        let mut stop = Stop::new(now, GRACE);
        assert_eq!(stop.step(now, true, true), Step::Wait(now + LOOK));
        assert!(matches!(stop.step(now + REST, true, true), Step::Kill(_)));
        let mut stop = Stop::new(now, GRACE);
        stop.hurry(now);
        assert!(matches!(stop.step(now, false, true), Step::Kill(_)));
    }
}
