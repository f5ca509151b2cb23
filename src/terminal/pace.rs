//! When to draw: at once for the first changes after quiet and for every key, at most 60 times a
//! second in the long run, never without a change.
//!
//! Pure: it is told the time and answers with one. It neither sleeps nor draws.

use std::time::{Duration, Instant};

/// Time between two paced frames in the long run.
pub const FRAME: Duration = Duration::from_micros(16_667);
/// Frames after quiet that come without waiting, besides the first: a line that follows the
/// clock is no flood.
const BURST: u32 = 2;

#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
    /// Frames so far are paid for until then.
    paid: Option<Instant>,
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
        self.paid
            .and_then(|paid| paid.checked_sub(FRAME * BURST))
            .map_or(now, |at| at.max(now))
    }

    /// Whether nothing was drawn for longer than a frame: more input must not put it off.
    pub fn late(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now > last + FRAME)
    }

    /// A frame was drawn.
    pub fn drawn(&mut self, now: Instant) {
        // Urgent frames count too, but never put off others for longer than a burst.
        let paid = self.paid.unwrap_or(now).max(now) + FRAME;
        *self = Self {
            last: Some(now),
            paid: Some(paid.min(now + FRAME * (BURST + 1))),
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
    fn the_first_changes_after_quiet_are_drawn_at_once() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        assert!(!pace.due(t));
        for step in 0..=BURST {
            pace.change();
            assert!(pace.due(t + MS * step), "{step}");
            pace.drawn(t + MS * step);
            assert_eq!(pace.due_at(t + MS * step), None);
        }
        pace.change();
        assert!(!pace.due(t + 5 * MS));
        assert_eq!(pace.due_at(t + 5 * MS), Some(t + FRAME));
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
        assert!((55..=60 + BURST).contains(&frames), "{frames}");
    }

    #[test]
    fn a_key_never_waits_for_a_paced_frame_nor_does_a_frame_for_many_keys() {
        let (mut pace, mut t) = (Pace::default(), Instant::now());
        for _ in 0..100 {
            t += MS;
            pace.urge();
            assert!(pace.due(t));
            pace.drawn(t);
        }
        pace.change();
        assert_eq!(pace.due_at(t), Some(t + FRAME));
        assert!(!pace.late(t + MS) && pace.late(t + 2 * FRAME));
    }

    #[test]
    fn a_quiet_minute_draws_nothing() {
        let (mut pace, t) = (Pace::default(), Instant::now());
        pace.drawn(t);
        assert_eq!(pace.due_at(t + Duration::from_mins(1)), None);
    }
}
