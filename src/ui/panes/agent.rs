//! The agent pane: its last hundred lines, where the reader stands in them, or why there are none.

use crate::{
    app::{
        State,
        agent::Phase,
        state::{Pane, Process},
    },
    transcript::{Kind, Line as Said, Row, Size},
    ui::{
        format::{age, lasting},
        pane_name,
        panes::tickets::name,
        text::{lines, panel, paragraph},
        theme::{Role, Theme},
    },
};
use jiff::SignedDuration;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

/// Silence of a running command that is worth saying.
const QUIET: SignedDuration = SignedDuration::from_secs(10);

/// Returns the size of what is inside.
pub fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) -> Size {
    if area.is_empty() {
        return Size::default();
    }
    let agent = &state.agent;
    let focused = state.focus == Pane::Agent;
    let count = agent.ring.len();
    let right = if agent.ring.is_empty() {
        String::new()
    } else {
        format!("{count} lines")
    };
    let right = if right.is_empty() {
        Vec::new()
    } else {
        vec![Span::styled(right, theme.style(Role::Dim))]
    };
    let inner = panel(frame, area, title(state, theme), right, focused, theme);
    let mut size = Size {
        width: inner.width,
        height: inner.height,
        cut: state.no_wrap,
    };
    if inner.is_empty() {
        return size;
    }
    if agent.ring.is_empty() {
        lines(
            frame,
            inner,
            nothing(state, usize::from(inner.width), theme),
        );
        return size;
    }
    // The last row says what is going on, while something is.
    let status = status(state, theme).filter(|_| inner.height > 4);
    if status.is_some() {
        size.height -= 1;
    }
    let search = agent.view.search.as_deref();
    let rows = agent.view.rows(&agent.ring, size);
    let mut text: Vec<Line> = rows
        .iter()
        .map(|row| draw_row(row, search, theme))
        .collect();
    if let Some(status) = status {
        text.resize(usize::from(size.height), Line::default());
        text.push(status);
    }
    lines(frame, inner, text);
    size
}

fn title(state: &State, theme: Theme) -> Vec<Span<'static>> {
    let agent = &state.agent;
    let mut spans = vec![Span::raw(pane_name(Pane::Agent))];
    let dim = theme.style(Role::Dim);
    let ticket = agent.ticket.map(|id| {
        let known = state.tickets.list().iter().find(|t| t.id == id);
        let title = known.map_or_else(|| agent.title.clone(), |t| name(state, t));
        Span::raw(format!(" · #{id} {title}"))
    });
    if agent.ring.is_empty() || agent.view.following() {
        spans.extend(ticket);
        if !agent.ring.is_empty() {
            spans.push(Span::styled(" · following", dim));
        }
    } else {
        // That it stands still matters most.
        let waiting = agent.view.waiting(&agent.ring);
        let text = format!(" · ‖ paused · {waiting} new");
        spans.push(Span::styled(text, theme.style(Role::Warn)));
        if agent.view.missed() > 0 {
            let text = format!(" · {} passed", agent.view.missed());
            spans.push(Span::styled(text, theme.style(Role::Warn)));
        }
        spans.extend(ticket);
    }
    if let Some(search) = &agent.view.search {
        spans.push(Span::styled(
            format!(" · /{search}"),
            theme.style(Role::Accent),
        ));
    }
    spans
}

/// What runs now and for how long, and whether it is silent.
fn status(state: &State, theme: Theme) -> Option<Line<'static>> {
    let agent = &state.agent;
    if !agent.process.running() {
        return None;
    }
    let since = |at| lasting(state.since(at));
    let silence = agent.heard.map(|at| state.since(at)).filter(|s| *s > QUIET);
    let (text, role) = match (&agent.running, &agent.phase) {
        (Some(running), _) => (format!("▌ running {}", since(running.since)), Role::Accent),
        (None, Phase::Verifying) => (
            format!("~ claimed, not proven yet · {}", since(agent.since)),
            Role::Claimed,
        ),
        (None, Phase::Working) => (format!("▌ thinking {}", since(agent.heard?)), Role::Dim),
        _ => return None,
    };
    let mut spans = vec![Span::styled(text, theme.style(role))];
    if let Some(silence) = silence.filter(|_| agent.running.is_some()) {
        let text = format!(" · no output for {}", age(silence));
        spans.push(Span::styled(text, theme.style(Role::Warn)));
    }
    Some(Line::from(spans))
}

/// No lines: what the agent is, or why there is none.
fn nothing(state: &State, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let (text, role) = match &state.agent.process {
        Process::Off(_) if starting(state) => (
            "The agent starts when the lab is up. What it thinks, runs and sees appears here."
                .into(),
            Role::Dim,
        ),
        Process::Off(why) => (format!("No agent runs here: {why}"), Role::Plain),
        Process::Starting | Process::Running { .. } => (
            "The agent is starting. What it thinks, runs and sees appears here.".into(),
            Role::Dim,
        ),
        _ => ("The agent has ended without a word.".into(), Role::Warn),
    };
    let mut text = paragraph(&text, columns, theme.style(role));
    if matches!(state.agent.process, Process::Off(_)) && !starting(state) {
        text.push(Line::default());
        text.extend(paragraph(
            "`operator-tui demo` shows one at work on a cluster of its own; it needs no key, no \
             cluster and no Docker.",
            columns,
            theme.style(Role::Dim),
        ));
    }
    text
}

/// A demo's lab is on its way up.
pub fn starting(state: &State) -> bool {
    state.demo.as_ref().is_some_and(|demo| !demo.ready)
}

pub fn role(kind: Kind) -> Role {
    match kind {
        Kind::Plain => Role::Plain,
        Kind::Output => Role::Output,
        Kind::Reasoning => Role::Reasoning,
        Kind::Thinking => Role::Thinking,
        Kind::Command | Kind::CommandMore => Role::Command,
        Kind::Why | Kind::Notice | Kind::Child => Role::Dim,
        Kind::ErrorOutput => Role::ErrorOutput,
        Kind::Good => Role::Ok,
        Kind::Bad => Role::Bad,
        Kind::Waiting => Role::Claimed,
        Kind::Warning => Role::Warn,
        Kind::Session => Role::Strong,
    }
}

/// One row of a transcript or a document.
pub fn draw_row<'a>(row: &Row<'a>, search: Option<&str>, theme: Theme) -> Line<'a> {
    let Row::Text { line, range, first } = row else {
        return Line::default();
    };
    let style = theme.style(role(line.kind));
    let marker = line.kind.marker();
    let mut spans = Vec::new();
    if !marker.is_empty() {
        // A pipe goes on beside every row of its output.
        let bar = matches!(line.kind, Kind::Output | Kind::ErrorOutput);
        let text = if *first || bar {
            marker.to_owned()
        } else {
            " ".repeat(marker.width())
        };
        let role = if bar { theme.style(Role::Dim) } else { style };
        spans.push(Span::styled(text, role));
    }
    push_found(&mut spans, &line.text[range.clone()], search, style, theme);
    if line.omitted > 0 && range.end == line.text.len() {
        spans.push(Span::styled(omitted(line), theme.style(Role::Warn)));
    }
    Line::from(spans)
}

fn omitted(line: &Said) -> String {
    format!(" … {} bytes not shown", line.omitted)
}

/// The text, with what is searched for marked.
fn push_found<'a>(
    spans: &mut Vec<Span<'a>>,
    text: &'a str,
    search: Option<&str>,
    style: ratatui::style::Style,
    theme: Theme,
) {
    let Some(needle) = search else {
        spans.push(Span::styled(text, style));
        return;
    };
    let lower = text.to_lowercase();
    // Lower case can change lengths; then nothing is marked rather than the wrong thing.
    let mut from = 0;
    if lower.len() == text.len() {
        while let Some(at) = lower[from..].find(needle).map(|at| at + from) {
            let end = at + needle.len();
            if !text.is_char_boundary(at) || !text.is_char_boundary(end) {
                break;
            }
            spans.push(Span::styled(&text[from..at], style));
            spans.push(Span::styled(&text[at..end], theme.style(Role::Found)));
            from = end;
        }
    }
    spans.push(Span::styled(&text[from..], style));
}
