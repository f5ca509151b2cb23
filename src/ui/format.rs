//! Durations, ages and numbers, short and with their unit.

use crate::app::model::agent::Phase;
use jiff::SignedDuration;

/// How long something has lasted: `0:42`, `12:05`, `2:03:07`.
pub(super) fn lasting(duration: SignedDuration) -> String {
    let s = duration.as_secs().max(0);
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..86_400 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ => format!("{} d", s / 86_400),
    }
}

/// How old something is: `1 s`, `3 m`, `2 h`, `4 d`.
pub(super) fn age(duration: SignedDuration) -> String {
    let s = duration.as_secs().max(0);
    match s {
        0..100 => format!("{s} s"),
        100..6000 => format!("{} m", s / 60),
        6000..172_800 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// A rate: `0.4`, `12`, `1 204`, `12.4 k`.
pub(super) fn rate(value: f64) -> String {
    match value {
        v if v < 9.95 => format!("{v:.1}"),
        v if v < 9_999.5 => thousands(v.round() as u64),
        v => format!("{:.1} k", v / 1000.0),
    }
}

/// Milliseconds: `0.4 ms`, `12 ms`, `1.2 s`.
pub(super) fn millis(value: f64) -> String {
    match value {
        v if v < 9.95 => format!("{v:.1} ms"),
        v if v < 999.5 => format!("{v:.0} ms"),
        v => format!("{:.1} s", v / 1000.0),
    }
}

/// A share, 0 to 1, as percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A count of lines.
pub(super) fn lines(count: usize) -> String {
    match count {
        1 => "1 line".into(),
        _ => format!("{count} lines"),
    }
}

/// Bytes: `12 B`, `3.4 KiB`, `120 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

fn thousands(value: u64) -> String {
    if value < 1000 {
        value.to_string()
    } else {
        format!("{} {:03}", value / 1000, value % 1000)
    }
}

/// The word for what the agent does.
pub(super) fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Silent => "STARTING",
        Phase::Idle => "READY",
        Phase::Working => "WORKING",
        Phase::Verifying => "CLAIMED",
        Phase::Plain => "RUNNING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_short_and_have_units() {
        let s = SignedDuration::from_secs;
        assert_eq!(
            [lasting(s(42)), lasting(s(725)), lasting(s(7387))],
            ["0:42", "12:05", "2:03:07"]
        );
        assert_eq!(lasting(s(-3)), "0:00");
        assert_eq!(
            [age(s(1)), age(s(200)), age(s(7300)), age(s(400_000))],
            ["1 s", "3 m", "2 h", "4 d"]
        );
        assert_eq!(
            [rate(0.44), rate(12.4), rate(1204.0), rate(12_400.0)],
            ["0.4", "12", "1 204", "12.4 k"]
        );
        assert_eq!(
            [bytes(12), bytes(3500), bytes(120 << 20), bytes(1 << 30)],
            ["12 B", "3.4 KiB", "120 MiB", "1.0 GiB"]
        );
        assert_eq!(
            [millis(4.1), millis(120.4), millis(1200.0)],
            ["4.1 ms", "120 ms", "1.2 s"]
        );
    }
}
