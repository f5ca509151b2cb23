//! All descendants of this process: who they are, and ending them.
//!
//! Complete only in a process that is a child subreaper: there an orphan, whatever session or
//! group it moved to, is still a descendant. Does not reap; the caller waits for its children.

use crate::proc::{Stat, command_line};
use rustix::process::{Pid, Signal, kill_process};
use std::{collections::HashMap, fs};

/// A living descendant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: Pid,
    /// Its arguments joined by spaces, or its name in brackets when it has none.
    pub command: String,
}

/// Every descendant of `root` that is not a zombie.
pub fn descendants(root: Pid) -> Vec<Pid> {
    descendants_without(root, &[])
}

/// Every descendant of `root` that is not a zombie, but for `spared` and their descendants.
pub fn descendants_without(root: Pid, spared: &[Pid]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<(i32, bool)>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        if let Some(stat) = Stat::read(pid) {
            let ended = stat.has_ended();
            children.entry(stat.parent).or_default().push((pid, ended));
        }
    }
    let mut found = Vec::new();
    let mut queue = vec![root.as_raw_nonzero().get()];
    while let Some(parent) = queue.pop() {
        for (pid, ended) in children.remove(&parent).unwrap_or_default() {
            if spared.iter().any(|s| s.as_raw_nonzero().get() == pid) {
                continue;
            }
            queue.push(pid);
            if !ended {
                found.extend(Pid::from_raw(pid));
            }
        }
    }
    found
}

/// `descendants`, with what each of them runs.
pub fn described(root: Pid) -> Vec<Process> {
    descendants(root)
        .into_iter()
        .map(|pid| Process {
            pid,
            command: command_line(pid),
        })
        .collect()
}

/// Sends `signal` to each. A process that is gone already is not an error.
pub fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
}

/// Asks every descendant of `root` to end.
pub fn terminate(root: Pid) {
    let tree = descendants(root);
    signal_all(&tree, Signal::TERM);
    // A stopped process takes its TERM only when it goes on.
    signal_all(&tree, Signal::CONT);
}

/// Freezes the tree until no scan finds a process it did not know, then kills all of it. A fork
/// can outrun one signal, but not a parent that stands still.
pub fn kill_all(root: Pid) {
    let mut frozen: Vec<Pid> = Vec::new();
    for _ in 0..16 {
        let new: Vec<Pid> = descendants(root)
            .into_iter()
            .filter(|p| !frozen.contains(p))
            .collect();
        if new.is_empty() {
            break;
        }
        signal_all(&new, Signal::STOP);
        frozen.extend(new);
    }
    signal_all(&frozen, Signal::KILL);
}

/// Freezes, then kills these.
pub fn kill_each(pids: &[Pid]) {
    signal_all(pids, Signal::STOP);
    signal_all(pids, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn finds_children_and_says_what_they_run() {
        let mut child = Command::new("sleep")
            .arg("61.5")
            .stdin(Stdio::piped())
            .spawn()
            .expect("sleep");
        let pid = Pid::from_child(&child);
        let mine = described(rustix::process::getpid());
        let found = mine
            .iter()
            .find(|p| p.pid == pid)
            .expect("the child is a descendant");
        // Between fork and exec it still shows what this test runs.
        assert!(!found.command.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(rustix::process::getpid()).contains(&pid));
    }
}
