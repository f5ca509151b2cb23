//! Rows of what is read: markers, looks, what was found, and the mark of the row the reader is on.

use super::{
    text::{self, lines},
    theme::{Role, Theme, role},
};
use crate::transcript::{Kind, Page, Piece, Row, Size, wrap::fit};
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// Draws a page into `area`, the inside of a frame, and the mark of the reader's row on its border.
pub(super) fn page(frame: &mut Frame, area: Rect, page: &Page<'_>, size: Size, theme: Theme) {
    let drawn = page.rows.iter().map(|row| draw(row, size, theme));
    lines(frame, area, drawn.collect());
    if let Some(at) = page.cursor {
        mark(frame, area, at, theme);
    }
}

/// Marks a row: in the border, which takes no room, and by turning it round.
pub(super) fn mark(frame: &mut Frame, area: Rect, row: usize, theme: Theme) {
    let Ok(row) = u16::try_from(row) else { return };
    if row >= area.height || area.x == 0 {
        return;
    }
    let y = area.y + row;
    let buffer = frame.buffer_mut();
    buffer[(area.x - 1, y)]
        .set_symbol("▶")
        .set_style(theme.style(Role::Focus));
    buffer.set_style(
        Rect {
            y,
            height: 1,
            ..area
        },
        theme.style(Role::Selected),
    );
}

/// One row of a transcript or a document.
pub(super) fn draw<'a>(row: &'a Row<'a>, size: Size, theme: Theme) -> Line<'a> {
    let Row::Text(piece) = row else {
        return Line::default();
    };
    let style = theme.style(role(piece.kind));
    let marker = piece.kind.marker();
    // A pipe goes on beside every row of its output.
    let bar = matches!(piece.kind, Kind::Output | Kind::ErrorOutput);
    let mut spans = Vec::new();
    if piece.first || bar {
        let look = match piece.kind {
            _ if bar => theme.style(Role::Dim),
            Kind::Command => theme.style(Role::Command),
            _ => style,
        };
        if !marker.is_empty() {
            spans.push(Span::styled(marker, look));
        }
    } else if piece.indent > 0 {
        spans.push(Span::raw(" ".repeat(piece.indent)));
    }
    if bar && !piece.first && piece.indent > marker.width() {
        spans.push(Span::raw(" ".repeat(piece.indent - marker.width())));
    }
    let before = text::width(&spans);
    push_text(&mut spans, piece, style, theme);
    if piece.omitted > 0 {
        let left_out = format!(" … {} bytes not shown", piece.omitted);
        spans.push(Span::styled(left_out, theme.style(Role::Warn)));
    }
    let room = usize::from(size.width);
    if size.cut && before + piece.text.width() > room {
        return cut(spans, room, theme);
    }
    Line::from(spans)
}

/// A row that is cut at the edge says so.
fn cut(spans: Vec<Span<'_>>, room: usize, theme: Theme) -> Line<'_> {
    let mut left = room.saturating_sub(1);
    let mut kept = Vec::new();
    for span in spans {
        let piece = fit(&span.content, left).to_owned();
        let whole = piece.len() == span.content.len();
        left -= piece.width();
        kept.push(Span::styled(piece, span.style));
        if !whole {
            break;
        }
    }
    kept.push(Span::styled("…", theme.style(Role::Warn)));
    Line::from(kept)
}

/// The text, with its looks, and with what is searched for marked.
fn push_text<'a>(spans: &mut Vec<Span<'a>>, piece: &'a Piece<'a>, style: Style, theme: Theme) {
    let text = piece.text.as_ref();
    let mut at = 0;
    let mut push = |range: Range<usize>, style: Style| {
        if !range.is_empty() {
            spans.push(Span::styled(&text[range], style));
        }
    };
    let mut found = piece.found.iter().peekable();
    let plain = std::iter::once((text.len()..text.len(), style));
    let looks = piece
        .looks
        .iter()
        .map(|(r, look)| (r.clone(), style.patch(theme.look(*look))));
    for (range, look) in looks.chain(plain) {
        // What is before this look is plain; a match may begin in the one and end in the other.
        for (part, style) in [(at..range.start, style), (range.clone(), look)] {
            let mut from = part.start;
            while let Some(hit) = found.peek().filter(|hit| hit.start < part.end) {
                let (start, end) = (hit.start.max(from), hit.end.min(part.end));
                push(from..start, style);
                push(start..end, theme.style(Role::Found));
                from = end;
                if hit.end > part.end {
                    break;
                }
                found.next();
            }
            push(from..part.end, style);
        }
        at = range.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Doc, Line as Said, Needle};

    fn drawn(text: &str, needle: &str, width: u16, cut: bool) -> Vec<String> {
        let line = Said {
            id: 0,
            kind: Kind::Command,
            text: text.into(),
            omitted: 0,
            gap: false,
        };
        let size = Size {
            width,
            height: 9,
            cut,
        };
        let doc = Doc::new([line]);
        let needle = Needle::new(needle);
        let page = doc.page(size, needle.as_ref());
        let found = Theme::COLOUR.style(Role::Found);
        page.rows
            .iter()
            .map(|row| {
                let line = draw(row, size, Theme::COLOUR);
                let spans = line.spans.iter().map(|s| {
                    if s.style == found {
                        format!("<{}>", s.content)
                    } else {
                        s.content.to_string()
                    }
                });
                spans.collect()
            })
            .collect()
    }

    #[test]
    fn a_match_is_marked_across_looks_and_rows() {
        assert_eq!(
            drawn("curl -s x | jq", "-s x", 40, false),
            ["$ curl <-s>< x> | jq"]
        );
        assert_eq!(
            drawn("abcdefgh", "cdef", 6, false),
            ["$ ab<cd>", "  <ef>gh"]
        );
    }

    #[test]
    fn a_row_that_is_cut_says_so() {
        assert_eq!(drawn("abcdefgh", "", 6, true), ["$ abc…"]);
        assert_eq!(drawn("字字字", "", 6, true), ["$ 字…"]);
        assert_eq!(drawn("abcd", "", 6, true), ["$ abcd"]);
    }
}
