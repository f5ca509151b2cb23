//! What a command left running, divided: services, which made themselves independent, and jobs,
//! which did not.
//!
//! A process is a service if it has a session of its own and no terminal, or if it ignores the
//! signal that tells of the end of a session: `setsid`, a daemon's double fork, `nohup` as long as the
//! program leaves that signal alone. So is whatever a service started. Nothing is ended here.

use crate::{
    proc::{Stat, command_line, has_in_environment, ignores_hangup},
    tree::{Below, all, walk},
};
use rustix::process::{Pid, getpid};
use std::collections::{HashMap, HashSet};

/// A living process, by a name that nobody else will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: Pid,
    pub start_ticks: u64,
    /// Its arguments joined by spaces, or its name in brackets when it has none.
    pub command: String,
}

impl Process {
    fn of(pid: Pid, stat: &Stat) -> Self {
        Self {
            pid,
            start_ticks: stat.start_ticks,
            command: command_line(pid),
        }
    }
}

/// The processes that are still there of what a command started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// One for each service: what it started itself is left out.
    pub services: Vec<Process>,
    pub jobs: Vec<Pid>,
}

/// How a process is judged.
#[derive(Debug, Default)]
pub struct Judge {
    /// Sessions that are a command's: having one of these is no independence.
    sessions: HashSet<i32>,
    /// The command itself, which is never a service, whatever session it moves to.
    command: Option<Pid>,
    /// Passed over, with all below them.
    spared: HashSet<Pid>,
}

impl Judge {
    /// For the descendants of this process, which leads the session of `command`.
    pub fn of_command(command: Option<Pid>) -> Self {
        Self {
            sessions: HashSet::from([getpid().as_raw_nonzero().get()]),
            command,
            spared: HashSet::new(),
        }
    }

    /// For what lost the process that led its session. `leaders` led sessions of commands; those
    /// of them that are alive look after theirs themselves.
    pub fn of_orphans(leaders: impl IntoIterator<Item = Pid>) -> Self {
        let spared: HashSet<Pid> = leaders.into_iter().collect();
        let numbers = spared.iter().map(|p| p.as_raw_nonzero().get());
        let own = Stat::of_this_process().map(|stat| stat.session);
        Self {
            sessions: numbers.chain(own).collect(),
            command: None,
            spared,
        }
    }

    /// For what is no descendant of this process. `leaders` led sessions of commands, and are to end
    /// with them.
    pub fn of_marked(leaders: impl IntoIterator<Item = Pid>) -> Self {
        let numbers = leaders.into_iter().map(|p| p.as_raw_nonzero().get());
        Self {
            sessions: numbers.collect(),
            command: None,
            spared: HashSet::new(),
        }
    }

    /// All processes that have `marker` (`NAME=value`) in their environment. Of services each
    /// process is one.
    pub fn divide_marked(&self, marker: &str) -> Left {
        let mut left = Left::default();
        for (pid, stat) in all().filter(|(_, stat)| !stat.has_ended()) {
            if !has_in_environment(pid, marker) {
                continue;
            }
            let own_session = !self.sessions.contains(&stat.session) && stat.terminal == 0;
            if own_session || ignores_hangup(pid) {
                left.services.push(Process::of(pid, &stat));
            } else {
                left.jobs.push(pid);
            }
        }
        left
    }

    /// The descendants of this process that have not ended.
    pub fn divide(&self) -> Left {
        // A command that ignores hangups itself hands that on to all it starts: it means nothing.
        let hangup_counts = !self.command.is_some_and(ignores_hangup);
        let mut jobs = Vec::new();
        let mut services: HashMap<i32, Vec<(Pid, Stat)>> = HashMap::new();
        walk(getpid(), |pid, stat| {
            if self.spared.contains(&pid) {
                return Below::PassedOver;
            }
            if stat.has_ended() {
                return Below::Seen;
            }
            let command = self.command == Some(pid);
            let own_session = !self.sessions.contains(&stat.session) && stat.terminal == 0;
            if !command && (own_session || hangup_counts && ignores_hangup(pid)) {
                // Those of a command's session that ignore hangups are each one of its own.
                let key = if own_session {
                    stat.session
                } else {
                    -pid.as_raw_nonzero().get()
                };
                services.entry(key).or_default().push((pid, *stat));
                return Below::PassedOver;
            }
            jobs.push(pid);
            Below::Seen
        });
        // A daemon whose leader is gone may be several orphans: the eldest stands for them.
        let mut services: Vec<Process> = services
            .into_values()
            .filter_map(|all| {
                let eldest = all.iter().min_by_key(|(pid, stat)| {
                    let number = pid.as_raw_nonzero().get();
                    (number != stat.session, stat.start_ticks, number)
                })?;
                Some(Process::of(eldest.0, &eldest.1))
            })
            .collect();
        services.sort_by_key(|p| (p.start_ticks, p.pid.as_raw_nonzero().get()));
        Left { services, jobs }
    }
}

/// What each of these is.
pub fn described(pids: &[Pid]) -> Vec<Process> {
    let living = |pid: &Pid| Some(Process::of(*pid, &Stat::of(*pid)?));
    pids.iter().filter_map(living).collect()
}
