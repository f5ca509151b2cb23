//! Small pieces every pane is made of: frames with titles, rows of columns, wrapped paragraphs.

use super::theme::{Role, Theme};
use crate::transcript::wrap::{fit, wrap};
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::Style,
    symbols::border,
    text::{Line, Span},
    widgets::Clear,
};
use unicode_width::UnicodeWidthStr;

/// A frame with a title on the left and its state on the right. Returns what is inside.
pub(super) fn panel(
    frame: &mut Frame,
    area: Rect,
    title: Vec<Span<'static>>,
    right: Vec<Span<'static>>,
    focused: bool,
    theme: Theme,
) -> Rect {
    let (set, role) = if focused {
        (border::THICK, Role::Focus)
    } else {
        (border::ROUNDED, Role::Border)
    };
    let style = theme.style(role);
    edge(frame.buffer_mut(), area, &set, style);
    let room = usize::from(area.width).saturating_sub(4);
    let title = pad(cut(title, room));
    let left = width(&title);
    let top = Rect {
        x: area.x.saturating_add(1).min(area.right()),
        width: area.width.saturating_sub(2),
        height: area.height.min(1),
        ..area
    };
    let over = |spans| vec![Line::default().spans(spans).style(style)];
    lines(frame, top, over(title));
    if !right.is_empty() && left + width(&right) + 3 <= room {
        let right = pad(right);
        let columns = width(&right) as u16;
        let x = top.right() - columns;
        lines(
            frame,
            Rect {
                x,
                width: columns,
                ..top
            },
            over(right),
        );
    }
    Rect {
        y: area.y.saturating_add(1).min(area.bottom()),
        height: area.height.saturating_sub(2),
        ..top
    }
}

/// Not as a `Block`, for the same reason as [`lines`]: it takes longer than all that is in it.
fn edge(buffer: &mut Buffer, area: Rect, set: &border::Set<'_>, style: Style) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    let mut put = |x, y, symbol| {
        buffer[(x, y)].set_symbol(symbol).set_style(style);
    };
    for x in area.left()..=right {
        put(x, area.y, set.horizontal_top);
        put(x, bottom, set.horizontal_bottom);
    }
    for y in area.top()..=bottom {
        put(area.x, y, set.vertical_left);
        put(right, y, set.vertical_right);
    }
    put(area.x, area.y, set.top_left);
    put(right, area.y, set.top_right);
    put(area.x, bottom, set.bottom_left);
    put(right, bottom, set.bottom_right);
}

/// Empties the cells, for what covers others.
pub(super) fn clear(frame: &mut Frame, area: Rect) {
    frame.render_widget(Clear, area);
}

fn pad(mut spans: Vec<Span<'static>>) -> Vec<Span<'static>> {
    if !spans.is_empty() {
        spans.insert(0, " ".into());
        spans.push(" ".into());
    }
    spans
}

pub(super) fn width(spans: &[Span<'_>]) -> usize {
    spans.iter().map(Span::width).sum()
}

/// Cuts spans to a width; what is cut ends in `…`.
pub(super) fn cut(spans: Vec<Span<'static>>, room: usize) -> Vec<Span<'static>> {
    if width(&spans) <= room {
        return spans;
    }
    let mut left = room.saturating_sub(1);
    let mut kept = Vec::new();
    for span in spans {
        let wide = span.width();
        if wide <= left {
            left -= wide;
            kept.push(span);
            continue;
        }
        let piece = fit(&span.content, left).to_owned();
        kept.push(Span::styled(piece, span.style));
        if room > 0 {
            kept.push(Span::styled("…", span.style));
        }
        break;
    }
    kept
}

/// `text` in exactly `columns`, cut or filled.
pub(super) fn left(text: &str, columns: usize) -> String {
    let text = shorten(text, columns);
    let fill = columns.saturating_sub(text.width());
    text + &" ".repeat(fill)
}

/// `text` in exactly `columns`, at its right edge.
pub(super) fn right(text: &str, columns: usize) -> String {
    let text = shorten(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

pub(super) fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    match columns {
        0 => String::new(),
        _ => format!("{}…", fit(text, columns - 1)),
    }
}

/// `text` in exactly `columns`, a long one without its middle: names of one system differ at their
/// end, and tell at their beginning what they are of.
pub(super) fn left_of_both_ends(text: &str, columns: usize) -> String {
    left(&both_ends(text, columns), columns)
}

/// At most `columns` of `text`: its beginning and, where they differ, its end.
pub(super) fn both_ends(text: &str, columns: usize) -> String {
    if text.width() <= columns || columns < 3 {
        return shorten(text, columns);
    }
    let head = fit(text, (columns - 1) / 2);
    let mut tail = text.len();
    for (at, _) in text.char_indices().rev() {
        if text[at..].width() + head.width() + 1 > columns {
            break;
        }
        tail = at;
    }
    format!("{head}…{}", &text[tail..])
}

/// Prose broken into lines.
pub(super) fn paragraph(text: &str, columns: usize, style: Style) -> Vec<Line<'static>> {
    text.lines()
        .flat_map(|line| {
            wrap(line, columns, 0, true)
                .into_iter()
                .map(|range| Line::styled(line[range].to_owned(), style))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Draws lines from the top; what does not fit is left out.
///
/// Not as a `Paragraph`, which looks at every grapheme of a screen twice: a frame is mostly ASCII,
/// and how long it takes is how long a key or a line waits.
pub(super) fn lines(frame: &mut Frame, area: Rect, lines: Vec<Line<'_>>) {
    let buffer = frame.buffer_mut();
    let area = area.intersection(buffer.area);
    for (y, line) in (area.top()..area.bottom()).zip(lines) {
        let mut x = area.left();
        for span in &line.spans {
            x = put(buffer, (x, y), area.right(), span, line.style);
        }
    }
}

/// Writes one span up to column `end`; returns where the next begins.
fn put(buffer: &mut Buffer, (x, y): (u16, u16), end: u16, span: &Span<'_>, under: Style) -> u16 {
    let style = under.patch(span.style);
    let left = usize::from(end.saturating_sub(x));
    let text = span.content.as_bytes();
    if left == 0 {
        return x;
    }
    if !text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return buffer.set_stringn(x, y, &span.content, left, style).0;
    }
    let start = buffer.index_of(x, y);
    let columns = left.min(text.len());
    for (cell, byte) in buffer.content[start..start + columns].iter_mut().zip(text) {
        cell.set_char(char::from(*byte)).set_style(style);
    }
    x + columns as u16
}

/// Left and right in one row of `columns`.
pub(super) fn between(
    mut start: Vec<Span<'static>>,
    end: Vec<Span<'static>>,
    columns: usize,
) -> Line<'static> {
    let gap = columns.saturating_sub(width(&end));
    start = cut(start, gap.saturating_sub(1));
    let fill = gap.saturating_sub(width(&start));
    start.push(" ".repeat(fill).into());
    start.extend(end);
    Line::from(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_both_its_ends() {
        let cut = |columns| both_ends("basic-tikv-12", columns);
        assert_eq!(
            [cut(13), cut(12), cut(8), cut(7), cut(2)],
            ["basic-tikv-12", "basic…ikv-12", "bas…v-12", "bas…-12", "b…"]
        );
        assert_eq!(both_ends("日本日本-1", 7), "日…本-1");
        assert_eq!(left_of_both_ends("pd0", 5), "pd0  ");
    }
}
