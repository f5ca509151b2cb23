//! Orphans: processes that lost the process around their command, as a command can kill that. The
//! runner adopts what is left then, and ends it, but for services: those stay, as they always do.
//! What an earlier runner of the same session left, it finds by the session's name in their
//! environment.

use super::command::{Left, Running, told};
use operator_process::{
    service::{self, Judge},
    stop::{Step, Stop},
    tree,
};
use rustix::process::Pid;
use std::time::{Duration, Instant};

/// How long a killed process may take to go.
const LIMIT: Duration = Duration::from_secs(1);
/// The variable that says which session a process is of.
pub(super) const SESSION: &str = "OPERATOR_SESSION";

#[derive(Debug)]
pub(super) struct Orphans {
    /// All that were around commands: what they led the session of is theirs, or was.
    leaders: Vec<Pid>,
}

impl Orphans {
    /// `earlier`: those of runners before this one.
    pub(super) fn new(earlier: impl IntoIterator<Item = i32>) -> Self {
        Self {
            leaders: earlier.into_iter().filter_map(Pid::from_raw).collect(),
        }
    }

    pub(super) fn started(&mut self, leader: Pid) {
        self.leaders.push(leader);
    }

    /// Ends the jobs among the orphans; what is left.
    pub(super) fn end(&self) -> Left {
        let judge = Judge::of_orphans(self.leaders.iter().copied());
        end(|| judge.divide()).0
    }

    /// Ends the jobs of this session that are nobody's descendants here; what they were.
    pub(super) fn end_marked(&self, session: &str) -> Vec<Running> {
        if self.leaders.is_empty() {
            return Vec::new();
        }
        let judge = Judge::of_marked(self.leaders.iter().copied());
        let marker = format!("{SESSION}={session}");
        end(|| judge.divide_marked(&marker)).1
    }
}

/// Kills what `look` calls jobs until there is none. What is left, and what was ended.
fn end(look: impl Fn() -> service::Left) -> (Left, Vec<Running>) {
    let mut stop = Stop::new(Instant::now(), Duration::ZERO).giving_up_after(LIMIT);
    let mut ended: Vec<service::Process> = Vec::new();
    loop {
        let left = look();
        let new = service::described(&left.jobs).into_iter();
        ended.extend(new.filter(|p| !ended.contains(p)).collect::<Vec<_>>());
        let next = match stop.step(Instant::now(), true, !left.jobs.is_empty()) {
            Step::Wait(at) => at,
            Step::Kill(at) => {
                tree::kill_all(|| look().jobs);
                at
            }
            Step::Done => return (told(left), ended.into_iter().map(Running::from).collect()),
        };
        // Zombies are no descendants any more; those that are our children are ours to reap.
        super::collect();
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
