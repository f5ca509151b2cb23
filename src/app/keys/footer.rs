//! What the footer offers: the bindings that hold and would do something, each by the word that fits.

use super::{
    scope::{Scope, applies},
    table::{Binding, TABLE},
};
use crate::app::{
    keys::scope::holds,
    model::{
        app::App, at_hand, command::Command, overlay::Overlay, pane::Pane, process::Process,
        state::State,
    },
};

/// What the footer offers, as things are: of a replay, what is about its time, and what its stage
/// offers.
pub fn footer(app: &App) -> Vec<(&'static Binding, String)> {
    let replay = app.in_front();
    let named = TABLE.iter().filter(|binding| !binding.footer.is_empty());
    named
        .filter_map(|binding| {
            if holds(binding.scope, app) && useful(binding, &app.live) {
                let playing = replay.is_some_and(|r| r.clock.playing());
                return Some(match binding.command {
                    Command::PlayPause if playing => (binding, "pause".into()),
                    _ => (binding, word(binding, &app.live)),
                });
            }
            let stage = replay.map(|r| &r.stage)?;
            let offered = applies(binding.scope, stage) && useful(binding, stage);
            offered.then(|| (binding, word(binding, stage)))
        })
        .collect()
}

/// Whether a binding that holds is worth a place in the footer.
pub fn useful(binding: &Binding, state: &State) -> bool {
    let bare = state.overlays.is_empty();
    match binding.command {
        Command::Follow => state.record.is_none() && !state.shown().ring.is_empty(),
        Command::Back => {
            !bare
                || state.record.is_some()
                || state.needle.is_some()
                || state.view_options.zoom
                || binding.scope == Scope::Question
        }
        Command::Replay => at_hand::session_at_hand(state).is_some(),
        Command::Approvals => bare && !at_hand::queue(state).is_empty(),
        Command::Interrupt | Command::Message if state.replayed => false,
        Command::Interrupt => {
            let works = at_hand::working(state.shown()) && state.shown().waits.is_none();
            bare && works && state.record.is_none()
        }
        Command::Message => {
            let over = state.other.as_ref().is_some_and(|other| other.ended);
            bare && state.shown().process.running() && state.record.is_none() && !over
        }
        Command::Open => match state.overlays.last() {
            None => match state.focus {
                Pane::Tickets => state.tickets.selected.is_some(),
                Pane::Cluster => state.cluster.selected().is_some(),
                Pane::Agent => state.record.is_some() || !state.shown().view.following(),
                Pane::Chapter => false,
            },
            Some(Overlay::Ticket(view)) => view.text.session_at(u64::MAX).is_some(),
            Some(Overlay::Sessions(browser)) => browser.current().is_some(),
            Some(_) => false,
        },
        Command::Copy if matches!(state.overlays.last(), Some(Overlay::Approval(_))) => false,
        Command::Copy | Command::Search => match state.overlays.last() {
            None => state.record.is_some() || !state.shown().ring.is_empty(),
            Some(_) => true,
        },
        Command::Hold | Command::Resolve | Command::Reopen => {
            at_hand::would(binding.command, state)
        }
        Command::NextPane | Command::Zoom | Command::Quit | Command::Prompt => bare,
        Command::Sessions => bare && state.record.is_none() && !state.replayed,
        Command::SearchNext => state.needle.is_some(),
        Command::RestartAgent => {
            let here = match state.overlays.last() {
                None => state.record.is_none(),
                Some(overlay) => matches!(overlay, Overlay::Processes),
            };
            here && matches!(state.agent.process, Process::GaveUp { .. })
        }
        Command::NextChapter => state.demo.as_ref().is_some_and(|d| d.can_go(state.tick).1),
        Command::PreviousChapter => state.demo.as_ref().is_some_and(|d| d.can_go(state.tick).0),
        _ => true,
    }
}

/// The word for a binding in the footer, as things are.
pub fn word(binding: &Binding, state: &State) -> String {
    match binding.command {
        Command::Follow if state.shown().view.following() => "freeze".into(),
        Command::Approvals => format!("approve … ({})", at_hand::queue(state).len()),
        Command::Open if state.focus == Pane::Agent && state.overlays.is_empty() => "output".into(),
        Command::Hold if at_hand::is_held(state) => "let go".into(),
        Command::PlayPause => "play".into(),
        Command::Quit if state.replayed => "close".into(),
        Command::Zoom if state.view_options.zoom => "all panes".into(),
        _ => binding.footer.to_owned(),
    }
}
