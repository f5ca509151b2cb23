//! All descendants of this process: who they are, and ending them.
//!
//! Complete only in a process that is a child subreaper: there an orphan, whatever session or
//! group it moved to, is still a descendant. Does not reap; the caller waits for its children.

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
    let mut children: HashMap<i32, Vec<(i32, char)>> = HashMap::new();
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
        if let Some((state, parent)) = state_and_parent(pid) {
            children.entry(parent).or_default().push((pid, state));
        }
    }
    let mut found = Vec::new();
    let mut queue = vec![root.as_raw_nonzero().get()];
    while let Some(parent) = queue.pop() {
        for (pid, state) in children.remove(&parent).unwrap_or_default() {
            if spared.iter().any(|s| s.as_raw_nonzero().get() == pid) {
                continue;
            }
            queue.push(pid);
            if state != 'Z' && state != 'X' {
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
            command: command_of(pid),
        })
        .collect()
}

/// Sends `signal` to each. A process that is gone already is not an error.
pub fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
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

/// State letter and parent of a process, from `/proc/PID/stat`.
fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name in brackets may hold anything, brackets and spaces included.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn command_of(pid: Pid) -> String {
    let pid = pid.as_raw_nonzero();
    let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let args = String::from_utf8_lossy(&args)
        .trim_end_matches('\0')
        .replace(['\0', '\n'], " ");
    if !args.is_empty() {
        return args.chars().take(200).collect();
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("[{}]", name.trim())
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
