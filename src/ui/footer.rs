//! The bottom line: a line being typed, a short word to the person, or the keys that do
//! something now.

use super::{
    pane_name,
    text::{clear, cut, left, lines, shorten},
    theme::{Role, Theme},
};
use crate::app::{
    keys::{command_line, footer, table::Binding},
    model::{
        app::App,
        prompt::{Prompt, PromptKind},
    },
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

/// Completions that are shown at a time.
const OFFERED: usize = 12;
/// Columns that a line being typed keeps.
const LINE: u16 = 20;

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &App, theme: Theme) {
    let room = usize::from(area.width);
    let state = &app.live;
    let prompt = state.prompt.as_ref().or(app.visible().prompt.as_ref());
    let spans = if let Some(prompt) = prompt {
        let said = state.toast.as_ref().map(|(text, _)| text.as_str());
        return draw_prompt(frame, area, prompt, said, theme);
    } else if let Some(quitting) = &state.quitting {
        let names: Vec<_> = quitting.waiting.iter().map(|c| c.name()).collect();
        let text = format!(" ending {} · Ctrl-C again: at once", names.join(" and "));
        vec![Span::styled(text, theme.style(Role::Warn))]
    } else if let Some((text, _)) = &state.toast {
        vec![Span::styled(format!(" {text}"), theme.style(Role::Accent))]
    } else {
        hints(app, theme, room)
    };
    lines(frame, area, vec![Line::from(cut(spans, room))]);
}

/// `said`: a word to the person, beside what they type.
fn draw_prompt(frame: &mut Frame, area: Rect, prompt: &Prompt, said: Option<&str>, theme: Theme) {
    let label = match prompt.kind {
        PromptKind::Search => " /",
        PromptKind::Message => " message to the agent: ",
        PromptKind::Reject => " why not (Enter alone: no reason): ",
        PromptKind::Command => " :",
    };
    let width = u16::try_from(label.width()).unwrap_or(0).min(area.width);
    let label = Line::styled(label, theme.style(Role::Accent));
    lines(frame, Rect { width, ..area }, vec![label]);
    let mut typed = Rect {
        x: area.x + width,
        width: area.width - width,
        ..area
    };
    if let Some(said) = said {
        let wide = u16::try_from(said.width() + 2).unwrap_or(u16::MAX);
        let wide = wide.min(typed.width.saturating_sub(LINE));
        typed.width -= wide;
        let place = Rect {
            x: typed.right(),
            width: wide,
            ..area
        };
        let text = shorten(&format!("  {said}"), wide.into());
        lines(
            frame,
            place,
            vec![Line::styled(text, theme.style(Role::Warn))],
        );
    }
    frame.render_widget(&prompt.area, typed);
}

/// What the line being typed can become, above the bottom line.
pub(super) fn draw_offers(frame: &mut Frame, body: Rect, app: &App, theme: Theme) {
    let Some(prompt) = app
        .live
        .prompt
        .as_ref()
        .filter(|p| p.kind == PromptKind::Command)
    else {
        return;
    };
    let offers = command_line::offers(app, prompt.completing());
    // Those around the one that is taken, and how many others there are.
    let most = OFFERED.min(usize::from(body.height).saturating_sub(1));
    let first = prompt
        .completion
        .map_or(0, |n| (n + 1).saturating_sub(most));
    let shown = first..offers.len().min(first + most);
    let others = offers.len() - shown.len();
    let rows = shown.len() + usize::from(others > 0);
    let rows = u16::try_from(rows).unwrap_or(0).min(body.height);
    let area = Rect {
        y: body.y + body.height - rows,
        height: rows,
        ..body
    };
    clear(frame, area);
    let columns = usize::from(area.width);
    let words = offers
        .iter()
        .map(|o| o.word.width())
        .max()
        .unwrap_or(0)
        .min(columns / 2);
    let window = offers.iter().enumerate();
    let window = window.skip(shown.start).take(shown.len());
    let mut text: Vec<Line<'static>> = window
        .map(|(n, offer)| {
            let taken = prompt.completion == Some(n);
            let mark = if taken { " > " } else { "   " };
            let word = Span::styled(
                format!("{mark}{}  ", left(&offer.word, words)),
                theme.style(if taken { Role::Selected } else { Role::Strong }),
            );
            let help = Span::styled(offer.help.clone(), theme.style(Role::Dim));
            Line::from(cut(vec![word, help], columns))
        })
        .collect();
    if others > 0 {
        let more = format!("   … {others} more: Tab goes through them, letters choose among them");
        text.push(Line::styled(
            shorten(&more, columns),
            theme.style(Role::Dim),
        ));
    }
    lines(frame, area, text);
}

/// The keys that fit, in the order of the table; those that matter least go first. Help and quit
/// always fit.
fn hints(app: &App, theme: Theme, room: usize) -> Vec<Span<'static>> {
    let all = footer::footer(app);
    let size = |(b, word): &(&Binding, String)| b.label.width() + word.width() + 4;
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|n| all[*n].0.rank);
    let mut used = 1;
    let mut fits = vec![false; all.len()];
    for n in order {
        let wide = size(&all[n]);
        if used + wide <= room || all[n].0.rank == 0 {
            used += wide;
            fits[n] = true;
        }
    }
    let mut spans = vec![Span::raw(" ")];
    for (binding, word) in all
        .iter()
        .zip(fits)
        .filter(|(_, fits)| *fits)
        .map(|(b, _)| b)
    {
        if spans.len() > 1 {
            spans.push(Span::styled(" · ", theme.style(Role::Dim)));
        }
        spans.push(Span::styled(binding.label, theme.style(Role::Strong)));
        spans.push(Span::raw(format!(" {word}")));
    }
    let state = app.visible();
    let name = if state.copying {
        " copy: ".to_owned()
    } else {
        format!(" {} ", pane_name(state.focus).to_lowercase())
    };
    let used = super::text::width(&spans);
    if used + name.width() <= room {
        spans.push(" ".repeat(room - used - name.width()).into());
        spans.push(Span::styled(name, theme.style(Role::Dim)));
    }
    spans
}
