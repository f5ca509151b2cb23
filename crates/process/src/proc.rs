//! What `/proc` says of a process. `None`, wherever it says nothing: there is no such process, or
//! no `/proc`.

use rustix::process::{Pid, Signal};
use std::{
    fs,
    time::{Duration, SystemTime},
};

/// Longest command line for people, in characters.
const MAX_COMMAND: usize = 200;

/// `/proc/PID/stat`, as far as it is of use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The letter of its state, as `ps` shows it.
    pub state: char,
    pub parent: i32,
    /// The process that leads its session, which may be gone.
    pub session: i32,
    /// Device number of its terminal; 0: it has none.
    pub terminal: i32,
    /// Processor time of its own, in user and system mode, in clock ticks.
    pub cpu_ticks: u64,
    /// Its start, in clock ticks since boot: with the pid, a name nobody else will have.
    pub start_ticks: u64,
}

impl Stat {
    pub fn of(pid: Pid) -> Option<Self> {
        Self::read(pid.as_raw_nonzero())
    }

    pub fn of_this_process() -> Option<Self> {
        Self::read("self")
    }

    pub(crate) fn read(pid: impl std::fmt::Display) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &[u8]) -> Option<Self> {
        // The name in brackets may hold anything, brackets and spaces included.
        let name_end = stat.iter().rposition(|b| *b == b')')?;
        let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let terminal = fields.next()?.parse().ok()?;
        // From here to `utime`, the 14th of the file, to `stime`, and to `starttime`, the 22nd.
        let mut number = |skipped| fields.nth(skipped)?.parse::<u64>().ok();
        Some(Self {
            state,
            parent,
            session,
            terminal,
            cpu_ticks: number(6)? + number(0)?,
            start_ticks: number(6)?,
        })
    }

    /// A zombie has ended; it only waits for its parent to ask how.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: Pid) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.has_ended())
}

/// Whether a signal has stopped a process.
pub fn is_stopped(pid: Pid) -> Option<bool> {
    Some(Stat::of(pid)?.state == 'T')
}

/// Whether a process ignores the signal that tells it of the end of its session.
pub fn ignores_hangup(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let mask = status.ok().and_then(|status| {
        let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    // One bit a signal, from signal 1.
    mask.is_some_and(|mask| mask & (1 << (Signal::HUP.as_raw() - 1)) != 0)
}

/// Whether a process was started with this variable, `NAME=value`.
pub fn has_in_environment(pid: Pid, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    let environment = environment.unwrap_or_default();
    environment
        .split(|b| *b == 0)
        .any(|own| own == variable.as_bytes())
}

/// When a process began that has this in [`Stat::start_ticks`], by the clock on the wall.
pub fn began_at(start_ticks: u64) -> Option<SystemTime> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let began = start_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    let ago = Duration::try_from_secs_f64((up - began).max(0.0)).ok()?;
    SystemTime::now().checked_sub(ago)
}

/// Where a pid means what it means here: this boot of this kernel, and this namespace of pids. The
/// same number elsewhere is another process.
pub fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Memory of a process that is in RAM.
pub fn resident_bytes(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = rss.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// What a process runs, for people: its arguments joined by spaces, or its name in brackets when
/// it has none.
pub fn command_line(pid: Pid) -> String {
    let pid = pid.as_raw_nonzero();
    let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let args = String::from_utf8_lossy(&args)
        .trim_end_matches('\0')
        .replace(['\0', '\n'], " ");
    if !args.is_empty() {
        return args.chars().take(MAX_COMMAND).collect();
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("[{}]", name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = b"42 (a ) R 7 \xff) S 41 42 42 0 -1 4194560 1 2 3 4 100 20 5 6 20 0 1 0 777 8 9";
        let stat = Stat::parse(stat).unwrap();
        let expected = Stat {
            state: 'S',
            parent: 41,
            session: 42,
            terminal: 0,
            cpu_ticks: 120,
            start_ticks: 777,
        };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse(b"42 (cat) S 41"), None);
    }

    #[test]
    fn this_process_is_alive_has_a_start_and_takes_memory() {
        let this = rustix::process::getpid();
        let stat = Stat::of_this_process().unwrap();
        assert!(is_alive(this) && stat.start_ticks > 0);
        assert_eq!(
            Stat::of(this).map(|s| s.start_ticks),
            Some(stat.start_ticks)
        );
        assert_eq!(is_stopped(this), Some(false));
        assert!(resident_bytes(this).unwrap() > 100_000);
        let began = began_at(stat.start_ticks).unwrap();
        assert!(began <= SystemTime::now() && place().is_some());
    }
}
