//! Where things are in a text that is wrapped to a width: the row above, the row below, the last top
//! of a page. Reads and moves nothing else.

use super::{Doc, LineSource, Position, Size};
use crate::transcript::rows::row_count;

impl<L: LineSource> Doc<L> {
    /// Rows there are at this size: it may have been another one before.
    pub(super) fn fit(&mut self, size: Size) {
        if !self.lines.is_empty() {
            self.top = self.valid(self.top, size).min(self.last_top(size));
            self.cursor = self.cursor.map(|c| self.inside(c, size));
        }
    }

    pub(super) fn valid(&self, (line, row): Position, size: Size) -> Position {
        let line = line.min(self.lines.len().saturating_sub(1));
        (line, row.min(self.rows_of(line, size).saturating_sub(1)))
    }

    pub(super) fn rows_of(&self, index: usize, size: Size) -> usize {
        row_count(&self.lines.get(index), size)
    }

    pub(super) fn above(&self, (line, row): Position, size: Size) -> Option<Position> {
        match (line, row) {
            (_, 1..) => Some((line, row - 1)),
            (1.., 0) => Some((line - 1, self.rows_of(line - 1, size) - 1)),
            (0, 0) => None,
        }
    }

    pub(super) fn below(&self, (line, row): Position, size: Size) -> Option<Position> {
        if line >= self.lines.len() {
            None
        } else if row + 1 < self.rows_of(line, size) {
            Some((line, row + 1))
        } else {
            (line + 1 < self.lines.len()).then_some((line + 1, 0))
        }
    }

    pub(super) fn is_gap(&self, (line, row): Position) -> bool {
        row == 0 && self.lines.get(line).gap
    }

    /// The next row above that is no gap.
    pub(super) fn text_above(&self, position: Position, size: Size) -> Option<Position> {
        let above = self.above(position, size)?;
        if self.is_gap(above) {
            self.above(above, size)
        } else {
            Some(above)
        }
    }

    pub(super) fn text_below(&self, position: Position, size: Size) -> Option<Position> {
        let below = self.below(position, size)?;
        if self.is_gap(below) {
            self.below(below, size)
        } else {
            Some(below)
        }
    }

    /// The nearest row of text there is.
    pub(super) fn inside(&self, (line, row): Position, size: Size) -> Position {
        let Some(last) = self.lines.len().checked_sub(1) else {
            return (0, 0);
        };
        let line = line.min(last);
        let row = row.min(self.rows_of(line, size) - 1);
        if self.is_gap((line, row)) {
            (line, row + 1)
        } else {
            (line, row)
        }
    }

    pub(super) fn last_position(&self, size: Size) -> Position {
        self.inside((usize::MAX, usize::MAX), size)
    }

    pub(super) fn bottom(&self, size: Size) -> Position {
        let mut position = self.top;
        for _ in 1..size.height {
            position = self.below(position, size).unwrap_or(position);
        }
        position
    }

    pub(super) fn is_visible(&self, position: Position, size: Size) -> bool {
        position >= self.top && position <= self.bottom(size)
    }

    /// Moves the page just so far that the cursor is on it.
    pub(super) fn keep_visible(&mut self, size: Size) {
        let Some(cursor) = self.cursor else { return };
        if cursor < self.top {
            self.top = cursor;
        } else if cursor > self.bottom(size) {
            self.top = cursor;
            for _ in 1..size.height {
                self.top = self.above(self.top, size).unwrap_or(self.top);
            }
        }
        self.top = self.top.min(self.last_top(size));
    }

    /// The cursor goes as far as its page went.
    pub(super) fn bring_cursor(&mut self, rows: usize, down: bool, size: Size) {
        let Some(mut cursor) = self.cursor else {
            return;
        };
        for _ in 0..rows {
            let next = if down {
                self.text_below(cursor, size)
            } else {
                self.text_above(cursor, size)
            };
            cursor = next.unwrap_or(cursor);
        }
        let bottom = self.bottom(size);
        let cursor = cursor.clamp(self.top, bottom);
        self.cursor = Some(self.inside(cursor, size));
    }

    /// The topmost row when the last line is at the bottom.
    pub(super) fn last_top(&self, size: Size) -> Position {
        let mut left = usize::from(size.height).max(1);
        for index in (0..self.lines.len()).rev() {
            let rows = self.rows_of(index, size);
            if rows >= left {
                return (index, rows - left);
            }
            left -= rows;
        }
        (0, 0)
    }
}
