//! The agent pane: the last hundred lines of an agent, ours or another's, where the reader stands in
//! them, or why there are none. An earlier session is shown in its place by `record`.

use super::{record, tickets::name};
use crate::{
    app::model::{
        agent::{Agent, Phase},
        pane::Pane,
        process::{Process, meaning},
        state::State,
    },
    transcript::Size,
    ui::{
        format::{self, age, lasting},
        pane_name, row,
        text::{panel, paragraph, shorten},
        theme::{Role, Theme},
    },
};
use jiff::SignedDuration;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

/// Silence that is worth saying.
const QUIET: SignedDuration = SignedDuration::from_secs(10);

/// Returns the size of what is read, and where it is.
pub(crate) fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) -> (Size, Rect) {
    if area.is_empty() {
        return (Size::default(), area);
    }
    if let Some(record) = &state.record {
        return record::draw(frame, area, state, record, theme);
    }
    let agent = state.shown();
    let focused = state.focus == Pane::Agent;
    let right = match agent.ring.len() {
        0 => Vec::new(),
        count => vec![Span::styled(format::lines(count), theme.style(Role::Dim))],
    };
    let inner = panel(frame, area, title(state, theme), right, focused, theme);
    let mut size = Size {
        width: inner.width,
        height: inner.height,
        cut: state.view_options.no_wrap,
    };
    if inner.is_empty() {
        return (size, inner);
    }
    // The last row says what is going on, while something is.
    let columns = usize::from(inner.width);
    if inner.height > 4
        && let Some(status) = status(state, columns, theme)
    {
        size.height -= 1;
        let last = Rect {
            y: inner.y + inner.height - 1,
            height: 1,
            ..inner
        };
        crate::ui::text::lines(frame, last, vec![status]);
    }
    let lines = Rect {
        height: size.height,
        ..inner
    };
    if agent.ring.is_empty() {
        crate::ui::text::lines(frame, lines, nothing(state, columns, theme));
    } else {
        let page = agent.view.page(&agent.ring, size, state.needle.as_ref());
        row::page(frame, lines, &page, size, theme);
    }
    (size, lines)
}

fn title(state: &State, theme: Theme) -> Vec<Span<'static>> {
    let agent = state.shown();
    let dim = theme.style(Role::Dim);
    let warn = theme.style(Role::Warn);
    let mut spans = vec![Span::raw(pane_name(Pane::Agent))];
    let ticket = agent.ticket.map(|id| {
        let known = state.tickets.list().iter().find(|t| t.id == id);
        let title = known.map_or_else(|| agent.title.clone(), |t| name(state, t));
        Span::raw(format!(" · #{id} {title}"))
    });
    if let Some(other) = &state.other {
        let (text, style) = if other.ended {
            (" elsewhere, ended", dim)
        } else {
            (" elsewhere", theme.style(Role::Accent))
        };
        spans.push(Span::styled(text, style));
    }
    let following = agent.ring.is_empty() || agent.view.following();
    if following {
        spans.extend(ticket);
        let word = match &state.other {
            Some(other) if other.ended => "",
            Some(_) => " · live from the ledger",
            None if agent.ring.is_empty() || state.replayed => "",
            None => " · following",
        };
        spans.push(Span::styled(word, dim));
    } else {
        // That it stands still matters most.
        let waiting = agent.view.waiting(&agent.ring);
        spans.push(Span::styled(format!(" · ‖ frozen · {waiting} new"), warn));
        if agent.view.missed() > 0 {
            let text = format!(" · {} passed", agent.view.missed());
            spans.push(Span::styled(text, warn));
        }
        spans.extend(ticket);
    }
    if agent.view.folded() {
        spans.push(Span::styled(" · folded", dim));
    }
    spans.extend(searched(state, theme));
    spans
}

/// What is searched for, for a title.
pub(crate) fn searched(state: &State, theme: Theme) -> Option<Span<'static>> {
    let needle = state.needle.as_ref()?;
    let text = format!(" · /{}", needle.text());
    Some(Span::styled(text, theme.style(Role::Accent)))
}

/// What goes on and for how long, whether it is silent, what it waits for.
fn status(state: &State, columns: usize, theme: Theme) -> Option<Line<'static>> {
    let agent = state.shown();
    let since = |at| lasting(state.since(at));
    let one = |text: String, role| {
        let text = shorten(&text.replace('\n', " "), columns);
        Some(Line::styled(text, theme.style(role)))
    };
    match &agent.process {
        Process::Running { .. } | Process::Elsewhere(_) | Process::Replayed => {}
        Process::Exited { at, held: true, .. } => {
            let text = format!(
                "! exited {} ago, but something it started holds its output open",
                since(*at)
            );
            return one(text, Role::Warn);
        }
        Process::Restarting { how, due, .. } => {
            let left = due.duration_since(state.now).as_secs().max(0) + 1;
            return one(
                format!("◆ it ended ({how}); starts again in {left} s"),
                Role::Warn,
            );
        }
        Process::GaveUp {
            why, at, failed, ..
        } => {
            let (glyph, role) = if *failed {
                ('✗', Role::Bad)
            } else {
                ('◆', Role::Warn)
            };
            let text = format!("{glyph} {why}, {} ago; r starts it again", since(*at));
            return one(text, role);
        }
        _ => return None,
    }
    if let Some(ended) = state.other.as_ref().filter(|o| o.ended) {
        let text = format!("ended {} ago · Esc leaves it", since(ended.agent.since));
        return one(text, Role::Dim);
    }
    let (text, role) = match (&agent.proposal, &agent.running, &agent.phase) {
        (Some(proposal), ..) => (
            format!(
                "‖ waits for approval {} · a shows it",
                since(proposal.since)
            ),
            Role::Warn,
        ),
        _ if agent.waits.is_some() => (
            "‖ stopped; it waits for a message to go on · m writes one".into(),
            Role::Warn,
        ),
        (_, Some(running), _) => (format!("▌ running {}", since(running.since)), Role::Accent),
        (.., Phase::Verifying) => (
            format!("~ claimed, not proven yet · {}", since(agent.since)),
            Role::Claimed,
        ),
        (.., Phase::Working) => (
            format!("▌ thinking {}", since(agent.last_event_at?)),
            Role::Dim,
        ),
        (.., Phase::Plain) => (format!("▌ running {}", since(agent.since)), Role::Dim),
        _ => return untaken(state, theme).map(Line::from),
    };
    let mut spans = vec![Span::styled(text, theme.style(role))];
    spans.extend(silence(state, agent, theme));
    if let Some(untaken) = untaken(state, theme) {
        spans.push(Span::raw(" · "));
        spans.push(untaken);
    }
    Some(Line::from(crate::ui::text::cut(spans, columns)))
}

fn silence(state: &State, agent: &Agent, theme: Theme) -> Option<Span<'static>> {
    let speaks = agent.running.is_some() || agent.phase == Phase::Plain;
    let silence = state.since(agent.last_event_at.unwrap_or(agent.since));
    (speaks && agent.proposal.is_none() && silence > QUIET).then(|| {
        let text = format!(" · no output for {}", age(silence));
        Span::styled(text, theme.style(Role::Warn))
    })
}

/// What was left in the ledger for an agent elsewhere that it has not taken.
fn untaken(state: &State, theme: Theme) -> Option<Span<'static>> {
    let last = state.other.as_ref()?.untaken.last()?;
    let what = match &last.command {
        operator_ledger::event::Control::Interrupt { .. } => "interrupt",
        operator_ledger::event::Control::Message { .. } => "message",
        operator_ledger::event::Control::Approve { .. } => "approval",
        operator_ledger::event::Control::Reject { .. } => "rejection",
        _ => "command",
    };
    let left = last.at.map_or("?".into(), |at| age(state.since(at)));
    let text = format!("{what} left {left} ago, not taken yet");
    Some(Span::styled(text, theme.style(Role::Warn)))
}

/// No lines: what the agent is, or why there is none.
fn nothing(state: &State, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let agent = state.shown();
    let (text, role) = match &agent.process {
        Process::Off(_) if starting(state) => (
            "The agent starts when the lab is up. What it thinks, runs and sees appears here."
                .into(),
            Role::Dim,
        ),
        Process::Off(why) => (format!("No agent runs here: {why}"), Role::Plain),
        Process::Replayed => ("Nothing yet: the session has not begun.".into(), Role::Dim),
        Process::Elsewhere(whose) => (
            format!("Reading from the ledger what {whose} is doing …"),
            Role::Dim,
        ),
        Process::Running { .. } if agent.foreign => (
            "The agent runs and has written nothing yet. What it writes appears here.".into(),
            Role::Dim,
        ),
        Process::Starting | Process::Running { .. } => (
            "The agent is starting. What it thinks, runs and sees appears here.".into(),
            Role::Dim,
        ),
        Process::Exited { how, .. } => {
            let meaning = meaning(how).map_or(String::new(), |m| format!(": {m}"));
            (
                format!("The agent has ended without a word ({how}{meaning})."),
                Role::Warn,
            )
        }
        _ => ("The agent has ended without a word.".into(), Role::Warn),
    };
    let mut text = paragraph(&text, columns, theme.style(role));
    if matches!(agent.process, Process::Off(_)) && !starting(state) {
        text.push(Line::default());
        text.extend(paragraph(
            "s shows what agents did before. `operator-tui demo` shows one at work on a cluster of \
             its own; it needs no key, no cluster and no Docker.",
            columns,
            theme.style(Role::Dim),
        ));
    }
    text
}

/// A demo's lab is on its way up.
pub(crate) fn starting(state: &State) -> bool {
    state.demo.as_ref().is_some_and(|demo| !demo.ready)
}
