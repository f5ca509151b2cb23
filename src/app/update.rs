//! One event in, the state changed, effects out. No I/O, no clock but the one it is given.

use super::{
    demo,
    event::{Child, Effect, Event},
    keys::TABLE,
    on_child::on_child,
    on_key::{on_key, on_paste},
    state::{Overlay, Quitting, State},
};
use crate::{
    terminal::signals::Signal,
    transcript::{Doc, Kind, Line},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Instant;

/// A toast is read by then.
const TOAST: SignedDuration = SignedDuration::from_secs(5);

pub fn update(state: &mut State, event: Event, now: Timestamp, tick: Instant) -> Vec<Effect> {
    state.now = now;
    state.tick = tick;
    let mut effects = change(state, event);
    effects.extend(demo::walk(state));
    effects
}

fn change(state: &mut State, event: Event) -> Vec<Effect> {
    let now = state.now;
    if state
        .toast
        .as_ref()
        .is_some_and(|(_, at)| state.since(*at) > TOAST)
    {
        state.toast = None;
    }
    state.cluster.judge(now);
    match event {
        Event::Key(key) => return on_key(state, key),
        Event::Paste(text) => on_paste(state, &text),
        Event::Tick => {}
        Event::TerminalGone => return begin_quit(state, Signal::Hangup.exit_code()),
        Event::Signal(signal) => return on_signal(state, signal),
        Event::Child(child, items) => return on_child(state, child, items),
        Event::Cluster(snapshot) => state.cluster.seen(*snapshot, now),
        Event::Ledger(view) => return on_ledger(state, *view),
        Event::Detail(detail) => on_detail(state, *detail),
        Event::Stage(news) => return demo::on_stage(state, news),
    }
    Vec::new()
}

fn on_signal(state: &mut State, signal: Signal) -> Vec<Effect> {
    match signal {
        Signal::Resize => Vec::new(),
        Signal::Stop => vec![Effect::Suspend],
        Signal::Continue => vec![Effect::Redraw],
        Signal::Terminate | Signal::Interrupt | Signal::Quit | Signal::Hangup => {
            if state.quitting.is_some() {
                return vec![Effect::KillAll];
            }
            begin_quit(state, signal.exit_code())
        }
    }
}

/// Ends the children, then the program.
pub fn begin_quit(state: &mut State, code: u8) -> Vec<Effect> {
    if state.quitting.is_some() {
        return Vec::new();
    }
    state.overlays.clear();
    state.prompt = None;
    let waiting: Vec<_> = Child::ALL
        .into_iter()
        .filter(|c| state.process(*c).supervised())
        .collect();
    let standing = state.demo.as_ref().is_some_and(|d| d.standing);
    if waiting.is_empty() && !standing {
        return vec![Effect::Exit(code)];
    }
    state.quitting = Some(Quitting {
        code,
        since: state.now,
        waiting,
    });
    // Together: the agent ends within its grace whether its lab is there or not.
    if standing {
        vec![Effect::StopAll, Effect::Strike]
    } else {
        vec![Effect::StopAll]
    }
}

fn on_ledger(state: &mut State, view: super::tickets::LedgerView) -> Vec<Effect> {
    let mut effects = Vec::new();
    // An open ticket is read again when the ledger has changed.
    if let Some(Overlay::Ticket { id, .. }) = state.overlays.last() {
        effects.push(Effect::LoadTicket(*id));
    }
    let known = state
        .tickets
        .view
        .as_ref()
        .map(|v| v.tickets.first().map_or(0, |t| t.id));
    let newest = view
        .tickets
        .iter()
        .filter(|t| t.severity == "critical")
        .map(|t| t.id)
        .max();
    if known.is_some_and(|known| newest.is_some_and(|newest| newest > known)) {
        effects.push(Effect::Bell);
    }
    state.tickets.read(view);
    effects
}

fn on_detail(state: &mut State, detail: super::detail::Detail) {
    for overlay in &mut state.overlays {
        if let Overlay::Ticket {
            id,
            detail: shown,
            doc,
        } = overlay
            && *id == detail.id
        {
            // Where the reader stands stays: the record only grows.
            let lines = detail.lines(&state.zone);
            if shown.is_some() {
                doc.lines = lines.into();
            } else {
                *doc = Doc::new(lines);
            }
            *shown = Some(Box::new(detail));
            return;
        }
    }
}

/// The help, from the table of keys.
pub fn help() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |kind, text: String, gap| {
        lines.push(Line {
            id: lines.len() as u64,
            kind,
            text,
            omitted: 0,
            gap,
        });
    };
    for binding in TABLE {
        add(
            Kind::Plain,
            format!("{:<10} {}", binding.label, binding.help),
            false,
        );
    }
    add(Kind::Session, "what the marks mean".into(), true);
    for text in [
        "● up, healthy     ! degraded      ✗ down, failed",
        "? unknown: nothing was heard, or it is too old to believe",
        "~ claimed: the agent says it is repaired",
        "✓ proven: the monitor saw that it is, and that it stayed so",
        "↑ escalated: the agent gave up     ‖ paused or held",
    ] {
        add(Kind::Plain, text.into(), false);
    }
    lines
}
