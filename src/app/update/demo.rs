//! The demo as the dashboard walks it: where the walk is, and what has become of its stage.
//!
//! The walk itself is in `demo::walkthrough`, the lab behind the stage in `stage`.

use crate::{
    app::{
        event::Effect,
        model::{demo::LabNews, process::Process, state::State},
        update::quit::begin_quit,
    },
    demo::{Action, Injected, Pace, World},
    transcript::Kind,
};
use std::time::Instant;

/// A person wants the next chapter.
pub(super) fn next(state: &mut State) -> Vec<Effect> {
    let tick = state.tick;
    let Some(demo) = &mut state.demo else {
        return Vec::new();
    };
    let actions = demo.walk.next(tick);
    do_actions(state, actions)
}

/// Moves the walk on as far as the time and the world allow.
pub(super) fn walk(state: &mut State) -> Vec<Effect> {
    if state.quitting.is_some() {
        return Vec::new();
    }
    let Some(demo) = &mut state.demo else {
        return Vec::new();
    };
    let world = World {
        lab_ready: demo.ready,
        snapshot: state.cluster.snapshot.as_ref(),
        tickets: state.tickets.list(),
        injected: demo.injected.as_ref(),
    };
    let actions = demo.walk.tick(&world, state.tick);
    do_actions(state, actions)
}

/// When the walk wants to go on though nothing happens.
pub(super) fn due(state: &State) -> Option<Instant> {
    let left = state.demo.as_ref()?.walk.due_in(state.tick)?;
    Some(state.tick + left)
}

pub(super) fn on_lab(state: &mut State, news: LabNews) -> Vec<Effect> {
    let Some(demo) = &mut state.demo else {
        return Vec::new();
    };
    match news {
        LabNews::Progress(progress) => demo.progress = Some(progress),
        LabNews::Ready { pd, monitor } => {
            demo.progress = None;
            demo.ready = true;
            if state.quitting.is_some() {
                return Vec::new();
            }
            state.cluster.pd = pd;
            state.agent.process = Process::Starting;
            state.monitor.process = monitor.map_or(Process::Starting, Process::Off);
            return vec![Effect::Populate];
        }
        LabNews::Failed(why) => {
            demo.progress = None;
            demo.standing = false;
            state.failure = Some(why);
            return begin_quit(state, 1);
        }
        LabNews::Injected { kind, node, at } => {
            let injected = Injected {
                kind,
                node,
                at,
                newest_ticket: demo.newest,
            };
            demo.injected = Some(injected.clone());
            demo.walk.fault_injected(injected);
        }
        LabNews::ActionFailed(why) => {
            let agent = &mut state.agent;
            agent
                .composer
                .say(&mut agent.ring, Kind::Bad, format!("the demo: {why}"));
            demo.walk.action_failed(why);
        }
        LabNews::Ended(how) => {
            demo.standing = false;
            if let Some(quitting) = &state.quitting {
                let waiting = !quitting.waiting.is_empty();
                return if waiting {
                    Vec::new()
                } else {
                    vec![Effect::Exit(quitting.code)]
                };
            }
            let why = format!("the lab is gone: its {how}; start the demo again");
            let agent = &mut state.agent;
            agent
                .composer
                .say(&mut agent.ring, Kind::Bad, format!("the demo: {why}"));
            demo.walk.action_failed(why.clone());
            // A person may still want to read what there is.
            if demo.walk.options().pace == Pace::Headless {
                state.failure = Some(why);
                return begin_quit(state, 1);
            }
        }
        LabNews::Gone => {
            demo.standing = false;
            if let Some(quitting) = &state.quitting
                && quitting.waiting.is_empty()
            {
                return vec![Effect::Exit(quitting.code)];
            }
        }
    }
    Vec::new()
}

fn do_actions(state: &mut State, actions: Vec<Action>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for action in actions {
        let Some(demo) = &mut state.demo else { break };
        match action {
            Action::SetLoad(load) => effects.push(Effect::SetLoad(load)),
            Action::Inject { fault, node } => {
                demo.newest = state.tickets.list().iter().map(|t| t.id).max().unwrap_or(0);
                effects.push(Effect::Inject { fault, node });
            }
            Action::Finish => {
                // A person may want to look around; without one there is nobody to quit.
                if demo.walk.options().pace == Pace::Headless {
                    let code = u8::from(!demo.walk.all_met());
                    effects.extend(begin_quit(state, code));
                }
            }
        }
    }
    effects
}
