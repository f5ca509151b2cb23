//! What the kernel says of a process: time on a processor, memory, how often it woke.

use std::{fs, path::PathBuf};

/// Nanoseconds that these processes were on a processor.
pub(crate) fn cpu(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| exact(*pid).max(whole(*pid))).sum()
}

/// To the nanosecond, but without threads that have ended.
fn exact(pid: u32) -> u64 {
    let of = |task: PathBuf| -> Option<u64> {
        let stat = fs::read_to_string(task.join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    };
    tasks(pid).into_iter().filter_map(of).sum()
}

/// All threads there ever were, in ticks of 10 ms.
fn whole(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    ticks.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>() * 10_000_000
}

/// How often their threads went to sleep.
pub(crate) fn waits(pids: &[u32]) -> u64 {
    let of = |task: PathBuf| field(&task.join("status"), "voluntary_ctxt_switches");
    pids.iter().flat_map(|pid| tasks(*pid)).filter_map(of).sum()
}

/// Who started it, or took it over.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let parent = field(&PathBuf::from(format!("/proc/{pid}/status")), "PPid")?;
    u32::try_from(parent).ok()
}

/// Resident memory, MB.
pub(crate) fn memory(pids: &[u32]) -> f64 {
    kilobytes(pids, "VmRSS")
}

/// The most it ever was, MB.
pub(crate) fn most_memory(pids: &[u32]) -> f64 {
    kilobytes(pids, "VmHWM")
}

fn kilobytes(pids: &[u32], name: &str) -> f64 {
    let of = |pid: &u32| field(&PathBuf::from(format!("/proc/{pid}/status")), name);
    pids.iter().filter_map(of).sum::<u64>() as f64 / 1024.0
}

fn field(file: &PathBuf, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn tasks(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}
