//! What covers the middle of the screen. The header stays.

mod approval;
mod processes;
mod sessions;
mod store;

use super::{
    format::{self, bytes},
    panes::{
        agent::searched,
        tickets::{name, words},
    },
    row,
    text::{clear, lines, panel, paragraph},
    theme::{Role, Theme},
};
use crate::{
    app::{
        keys::question,
        model::{
            overlay::{OutputView, Overlay, Question},
            state::State,
            tickets::display_state,
        },
    },
    transcript::{Doc, Size, compose::seconds, doc::LineSource},
};
use operator_ledger::spoken;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

/// Draws the topmost overlay over `body`; returns the size of what is read in it, and where it is.
pub(super) fn draw(frame: &mut Frame, body: Rect, state: &State, theme: Theme) -> (Size, Rect) {
    let whole = middle(body, u16::MAX, u16::MAX);
    match state.overlays.last() {
        None => (Size::default(), Rect::default()),
        Some(Overlay::Help(help)) => {
            let area = middle(body, 84, u16::MAX);
            let mut title = vec![Span::raw("Keys and commands")];
            title.extend(searched(state, theme));
            document(frame, area, title, help, state, theme)
        }
        Some(Overlay::Ticket(view)) => {
            let mut title = vec![Span::raw(format!("Ticket #{}", view.id))];
            match view.detail.as_ref().map(|d| d.ticket.as_ref()) {
                Some(Some(ticket)) => {
                    let (glyph, word, role) = words(display_state(ticket));
                    title.push(Span::raw(format!(" {} · ", name(state, ticket))));
                    title.push(Span::styled(format!("{glyph} {word}"), theme.style(role)));
                }
                Some(None) => {}
                None => title.push(Span::styled(" · reading …", theme.style(Role::Dim))),
            }
            title.extend(searched(state, theme));
            document(frame, whole, title, &view.doc, state, theme)
        }
        Some(Overlay::Output(view)) => output(frame, whole, view, state, theme),
        Some(Overlay::Sessions(browser)) => sessions::draw(frame, whole, browser, state, theme),
        Some(Overlay::Store(view)) => store::draw(frame, whole, view, state, theme),
        Some(Overlay::Processes) => processes::draw(frame, body, state, theme),
        Some(Overlay::Approval(view)) => approval::draw(frame, body, view, state, theme),
        Some(Overlay::Confirm(question)) => confirm(frame, body, *question, state, theme),
    }
}

fn confirm(
    frame: &mut Frame,
    body: Rect,
    question: Question,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    let [ask, what] = question::question(question, state);
    let area = middle(body, 60, 7);
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
    (Size::default(), area)
}

fn output(
    frame: &mut Frame,
    area: Rect,
    view: &OutputView,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    let dim = theme.style(Role::Dim);
    let mut title = vec![Span::raw("Output")];
    let mut note = None;
    match &view.output {
        None => title.push(Span::styled(" · reading …", dim)),
        Some(Err(why)) => note = Some((format!("? {why}"), Role::Unknown)),
        Some(Ok(output)) => {
            let call = spoken(output.call.tool(), output.call.input());
            let first = crate::app::model::agent::lines(&call);
            let first = first.lines().next().unwrap_or_default().to_owned();
            let (text, role) = match &output.result {
                None => ("▌ runs, so far".to_owned(), Role::Accent),
                Some(result) => {
                    let took = seconds(result.duration_ms.unwrap_or(0));
                    match result.exit_code {
                        Some(0) => (format!("✓ exit 0 · {took}"), Role::Ok),
                        Some(code) => (format!("✗ exit {code} · {took}"), Role::Bad),
                        None => (format!("✗ ended · {took}"), Role::Bad),
                    }
                }
            };
            title.push(Span::raw(" · "));
            title.push(Span::styled(text, theme.style(role)));
            let long = view.doc.lines();
            let size = format!(
                " · {}, {}",
                format::lines(long.len()),
                bytes(long.text().len() as u64)
            );
            title.push(Span::styled(size, dim));
            title.extend(searched(state, theme));
            title.push(Span::styled(
                format!(" · $ {first}"),
                theme.style(Role::Command),
            ));
            if long.is_empty() {
                note = Some(("It printed nothing.".to_owned(), Role::Dim));
            }
        }
    }
    let drawn = document(frame, area, title, &view.doc, state, theme);
    if let Some((text, role)) = note {
        let columns = usize::from(drawn.1.width);
        lines(frame, drawn.1, paragraph(&text, columns, theme.style(role)));
    }
    drawn
}

fn document<L: LineSource>(
    frame: &mut Frame,
    area: Rect,
    title: Vec<Span<'static>>,
    doc: &Doc<L>,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    clear(frame, area);
    let size = Size {
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
        cut: state.view_options.no_wrap,
    };
    let mut more = vec![Span::styled("Esc closes", theme.style(Role::Dim))];
    if !doc.near_end(1, size) {
        more.insert(0, Span::styled("↓ more · ", theme.style(Role::Accent)));
    }
    let inner = panel(frame, area, title, more, true, theme);
    let page = doc.page(size, state.needle.as_ref());
    row::page(frame, inner, &page, size, theme);
    (size, inner)
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
