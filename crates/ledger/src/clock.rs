//! Clocks and identities: wall time for people, a clock that does not jump for leases and proof,
//! and the name of a process that stays its own when pids are used again.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use operator_process::proc::Stat;
use rustix::process::Pid;
use std::{fmt, sync::OnceLock, time::Duration};

/// Milliseconds since boot, suspended time included, with the boot they count from. Comparable
/// between processes of one machine; never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mono {
    pub boot: String,
    pub ms: i64,
}

impl Mono {
    pub(crate) fn now() -> Self {
        Self::before(Duration::ZERO)
    }

    /// So long ago, and rather a little earlier than a little later.
    pub(crate) fn before(age: Duration) -> Self {
        let whole = millis(age);
        let part = i64::from(age > Duration::from_millis(whole.unsigned_abs()));
        Self {
            boot: boot_id().to_owned(),
            ms: now_ms() - whole - part,
        }
    }
}

/// How long it is since some moment, on the clock of leases and proof: it does not jump, and counts
/// the time in which the machine slept.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    started_ms: i64,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self {
            started_ms: now_ms(),
        }
    }

    pub fn elapsed(&self) -> Duration {
        let ms = now_ms() - self.started_ms;
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

fn now_ms() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let t = rustix::time::clock_gettime(clock);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| "boot".to_owned(), |s| s.trim().to_owned())
    })
}

/// Who holds a lease: boot id, pid, start time, and where that pid means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    boot: String,
    pub(crate) pid: u32,
    /// Start of the process in clock ticks since boot; 0 where the system does not say.
    start: u64,
    /// The namespace of pids; empty where the system does not say.
    namespace: String,
}

impl Holder {
    pub fn this_process() -> Self {
        let start = Stat::of_this_process().map_or(0, |stat| stat.start_ticks);
        Self {
            boot: boot_id().to_owned(),
            pid: std::process::id(),
            start,
            namespace: namespace(),
        }
    }

    /// Whether a holder, as it was written, is a process that has ended. False where nobody here
    /// can tell: another machine, another container, an older ledger.
    pub(crate) fn is_gone(written: &str) -> bool {
        let mut parts = written.splitn(4, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (boot, pid, start, there) = (next(), next(), next(), next());
        if there.is_empty() || there != namespace() {
            return false;
        }
        // A boot that is over took its processes with it; but on which machine?
        if boot != boot_id() {
            return false;
        }
        let pid = pid.parse().ok().and_then(Pid::from_raw);
        let alive = pid
            .and_then(Stat::of)
            .is_some_and(|stat| !stat.has_ended() && start.parse().ok() == Some(stat.start_ticks));
        pid.is_some() && !alive
    }
}

fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid");
    link.map_or_else(|_| String::new(), |link| link.display().to_string())
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            boot,
            pid,
            start,
            namespace,
        } = self;
        write!(f, "{boot}/{pid}/{start}/{namespace}")
    }
}

/// Now, in milliseconds, as the ledger stores it.
pub(crate) fn wall() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// The day, UTC, as text that sorts.
pub(crate) fn today() -> String {
    wall().strftime("%Y-%m-%d").to_string()
}

/// Now, as text of one length, so that it sorts as text.
pub(crate) fn stamp() -> String {
    text(wall())
}

pub(crate) fn text(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A length as the ledger stores it.
pub(crate) fn millis(d: Duration) -> i64 {
    // A quarter, so that sums of such lengths do not overflow.
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Reads any time a ledger can hold: ours (RFC 3339), Python's (naive local time with a `T`) and
/// SQLite's own (UTC with a space).
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(t) = text.parse() {
        return Some(t);
    }
    let naive: DateTime = text.parse().ok()?;
    let zone = if text.contains('T') {
        TimeZone::system()
    } else {
        TimeZone::UTC
    };
    naive.to_zoned(zone).ok().map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_kinds_of_time_are_read() {
        let utc: Timestamp = "2026-01-30T18:11:12Z".parse().unwrap();
        assert_eq!(parse_time("2026-01-30T18:11:12Z"), Some(utc));
        assert_eq!(parse_time("2026-01-30 18:11:12"), Some(utc));
        let local = parse_time("2026-01-30T10:11:12.345678").unwrap();
        let zoned = "2026-01-30T10:11:12.345678"
            .parse::<DateTime>()
            .unwrap()
            .to_zoned(TimeZone::system())
            .unwrap();
        assert_eq!(local, zoned.timestamp());
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn the_clock_moves_on_and_a_process_keeps_its_name() {
        let a = Mono::now();
        let b = Mono::now();
        assert!(a.boot == b.boot && b.ms >= a.ms);
        assert_eq!(Holder::this_process(), Holder::this_process());
    }
}
