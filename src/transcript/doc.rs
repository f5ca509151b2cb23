//! Lines that do not change, and where a reader stands in them: a paused transcript, the record of
//! a ticket, the help.

use super::{Line, wrap::wrap};
use std::{collections::VecDeque, ops::Range};
use unicode_width::UnicodeWidthStr;

/// Columns and rows of the pane a document is read in, and whether long lines are cut at its edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub width: u16,
    pub height: u16,
    pub cut: bool,
}

/// One row to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row<'a> {
    /// An empty row above a line.
    Gap,
    /// A piece of a line; `first` carries its marker.
    Text {
        line: &'a Line,
        range: Range<usize>,
        first: bool,
    },
}

#[derive(Debug, Clone, Default)]
pub struct Doc {
    pub lines: VecDeque<Line>,
    /// Topmost row: index into `lines`, row of that line.
    pub(super) top: (usize, usize),
}

impl Doc {
    /// A document read from its first line.
    pub fn new(lines: impl IntoIterator<Item = Line>) -> Self {
        Self {
            lines: lines.into_iter().collect(),
            top: (0, 0),
        }
    }

    /// The reader stands on the last line.
    pub fn at_end(lines: impl IntoIterator<Item = Line>, size: Size) -> Self {
        let mut doc = Self::new(lines);
        doc.top = doc.last_top(size);
        doc
    }

    /// Goes up by `rows`. False: it was at the top.
    pub fn up(&mut self, rows: usize, size: Size) -> bool {
        let before = self.top;
        for _ in 0..rows {
            if self.top.1 > 0 {
                self.top.1 -= 1;
            } else if self.top.0 > 0 {
                self.top.0 -= 1;
                self.top.1 = row_count(&self.lines[self.top.0], size) - 1;
            } else {
                break;
            }
        }
        self.top != before
    }

    /// Goes down by `rows`. Returns how many it could not go.
    pub fn down(&mut self, rows: usize, size: Size) -> usize {
        let last = self.last_top(size);
        for done in 0..rows {
            if self.top >= last {
                return rows - done;
            }
            if self.top.1 + 1 < row_count(&self.lines[self.top.0], size) {
                self.top.1 += 1;
            } else {
                self.top = (self.top.0 + 1, 0);
            }
        }
        0
    }

    pub fn at_last(&self, size: Size) -> bool {
        self.top >= self.last_top(size)
    }

    /// To the next line that holds `needle` (lower case) or the one before. False: there is none.
    pub fn find(&mut self, needle: &str, forward: bool, size: Size) -> bool {
        let hit = |l: &Line| l.text.to_lowercase().contains(needle);
        let at = self.top.0;
        let found = if forward {
            let found = self
                .lines
                .iter()
                .skip(at + 1)
                .position(hit)
                .map(|n| n + at + 1);
            found.filter(|_| !self.at_last(size))
        } else {
            self.lines.iter().take(at).rposition(hit)
        };
        if let Some(index) = found {
            self.top = (index, 0).min(self.last_top(size));
        }
        found.is_some()
    }

    /// The rows to draw, topmost first, at most `size.height`.
    pub fn rows(&self, size: Size) -> Vec<Row<'_>> {
        let height = usize::from(size.height);
        let top = self.top.min(self.last_top(size));
        let mut rows = Vec::with_capacity(height);
        for line in self.lines.iter().skip(top.0) {
            push_rows(line, size, &mut rows);
            if rows.len() >= height + top.1 {
                break;
            }
        }
        rows.drain(..top.1.min(rows.len()));
        rows.truncate(height);
        rows
    }

    /// The topmost row when the last line is at the bottom.
    fn last_top(&self, size: Size) -> (usize, usize) {
        let mut left = usize::from(size.height).max(1);
        for (index, line) in self.lines.iter().enumerate().rev() {
            let rows = row_count(line, size);
            if rows >= left {
                return (index, rows - left);
            }
            left -= rows;
        }
        (0, 0)
    }
}

/// Appends the rows of `line`.
pub(super) fn push_rows<'a>(line: &'a Line, size: Size, rows: &mut Vec<Row<'a>>) {
    if line.gap {
        rows.push(Row::Gap);
    }
    for (n, range) in text_rows(line, size).into_iter().enumerate() {
        rows.push(Row::Text {
            line,
            range,
            first: n == 0,
        });
    }
}

fn text_rows(line: &Line, size: Size) -> Vec<Range<usize>> {
    if size.cut {
        return std::iter::once(0..line.text.len()).collect();
    }
    let width = usize::from(size.width).saturating_sub(line.kind.marker().width());
    wrap(&line.text, width, line.kind.prose())
}

fn row_count(line: &Line, size: Size) -> usize {
    usize::from(line.gap) + text_rows(line, size).len()
}
