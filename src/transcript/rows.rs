//! Rows on the screen: pieces of lines that fit its width.

use super::{
    Kind,
    search::Needle,
    shown::{Shown, TextStyle, TextStyles},
    wrap::wrap,
};
use std::{borrow::Cow, ops::Range};
use unicode_width::UnicodeWidthStr;

/// Columns and rows of the pane something is read in, and whether long lines are cut at its edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub width: u16,
    pub height: u16,
    pub cut: bool,
}

/// Rows to draw, topmost first, and which one the reader is on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page<'a> {
    pub rows: Vec<Row<'a>>,
    pub cursor: Option<usize>,
}

/// One row to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row<'a> {
    /// An empty row above a line.
    Gap,
    Text(Piece<'a>),
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    pub kind: Kind,
    /// The first row of a line carries its marker; the others are indented.
    pub first: bool,
    /// Columns before the text of a row that is not the first, its marker's place included.
    pub indent: usize,
    pub text: Cow<'a, str>,
    pub looks: TextStyles,
    /// Where what is searched for is.
    pub found: Vec<Range<usize>>,
    /// Bytes left out after this row, the last of its line.
    pub omitted: u64,
}

impl<'a> Row<'a> {
    /// Appends the rows of a line.
    pub(super) fn push(line: Shown<'a>, size: Size, needle: Option<&Needle>, rows: &mut Vec<Self>) {
        if line.gap {
            rows.push(Row::Gap);
        }
        let places = needle.map_or(Vec::new(), |needle| needle.places(&line.text));
        let indent = line.kind.marker().width() + hang(&line);
        for (n, range) in pieces(&line, size).enumerate() {
            rows.push(Row::Text(Piece {
                kind: line.kind,
                first: n == 0,
                indent,
                text: slice(&line.text, range.clone()),
                looks: line
                    .looks
                    .iter()
                    .filter_map(|(r, look)| Some((within(r, &range)?, *look)))
                    .collect(),
                found: places.iter().filter_map(|r| within(r, &range)).collect(),
                omitted: if range.end == line.text.len() {
                    line.omitted
                } else {
                    0
                },
            }));
        }
    }
}

/// The rows of a line, as ranges of its text.
pub(super) fn pieces(line: &Shown<'_>, size: Size) -> impl Iterator<Item = Range<usize>> + use<> {
    let rows = if size.cut {
        std::iter::once(0..line.text.len()).collect()
    } else {
        let width = usize::from(size.width).saturating_sub(line.kind.marker().width());
        wrap(&line.text, width, hang(line), line.prose)
    };
    rows.into_iter()
}

pub(super) fn row_count(line: &Shown<'_>, size: Size) -> usize {
    usize::from(line.gap) + pieces(line, size).count()
}

/// Columns by which further rows of an item of a list stand in.
fn hang(line: &Shown<'_>) -> usize {
    if !line.prose {
        return 0;
    }
    let text = line.text.as_ref();
    if line.kind == Kind::Key {
        let label = text.find("  ").unwrap_or(0);
        return text.len() - text[label..].trim_start().len();
    }
    let start = text.len() - text.trim_start().len();
    let item = &text[start..];
    let marker = match line.looks.first() {
        Some((range, TextStyle::Faint)) if range.start <= start => range.end.max(start) - start,
        _ if item.starts_with("- ") => 2,
        _ => return 0,
    };
    // A bullet or a number, not a line that is faint as a whole.
    if marker <= 5 { start + marker } else { 0 }
}

fn slice<'a>(text: &Cow<'a, str>, range: Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}

/// The part of `inner` that is in `outer`, counted from its start.
fn within(inner: &Range<usize>, outer: &Range<usize>) -> Option<Range<usize>> {
    let (start, end) = (inner.start.max(outer.start), inner.end.min(outer.end));
    (start < end).then(|| start - outer.start..end - outer.start)
}
