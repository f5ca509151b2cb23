//! What to do when a child ends: restart it later, or say that it is no use.
//!
//! Pure: it is told when things happened.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const MIN_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// A run this long was no part of a crash loop.
const HEALTHY: Duration = Duration::from_mins(1);
/// So many failures without a healthy run between them are a crash loop.
const FAILURES: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Restart { after: Duration },
    GiveUp { why: String },
}

#[derive(Debug)]
pub struct Policy {
    failures: VecDeque<Instant>,
    delays: ExponentialBackoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            failures: VecDeque::new(),
            delays: ExponentialBuilder::default()
                .with_min_delay(MIN_DELAY)
                .with_max_delay(MAX_DELAY)
                .without_max_times()
                .build(),
        }
    }
}

impl Policy {
    /// The child ended by itself after running for `ran`.
    pub fn ended(&mut self, now: Instant, ran: Duration, success: bool) -> Next {
        if success {
            return Next::GiveUp {
                why: "it ended by itself".into(),
            };
        }
        if ran >= HEALTHY {
            self.forgive();
        }
        self.failures.push_back(now);
        if self.failures.len() >= FAILURES {
            let span = now - self.failures[0] + ran;
            let why = format!("it failed {FAILURES} times in {} s", span.as_secs().max(1));
            return Next::GiveUp { why };
        }
        Next::Restart {
            after: self.delays.next().unwrap_or(MAX_DELAY),
        }
    }

    /// It could not even be started: trying again changes nothing.
    pub fn not_started(&self, why: &str) -> Next {
        Next::GiveUp {
            why: format!("cannot start: {why}"),
        }
    }

    /// A person asked for it to run again.
    pub fn forgive(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_a_crash_loop_ends() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        let mut delays = Vec::new();
        let why = loop {
            now += Duration::from_secs(1);
            match policy.ended(now, Duration::from_millis(100), false) {
                Next::Restart { after } => delays.push(after.as_millis()),
                Next::GiveUp { why } => break why,
            }
        };
        assert_eq!(delays, [500, 1000, 2000, 4000]);
        assert_eq!(why, "it failed 5 times in 4 s");
        policy.forgive();
        assert!(matches!(
            policy.ended(now, Duration::ZERO, false),
            Next::Restart { .. }
        ));
    }

    #[test]
    fn a_healthy_run_forgives_and_success_is_not_restarted() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        for _ in 0..20 {
            let next = policy.ended(now, Duration::from_mins(2), false);
            assert_eq!(next, Next::Restart { after: MIN_DELAY });
        }
        assert!(matches!(
            policy.ended(now, Duration::ZERO, true),
            Next::GiveUp { .. }
        ));
    }
}
