//! Ending: the children first, then the program.

use crate::app::{
    event::Effect,
    model::{
        child::Child,
        state::{Quitting, State},
    },
};

/// Ends the children, then the program.
pub(super) fn begin_quit(state: &mut State, code: u8) -> Vec<Effect> {
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
        since: state.tick,
        waiting,
    });
    // Together: the agent ends within its grace whether its lab is there or not.
    if standing {
        vec![Effect::StopAll, Effect::TearDownLab]
    } else {
        vec![Effect::StopAll]
    }
}
