//! Orphans: processes that lost their runner, as a command can kill the runner around it. The agent
//! adopts what is left then, and ends it, but for services: those stay, as they do with a runner.
//!
//! Works only in a process whose children are all runners; so it is asked for, not assumed.

use operator_process::{
    service::{Judge, Left},
    stop::{Step, Stop},
    tree,
};
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a killed process may take to go.
const LIMIT: Duration = Duration::from_secs(1);

/// This process, as the parent of every orphan among its descendants.
#[derive(Debug)]
pub struct Adopter {
    /// All that were started: what they led the session of is theirs, or was.
    runners: Mutex<Vec<Pid>>,
}

impl Adopter {
    /// None: the system cannot.
    pub fn adopt() -> Option<Self> {
        set_child_subreaper(Some(getpid())).ok()?;
        Some(Self {
            runners: Mutex::default(),
        })
    }

    pub fn started(&self, runner: Pid) {
        self.runners().push(runner);
    }

    fn runners(&self) -> std::sync::MutexGuard<'_, Vec<Pid>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the jobs among the orphans. Returns what is left, and how many were ended.
    pub async fn end(&self) -> (Left, usize) {
        let judge = Judge::of_orphans(self.runners().iter().copied());
        let mut stop = Stop::new(Instant::now(), Duration::ZERO).giving_up_after(LIMIT);
        let mut ended: Vec<Pid> = Vec::new();
        loop {
            let left = judge.divide();
            let new = left.jobs.iter().filter(|p| !ended.contains(p)).copied();
            ended.extend(new.collect::<Vec<_>>());
            let next = match stop.step(Instant::now(), true, !left.jobs.is_empty()) {
                Step::Wait(at) => Some(at),
                Step::Kill(at) => {
                    tree::kill_all(|| judge.divide().jobs);
                    Some(at)
                }
                Step::Done => None,
            };
            // Zombies are no descendants any more; those that are our children are ours to reap.
            for pid in &ended {
                let _ = waitpid(Some(*pid), WaitOptions::NOHANG);
            }
            let Some(next) = next else {
                return (left, ended.len());
            };
            tokio::time::sleep_until(next.into()).await;
        }
    }
}
