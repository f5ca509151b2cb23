//! Where a reader stands in a transcript: following the newest line, or paused on one.
//!
//! A paused view holds the lines it shows: the ring may evict them all, nothing moves. Going down
//! past its end takes in what came since and says how many lines passed unseen.

use super::{
    Ring,
    doc::{Doc, Row, Size, push_rows},
};

#[derive(Debug, Clone, Default)]
pub struct View {
    paused: Option<Paused>,
    /// What is searched for, lower case.
    pub search: Option<String>,
}

#[derive(Debug, Clone)]
struct Paused {
    doc: Doc,
    /// The ring's next id when the lines were taken.
    next_id: u64,
    /// Lines that passed unseen before the first of `doc`.
    missed: u64,
}

impl View {
    pub fn following(&self) -> bool {
        self.paused.is_none()
    }

    /// Lines that came since the view was paused.
    pub fn waiting(&self, ring: &Ring) -> u64 {
        self.paused
            .as_ref()
            .map_or(0, |p| ring.next_id() - p.next_id)
    }

    /// Lines that passed unseen between what was shown before and what is shown now.
    pub fn missed(&self) -> u64 {
        self.paused.as_ref().map_or(0, |p| p.missed)
    }

    pub fn follow(&mut self) {
        self.paused = None;
    }

    /// Pauses where the reader stands.
    pub fn pause(&mut self, ring: &Ring, size: Size) {
        if self.paused.is_none() {
            let doc = Doc::at_end(ring.iter().cloned(), size);
            self.paused = Some(Paused {
                doc,
                next_id: ring.next_id(),
                missed: 0,
            });
        }
    }

    pub fn up(&mut self, rows: usize, ring: &Ring, size: Size) {
        let was_following = self.following();
        self.pause(ring, size);
        let Some(paused) = &mut self.paused else {
            return;
        };
        // There was nothing above: a pane that is not full keeps following.
        if !paused.doc.up(rows, size) && was_following {
            self.paused = None;
        }
    }

    pub fn down(&mut self, mut rows: usize, ring: &Ring, size: Size) {
        let Some(paused) = &mut self.paused else {
            return;
        };
        loop {
            rows = paused.doc.down(rows, size);
            if ring.next_id() == paused.next_id {
                break;
            }
            if rows == 0 {
                return;
            }
            paused.take_in(ring);
        }
        if paused.doc.at_last(size) {
            self.paused = None;
        }
    }

    /// To the oldest line.
    pub fn top(&mut self, ring: &Ring, size: Size) {
        self.up(usize::MAX, ring, size);
    }

    /// To the next line that holds the search text, or the one before. False: there is none.
    pub fn find(&mut self, forward: bool, ring: &Ring, size: Size) -> bool {
        let Some(needle) = self.search.clone().filter(|n| !n.is_empty()) else {
            return false;
        };
        let was_following = self.following();
        self.pause(ring, size);
        let Some(paused) = &mut self.paused else {
            return false;
        };
        // From the newest line a search goes up, whichever way it was asked.
        let found = if was_following {
            paused.doc.top = (paused.doc.lines.len(), 0);
            paused.doc.find(&needle, false, size)
        } else {
            paused.doc.find(&needle, forward, size)
        };
        if !found && was_following {
            self.paused = None;
        }
        found
    }

    /// The rows to draw, topmost first, at most `size.height`.
    pub fn rows<'a>(&'a self, ring: &'a Ring, size: Size) -> Vec<Row<'a>> {
        if let Some(paused) = &self.paused {
            return paused.doc.rows(size);
        }
        // Only what can be seen is wrapped.
        let height = usize::from(size.height);
        let mut blocks = Vec::new();
        let mut count = 0;
        for line in ring.iter().rev() {
            if count >= height {
                break;
            }
            let mut rows = Vec::new();
            push_rows(line, size, &mut rows);
            count += rows.len();
            blocks.push(rows);
        }
        let mut rows: Vec<Row<'a>> = blocks.into_iter().rev().flatten().collect();
        let extra = rows.len().saturating_sub(height);
        rows.drain(..extra);
        if rows.first() == Some(&Row::Gap) && extra == 0 {
            rows.remove(0);
        }
        rows
    }
}

impl Paused {
    /// Takes in what the ring holds now, standing on the same line if it is still there.
    fn take_in(&mut self, ring: &Ring) {
        let standing = self.doc.lines.get(self.doc.top.0).map_or(0, |l| l.id);
        let expected = self.doc.lines.back().map_or(0, |l| l.id + 1);
        self.doc.lines = ring.iter().cloned().collect();
        self.next_id = ring.next_id();
        if let Some(index) = self.doc.lines.iter().position(|l| l.id == standing) {
            self.doc.top.0 = index;
        } else {
            self.missed = ring
                .oldest_id()
                .unwrap_or(expected)
                .saturating_sub(expected);
            self.doc.top = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Kind;
    use std::ops::Range;

    const SIZE: Size = Size {
        width: 20,
        height: 3,
        cut: false,
    };

    fn ring(lines: Range<u64>) -> Ring {
        let mut ring = Ring::default();
        more(&mut ring, lines);
        ring
    }

    fn more(ring: &mut Ring, lines: Range<u64>) {
        for n in lines {
            ring.push(Kind::Plain, format!("line {n}"));
        }
    }

    fn shown(view: &View, ring: &Ring) -> Vec<String> {
        view.rows(ring, SIZE)
            .into_iter()
            .map(|row| match row {
                Row::Gap => String::new(),
                Row::Text { line, range, .. } => line.text[range].to_owned(),
            })
            .collect()
    }

    #[test]
    fn it_follows_until_somebody_scrolls_up() {
        let mut ring = ring(0..10);
        let mut view = View::default();
        assert_eq!(shown(&view, &ring), ["line 7", "line 8", "line 9"]);
        view.up(2, &ring, SIZE);
        assert_eq!(shown(&view, &ring), ["line 5", "line 6", "line 7"]);
        more(&mut ring, 10..33);
        assert_eq!(view.waiting(&ring), 23);
        assert_eq!(shown(&view, &ring), ["line 5", "line 6", "line 7"]);
        view.follow();
        assert_eq!(shown(&view, &ring), ["line 30", "line 31", "line 32"]);
    }

    #[test]
    fn a_scrolled_view_stays_put_while_its_lines_are_evicted() {
        let mut ring = ring(0..10);
        let mut view = View::default();
        view.up(1, &ring, SIZE);
        more(&mut ring, 10..100_000);
        assert_eq!(shown(&view, &ring), ["line 6", "line 7", "line 8"]);
        assert_eq!(view.waiting(&ring), 99_990);
        // On past its end: the oldest line there is, and how many passed.
        view.down(2, &ring, SIZE);
        assert_eq!(view.missed(), 99_900 - 10);
        assert_eq!(shown(&view, &ring)[0], "line 99901");
        assert!(!view.following());
    }

    #[test]
    fn reaching_the_end_follows_again() {
        let ring = ring(0..10);
        let mut view = View::default();
        view.up(4, &ring, SIZE);
        view.down(4, &ring, SIZE);
        assert!(view.following());
        view.top(&ring, SIZE);
        assert_eq!(shown(&view, &ring), ["line 0", "line 1", "line 2"]);
        view.down(1000, &ring, SIZE);
        assert!(view.following());
    }

    #[test]
    fn a_pane_that_is_not_full_keeps_following() {
        let ring = ring(0..2);
        let mut view = View::default();
        view.up(5, &ring, SIZE);
        assert!(view.following());
    }

    #[test]
    fn a_line_longer_than_the_pane_can_be_read_row_by_row() {
        let mut ring = Ring::default();
        ring.push(Kind::Plain, "x".repeat(100) + "end");
        let mut view = View::default();
        assert_eq!(shown(&view, &ring)[2], "end");
        view.up(1, &ring, SIZE);
        assert_eq!(shown(&view, &ring)[2].len(), 20);
        assert!(!view.following());
        view.down(1, &ring, SIZE);
        assert!(view.following());
    }

    #[test]
    fn search_finds_the_nearest_above_then_goes_both_ways() {
        let ring = ring(0..50);
        let mut view = View {
            search: Some("line 1".into()),
            ..View::default()
        };
        assert!(view.find(false, &ring, SIZE));
        assert_eq!(shown(&view, &ring)[0], "line 19");
        assert!(view.find(false, &ring, SIZE));
        assert_eq!(shown(&view, &ring)[0], "line 18");
        assert!(view.find(true, &ring, SIZE));
        assert_eq!(shown(&view, &ring)[0], "line 19");
        assert!(!view.find(true, &ring, SIZE));
    }

    #[test]
    fn no_size_is_too_small() {
        let ring = ring(0..10);
        let mut view = View::default();
        let none = Size::default();
        assert!(view.rows(&ring, none).is_empty());
        view.up(3, &ring, none);
        view.down(1, &ring, none);
        assert!(view.rows(&ring, none).is_empty());
    }
}
