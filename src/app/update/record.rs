//! An earlier session in the agent's pane: read from the ledger by pages, never as a whole.

use crate::{
    app::{
        event::Effect,
        model::{
            pane::Pane,
            record::{NEAR, Record},
            state::State,
        },
        request::Request,
    },
    history::Which,
    transcript::doc::Scrollable,
};

/// Opens a session in the agent's pane.
pub(super) fn open(state: &mut State, session: &str, which: Which) -> Vec<Effect> {
    state.overlays.clear();
    state.focus = Pane::Agent;
    let mut record = Record::new(session);
    let read = record.read(which);
    state.record = Some(record);
    vec![Effect::Read(read)]
}

/// The reader moved, or the ledger has more: reads on where that is near.
pub(super) fn read_on(state: &mut State) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    match record.next_request(size) {
        Some(which) => vec![Effect::Read(record.read(which))],
        None => Vec::new(),
    }
}

/// To the first or the last line of the whole session.
pub(super) fn ends(state: &mut State, first: bool) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    let here = if first {
        record.at_first()
    } else {
        record.at_last()
    };
    match (here, first) {
        (true, true) => record.doc.start(size),
        (true, false) => record.doc.end(size),
        (false, true) => return vec![Effect::Read(record.read(Which::First))],
        (false, false) => return vec![Effect::Read(record.read(Which::Last))],
    }
    Vec::new()
}

/// The ledger has changed: a session that still runs may have grown.
pub(super) fn grown(state: &mut State) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    let growing = record.running() && record.at_last() && !record.loading;
    let Some((last, _)) = record.entries.back().filter(|_| growing).copied() else {
        return Vec::new();
    };
    if !record.doc.near_end(NEAR, size) {
        return Vec::new();
    }
    vec![Effect::Read(record.read(Which::After(last)))]
}

/// To the next place in the session that holds what is searched for: here, else in the ledger.
pub(super) fn find(state: &mut State, forward: bool) -> Vec<Effect> {
    let size = state.geometry.agent;
    let (Some(record), Some(needle)) = (&mut state.record, state.needle.clone()) else {
        return Vec::new();
    };
    record.doc.fold(false, size);
    if record.doc.find(&needle, forward, size) {
        return read_on(state);
    }
    let edge = if forward {
        record.entries.back().filter(|_| !record.at_last())
    } else {
        record.entries.front().filter(|_| !record.at_first())
    };
    let Some((from, _)) = edge.copied() else {
        let way = if forward { "below" } else { "above" };
        state.say(format!("No further match {way}."));
        return Vec::new();
    };
    record.searching = Some(needle.clone());
    vec![Effect::Read(Request::Find {
        session: record.session.clone(),
        needle,
        from,
        forward,
    })]
}
