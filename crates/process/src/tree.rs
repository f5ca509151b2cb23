//! All descendants of this process: who they are, and ending them.
//!
//! Complete only in a process that is a child subreaper: there an orphan, whatever session or
//! group it moved to, is still a descendant. Does not reap; the caller waits for its children.

use crate::proc::Stat;
use rustix::process::{Pid, Signal, kill_process};
use std::{collections::HashMap, fs};

/// Every descendant of `root` that is not a zombie.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    walk(root, |pid, stat| {
        found.extend((!stat.has_ended()).then_some(pid));
        Below::Seen
    });
    found
}

/// What a visitor of [`walk`] wants of the descendants of the one that it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    Seen,
    PassedOver,
}

/// Shows `visit` every descendant of `root`, zombies included, parents first.
pub(crate) fn walk(root: Pid, mut visit: impl FnMut(Pid, &Stat) -> Below) {
    let mut children: HashMap<i32, Vec<(Pid, Stat)>> = HashMap::new();
    for (pid, stat) in all() {
        children.entry(stat.parent).or_default().push((pid, stat));
    }
    let mut queue = vec![root.as_raw_nonzero().get()];
    while let Some(parent) = queue.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            if visit(pid, &stat) == Below::Seen {
                queue.push(pid.as_raw_nonzero().get());
            }
        }
    }
}

/// Every process that can be seen.
pub(crate) fn all() -> impl Iterator<Item = (Pid, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let pid = Pid::from_raw(name.to_str()?.parse().ok()?)?;
        Some((pid, Stat::of(pid)?))
    })
}

/// Sends `signal` to each. A process that is gone already is not an error.
pub fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
}

/// Asks each to end.
pub fn terminate(pids: &[Pid]) {
    signal_all(pids, Signal::TERM);
    // A stopped process takes its TERM only when it goes on.
    signal_all(pids, Signal::CONT);
}

/// Freezes what `scan` finds until it finds nothing new, then kills all of it. A fork can outrun
/// one signal, but not a parent that stands still.
pub fn kill_all(scan: impl Fn() -> Vec<Pid>) {
    let mut frozen: Vec<Pid> = Vec::new();
    for _ in 0..16 {
        let new: Vec<Pid> = scan().into_iter().filter(|p| !frozen.contains(p)).collect();
        if new.is_empty() {
            break;
        }
        signal_all(&new, Signal::STOP);
        frozen.extend(new);
    }
    signal_all(&frozen, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn finds_children_until_they_end() {
        let mut child = Command::new("sleep")
            .arg("61.5")
            .stdin(Stdio::piped())
            .spawn()
            .expect("sleep");
        let pid = Pid::from_child(&child);
        assert!(descendants(rustix::process::getpid()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(rustix::process::getpid()).contains(&pid));
    }
}
