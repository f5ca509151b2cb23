//! Where a key holds, and whether it would do something there: a key that would do nothing is not
//! offered. What questions ask is here too.

use super::{
    approvals, attach,
    keys::{Binding, Command},
    open,
    overlay::{Overlay, Question},
    state::{Pane, Process, State},
    steer,
};

/// Where a binding holds. The first that matches a key wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A question is asked.
    Question,
    /// A command that waits for approval is shown.
    Approval,
    /// `y` was pressed.
    Copying,
    /// No question is asked.
    Free,
    /// As `Free`, where there is something to read.
    Reading,
    /// As `Free`, with the agent pane focused and nothing over it.
    Agent,
    /// As `Free`, where a ticket is open or chosen.
    Ticket,
    /// As `Free`, where a session is chosen or open.
    Session,
    /// In a demo, with nothing over it.
    Demo,
    /// A replay is open, and nothing on its stage.
    Replay,
    Always,
    /// By its name only.
    Typed,
}

pub fn applies(scope: Scope, state: &State) -> bool {
    if let Some(replay) = state.replay.as_ref().filter(|_| state.overlays.is_empty()) {
        let bare = replay.stage.overlays.is_empty() && replay.stage.prompt.is_none();
        return match scope {
            Scope::Always => true,
            Scope::Replay => bare && !replay.stage.copying,
            _ => false,
        };
    }
    let top = state.overlays.last();
    let question = matches!(top, Some(Overlay::Confirm(_)));
    let bare = state.overlays.is_empty();
    let free = !question && !state.copying;
    match scope {
        Scope::Always => true,
        Scope::Question => question,
        Scope::Copying => state.copying,
        Scope::Approval => matches!(top, Some(Overlay::Approval(_))) && free,
        Scope::Free => free,
        Scope::Reading => {
            free && match top {
                None => matches!(state.focus, Pane::Agent | Pane::Chapter),
                Some(overlay) => !matches!(overlay, Overlay::Processes),
            }
        }
        Scope::Ticket => {
            let open = matches!(top, Some(Overlay::Ticket(_)));
            let chosen = bare && state.focus == Pane::Tickets && state.tickets.selected.is_some();
            free && (open || chosen)
        }
        Scope::Agent => bare && free && state.focus == Pane::Agent,
        Scope::Demo => bare && free && state.demo.is_some(),
        Scope::Session => {
            let open = bare && state.record.is_some() && state.focus == Pane::Agent;
            let chosen = matches!(top, Some(Overlay::Sessions(_) | Overlay::Ticket(_)));
            free && !state.replayed && (open || chosen)
        }
        Scope::Replay => false,
        Scope::Typed => false,
    }
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
                || state.taste.zoom
                || binding.scope == Scope::Question
        }
        Command::Replay => open::session_at_hand(state).is_some(),
        Command::Approvals => bare && !approvals::queue(state).is_empty(),
        Command::Interrupt | Command::Message if state.replayed => false,
        Command::Interrupt => {
            let works = attach::working(state.shown()) && state.shown().waits.is_none();
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
        Command::Hold | Command::Resolve | Command::Reopen => steer::would(binding.command, state),
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
        Command::Approvals => format!("approve … ({})", approvals::queue(state).len()),
        Command::Open if state.focus == Pane::Agent && state.overlays.is_empty() => "output".into(),
        Command::Hold if steer::is_held(state) => "let go".into(),
        Command::PlayPause => match &state.replay {
            Some(replay) if replay.clock.playing() => "pause".into(),
            _ => "play".into(),
        },
        Command::Quit if state.replayed => "close".into(),
        Command::Zoom if state.taste.zoom => "all panes".into(),
        _ => binding.footer.to_owned(),
    }
}

/// What a question asks, and what yes does.
pub fn question(question: Question, state: &State) -> [String; 2] {
    match question {
        Question::Quit => [
            "Quit while the agent works?".into(),
            match &state.agent.running {
                Some(running) => format!("Its command is ended: {}", running.input),
                None => "Its session is marked interrupted and the ticket released.".into(),
            },
        ],
        Question::Interrupt => [
            "Interrupt the agent?".into(),
            match &state.shown().running {
                Some(running) => format!("Ends its command: {}", running.input),
                None => "Ends its turn; it then waits for a message.".into(),
            },
        ],
        Question::Restart(child) => [
            format!("Restart the {} while it works?", child.name()),
            "Its session is marked interrupted and the ticket released.".into(),
        ],
        Question::Resolve(ticket) => [
            format!("Resolve #{ticket} by hand?"),
            "It counts as done because you say so. An agent that works on it is stopped.".into(),
        ],
    }
}
