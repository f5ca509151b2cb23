//! The top line: what is watched, how it stands, what the agent does, when the monitor looked.

use super::{
    format::{age, lasting, phase},
    panes::{
        agent::starting,
        traffic::{percent_of_some, refused},
    },
    text::{cut, lines, width},
    theme::{Role, Theme},
};
use crate::app::model::{
    agent::Phase,
    cluster::{MUCH_REFUSED, Overall},
    process::Process,
    state::State,
    tickets::Fate,
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

pub(super) fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let room = usize::from(area.width);
    let gap = || vec![Span::raw("  ")];
    let name = vec![Span::styled(" operator", theme.style(Role::Accent))];
    let subject = vec![Span::styled(
        format!("  {}", state.subject),
        theme.style(Role::Strong),
    )];
    let place = vec![Span::styled(
        format!(" · {}", state.place),
        theme.style(Role::Dim),
    )];
    let overall = [gap(), overall(state, theme)].concat();
    let agent = [gap(), agent(state, theme)].concat();
    let model = model(state, theme);
    let monitor = [gap(), monitor(state, theme)].concat();
    let clock = state
        .now
        .to_zoned(state.zone.clone())
        .strftime("%H:%M:%S")
        .to_string();
    let clock = vec![Span::styled(format!("  {clock} "), theme.style(Role::Dim))];

    // What tells most goes in first; the order on the line is another.
    let parts = [name, subject, place, overall, agent, model, monitor, clock];
    let mut chosen = [false; 8];
    let mut used = 0;
    // A ledger that is gone comes before all that is read from it.
    let order = match fate(state) {
        Fate::Same => [3, 4, 5, 6, 1, 7, 0, 2],
        Fate::Lost(_) | Fate::Damaged => [6, 3, 4, 5, 1, 7, 0, 2],
    };
    for index in order {
        let wide = width(&parts[index]);
        if used + wide <= room {
            used += wide;
            chosen[index] = true;
        }
    }
    let mut spans = Vec::new();
    let fill = room - used;
    for (index, part) in parts.into_iter().enumerate() {
        if index == 3 {
            spans.push(" ".repeat(fill / 2).into());
        }
        if index == 7 {
            spans.push(" ".repeat(fill - fill / 2).into());
        }
        if chosen[index] {
            spans.extend(part);
        }
    }
    lines(frame, area, vec![Line::from(cut(spans, room))]);
}

/// The cluster in one word, and for how long.
pub(super) fn overall(state: &State, theme: Theme) -> Vec<Span<'static>> {
    let (overall, since) = state.cluster.overall();
    let (text, role) = match overall {
        Overall::Unknown => ("? UNKNOWN", Role::Unknown),
        Overall::NotBootstrapped => ("· NOT BOOTSTRAPPED", Role::Unknown),
        Overall::Suspect => ("? SUSPECT", Role::Unknown),
        Overall::Healthy => ("● HEALTHY", Role::Ok),
        Overall::Degraded => ("! DEGRADED", Role::Warn),
        Overall::NoPdLeader => ("✗ NO PD LEADER", Role::Bad),
        Overall::Unavailable => ("✗ UNAVAILABLE", Role::Bad),
    };
    let mut spans = vec![Span::styled(text, theme.style(role))];
    if let Some(since) = since {
        spans.push(Span::raw(format!(" {}", lasting(state.since(since)))));
    }
    // What users feel, whatever the members and stores say.
    if let Some((share, _)) = state.cluster.traffic(state.now).and_then(refused) {
        let role = if share < MUCH_REFUSED {
            Role::Warn
        } else {
            Role::Bad
        };
        let text = format!(" {} refused", percent_of_some(share));
        spans.push(Span::styled(text, theme.style(role)));
    }
    spans
}

/// What the agent does, and for how long.
pub(super) fn agent(state: &State, theme: Theme) -> Vec<Span<'static>> {
    let agent = state.shown();
    let (word, since, role) = match &agent.process {
        Process::Off(_) if starting(state) => ("WAITING", None, Role::Dim),
        Process::Off(_) => ("OFF", None, Role::Dim),
        Process::Starting => ("STARTING", None, Role::Dim),
        Process::Replayed if agent.last_outcome.is_some() && agent.session.is_none() => {
            ("ENDED", Some(agent.since), Role::Dim)
        }
        Process::Replayed if agent.session.is_none() => ("NOT YET", None, Role::Dim),
        Process::Elsewhere(_) if state.other.as_ref().is_some_and(|o| o.ended) => {
            ("ENDED", Some(agent.since), Role::Dim)
        }
        Process::Running { .. } | Process::Elsewhere(_) | Process::Replayed
            if agent.proposal.is_some() =>
        {
            let since = agent.proposal.as_ref().map(|p| p.since);
            ("ASKS", since, Role::Warn)
        }
        Process::Running { .. } | Process::Elsewhere(_) | Process::Replayed
            if agent.waits.is_some() =>
        {
            ("STOPPED", agent.waits, Role::Warn)
        }
        Process::Running { .. } | Process::Elsewhere(_) | Process::Replayed => {
            let role = match agent.phase {
                Phase::Working => Role::Accent,
                Phase::Verifying => Role::Claimed,
                _ => Role::Plain,
            };
            (phase(&agent.phase), Some(agent.since), role)
        }
        Process::Exited { at, .. } => ("ENDED", Some(*at), Role::Warn),
        Process::Restarting { at, .. } => ("RESTARTING", Some(*at), Role::Warn),
        Process::GaveUp {
            at, failed: false, ..
        } => ("ENDED", Some(*at), Role::Warn),
        Process::GaveUp { at, .. } => ("DEAD", Some(*at), Role::Bad),
        Process::Stopped => ("STOPPED", None, Role::Dim),
    };
    let mut spans = vec![Span::raw("agent "), Span::styled(word, theme.style(role))];
    if let Some(ticket) = agent.ticket.filter(|_| agent.process.running()) {
        spans.push(Span::raw(format!(" #{ticket}")));
    }
    if let Some(since) = since {
        spans.push(Span::raw(format!(" {}", lasting(state.since(since)))));
    }
    spans
}

fn model(state: &State, theme: Theme) -> Vec<Span<'static>> {
    let agent = state.shown();
    let model = agent.model.as_ref().filter(|_| agent.process.running());
    model.map_or(Vec::new(), |model| {
        vec![Span::styled(format!(" · {model}"), theme.style(Role::Dim))]
    })
}

fn fate(state: &State) -> Fate {
    let view = state.tickets.view.as_ref();
    view.map_or(Fate::Same, |view| view.fate)
}

/// When the monitor last looked, whoever runs it. Where the ledger is not the one that was there
/// first, nobody records.
fn monitor(state: &State, theme: Theme) -> Vec<Span<'static>> {
    if let Some(lost) = fate(state).in_short() {
        return vec![Span::styled(format!("✗ {lost}"), theme.style(Role::Bad))];
    }
    let Some(seen) = state.tickets.monitor_age(state.now) else {
        return vec![Span::styled(
            "monitor ? never looked",
            theme.style(Role::Unknown),
        )];
    };
    if state.tickets.monitored(state.now) {
        vec![Span::styled(
            format!("monitor {} ago", age(seen)),
            theme.style(Role::Dim),
        )]
    } else {
        vec![Span::styled(
            format!("monitor ? silent {}", age(seen)),
            theme.style(Role::Unknown),
        )]
    }
}
