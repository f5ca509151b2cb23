//! What runs here, and how it fared: agent, monitor, whose ledger, whose cluster.

use super::middle;
use crate::{
    app::model::{
        process::{Process, meaning},
        state::State,
    },
    transcript::Size,
    ui::{
        format::{age, lasting},
        text::{clear, lines, panel, paragraph},
        theme::{Role, Theme},
    },
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

pub(super) fn draw(frame: &mut Frame, body: Rect, state: &State, theme: Theme) -> (Size, Rect) {
    let columns = usize::from(body.width.min(84).saturating_sub(2));
    let mut text = Vec::new();
    process(
        "agent",
        &state.agent.process,
        state,
        columns,
        theme,
        &mut text,
    );
    for other in state.tickets.view.iter().flat_map(|v| &v.running) {
        if Some(&other.session.session_id) == state.agent.session.as_ref() {
            continue;
        }
        let pid = other
            .pid
            .map_or(String::new(), |pid| format!(", process {pid}"));
        let ticket = other
            .session
            .ticket_id
            .map_or(String::new(), |t| format!(" on #{t}"));
        let line = format!(
            "  elsewhere: session {}{ticket}{pid}",
            other.session.session_id
        );
        text.extend(paragraph(&line, columns, theme.style(Role::Dim)));
    }
    text.push(Line::default());
    process(
        "monitor",
        &state.monitor.process,
        state,
        columns,
        theme,
        &mut text,
    );
    text.extend(checks(state, columns, theme));
    if let Some(line) = &state.monitor.last_line {
        let line = format!("  last on stderr: {line}");
        text.extend(paragraph(&line, columns, theme.style(Role::ErrorOutput)));
    }
    text.push(Line::default());
    for (what, value) in [
        ("ledger", state.tickets.path.display().to_string()),
        ("PD", state.cluster.pd.clone()),
        ("here since", lasting(state.since(state.started))),
    ] {
        let line = format!("{what:<10} {value}");
        text.extend(paragraph(&line, columns, theme.style(Role::Plain)));
    }
    let rows = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let area = middle(body, 84, rows.saturating_add(2));
    clear(frame, area);
    let more = vec![Span::styled("Esc closes", theme.style(Role::Dim))];
    let title = vec![Span::raw("What runs")];
    let inner = panel(frame, area, title, more, true, theme);
    text.truncate(usize::from(inner.height));
    lines(frame, inner, text);
    (Size::default(), inner)
}

fn process(
    name: &str,
    process: &Process,
    state: &State,
    columns: usize,
    theme: Theme,
    text: &mut Vec<Line<'static>>,
) {
    let since = |at| lasting(state.since(at));
    let how_it_ended = |how: &str| match meaning(how) {
        Some(meaning) => format!("{how} ({meaning})"),
        None => how.to_owned(),
    };
    let (glyph, what, role) = match process {
        Process::Off(why) => ('·', format!("not started: {why}"), Role::Dim),
        Process::Elsewhere(whose) => ('·', format!("of {whose}"), Role::Dim),
        Process::Replayed => ('·', "played back".into(), Role::Dim),
        Process::Starting => ('?', "starting".into(), Role::Unknown),
        Process::Running { pid, since: at } => {
            ('●', format!("process {pid}, for {}", since(*at)), Role::Ok)
        }
        Process::Exited { how, at, held, .. } => {
            let held = if *held {
                "; something it started holds its output open"
            } else {
                ""
            };
            let text = format!("ended {} ago: {}{held}", since(*at), how_it_ended(how));
            ('!', text, Role::Warn)
        }
        Process::Restarting { how, due, .. } => {
            let left = due.duration_since(state.now).as_secs().max(0) + 1;
            let text = format!("ended: {}; starts again in {left} s", how_it_ended(how));
            ('!', text, Role::Warn)
        }
        Process::GaveUp {
            why, at, failed, ..
        } => {
            let text = format!("not started again, {} ago: {why}", since(*at));
            if *failed {
                ('✗', text, Role::Bad)
            } else {
                ('!', text, Role::Warn)
            }
        }
        Process::Stopped => ('·', "stopped".into(), Role::Dim),
    };
    let line = format!("{name:<10} {glyph} {what}");
    text.extend(paragraph(&line, columns, theme.style(role)));
    if let Process::GaveUp { stderr, .. } = process {
        for line in stderr {
            let line = format!("  stderr: {line}");
            text.extend(paragraph(&line, columns, theme.style(Role::ErrorOutput)));
        }
    }
}

/// What the ledger says of the monitor, whoever runs it.
fn checks(state: &State, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let beat = state
        .tickets
        .view
        .as_ref()
        .and_then(|v| v.heartbeat.as_ref());
    let (line, role) = match (beat, state.tickets.monitor_age(state.now)) {
        (Some(beat), Some(seen)) => {
            let sees = if beat.ok {
                String::new()
            } else {
                format!("; it cannot see: {}", beat.detail)
            };
            let role = if state.tickets.monitored(state.now) && beat.ok {
                Role::Plain
            } else {
                Role::Unknown
            };
            let every = beat.interval.as_secs_f64();
            let line = format!(
                "  last looked {} ago, every {every} s, {} times{sees}",
                age(seen),
                beat.checks
            );
            (line, role)
        }
        _ => (
            "  ? the ledger holds no look of any monitor".into(),
            Role::Unknown,
        ),
    };
    paragraph(&line, columns, theme.style(role))
}
