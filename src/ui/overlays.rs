//! What covers the middle of the screen: help, a ticket's record, a question. The header stays.

use super::{
    panes::{
        agent::draw_row,
        tickets::{name, words},
    },
    text::{clear, lines, panel, paragraph},
    theme::{Role, Theme},
};
use crate::{
    app::{State, keys, state::Overlay, tickets::look},
    transcript::{Doc, Size},
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

/// Draws the topmost overlay over `body`; returns the size of what is inside.
pub fn draw(frame: &mut Frame, body: Rect, state: &State, theme: Theme) -> Size {
    match state.overlays.last() {
        None => Size::default(),
        Some(Overlay::Help(help)) => {
            let area = middle(body, 76, u16::MAX);
            let title = vec![Span::raw("Keys")];
            document(frame, area, title, help, theme)
        }
        Some(Overlay::Ticket { id, detail, doc }) => {
            let area = middle(body, u16::MAX, u16::MAX);
            let mut title = vec![Span::raw(format!("Ticket #{id}"))];
            match detail.as_ref().and_then(|d| d.ticket.as_ref()) {
                Some(ticket) => {
                    let (glyph, word, role) = words(look(ticket));
                    title.push(Span::raw(format!(" {} · ", name(state, ticket))));
                    title.push(Span::styled(format!("{glyph} {word}"), theme.style(role)));
                }
                None if detail.is_none() => {
                    title.push(Span::styled(" · reading …", theme.style(Role::Dim)));
                }
                None => {}
            }
            document(frame, area, title, doc, theme)
        }
        Some(Overlay::Confirm(question)) => {
            let [ask, what] = keys::question(*question, state);
            let area = middle(body, 60, 6);
            clear(frame, area);
            let title = vec![Span::styled(ask, theme.style(Role::Strong))];
            let inner = panel(frame, area, title, Vec::new(), true, theme);
            let columns = usize::from(inner.width);
            let mut text = paragraph(&what, columns, theme.style(Role::Plain));
            text.truncate(usize::from(inner.height.saturating_sub(2)));
            text.push(Line::default());
            text.push(Line::from(vec![
                Span::styled("y", theme.style(Role::Strong)),
                Span::raw(" yes · "),
                Span::styled("n", theme.style(Role::Strong)),
                Span::raw(" no"),
            ]));
            lines(frame, inner, text);
            Size::default()
        }
    }
}

fn document(
    frame: &mut Frame,
    area: Rect,
    title: Vec<Span<'static>>,
    doc: &Doc,
    theme: Theme,
) -> Size {
    clear(frame, area);
    let more = vec![Span::styled(
        "j k scroll · Esc closes",
        theme.style(Role::Dim),
    )];
    let inner = panel(frame, area, title, more, true, theme);
    let size = Size {
        width: inner.width,
        height: inner.height,
        cut: false,
    };
    let rows = doc.rows(size);
    lines(
        frame,
        inner,
        rows.iter().map(|row| draw_row(row, None, theme)).collect(),
    );
    size
}

/// The middle of `area`, at most so wide and high.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    // A sliver of what is below helps nobody.
    let width = if area.width.saturating_sub(width) < 10 {
        area.width
    } else {
        width
    };
    let height = height.min(area.height);
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}
