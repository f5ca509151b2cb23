//! A command that waits for a person: all of it, why it is to be run, why it waits, and that nothing
//! happens unless they say so.

use super::middle;
use crate::{
    app::model::{at_hand, overlay::ApprovalView, state::State},
    transcript::Size,
    ui::{
        format::lasting,
        row,
        text::{clear, cut, lines, panel},
        theme::{Role, Theme},
    },
};
use operator_ledger::clean::one_line;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

pub(super) fn draw(
    frame: &mut Frame,
    body: Rect,
    view: &ApprovalView,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    let proposal = &view.proposal;
    let waiting = at_hand::queue(state).len();
    let columns = body.width.min(100);
    let inside = Size {
        width: columns.saturating_sub(2),
        height: u16::MAX,
        cut: false,
    };
    let rows = u16::try_from(view.doc.page(inside, None).rows.len()).unwrap_or(u16::MAX);
    let area = middle(body, columns, rows.saturating_add(5));
    clear(frame, area);
    let strong = theme.style(Role::Strong);
    let mut title = vec![Span::styled("Run this command?", strong)];
    if let Some(session) = &proposal.session {
        let whose = if state.agent.session.as_ref() == Some(session) {
            " · our agent".to_owned()
        } else {
            format!(" · session {}", one_line(session))
        };
        title.push(Span::styled(whose, theme.style(Role::Dim)));
    }
    let right = vec![Span::styled(
        format!(
            "1 of {waiting} · waits {}",
            lasting(state.since(proposal.since))
        ),
        theme.style(Role::Warn),
    )];
    let inner = panel(frame, area, title, right, true, theme);
    let text = Rect {
        height: inner.height.saturating_sub(2),
        ..inner
    };
    let size = Size {
        width: text.width,
        height: text.height,
        cut: false,
    };
    let page = view.doc.page(size, None);
    row::page(frame, text, &page, size, theme);
    let read = view.doc.near_end(1, size);
    let waits = if inner.width >= 70 {
        " later: it waits, and does not run"
    } else {
        " later"
    };
    let answers = Line::from(cut(
        vec![
            Span::styled("y", strong),
            Span::raw(" approve · "),
            Span::styled("n", strong),
            Span::raw(" or "),
            Span::styled("Enter", strong),
            Span::raw(" reject · "),
            Span::styled("Esc", strong),
            Span::raw(waits),
        ],
        usize::from(inner.width),
    ));
    let unread = if read {
        Line::default()
    } else {
        Line::styled("↓ j: there is more of it below", theme.style(Role::Warn))
    };
    let last = Rect {
        y: text.y + text.height,
        height: inner.height - text.height,
        ..inner
    };
    lines(frame, last, vec![unread, answers]);
    (size, text)
}
