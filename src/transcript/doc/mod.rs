//! Lines that do not change while somebody reads them, and where the reader stands: a paused
//! transcript, a session from the ledger, the record of a ticket, the help.
//!
//! What is off the screen is neither wrapped nor rendered, but for the lines between here and there.

mod positions;

use super::{
    Line,
    rows::{Page, Row, Size, pieces},
    search::Needle,
    shown::{Shown, show},
};
use std::collections::VecDeque;

/// Where lines come from.
pub trait LineSource {
    fn len(&self) -> usize;
    fn get(&self, index: usize) -> Shown<'_>;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lines in memory, as they were said and as they read.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    raw: VecDeque<Line>,
    shown: Vec<Shown<'static>>,
    fold: bool,
}

impl LineSource for Kept {
    fn len(&self) -> usize {
        self.shown.len()
    }

    fn get(&self, index: usize) -> Shown<'_> {
        self.shown[index].borrowed()
    }
}

impl Kept {
    fn new(raw: VecDeque<Line>, fold: bool) -> Self {
        let shown = show(raw.iter(), fold);
        let mut shown: Vec<_> = shown.into_iter().map(Shown::into_owned).collect();
        // There is nothing above the first line to set it apart from.
        if let Some(first) = shown.first_mut() {
            first.gap = false;
        }
        Self { raw, shown, fold }
    }

    /// The lines as they were said.
    pub fn raw(&self) -> &VecDeque<Line> {
        &self.raw
    }
}

/// Whatever can be moved about in, whatever its lines are.
pub trait Scrollable {
    /// The cursor goes to this row of the page.
    fn select_row(&mut self, row: usize, size: Size);

    /// Goes up by `rows`: the cursor, where there is one, else the page. Returns how many it could not.
    fn up(&mut self, rows: usize, size: Size) -> usize;

    /// Goes down by `rows`. Returns how many it could not.
    fn down(&mut self, rows: usize, size: Size) -> usize;

    /// Moves the page up, the cursor with it. Returns how many rows it could not.
    fn scroll_up(&mut self, rows: usize, size: Size) -> usize;

    /// Moves the page down, the cursor with it. Returns how many rows it could not.
    fn scroll_down(&mut self, rows: usize, size: Size) -> usize;

    fn start(&mut self, size: Size);

    fn end(&mut self, size: Size);

    /// To the next line that is found, or the one before. False: there is none.
    fn find(&mut self, needle: &Needle, forward: bool, size: Size) -> bool;
}

/// Index of a line, row of that line.
type Position = (usize, usize);

#[derive(Debug, Clone, Default)]
pub struct Doc<L = Kept> {
    lines: L,
    /// The topmost row.
    top: Position,
    /// The row the reader is on, where one is marked.
    cursor: Option<Position>,
}

impl Doc {
    /// A document read from its first line, without a cursor.
    pub fn new(lines: impl IntoIterator<Item = Line>) -> Self {
        Self::over(Kept::new(lines.into_iter().collect(), false))
    }

    /// The reader stands on the last line.
    pub fn at_end(lines: impl IntoIterator<Item = Line>, fold: bool, size: Size) -> Self {
        let mut doc = Self::over(Kept::new(lines.into_iter().collect(), fold)).with_cursor();
        doc.end(size);
        doc
    }

    pub fn raw(&self) -> &VecDeque<Line> {
        self.lines.raw()
    }

    /// Other lines; the reader stays on the line with the same id, or the next there is.
    pub fn replace(&mut self, lines: impl IntoIterator<Item = Line>, size: Size) {
        let raw = lines.into_iter().collect();
        self.rebuild(Kept::new(raw, self.lines.fold), size);
    }

    pub fn folded(&self) -> bool {
        self.lines.fold
    }

    /// Folds long output, or opens it.
    pub fn fold(&mut self, fold: bool, size: Size) {
        if self.lines.fold != fold {
            let raw = std::mem::take(&mut self.lines.raw);
            self.rebuild(Kept::new(raw, fold), size);
        }
    }

    fn rebuild(&mut self, lines: Kept, size: Size) {
        let keep = |position: Position| {
            let Some(id) = self.lines.shown.get(position.0).map(|l| l.id) else {
                return (0, 0);
            };
            // The last line that is not past it: a folded line stands for what it hides.
            let index = lines.shown.partition_point(|l| l.id <= id);
            let index = index.saturating_sub(1);
            if lines.shown.get(index).is_some_and(|l| l.id == id) {
                (index, position.1)
            } else {
                (index, 0)
            }
        };
        let (top, cursor) = (keep(self.top), self.cursor.map(keep));
        self.lines = lines;
        self.top = self.inside(top, size);
        self.cursor = cursor.map(|c| self.inside(c, size));
        self.keep_visible(size);
    }

    /// To the line with this id, or the next there is.
    pub fn go_to(&mut self, id: u64, size: Size) {
        let index = self.lines.shown.partition_point(|l| l.id < id);
        self.stand_on((index.min(self.lines.len().saturating_sub(1)), 0), size);
    }
}

impl<L: LineSource> Scrollable for Doc<L> {
    fn select_row(&mut self, row: usize, size: Size) {
        self.fit(size);
        let mut position = self.top;
        for _ in 0..row {
            position = self.below(position, size).unwrap_or(position);
        }
        if self.cursor.is_some() {
            self.cursor = Some(self.inside(position, size));
        }
    }

    fn up(&mut self, rows: usize, size: Size) -> usize {
        self.fit(size);
        let Some(mut cursor) = self.cursor else {
            return self.scroll_up(rows, size);
        };
        for done in 0..rows {
            let Some(above) = self.text_above(cursor, size) else {
                self.keep_visible(size);
                return rows - done;
            };
            cursor = above;
            self.cursor = Some(cursor);
        }
        self.keep_visible(size);
        0
    }

    fn down(&mut self, rows: usize, size: Size) -> usize {
        self.fit(size);
        let Some(mut cursor) = self.cursor else {
            return self.scroll_down(rows, size);
        };
        for done in 0..rows {
            let Some(below) = self.text_below(cursor, size) else {
                self.keep_visible(size);
                return rows - done;
            };
            cursor = below;
            self.cursor = Some(cursor);
        }
        self.keep_visible(size);
        0
    }

    fn scroll_up(&mut self, rows: usize, size: Size) -> usize {
        self.fit(size);
        let mut left = rows;
        while left > 0 {
            let Some(above) = self.above(self.top, size) else {
                break;
            };
            self.top = above;
            left -= 1;
        }
        self.bring_cursor(rows - left, false, size);
        left
    }

    fn scroll_down(&mut self, rows: usize, size: Size) -> usize {
        self.fit(size);
        let last = self.last_top(size);
        let mut left = rows;
        while left > 0 && self.top < last {
            let Some(below) = self.below(self.top, size) else {
                break;
            };
            self.top = below;
            left -= 1;
        }
        self.bring_cursor(rows - left, true, size);
        left
    }

    fn start(&mut self, size: Size) {
        self.top = (0, 0);
        if self.cursor.is_some() {
            self.cursor = Some(self.inside((0, 0), size));
        }
    }

    fn end(&mut self, size: Size) {
        self.top = self.last_top(size);
        if self.cursor.is_some() {
            self.cursor = Some(self.last_position(size));
        }
    }

    fn find(&mut self, needle: &Needle, forward: bool, size: Size) -> bool {
        let found = self.seek(forward, |line| needle.is_in(&line.text));
        if let Some(index) = found {
            let line = self.lines.get(index);
            let place = needle.places(&line.text).first().map_or(0, |p| p.start);
            let row = pieces(&line, size).position(|p| p.contains(&place));
            let row = row.unwrap_or(0) + usize::from(line.gap);
            self.stand_on((index, row), size);
        }
        found.is_some()
    }
}

impl<L: LineSource> Doc<L> {
    pub fn over(lines: L) -> Self {
        Self {
            lines,
            top: (0, 0),
            cursor: None,
        }
    }

    #[must_use]
    pub fn with_cursor(mut self) -> Self {
        self.cursor = Some((0, 0));
        self
    }

    pub fn lines(&self) -> &L {
        &self.lines
    }

    /// The same lines and more after them: nothing moves.
    pub fn grow(&mut self, lines: L) {
        self.lines = lines;
    }

    /// The line the reader is on: the cursor's, else the topmost.
    pub fn current(&self) -> Option<Shown<'_>> {
        let index = self.cursor.unwrap_or(self.top).0;
        (index < self.lines.len()).then(|| self.lines.get(index))
    }

    /// Whether the first row is in sight and nothing is above it.
    pub fn at_start(&self) -> bool {
        self.top == (0, 0)
    }

    /// Whether the reader is on the last row.
    pub fn at_last(&self, size: Size) -> bool {
        match self.cursor {
            Some(cursor) => cursor >= self.last_position(size),
            None => self.top >= self.last_top(size),
        }
    }

    /// Whether fewer than so many rows are above the page.
    pub fn near_start(&self, rows: usize, size: Size) -> bool {
        let mut position = self.top;
        (0..rows).any(|_| match self.above(position, size) {
            Some(above) => {
                position = above;
                false
            }
            None => true,
        })
    }

    /// Whether fewer than so many rows are below the page.
    pub fn near_end(&self, rows: usize, size: Size) -> bool {
        let mut position = self.bottom(size);
        (0..rows).any(|_| match self.below(position, size) {
            Some(below) => {
                position = below;
                false
            }
            None => true,
        })
    }

    /// To the next line that `is` one, or the one before. False: there is none.
    pub fn jump(&mut self, forward: bool, size: Size, is: impl Fn(&Shown<'_>) -> bool) -> bool {
        let found = self.seek(forward, is);
        if let Some(index) = found {
            self.stand_on((index, 0), size);
        }
        found.is_some()
    }

    fn seek(&self, forward: bool, is: impl Fn(&Shown<'_>) -> bool) -> Option<usize> {
        let at = self.cursor.unwrap_or(self.top).0;
        let hit = |index: &usize| is(&self.lines.get(*index));
        if forward {
            (at + 1..self.lines.len()).find(hit)
        } else {
            (0..at.min(self.lines.len())).rev().find(hit)
        }
    }

    /// The reader stands there, with some of what is before it in sight.
    fn stand_on(&mut self, position: Position, size: Size) {
        let position = self.inside(position, size);
        if self.cursor.is_some() {
            self.cursor = Some(position);
            if self.is_visible(position, size) {
                return;
            }
        }
        self.top = position;
        if self.cursor.is_some() {
            for _ in 0..size.height / 3 {
                self.top = self.above(self.top, size).unwrap_or(self.top);
            }
        }
        self.top = self.top.min(self.last_top(size));
    }

    /// The rows to draw, topmost first, at most `size.height`, with what is searched for.
    pub fn page(&self, size: Size, needle: Option<&Needle>) -> Page<'_> {
        let height = usize::from(size.height);
        let mut page = Page::default();
        if self.lines.is_empty() {
            return page;
        }
        let top = self.valid(self.top, size).min(self.last_top(size));
        let cursor = self.cursor.map(|c| self.inside(c, size));
        let mut position = (top.0, 0);
        while position.0 < self.lines.len() && page.rows.len() < height + top.1 {
            let before = page.rows.len();
            Row::push(self.lines.get(position.0), size, needle, &mut page.rows);
            if let Some(cursor) = cursor.filter(|c| c.0 == position.0) {
                page.cursor = (before + cursor.1).checked_sub(top.1);
            }
            position.0 += 1;
        }
        page.rows.drain(..top.1.min(page.rows.len()));
        page.rows.truncate(height);
        page.cursor = page.cursor.filter(|row| *row < page.rows.len());
        page
    }
}

#[cfg(test)]
mod tests;
