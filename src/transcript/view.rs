//! Where a reader stands in a transcript: following the newest line, or paused on one.
//!
//! A paused view holds the lines it shows: the ring may evict them all, nothing moves. Going down
//! past its end takes in what came since and says how many lines passed unseen.

use super::{
    Line, Ring,
    doc::{Doc, Scrollable},
    rows::{Page, Row, Size, row_count},
    search::Needle,
    shown::{Shown, show_newest},
};

#[derive(Debug, Clone, Default)]
pub struct View {
    paused: Option<Paused>,
    /// Long output is folded.
    fold: bool,
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

    /// Pauses on the last line.
    pub fn pause(&mut self, ring: &Ring, size: Size) -> Option<&mut Doc> {
        if self.paused.is_none() && !ring.is_empty() {
            self.paused = Some(Paused {
                doc: Doc::at_end(ring.iter().cloned(), self.fold, size),
                next_id: ring.next_id(),
                missed: 0,
            });
        }
        self.paused.as_mut().map(|p| &mut p.doc)
    }

    /// The cursor goes up. False: it was on the first line.
    pub fn up(&mut self, rows: usize, ring: &Ring, size: Size) -> bool {
        self.back(rows, ring, size, Doc::up)
    }

    /// The page goes up. False: it was at the first line.
    pub fn scroll_up(&mut self, rows: usize, ring: &Ring, size: Size) -> bool {
        self.back(rows, ring, size, Doc::scroll_up)
    }

    fn back(
        &mut self,
        rows: usize,
        ring: &Ring,
        size: Size,
        go: impl Fn(&mut Doc, usize, Size) -> usize,
    ) -> bool {
        let was_following = self.following();
        let Some(doc) = self.pause(ring, size) else {
            return false;
        };
        let moved = go(doc, rows, size) < rows;
        // There was nothing above: a pane that is not full keeps following.
        if !moved && was_following {
            self.paused = None;
        }
        moved
    }

    pub fn down(&mut self, rows: usize, ring: &Ring, size: Size) {
        self.forward(rows, ring, size, Doc::down);
    }

    pub fn scroll_down(&mut self, rows: usize, ring: &Ring, size: Size) {
        self.forward(rows, ring, size, Doc::scroll_down);
    }

    fn forward(
        &mut self,
        mut rows: usize,
        ring: &Ring,
        size: Size,
        go: impl Fn(&mut Doc, usize, Size) -> usize,
    ) {
        let Some(paused) = &mut self.paused else {
            return;
        };
        loop {
            rows = go(&mut paused.doc, rows, size);
            if rows == 0 || ring.next_id() == paused.next_id {
                break;
            }
            paused.take_in(ring, size);
        }
        if rows > 0 {
            self.paused = None;
        }
    }

    /// To the oldest line.
    pub fn top(&mut self, ring: &Ring, size: Size) {
        if let Some(doc) = self.pause(ring, size) {
            doc.start(size);
        }
    }

    /// To the next line that is found, or the one before. False: there is none.
    pub fn find(&mut self, needle: &Needle, forward: bool, ring: &Ring, size: Size) -> bool {
        // What is folded is not read, so it would not be found.
        self.fold(false, size);
        // From the newest line a search goes up, whichever way it was asked.
        self.seek(forward, ring, size, |doc, forward| {
            doc.find(needle, forward, size)
        })
    }

    /// To the next line that `is` one, or the one before. False: there is none.
    pub fn jump(
        &mut self,
        forward: bool,
        ring: &Ring,
        size: Size,
        is: impl Fn(&Shown<'_>) -> bool,
    ) -> bool {
        self.seek(forward, ring, size, |doc, forward| {
            doc.jump(forward, size, &is)
        })
    }

    fn seek(
        &mut self,
        forward: bool,
        ring: &Ring,
        size: Size,
        go: impl Fn(&mut Doc, bool) -> bool,
    ) -> bool {
        let was_following = self.following();
        let Some(doc) = self.pause(ring, size) else {
            return false;
        };
        let found = go(doc, forward && !was_following);
        if !found && was_following {
            self.paused = None;
        }
        found
    }

    pub fn folded(&self) -> bool {
        self.fold
    }

    /// Folds long output, or opens it.
    pub fn fold(&mut self, fold: bool, size: Size) {
        self.fold = fold;
        if let Some(paused) = &mut self.paused {
            paused.doc.fold(fold, size);
        }
    }

    /// Id of the line the reader is on: the newest while following.
    pub fn current(&self, ring: &Ring) -> Option<u64> {
        match &self.paused {
            Some(paused) => paused.doc.current().map(|l| l.id),
            None => ring.last().map(|l| l.id),
        }
    }

    /// The text of that line as it reads.
    pub fn current_text(&self, ring: &Ring) -> Option<String> {
        match &self.paused {
            Some(paused) => paused.doc.current().map(|l| l.text.into_owned()),
            None => ring.last().map(|l| l.text.clone()),
        }
    }

    /// The lines that are read, as they were said.
    pub fn raw<'a>(&'a self, ring: &'a Ring) -> Vec<&'a Line> {
        match &self.paused {
            Some(paused) => paused.doc.raw().iter().collect(),
            None => ring.iter().collect(),
        }
    }

    /// What to draw.
    pub fn page<'a>(&'a self, ring: &'a Ring, size: Size, needle: Option<&Needle>) -> Page<'a> {
        if let Some(paused) = &self.paused {
            return paused.doc.page(size, needle);
        }
        // Only what can be seen is rendered and wrapped.
        let height = usize::from(size.height);
        let mut count = 0;
        let newest = show_newest(ring.iter(), self.fold, |line| {
            count += row_count(line, size);
            count >= height
        });
        let mut rows = Vec::new();
        for line in newest.into_iter().rev() {
            Row::push(line, size, needle, &mut rows);
        }
        let extra = rows.len().saturating_sub(height);
        rows.drain(..extra);
        if rows.first() == Some(&Row::Gap) && extra == 0 {
            rows.remove(0);
        }
        Page { rows, cursor: None }
    }
}

impl Paused {
    /// Takes in what the ring holds now, standing on the same line if it is still there.
    fn take_in(&mut self, ring: &Ring, size: Size) {
        let expected = self.doc.raw().back().map_or(0, |l| l.id + 1);
        let standing = self.doc.current().map_or(0, |l| l.id);
        let oldest = ring.oldest_id().unwrap_or(expected);
        self.doc.replace(ring.iter().cloned(), size);
        self.next_id = ring.next_id();
        if oldest > standing {
            self.missed = oldest.saturating_sub(expected);
            self.doc.start(size);
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

    /// Rows, the cursor's marked.
    fn shown(view: &View, ring: &Ring) -> Vec<String> {
        let page = view.page(ring, SIZE, None);
        page.rows
            .iter()
            .enumerate()
            .map(|(n, row)| match row {
                Row::Gap => String::new(),
                Row::Text(piece) if page.cursor == Some(n) => format!("> {}", piece.text),
                Row::Text(piece) => piece.text.to_string(),
            })
            .collect()
    }

    #[test]
    fn it_follows_until_somebody_scrolls_up() {
        let mut ring = ring(0..10);
        let mut view = View::default();
        assert_eq!(shown(&view, &ring), ["line 7", "line 8", "line 9"]);
        view.scroll_up(2, &ring, SIZE);
        assert_eq!(shown(&view, &ring), ["line 5", "line 6", "> line 7"]);
        more(&mut ring, 10..33);
        assert_eq!(view.waiting(&ring), 23);
        assert_eq!(shown(&view, &ring), ["line 5", "line 6", "> line 7"]);
        view.follow();
        assert_eq!(shown(&view, &ring), ["line 30", "line 31", "line 32"]);
    }

    #[test]
    fn a_scrolled_view_stays_put_while_its_lines_are_evicted() {
        let mut ring = ring(0..10);
        let mut view = View::default();
        view.scroll_up(1, &ring, SIZE);
        more(&mut ring, 10..100_000);
        assert_eq!(shown(&view, &ring), ["line 6", "line 7", "> line 8"]);
        assert_eq!(view.waiting(&ring), 99_990);
        // On past its end: the oldest line there is, and how many passed.
        view.down(3, &ring, SIZE);
        assert_eq!(view.missed(), 99_900 - 10);
        assert_eq!(
            shown(&view, &ring),
            ["line 99900", "line 99901", "> line 99902"]
        );
        assert!(!view.following());
    }

    #[test]
    fn reaching_the_end_follows_again() {
        let ring = ring(0..10);
        let mut view = View::default();
        view.up(4, &ring, SIZE);
        assert_eq!(shown(&view, &ring), ["> line 5", "line 6", "line 7"]);
        view.down(4, &ring, SIZE);
        assert!(!view.following());
        view.down(1, &ring, SIZE);
        assert!(view.following());
        view.top(&ring, SIZE);
        assert_eq!(shown(&view, &ring), ["> line 0", "line 1", "line 2"]);
        view.down(1000, &ring, SIZE);
        assert!(view.following());
    }

    #[test]
    fn a_pane_that_is_not_full_keeps_following() {
        let ring = ring(0..2);
        let mut view = View::default();
        assert!(!view.scroll_up(5, &ring, SIZE));
        assert!(view.following());
        // Whoever takes the cursor up wants it to stay.
        assert!(view.up(1, &ring, SIZE));
        assert_eq!(shown(&view, &ring), ["> line 0", "line 1"]);
    }

    #[test]
    fn a_line_longer_than_the_pane_can_be_read_row_by_row() {
        let mut ring = Ring::default();
        ring.push(Kind::Plain, "x".repeat(100) + "end");
        let mut view = View::default();
        assert_eq!(shown(&view, &ring)[2], "end");
        view.up(3, &ring, SIZE);
        assert_eq!(shown(&view, &ring)[0].len(), "> ".len() + 20);
        view.scroll_down(1, &ring, SIZE);
        assert_eq!(shown(&view, &ring)[2], "end");
    }

    #[test]
    fn search_finds_the_nearest_above_then_goes_both_ways() {
        let ring = ring(0..50);
        let mut view = View::default();
        let needle = Needle::new("line 1").unwrap();
        let at = |view: &View| view.current_text(&ring).unwrap();
        assert!(view.find(&needle, true, &ring, SIZE));
        assert_eq!(at(&view), "line 19");
        assert_eq!(shown(&view, &ring)[1], "> line 19");
        assert!(view.find(&needle, false, &ring, SIZE));
        assert_eq!(at(&view), "line 18");
        assert!(view.find(&needle, true, &ring, SIZE));
        assert_eq!(at(&view), "line 19");
        assert!(!view.find(&needle, true, &ring, SIZE));
    }

    #[test]
    fn no_size_is_too_small() {
        let ring = ring(0..10);
        let mut view = View::default();
        let none = Size::default();
        assert!(view.page(&ring, none, None).rows.is_empty());
        view.up(3, &ring, none);
        view.scroll_up(2, &ring, none);
        view.down(1, &ring, none);
        assert!(view.page(&ring, none, None).rows.is_empty());
    }
}
