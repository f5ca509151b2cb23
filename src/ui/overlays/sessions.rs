//! Earlier sessions, one a row.

use crate::{
    app::model::{browser::Browser, state::State},
    transcript::{Size, compose::seconds},
    ui::{
        panes::{agent::searched, record::outcome},
        row::mark,
        text::{clear, left, lines, panel, paragraph, right, shorten},
        theme::{Role, Theme},
    },
};
use operator_ledger::ListedSession;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

pub(super) fn draw(
    frame: &mut Frame,
    area: Rect,
    browser: &Browser,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    clear(frame, area);
    let dim = theme.style(Role::Dim);
    let mut title = vec![Span::raw("Sessions")];
    title.extend(searched(state, theme));
    let count = match (browser.sessions.len(), browser.end) {
        (0, _) => String::new(),
        (n, true) => format!("{} of {n}", browser.selected + 1),
        (n, false) => format!("{} of {n} and more", browser.selected + 1),
    };
    let right = vec![Span::styled(count, dim)];
    let inner = panel(frame, area, title, right, true, theme);
    let size = Size {
        width: inner.width,
        height: inner.height.saturating_sub(1),
        cut: true,
    };
    let columns = usize::from(inner.width);
    let note = match (&browser.error, browser.sessions.is_empty()) {
        (Some(why), _) => Some((format!("? The ledger cannot be read: {why}"), Role::Unknown)),
        (None, true) if browser.loading => Some(("Reading …".into(), Role::Dim)),
        (None, true) => Some((
            "No agent has worked yet. What one does is kept here, command by command.".into(),
            Role::Plain,
        )),
        (None, false) => None,
    };
    if let Some((text, role)) = note {
        lines(frame, inner, paragraph(&text, columns, theme.style(role)));
        return (size, inner);
    }
    let shape = Shape::new(columns);
    let height = usize::from(size.height);
    let top = browser.top(size.height);
    let mut text = vec![shape.heading(theme)];
    let rows = browser.sessions.iter().zip(&browser.titles);
    text.extend(
        rows.skip(top)
            .take(height)
            .map(|(session, title)| shape.row(session, title, state, theme)),
    );
    lines(frame, inner, text);
    let list = Rect {
        y: inner.y + 1,
        height: size.height,
        ..inner
    };
    mark(frame, list, browser.selected - top, theme);
    (size, list)
}

/// Which columns there is room for.
struct Shape {
    ticket: usize,
    took: bool,
    model: usize,
    summary: usize,
}

const WHEN: usize = 15;
const OUTCOME: usize = 14;

impl Shape {
    fn new(columns: usize) -> Self {
        let took = columns >= 60;
        let model = if columns >= 90 { 18 } else { 0 };
        let fixed = WHEN + OUTCOME + if took { 9 } else { 0 } + model;
        let rest = columns.saturating_sub(fixed);
        let ticket = if columns >= 110 { 30 } else { rest.min(26) };
        Self {
            ticket,
            took,
            model,
            summary: rest.saturating_sub(ticket + 1),
        }
    }

    fn heading(&self, theme: Theme) -> Line<'static> {
        let mut text = left("begun", WHEN) + &left("outcome", OUTCOME);
        if self.took {
            text += &(right("took", 8) + " ");
        }
        text += &left("ticket", self.ticket);
        text += &left("model", self.model);
        if self.summary > 8 {
            text += &left(" summary", self.summary);
        }
        Line::styled(text, theme.style(Role::Dim))
    }

    fn row(
        &self,
        listed: &ListedSession,
        title: &str,
        state: &State,
        theme: Theme,
    ) -> Line<'static> {
        let session = &listed.session;
        let begun = session.started_at.map_or("?".into(), |at| {
            let at = at.to_zoned(state.zone.clone());
            at.strftime("%m-%d %H:%M:%S").to_string()
        });
        let (glyph, word, role) = outcome(session);
        let mut spans = vec![
            Span::raw(left(&begun, WHEN)),
            Span::styled(left(&format!("{glyph} {word}"), OUTCOME), theme.style(role)),
        ];
        if self.took {
            let took = match (session.started_at, session.ended_at) {
                (Some(start), Some(end)) => {
                    let ms = end.duration_since(start).as_millis();
                    seconds(u64::try_from(ms).unwrap_or(0))
                }
                _ => "-".into(),
            };
            spans.push(Span::raw(right(&took, 8) + " "));
        }
        let ticket = session
            .ticket_id
            .map_or(String::new(), |id| format!("#{id} "));
        spans.push(Span::raw(left(&(ticket + title), self.ticket)));
        if self.model > 0 {
            let model = session.model.as_deref().unwrap_or("?");
            let text = left(&shorten(model, self.model - 1), self.model);
            spans.push(Span::styled(text, theme.style(Role::Dim)));
        }
        if self.summary > 8 {
            let summary = session.outcome_summary.as_deref().unwrap_or_default();
            let text = format!(" {}", shorten(summary, self.summary - 1));
            debug_assert!(text.width() <= self.summary);
            spans.push(Span::styled(text, theme.style(Role::Dim)));
        }
        Line::from(spans)
    }
}
