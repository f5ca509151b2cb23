//! What Enter opens, and what becomes of it when it has been read.

use crate::{
    app::{
        event::{Effect, Response},
        model::{
            at_hand::{self, session_at_hand},
            detail::Text,
            other::Other,
            overlay::{OutputView, Overlay, StoreView, TicketView},
            pane::Pane,
            state::State,
        },
        request::Request,
        update::{attach, record},
    },
    cluster::Store,
    history::{Which, output::Output},
    transcript::{
        Composer, Doc, Kind, Ring,
        doc::{LineSource, Scrollable},
        long::Long,
    },
};

/// Output of a running command is read again only while it is no longer than this.
const AGAIN: usize = 256 * 1024;

pub(super) fn open(state: &mut State) -> Vec<Effect> {
    match state.overlays.last() {
        None => match state.focus {
            Pane::Tickets => match state.tickets.selected {
                Some(id) => ticket(state, id),
                None => Vec::new(),
            },
            Pane::Cluster => match state.cluster.selected().map(|s| (s.id, s.name.clone())) {
                Some((id, name)) => store(state, id, name),
                None => Vec::new(),
            },
            Pane::Agent => output(state),
            Pane::Chapter => Vec::new(),
        },
        Some(_) => match session_at_hand(state) {
            Some(id) => session(state, &id),
            None => Vec::new(),
        },
    }
}

pub(super) fn ticket(state: &mut State, id: i64) -> Vec<Effect> {
    state.overlays.push(Overlay::Ticket(TicketView {
        id,
        asked: true,
        detail: None,
        text: Text::default(),
        doc: Doc::default(),
    }));
    vec![Effect::Read(Request::Ticket(id))]
}

/// A session: live if it runs, else as the record has it.
pub(super) fn session(state: &mut State, id: &str) -> Vec<Effect> {
    if state.agent.session.as_deref() == Some(id) {
        state.overlays.clear();
        state.record = None;
        state.focus = Pane::Agent;
        return attach::unpin(state);
    }
    let running = at_hand::elsewhere(state).find(|r| r.session.session_id == id);
    // The list may not know yet that it has ended.
    let ended = |o: &Other| o.session == id && o.ended;
    let ended = state.other.as_ref().is_some_and(ended);
    if let Some(running) = running.filter(|_| !ended).cloned() {
        state.overlays.clear();
        state.record = None;
        state.focus = Pane::Agent;
        return attach::follow(state, &running, true);
    }
    record::open(state, id, Which::First)
}

/// Everything that the command printed which the reader is on.
fn output(state: &mut State) -> Vec<Effect> {
    let called = match &state.record {
        Some(record) => record.call().map(|call| (record.session.clone(), call)),
        None => {
            let agent = state.shown();
            let line = agent.view.current(&agent.ring);
            let called = line.and_then(|line| agent.call_at(line));
            called.and_then(|c| Some((c.session.clone()?, c.call.clone())))
        }
    };
    let Some((session, call)) = called else {
        state.say("There is no command here whose output is in the ledger.");
        return Vec::new();
    };
    state.overlays.push(Overlay::Output(OutputView {
        session: session.clone(),
        call: call.clone(),
        asked: true,
        output: None,
        doc: Doc::over(Long::default()).with_cursor(),
    }));
    vec![Effect::Read(Request::Output { session, call })]
}

/// The ticket that is open, anew; not while it is being read.
pub(super) fn ticket_again(view: &mut TicketView) -> Option<Effect> {
    let again = !std::mem::replace(&mut view.asked, true);
    again.then_some(Effect::Read(Request::Ticket(view.id)))
}

/// A command that had not ended may have printed more.
pub(super) fn output_again(view: &mut OutputView) -> Option<Effect> {
    let output = view.output.as_ref()?.as_ref().ok()?;
    let short = view.doc.lines().text().len() < AGAIN;
    if view.asked || output.result.is_some() || !short {
        return None;
    }
    view.asked = true;
    Some(Effect::Read(Request::Output {
        session: view.session.clone(),
        call: view.call.clone(),
    }))
}

fn store(state: &mut State, id: u64, name: String) -> Vec<Effect> {
    state.overlays.push(Overlay::Store(StoreView {
        id,
        name,
        asked: false,
        log: None,
    }));
    log_again(state)
}

/// The end of the log of the store that is open, where it is in reach; not while it is being read.
pub(super) fn log_again(state: &mut State) -> Vec<Effect> {
    let lab = state.lab;
    match state.overlays.last_mut() {
        Some(Overlay::Store(view)) if lab && !view.asked => {
            view.asked = true;
            let node = view.name.clone();
            vec![Effect::ReadLog { node }]
        }
        _ => Vec::new(),
    }
}

pub(super) fn store_named(state: &mut State, name: &str) -> Vec<Effect> {
    let is = |s: &&Store| s.name == name || s.id.to_string() == name || s.address == name;
    match state.cluster.stores().iter().find(is) {
        Some(found) => {
            let (id, name) = (found.id, found.name.clone());
            store(state, id, name)
        }
        None => {
            state.say(format!("No such store: {name}"));
            Vec::new()
        }
    }
}

/// Something that was asked for has come.
pub(super) fn found(state: &mut State, found: Response) -> Vec<Effect> {
    let (pane, over) = (state.geometry.agent, state.geometry.overlay);
    match found {
        Response::Ticket(detail) => {
            let views = state.overlays.iter_mut().filter_map(|o| match o {
                Overlay::Ticket(view) if view.id == detail.id => Some(view),
                _ => None,
            });
            for view in views {
                view.asked = false;
                view.text = detail.text(&state.zone);
                // Where the reader stands stays: the record only grows.
                if view.detail.is_some() {
                    view.doc.replace(view.text.lines.clone(), over);
                } else {
                    view.doc = Doc::new(view.text.lines.clone()).with_cursor();
                    view.doc.start(over);
                }
                let mut shown = detail.clone();
                shown.clean();
                view.detail = Some(shown);
            }
        }
        Response::Sessions(before, sessions) => {
            if let Some(Overlay::Sessions(browser)) = state.overlays.last_mut() {
                browser.take(before, sessions);
            }
        }
        Response::Session(Ok(id)) => return session(state, &id),
        Response::Session(Err(why)) => state.say(why),
        Response::Page(which, Ok(page)) => {
            if let Some(record) = &mut state.record
                && record.session == page.session.session_id
            {
                record.take(&which, *page, pane);
                return record::read_on(state);
            }
        }
        Response::Page(_, Err(why)) => {
            if let Some(record) = &mut state.record {
                record.failed(why);
            }
        }
        // For a replay, and it is gone.
        Response::Incident(..) | Response::Moment(..) | Response::Stretch(..) => {}
        Response::Match {
            session,
            forward,
            page,
        } => {
            let Some(record) = state.record.as_mut().filter(|r| r.session == session) else {
                return Vec::new();
            };
            match page {
                Ok(Some(page)) => record.take_match(*page, pane),
                Ok(None) => {
                    record.searching = None;
                    let way = if forward { "below" } else { "above" };
                    state.say(format!(
                        "No further match {way}, to the end of the session."
                    ));
                }
                Err(why) => record.failed(why),
            }
        }
        Response::Output { call, output } => {
            if let Some(Overlay::Output(view)) = state.overlays.last_mut()
                && view.call == call
            {
                take_output(view, output, over);
            }
        }
        Response::Log { node, text } => {
            if let Some(Overlay::Store(view)) = state.overlays.last_mut()
                && view.name == node
            {
                view.asked = false;
                view.log = Some(text.map(|text| log(&text, view.log.take(), over)));
            }
        }
    }
    Vec::new()
}

fn take_output(
    view: &mut OutputView,
    output: Result<Box<Output>, String>,
    size: crate::transcript::Size,
) {
    view.asked = false;
    let first = view.output.is_none();
    let at_end = view.doc.at_last(size) && !first;
    if let Ok(output) = &output {
        let ended = output.result.is_some();
        let long = output.text.clone();
        if first {
            view.doc = Doc::over(long).with_cursor();
            // One that still runs is followed.
            if ended {
                view.doc.start(size);
            } else {
                view.doc.end(size);
            }
        } else if view.doc.lines().len() <= long.len() {
            view.doc.grow(long);
            if at_end {
                view.doc.end(size);
            }
        }
    }
    view.output = Some(output);
}

/// A log, with the reader where they were if they had moved.
fn log(text: &str, before: Option<Result<Doc, String>>, size: crate::transcript::Size) -> Doc {
    let (mut ring, mut composer) = (Ring::unbounded(), Composer::default());
    composer.say(&mut ring, Kind::Plain, text);
    match before {
        Some(Ok(mut doc)) if !doc.at_last(size) => {
            doc.replace(ring, size);
            doc
        }
        _ => Doc::at_end(ring, false, size),
    }
}
