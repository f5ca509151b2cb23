//! The time of a replay: played at some speed, paused, or set. Pure: it is told the time outside.

use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};

/// Speeds that can be chosen.
pub const SPEEDS: [f64; 8] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0];
/// Shortest time between two steps.
const STEP: Duration = Duration::from_millis(33);

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Clock {
    pub from: Timestamp,
    pub to: Timestamp,
    at: Timestamp,
    /// When `at` was right. None: paused.
    since: Option<Instant>,
    speed: usize,
}

impl Clock {
    /// From the start, paused.
    pub fn new(from: Timestamp, to: Timestamp, speed: f64) -> Self {
        let speed = SPEEDS.iter().position(|s| *s >= speed);
        Self {
            from,
            to,
            at: from,
            since: None,
            speed: speed.unwrap_or(SPEEDS.len() - 1),
        }
    }

    pub fn playing(&self) -> bool {
        self.since.is_some()
    }

    pub fn speed(&self) -> f64 {
        SPEEDS[self.speed.min(SPEEDS.len() - 1)]
    }

    /// The time as it was told last.
    pub fn shown(&self) -> Timestamp {
        self.at
    }

    /// How far it is, 0 to 1.
    pub fn share(&self) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs_f64().max(0.001);
        self.at.duration_since(self.from).as_secs_f64() / whole
    }

    /// The time now; it stands still at the end, and where nothing was read yet.
    pub fn now(&mut self, tick: Instant, read_to: Timestamp) -> Timestamp {
        if let Some(since) = self.since {
            let passed = tick.saturating_duration_since(since).mul_f64(self.speed());
            let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
            let next = self.at.checked_add(passed).unwrap_or(self.to);
            self.at = next.min(self.to).min(read_to.max(self.at));
            self.since = (self.at < self.to).then_some(tick);
        }
        self.at
    }

    pub fn play(&mut self, tick: Instant) {
        // From the end it begins anew.
        if self.at >= self.to {
            self.at = self.from;
        }
        self.since = Some(tick);
    }

    pub fn pause(&mut self) {
        self.since = None;
    }

    pub fn set(&mut self, at: Timestamp) {
        self.at = at.clamp(self.from, self.to);
    }

    pub fn faster(&mut self) {
        self.speed = (self.speed + 1).min(SPEEDS.len() - 1);
    }

    pub fn slower(&mut self) {
        self.speed = self.speed.saturating_sub(1);
    }

    /// When to look again: when the next thing happens, or a second of it is over.
    pub fn due(&self, tick: Instant, next: Option<Timestamp>) -> Option<Instant> {
        self.since?;
        let second = Timestamp::from_second(self.at.as_second() + 1).unwrap_or(self.to);
        let next = next.map_or(second, |next| next.min(second));
        let left = next.duration_since(self.at).max(SignedDuration::ZERO);
        let left = left.unsigned_abs().div_f64(self.speed());
        Some(tick + left.max(STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn it_plays_at_a_speed_pauses_and_stops_at_the_end() {
        let (mut clock, t) = (Clock::new(at(100), at(200), 1.0), Instant::now());
        assert_eq!(clock.now(t + S, at(200)), at(100));
        clock.play(t);
        assert_eq!(clock.now(t + 5 * S, at(200)), at(105));
        clock.faster();
        assert_eq!(clock.now(t + 10 * S, at(200)), at(115));
        clock.pause();
        assert_eq!(clock.now(t + 20 * S, at(200)), at(115));
        clock.play(t + 20 * S);
        assert_eq!(clock.now(t + 200 * S, at(200)), at(200));
        assert!(!clock.playing());
        clock.play(t + 200 * S);
        assert_eq!(clock.now(t + 201 * S, at(200)), at(102));
    }

    #[test]
    fn it_waits_for_what_is_not_read_yet() {
        let (mut clock, t) = (Clock::new(at(100), at(200), 1.0), Instant::now());
        clock.play(t);
        assert_eq!(clock.now(t + 30 * S, at(110)), at(110));
        assert_eq!(clock.now(t + 31 * S, at(150)), at(111));
    }

    #[test]
    fn it_is_due_when_something_happens_or_a_second_is_over() {
        let (mut clock, t) = (Clock::new(at(100), at(200), 1.0), Instant::now());
        assert_eq!(clock.due(t, Some(at(101))), None);
        clock.play(t);
        assert_eq!(clock.due(t, None), Some(t + S));
        let half = at(100) + SignedDuration::from_millis(500);
        assert_eq!(clock.due(t, Some(half)), Some(t + S / 2));
        assert_eq!(clock.due(t, Some(at(99))), Some(t + STEP));
    }
}
