//! When to draw: at once for the first change after quiet and for every key, at most 60 times a
//! second otherwise, never without a change.
//!
//! Pure: it is told the time and answers with one. It neither sleeps nor draws.

use std::time::{Duration, Instant};

/// Shortest time between two paced frames.
pub const FRAME: Duration = Duration::from_micros(16_667);

#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
    changed: bool,
    urgent: bool,
}

impl Pace {
    /// Something on screen is no longer true.
    pub fn change(&mut self) {
        self.changed = true;
    }

    /// A person waits for this frame: it is due whatever was drawn before.
    pub fn urge(&mut self) {
        self.changed = true;
        self.urgent = true;
    }

    /// When the owed frame is due. None: none is owed.
    pub fn due_at(&self, now: Instant) -> Option<Instant> {
        self.changed
            .then(|| if self.urgent { now } else { self.earliest(now) })
    }

    /// Whether to draw now.
    pub fn due(&self, now: Instant) -> bool {
        self.due_at(now).is_some_and(|at| at <= now)
    }

    /// The earliest time a paced frame may be drawn: `now` after quiet.
    pub fn earliest(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| (last + FRAME).max(now))
    }

    /// A frame was drawn.
    pub fn drawn(&mut self, now: Instant) {
        *self = Self {
            last: Some(now),
            changed: false,
            urgent: false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_change_after_quiet_is_drawn_at_once() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        assert!(!pace.due(t));
        pace.change();
        assert!(pace.due(t));
        pace.drawn(t);
        assert_eq!(pace.due_at(t), None);
        pace.change();
        assert!(pace.due(t + 20 * MS));
    }

    #[test]
    fn changes_in_a_row_are_merged_into_paced_frames() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut frames = 0;
        for step in 0..1000 {
            let now = start + MS * step;
            pace.change();
            if pace.due(now) {
                pace.drawn(now);
                frames += 1;
            }
        }
        assert!((55..=60).contains(&frames), "{frames}");
    }

    #[test]
    fn a_key_never_waits_for_a_paced_frame() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        pace.drawn(t);
        pace.change();
        assert_eq!(pace.due_at(t + MS), Some(t + FRAME));
        pace.urge();
        assert!(pace.due(t + MS));
    }

    #[test]
    fn a_quiet_minute_draws_nothing() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        pace.drawn(t);
        assert_eq!(pace.due_at(t + Duration::from_mins(1)), None);
    }
}
