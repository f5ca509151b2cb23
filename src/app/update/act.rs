//! What commands do, whether a key asked for them or a typed line: to what is live, or to the stage of
//! a replay that is in front.

use crate::{
    app::{
        event::Effect,
        keys::help::help,
        model::{
            app::App,
            at_hand,
            browser::Browser,
            child::Child,
            command::Command,
            overlay::{Overlay, Question},
            pane::Pane,
            prompt::{Prompt, PromptKind},
            state::State,
        },
        request::{Request, Write},
        update::{
            approvals, attach,
            copy::{self, What},
            demo, open,
            quit::begin_quit,
            reading::{self, Move},
            record, replay, steer,
        },
    },
    transcript::Doc,
};

/// `argument` is what was typed after the command's name.
pub(super) fn act(app: &mut App, command: Command, argument: &str) -> Vec<Effect> {
    if let Some(effects) = replay::act_in(app, command, argument) {
        return effects;
    }
    match command {
        Command::Replay => play(app, argument),
        _ if replay::is_about_time(command) => replay::act_on(app, command, argument),
        _ => act_on(&mut app.live, command, argument),
    }
}

/// What a command does to a state, live or on the stage of a replay.
pub(super) fn act_on(state: &mut State, command: Command, argument: &str) -> Vec<Effect> {
    use Command as C;
    let number = || argument.trim_start_matches('#').parse().ok();
    match command {
        C::Quit if !state.overlays.is_empty() || state.record.is_some() => {
            state.needle = None;
            if state.overlays.pop().is_none() {
                state.record = None;
            }
        }
        C::Quit => return quit(state, false),
        C::Break => return quit(state, true),
        C::Suspend => return vec![Effect::Suspend],
        C::Redraw => return vec![Effect::Redraw],
        C::Help => match state.overlays.last() {
            Some(Overlay::Help(_)) => drop(state.overlays.pop()),
            _ => state.overlays.push(Overlay::Help(Doc::new(help(state)))),
        },
        C::Yes => return yes(state),
        C::Back => return back(state),
        C::NextPane => focus(state, 1),
        C::PreviousPane => focus(state, -1),
        C::Pane(pane) => {
            if state.panes().contains(&pane) {
                state.overlays.clear();
                state.focus = pane;
            }
        }
        C::Zoom => state.view_options.zoom = !state.view_options.zoom,
        C::Open => return open::open(state),
        C::Down => return reading::go(state, Move::Rows(1)),
        C::Up => return reading::go(state, Move::Rows(-1)),
        C::PageDown => return reading::go(state, Move::Page(reading::page(state))),
        C::PageUp => return reading::go(state, Move::Page(-reading::page(state))),
        C::HalfDown => return reading::go(state, Move::Page(reading::page(state) / 2 + 1)),
        C::HalfUp => return reading::go(state, Move::Page(-(reading::page(state) / 2 + 1))),
        C::Top => return reading::go(state, Move::Top),
        C::Bottom => return reading::go(state, Move::Bottom),
        C::Follow => follow(state),
        C::PreviousCommand => return reading::jump(state, false),
        C::NextCommand => return reading::jump(state, true),
        C::Search if argument.is_empty() => ask(state, PromptKind::Search),
        C::Search => return reading::search(state, argument),
        C::SearchNext => return reading::find(state, true),
        C::SearchPrevious => return reading::find(state, false),
        C::Fold => reading::fold(state),
        C::Wrap => state.view_options.no_wrap = !state.view_options.no_wrap,
        C::Copy => match argument {
            "" => state.copying = true,
            "line" => return copy::copy(state, What::Line),
            "command" => return copy::copy(state, What::Command),
            "block" => return copy::copy(state, What::Block),
            other => state.say(format!(
                "`{other}` is nothing to copy: line, command or block."
            )),
        },
        C::CopyLine => return copy::copy(state, What::Line),
        C::CopyCommand => return copy::copy(state, What::Command),
        C::CopyBlock => return copy::copy(state, What::Block),
        C::NextChapter => return demo::next(state),
        C::PreviousChapter => {
            if let Some(demo) = &mut state.demo {
                demo.back();
            }
        }
        C::Sessions => return sessions(state),
        C::Approvals => approvals::open(state),
        C::Approve => return approvals::answer(state, true, argument),
        C::Reject => approvals::ask_why(state),
        C::Interrupt => steer::ask_interrupt(state),
        C::Message if argument.is_empty() => steer::ask_message(state),
        C::Message => return steer::message(state, argument),
        C::Hold => return steer::hold(state, number()),
        C::Resolve => steer::ask_resolve(state, number()),
        C::Reopen => return steer::reopen(state, number()),
        C::RestartAgent => return steer::restart(state, Child::Agent),
        C::RestartMonitor => return steer::restart(state, Child::Monitor),
        C::Processes => state.overlays.push(Overlay::Processes),
        C::Mouse => {
            state.view_options.mouse = !state.view_options.mouse;
            state.say(if state.view_options.mouse {
                "Mouse on: wheel scrolls, click focuses. Shift selects text in most terminals."
            } else {
                "Mouse off: the terminal selects text again."
            });
            return vec![Effect::Mouse(state.view_options.mouse)];
        }
        C::Prompt => ask(state, PromptKind::Command),
        C::Ticket => match number() {
            Some(id) => return open::ticket(state, id),
            None => state.say("Which ticket? Its number: `ticket 4`."),
        },
        C::Session if argument.is_empty() => return sessions(state),
        C::Session => return vec![Effect::Read(Request::Session(argument.to_owned()))],
        C::Store => return open::store_named(state, argument),
        C::Theme => match argument.parse() {
            Ok(palette) => state.view_options.palette = palette,
            Err(why) => state.say(why),
        },
        // About what is above a state: `act` has them.
        C::Replay
        | C::PlayPause
        | C::Earlier
        | C::Later
        | C::MuchEarlier
        | C::MuchLater
        | C::PreviousMark
        | C::NextMark
        | C::Beginning
        | C::End
        | C::Slower
        | C::Faster
        | C::Seek => {}
    }
    Vec::new()
}

fn play(app: &mut App, argument: &str) -> Vec<Effect> {
    let session = match argument {
        "" => at_hand::session_at_hand(&app.live),
        named => Some(named.to_owned()),
    };
    match session {
        Some(session) => replay::open(app, &session),
        None => {
            app.live.say("Which session? s shows those there are.");
            Vec::new()
        }
    }
}

fn ask(state: &mut State, kind: PromptKind) {
    state.prompt = Some(Prompt::new(kind, ""));
}

fn quit(state: &mut State, at_once: bool) -> Vec<Effect> {
    if at_once && state.quitting.is_some() {
        return vec![Effect::KillAll];
    }
    let asked = matches!(
        state.overlays.last(),
        Some(Overlay::Confirm(Question::Quit))
    );
    let busy = state.agent.running.is_some() && state.quitting.is_none();
    if busy && !(at_once && asked) {
        state.overlays.push(Overlay::Confirm(Question::Quit));
        return Vec::new();
    }
    begin_quit(state, 0)
}

fn yes(state: &mut State) -> Vec<Effect> {
    let Some(Overlay::Confirm(question)) = state.overlays.pop() else {
        return Vec::new();
    };
    match question {
        Question::Quit => begin_quit(state, 0),
        Question::Interrupt => steer::interrupt(state),
        Question::Restart(child) => vec![Effect::Restart(child)],
        Question::Resolve(ticket) => vec![Effect::Write(Write::Resolve(ticket))],
    }
}

/// One step back: what is open, what is searched for, an earlier session, a frozen pane, a session
/// that was chosen.
fn back(state: &mut State) -> Vec<Effect> {
    if state.overlays.pop().is_some() || state.needle.take().is_some() {
        return Vec::new();
    }
    if state.record.take().is_some() {
        return Vec::new();
    }
    if !state.shown().view.following() {
        state.shown_mut().view.follow();
        return Vec::new();
    }
    let left_over = state.other.as_ref().is_some_and(|o| o.pinned || o.ended);
    if left_over {
        return attach::unpin(state);
    }
    state.view_options.zoom = false;
    Vec::new()
}

fn focus(state: &mut State, step: isize) {
    state.overlays.clear();
    let panes = state.panes();
    let at = panes.iter().position(|p| *p == state.focus).unwrap_or(0);
    let next = (at.cast_signed() + step).rem_euclid(panes.len().cast_signed());
    state.focus = panes[next.cast_unsigned()];
}

/// Follows if it is frozen, freezes if it follows.
fn follow(state: &mut State) {
    if state.record.take().is_some() {
        return;
    }
    let size = state.geometry.agent;
    let agent = state.shown_mut();
    if agent.view.following() {
        agent.view.pause(&agent.ring, size);
    } else {
        agent.view.follow();
    }
}

fn sessions(state: &mut State) -> Vec<Effect> {
    let browser = Browser {
        loading: true,
        ..Browser::default()
    };
    state.overlays.push(Overlay::Sessions(browser));
    vec![Effect::Read(Request::Sessions(None))]
}

/// Where the ledger has more to say of what is open, now that it has changed.
pub(super) fn read_again(state: &mut State) -> Vec<Effect> {
    let mut effects = match state.overlays.last_mut() {
        Some(Overlay::Ticket(view)) => open::ticket_again(view).into_iter().collect(),
        Some(Overlay::Output(view)) => open::output_again(view).into_iter().collect(),
        Some(Overlay::Sessions(browser)) if browser.selected == 0 && !browser.loading => {
            vec![Effect::Read(Request::Sessions(None))]
        }
        _ => Vec::new(),
    };
    if state.focus == Pane::Agent {
        effects.extend(record::grown(state));
    }
    effects
}
