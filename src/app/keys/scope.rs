//! Where a key holds, and whether it would do something there: a key that would do nothing is not
//! offered; see [`super::footer`].

use crate::app::model::{app::App, overlay::Overlay, pane::Pane, state::State};

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

/// Whether a binding holds for the whole window: where a replay is in front, what is about its time,
/// else what [`applies`] to what is live.
pub fn holds(scope: Scope, app: &App) -> bool {
    let Some(replay) = app.in_front() else {
        return applies(scope, &app.live);
    };
    let stage = &replay.stage;
    match scope {
        Scope::Always => true,
        Scope::Replay => stage.overlays.is_empty() && stage.prompt.is_none() && !stage.copying,
        _ => false,
    }
}

/// Whether a binding holds in what is read there: live, or the stage of a replay.
pub fn applies(scope: Scope, state: &State) -> bool {
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
        Scope::Replay | Scope::Typed => false,
    }
}
