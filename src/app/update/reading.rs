//! Moving about in whatever is read: an overlay, an earlier session, the agent's lines, a list.

use crate::{
    app::{
        event::Effect,
        model::{overlay::Overlay, pane::Pane, state::State},
        request::Request,
        update::record,
    },
    history::Which,
    transcript::{Kind, Needle, Shown, Size, doc::Scrollable},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// The cursor, by rows.
    Rows(isize),
    /// The page, by rows.
    Page(isize),
    Top,
    Bottom,
}

/// Rows of a page of what is read.
pub(super) fn page(state: &State) -> isize {
    let geometry = &state.geometry;
    let rows = match (state.overlays.last(), state.focus) {
        (Some(_), _) => geometry.overlay.height,
        (None, Pane::Tickets) => geometry.tickets,
        (None, _) => geometry.agent.height,
    };
    isize::try_from(rows.saturating_sub(1).max(1)).unwrap_or(1)
}

pub(super) fn go(state: &mut State, to: Move) -> Vec<Effect> {
    if let Some(overlay) = state.overlays.last_mut() {
        return in_overlay(overlay, to, state.geometry.overlay);
    }
    go_in(state, state.focus, to)
}

/// In one pane, whatever is focused.
pub(super) fn go_in(state: &mut State, pane: Pane, to: Move) -> Vec<Effect> {
    match pane {
        Pane::Tickets => state.tickets.step(steps(to)),
        Pane::Cluster => state.cluster.step(steps(to)),
        Pane::Agent | Pane::Chapter if state.record.is_some() => return in_record(state, to),
        Pane::Agent | Pane::Chapter => return in_lines(state, to),
    }
    Vec::new()
}

/// A move in a list.
fn steps(to: Move) -> isize {
    match to {
        Move::Rows(rows) | Move::Page(rows) => rows,
        Move::Top => isize::MIN / 2,
        Move::Bottom => isize::MAX / 2,
    }
}

fn in_overlay(overlay: &mut Overlay, to: Move, size: Size) -> Vec<Effect> {
    if let Overlay::Sessions(browser) = overlay {
        browser.step(steps(to));
        let wanted = browser.next_request();
        let read = |row| Effect::Read(Request::Sessions(Some(row)));
        return wanted.map(read).into_iter().collect();
    }
    if let Some(doc) = overlay.reader() {
        in_doc(doc, to, size);
    }
    Vec::new()
}

fn in_doc(doc: &mut dyn Scrollable, to: Move, size: Size) {
    match to {
        Move::Rows(rows) if rows < 0 => doc.up(rows.unsigned_abs(), size),
        Move::Rows(rows) => doc.down(rows.unsigned_abs(), size),
        Move::Page(rows) if rows < 0 => doc.scroll_up(rows.unsigned_abs(), size),
        Move::Page(rows) => doc.scroll_down(rows.unsigned_abs(), size),
        Move::Top => {
            doc.start(size);
            0
        }
        Move::Bottom => {
            doc.end(size);
            0
        }
    };
}

fn in_record(state: &mut State, to: Move) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    match to {
        Move::Top => return record::ends(state, true),
        Move::Bottom => return record::ends(state, false),
        to => in_doc(&mut record.doc, to, size),
    }
    record::read_on(state)
}

fn in_lines(state: &mut State, to: Move) -> Vec<Effect> {
    let size = state.geometry.agent;
    let agent = state.shown_mut();
    let (ring, view) = (&agent.ring, &mut agent.view);
    let moved = match to {
        Move::Rows(rows) if rows < 0 => view.up(rows.unsigned_abs(), ring, size),
        Move::Page(rows) if rows < 0 => view.scroll_up(rows.unsigned_abs(), ring, size),
        Move::Rows(rows) => {
            view.down(rows.unsigned_abs(), ring, size);
            true
        }
        Move::Page(rows) => {
            view.scroll_down(rows.unsigned_abs(), ring, size);
            true
        }
        Move::Top => {
            view.top(ring, size);
            true
        }
        Move::Bottom => {
            view.follow();
            true
        }
    };
    if moved {
        return Vec::new();
    }
    further_back(state)
}

/// Above the oldest line: the session goes on in the ledger.
fn further_back(state: &mut State) -> Vec<Effect> {
    let agent = state.shown();
    let called = agent.oldest_call().cloned();
    if agent.ring.oldest_id() > Some(0)
        && let Some(called) = called
        && let Some(session) = called.session
    {
        state.say("Older lines, from the ledger. Esc: back to what is live.");
        return record::open(state, &session, Which::Call(called.call));
    }
    Vec::new()
}

/// To the next or the last place that holds what is searched for.
pub(super) fn find(state: &mut State, forward: bool) -> Vec<Effect> {
    let Some(needle) = state.needle.clone() else {
        state.say("Nothing to search for yet: / starts a search.");
        return Vec::new();
    };
    let found = match state.overlays.last_mut() {
        Some(Overlay::Sessions(browser)) => browser.find(&needle, forward),
        Some(overlay) => {
            let size = state.geometry.overlay;
            overlay
                .reader()
                .is_some_and(|doc| doc.find(&needle, forward, size))
        }
        None if state.record.is_some() => return record::find(state, forward),
        None => {
            let size = state.geometry.agent;
            let agent = state.shown_mut();
            agent.view.find(&needle, forward, &agent.ring, size)
        }
    };
    if !found {
        let way = if forward { "below" } else { "above" };
        state.say(format!("No further match {way}."));
    }
    Vec::new()
}

/// Begins a search: from the newest line up, in what is live; else down from where the reader is.
pub(super) fn search(state: &mut State, text: &str) -> Vec<Effect> {
    state.needle = Needle::new(text);
    if state.needle.is_none() {
        return Vec::new();
    }
    let live = state.overlays.is_empty() && state.record.is_none();
    find(state, !live)
}

/// To the next command, or the one before.
pub(super) fn jump(state: &mut State, forward: bool) -> Vec<Effect> {
    let size = state.geometry.agent;
    let is = |line: &Shown<'_>| matches!(line.kind, Kind::Command | Kind::Session);
    let found = if let Some(record) = &mut state.record {
        record.doc.jump(forward, size, is)
    } else {
        let agent = state.shown_mut();
        agent.view.jump(forward, &agent.ring, size, is)
    };
    if !found {
        let way = if forward { "below" } else { "above" };
        state.say(format!("No further command {way}."));
        if !forward && state.record.is_none() {
            return further_back(state);
        }
    }
    record::read_on(state)
}

pub(super) fn fold(state: &mut State) {
    let size = state.geometry.agent;
    let folded = if let Some(record) = &mut state.record {
        let fold = !record.doc.folded();
        record.doc.fold(fold, size);
        fold
    } else {
        let view = &mut state.shown_mut().view;
        let fold = !view.folded();
        view.fold(fold, size);
        fold
    };
    state.say(if folded {
        "Long output is folded to its ends."
    } else {
        "Long output is shown whole."
    });
}
