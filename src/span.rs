//! Ages and durations: short, as every table and pane shows them, and read as people write them.

use jiff::SignedDuration;
use serde::Deserialize;
use std::time::Duration;

/// A duration as people write it: `500ms`, `5s`, `2m 30s`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// Reads a [`Span`].
pub fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|e| format!("{text}: {e}"));
    }
    let read: SignedDuration = text.parse().map_err(|e| format!("{text}: {e}"))?;
    Duration::try_from(read).map_err(|_| format!("{text}: less than nothing"))
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text).map(Self)
    }
}

/// `0.4 s` under ten seconds where it matters, `0:42` under an hour, then `2 h`, `3 d`.
pub fn short(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..172_800 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// With tenths below ten seconds: for how long something took.
pub fn exact(d: Duration) -> String {
    if d < Duration::from_secs(10) {
        return format!("{:.1} s", d.as_secs_f64());
    }
    if d < Duration::from_secs(100) {
        return format!("{} s", d.as_secs());
    }
    short(d)
}

/// Time since `at`, never negative.
pub fn since(at: jiff::Timestamp) -> Duration {
    between(at, jiff::Timestamp::now())
}

/// Time from `from` to `to`, never negative.
pub fn between(from: jiff::Timestamp, to: jiff::Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (s, text) in [
            (0, "0:00"),
            (42, "0:42"),
            (62, "1:02"),
            (7200, "2 h"),
            (200_000, "2 d"),
        ] {
            assert_eq!(short(Duration::from_secs(s)), text);
        }
        assert_eq!(exact(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(exact(Duration::from_secs(12)), "12 s");
        assert_eq!(exact(Duration::from_secs(125)), "2:05");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5000),
            ("2m 30s", 150_000),
            ("1.5", 1500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)));
        }
        for text in ["soon", "-5s", "-1", ""] {
            assert!(parse(text).unwrap_err().starts_with(text), "{text}");
        }
    }
}
