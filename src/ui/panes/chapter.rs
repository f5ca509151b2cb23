//! The chapter pane of a demo: narration, what it waits for, and how long that may take.

use crate::{
    app::model::{demo::Demo, pane::Pane, state::State},
    demo::{Pace, walkthrough::Stand},
    transcript::wrap::fit,
    ui::{
        layout::chapter_columns,
        text::{between, lines, panel, paragraph, shorten},
        theme::{Role, Theme},
    },
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use std::time::Duration;

const BAR: usize = 9;

/// Rows the pane would like, for a screen of such a size.
pub(crate) fn rows(state: &State, screen: Rect) -> u16 {
    let Some(demo) = &state.demo else { return 0 };
    let columns = usize::from(chapter_columns(screen.width, screen.height));
    let body = paragraph(
        &plain(demo.walk.view(state.tick).body),
        columns,
        ratatui::style::Style::new(),
    )
    .len();
    u16::try_from(body + 1).unwrap_or(u16::MAX)
}

pub(crate) fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let Some(demo) = state.demo.as_ref().filter(|_| !area.is_empty()) else {
        return;
    };
    let view = demo.walk.view(state.tick);
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
    let mut text = paragraph(&plain(view.body), columns, theme.style(Role::Plain));
    // The last row is for what it waits for.
    let room = usize::from(inner.height).saturating_sub(1);
    if text.len() > room
        && let Some(last) = text.get_mut(room.saturating_sub(1))
    {
        let cut: String = last.spans.iter().map(|s| s.content.as_ref()).collect();
        *last = Line::raw(format!(
            "{} …",
            fit(&cut, columns.saturating_sub(2)).trim_end()
        ));
    }
    text.truncate(room);
    text.resize(room, Line::default());
    text.push(state_line(state, demo, columns, theme));
    lines(frame, inner, text);
}

fn state_line(state: &State, demo: &Demo, columns: usize, theme: Theme) -> Line<'static> {
    if let Some(progress) = &demo.progress {
        let steps = format!("{} of {}", progress.done, progress.total);
        let start = vec![Span::styled(
            format!("starting the lab: {}", progress.step),
            theme.style(Role::Accent),
        )];
        return between(
            start,
            vec![Span::styled(steps, theme.style(Role::Dim))],
            columns,
        );
    }
    let view = demo.walk.view(state.tick);
    if let Some(left) = view.countdown {
        let text = format!("! in {} s · Space: now", left.as_secs() + 1);
        return Line::styled(text, theme.style(Role::Warn));
    }
    if let Some(why) = demo.walk.failure() {
        return Line::styled(
            shorten(&format!("✗ {why}"), columns),
            theme.style(Role::Bad),
        );
    }
    let dim = theme.style(Role::Dim);
    if let Some(waiting) = view.waiting_for {
        let start = vec![Span::styled(
            format!("waiting for: {waiting}"),
            theme.style(Role::Accent),
        )];
        let end = view.limit.map_or(Vec::new(), |limit| {
            let text = format!("{} s of {} s ", view.elapsed.as_secs(), limit.as_secs());
            vec![
                Span::styled(text, dim),
                Span::styled(bar(view.elapsed, limit), dim),
            ]
        });
        return between(start, end, columns);
    }
    let next = match demo.walk.options().pace {
        Pace::Person if view.rereading => "Space: back to where the demo is",
        Pace::Person if view.index + 1 == view.total => "the last chapter · q quits",
        Pace::Person => "Space: next chapter",
        _ if view.finished => "the end · q quits",
        _ => "goes on by itself",
    };
    let (text, role) = match view.stand {
        Stand::Done(_) if view.limit.is_some() => (
            format!("✓ after {} s · {next}", view.elapsed.as_secs()),
            Role::Ok,
        ),
        Stand::Missed(after) => (
            format!("✗ not within {} s · {next}", after.as_secs()),
            Role::Bad,
        ),
        Stand::Skipped => (format!("· not waited for · {next}"), Role::Warn),
        _ => (next.to_owned(), Role::Accent),
    };
    Line::styled(shorten(&text, columns), theme.style(role))
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
