//! The chapter pane of a demo: narration, what it waits for, and how long that may take.

use crate::{
    app::{State, demo::Demo, state::Pane},
    ui::{
        format::lasting,
        text::{between, lines, panel, paragraph},
        theme::{Role, Theme},
    },
};
use jiff::SignedDuration;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use std::time::Duration;

const BAR: usize = 9;

/// Rows the pane would like, for a screen of `width` columns.
pub fn rows(state: &State, width: u16) -> u16 {
    let Some(demo) = &state.demo else { return 0 };
    let columns = usize::from(width.saturating_sub(width / 3 + 4)).max(20);
    let body = paragraph(
        &plain(&demo.view.body),
        columns,
        ratatui::style::Style::new(),
    )
    .len();
    u16::try_from(body + 1).unwrap_or(u16::MAX)
}

pub fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let Some(demo) = state.demo.as_ref().filter(|_| !area.is_empty()) else {
        return;
    };
    let view = &demo.view;
    let mut title = vec![Span::raw(format!(
        "Chapter {}/{}",
        view.index + 1,
        view.total
    ))];
    title.push(Span::styled(
        format!(" · {}", view.title),
        theme.style(Role::Strong),
    ));
    let focused = state.focus == Pane::Chapter;
    let inner = panel(frame, area, title, Vec::new(), focused, theme);
    if inner.is_empty() {
        return;
    }
    let columns = usize::from(inner.width);
    let mut text = paragraph(&plain(&view.body), columns, theme.style(Role::Plain));
    // The last row is for what it waits for.
    let room = usize::from(inner.height).saturating_sub(1);
    if text.len() > room
        && let Some(last) = text.get_mut(room.saturating_sub(1))
    {
        last.spans.push(Span::raw(" …"));
    }
    text.truncate(room);
    text.resize(room, Line::default());
    text.push(state_line(demo, columns, theme));
    lines(frame, inner, text);
}

fn state_line(demo: &Demo, columns: usize, theme: Theme) -> Line<'static> {
    let view = &demo.view;
    if let Some(progress) = &demo.progress {
        return Line::styled(format!("… {progress}"), theme.style(Role::Accent));
    }
    if let Some(left) = view.countdown {
        let text = format!("! in {} s", left.as_secs() + 1);
        return Line::styled(text, theme.style(Role::Warn));
    }
    let dim = theme.style(Role::Dim);
    let Some(waiting) = view.waiting_for.as_ref().filter(|_| !view.done) else {
        let text = if view.can_advance {
            "✓ Space: next chapter"
        } else {
            "✓ the end"
        };
        return Line::styled(text, theme.style(Role::Ok));
    };
    let start = vec![Span::styled(
        format!("waiting for: {waiting}"),
        theme.style(Role::Accent),
    )];
    let end = match view.limit {
        Some(limit) => {
            let text = format!("{} s of {} s ", view.elapsed.as_secs(), limit.as_secs());
            vec![
                Span::styled(text, dim),
                Span::styled(bar(view.elapsed, limit), dim),
            ]
        }
        None => {
            let passed = SignedDuration::try_from(view.elapsed).unwrap_or(SignedDuration::MAX);
            vec![Span::styled(lasting(passed), dim)]
        }
    };
    between(start, end, columns)
}

fn bar(elapsed: Duration, limit: Duration) -> String {
    let share = elapsed.as_secs_f64() / limit.as_secs_f64().max(0.001);
    let full = ((share * BAR as f64) as usize).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// Narration is light Markdown: paragraphs joined, marks dropped.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    for line in markdown.lines() {
        let line = line.trim().replace("**", "").replace('`', "");
        let starts = line.starts_with("- ") || line.is_empty();
        if !text.is_empty() {
            text.push(if starts || text.ends_with('\n') {
                '\n'
            } else {
                ' '
            });
        }
        text.push_str(&line);
        if line.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    while text.contains("\n\n") {
        text = text.replace("\n\n", "\n");
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narration_reads_as_text() {
        let text = "One `code`\nline.\n\nTwo **bold**.\n- a\n- b\n";
        assert_eq!(plain(text), "One code line.\nTwo bold.\n- a\n- b");
    }
}
