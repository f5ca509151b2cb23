//! The bottom line: a line being typed, a short word to the person, or the keys that do
//! something now.

use super::{
    pane_name,
    text::{cut, lines},
    theme::{Role, Theme},
};
use crate::{
    app::{State, keys, state::PromptKind},
    transcript::wrap::fit,
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

pub fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let room = usize::from(area.width);
    let spans = if let Some(prompt) = &state.prompt {
        let label = match prompt.kind {
            PromptKind::Search => " / ",
            PromptKind::Message => " message to the agent: ",
        };
        let space = room.saturating_sub(label.width() + 2);
        vec![
            Span::styled(label, theme.style(Role::Accent)),
            Span::raw(tail(&prompt.text, space).to_owned()),
            Span::styled(" ", theme.style(Role::Selected)),
        ]
    } else if let Some(quitting) = &state.quitting {
        let names: Vec<_> = quitting.waiting.iter().map(|c| c.name()).collect();
        let text = format!(" ending {} · Ctrl-C again: at once", names.join(" and "));
        vec![Span::styled(text, theme.style(Role::Warn))]
    } else if let Some((text, _)) = &state.toast {
        vec![Span::styled(format!(" {text}"), theme.style(Role::Accent))]
    } else {
        hints(state, theme, room)
    };
    lines(frame, area, vec![Line::from(cut(spans, room))]);
}

/// The keys that fit. Help and quit always do.
fn hints(state: &State, theme: Theme, room: usize) -> Vec<Span<'static>> {
    let mut hints: Vec<(String, &str)> = Vec::new();
    let mut used = 1;
    let all: Vec<_> = keys::footer(state).collect();
    let must = |command| matches!(command, keys::Command::Help | keys::Command::Quit);
    let size = |b: &keys::Binding| b.label.width() + b.footer.width() + 4;
    let reserved: usize = all
        .iter()
        .filter(|b| must(b.command))
        .map(|b| size(b))
        .sum();
    for binding in all {
        let fits = used + size(binding) + if must(binding.command) { 0 } else { reserved } <= room;
        if fits || must(binding.command) {
            used += if must(binding.command) {
                0
            } else {
                size(binding)
            };
            hints.push((binding.label.to_owned(), binding.footer));
        }
    }
    let mut spans = vec![Span::raw(" ")];
    for (n, (label, what)) in hints.into_iter().enumerate() {
        if n > 0 {
            spans.push(Span::styled(" · ", theme.style(Role::Dim)));
        }
        spans.push(Span::styled(label, theme.style(Role::Strong)));
        spans.push(Span::raw(format!(" {what}")));
    }
    let name = format!(" {} ", pane_name(state.focus).to_lowercase());
    let used = super::text::width(&spans);
    if used + name.width() <= room {
        spans.push(" ".repeat(room - used - name.width()).into());
        spans.push(Span::styled(name, theme.style(Role::Dim)));
    }
    spans
}

/// The end of `text` that fits.
fn tail(text: &str, columns: usize) -> &str {
    let mut start = 0;
    while text[start..].width() > columns {
        start += text[start..].chars().next().map_or(1, char::len_utf8);
    }
    fit(&text[start..], columns)
}
