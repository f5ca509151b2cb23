//! An earlier session in the agent pane: what it was, when the line the reader is on was recorded,
//! how far into it that is.

use super::agent::searched;
use crate::{
    app::model::{pane::Pane, record::Record, state::State},
    transcript::Size,
    ui::{
        format::percent,
        row,
        text::{cut, lines, panel, paragraph, width},
        theme::{Role, Theme},
    },
};
use operator_ledger::{Resolution, SessionRow, SessionStatus, clean::one_line};
use ratatui::{Frame, layout::Rect, text::Span};

pub(crate) fn draw(
    frame: &mut Frame,
    area: Rect,
    state: &State,
    record: &Record,
    theme: Theme,
) -> (Size, Rect) {
    let focused = state.focus == Pane::Agent;
    let place = place(state, record, theme);
    // Where the reader is matters more than what the session was called.
    let room = usize::from(area.width).saturating_sub(width(&place) + 9);
    let title = cut(title(state, record, theme), room);
    let inner = panel(frame, area, title, place, focused, theme);
    let size = Size {
        width: inner.width,
        height: inner.height,
        cut: state.view_options.no_wrap,
    };
    let columns = usize::from(inner.width);
    if let Some(error) = &record.error {
        let text = format!("? The ledger cannot be read: {error}");
        lines(
            frame,
            inner,
            paragraph(&text, columns, theme.style(Role::Unknown)),
        );
    } else if record.row.is_none() {
        let text = format!("Reading session {} …", one_line(&record.session));
        lines(
            frame,
            inner,
            paragraph(&text, columns, theme.style(Role::Dim)),
        );
    } else {
        let page = record.doc.page(size, state.needle.as_ref());
        row::page(frame, inner, &page, size, theme);
    }
    (size, inner)
}

fn title(state: &State, record: &Record, theme: Theme) -> Vec<Span<'static>> {
    let dim = theme.style(Role::Dim);
    let mut spans = vec![Span::raw("Session")];
    match &record.row {
        None => spans.push(Span::raw(format!(" {}", one_line(&record.session)))),
        Some(row) => {
            if let Some(ticket) = row.ticket_id {
                spans.push(Span::raw(format!(" on #{ticket}")));
            }
            let (glyph, word, role) = outcome(row);
            spans.push(Span::raw(" · "));
            spans.push(Span::styled(format!("{glyph} {word}"), theme.style(role)));
            if let Some(model) = &row.model {
                spans.push(Span::styled(format!(" · {model}"), dim));
            }
        }
    }
    if record.doc.folded() {
        spans.push(Span::styled(" · folded", dim));
    }
    spans.extend(searched(state, theme));
    spans
}

/// When, and how far into the session.
fn place(state: &State, record: &Record, theme: Theme) -> Vec<Span<'static>> {
    let dim = theme.style(Role::Dim);
    if record.searching.is_some() {
        return vec![Span::styled(
            "searching the ledger …",
            theme.style(Role::Accent),
        )];
    }
    let mut spans = Vec::new();
    if let Some(at) = record.time() {
        let at = at.to_zoned(state.zone.clone());
        // The day, unless it is today's.
        let today = state.now.to_zoned(state.zone.clone()).date() == at.date();
        let form = if today { "%H:%M:%S" } else { "%m-%d %H:%M:%S" };
        spans.push(Span::raw(at.strftime(form).to_string()));
    }
    if let Some(share) = record.share() {
        spans.push(Span::styled(format!(" · {}", percent(share)), dim));
    }
    spans
}

/// Glyph, word and look of how a session ended.
pub(crate) fn outcome(session: &SessionRow) -> (char, String, Role) {
    let proven = session.resolution.as_ref();
    let proven = proven.is_some_and(|r| *r == Resolution::Proven);
    let (glyph, role) = match session.status.known() {
        Some(SessionStatus::Running) => ('▌', Role::Accent),
        Some(SessionStatus::Resolved | SessionStatus::Completed) if proven => {
            return ('✓', Resolution::Proven.to_string(), Role::Ok);
        }
        Some(SessionStatus::Resolved | SessionStatus::Completed | SessionStatus::Released) => {
            ('·', Role::Dim)
        }
        Some(SessionStatus::Escalated) => ('↑', Role::Bad),
        Some(SessionStatus::Interrupted) => ('‖', Role::Warn),
        Some(SessionStatus::Failed) | None => ('✗', Role::Bad),
    };
    (glyph, one_line(session.status.as_str()), role)
}
