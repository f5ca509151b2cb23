//! What children say and do.

use crate::{
    app::{
        event::Effect,
        model::{
            agent::Phase,
            child::Child,
            process::{Process, meaning},
            state::State,
        },
    },
    supervisor::{Fact, Item},
    transcript::{Kind, clean::clean, compose::seconds},
};
use jiff::SignedDuration;
use operator_ledger::event;

pub fn on_child(state: &mut State, child: Child, items: Vec<Item>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for item in items {
        match item {
            Item::Fact(fact) => effects.extend(on_fact(state, child, fact)),
            item => match child {
                Child::Agent => agent_says(state, item),
                Child::Monitor => monitor_says(state, item),
            },
        }
    }
    effects
}

fn agent_says(state: &mut State, item: Item) {
    let now = state.now;
    let agent = &mut state.agent;
    agent.last_event_at = Some(now);
    let (ring, composer) = (&mut agent.ring, &mut agent.composer);
    match item {
        Item::State(event) => agent.apply_event(&event, now),
        Item::Delta(line) => match std::str::from_utf8(&line).ok().and_then(event::parse) {
            Some(event) => composer.event(ring, &event),
            None => composer.plain(ring, Kind::Plain, &line, 0),
        },
        Item::Plain {
            line,
            stderr,
            omitted,
        } => {
            let kind = if stderr {
                Kind::ErrorOutput
            } else {
                Kind::Plain
            };
            composer.plain(ring, kind, &line, omitted);
            if agent.phase == Phase::Silent && !stderr {
                agent.enter(Phase::Plain, now);
            }
        }
        Item::Lost(lines) => composer.lost(ring, lines),
        Item::Fact(_) => {}
    }
}

/// What the monitor finds is in the ledger; its words matter when it fails.
fn monitor_says(state: &mut State, item: Item) {
    if let Item::Plain {
        line, stderr: true, ..
    } = item
    {
        state.monitor.last_line = Some(clean(&line).0);
    }
}

fn on_fact(state: &mut State, child: Child, fact: Fact) -> Vec<Effect> {
    let now = state.now;
    let name = child.name();
    if let Some((kind, text)) = words(name, &fact) {
        let agent = &mut state.agent;
        agent.composer.say(&mut agent.ring, kind, text);
    }
    let quiet = state.quitting.is_some();
    let process = state.process_mut(child);
    match fact {
        Fact::Started { pid } => {
            *process = Process::Running { pid, since: now };
            if child == Child::Agent {
                state.agent.reset(now);
            }
        }
        Fact::Exited { how, success } => {
            *process = Process::Exited {
                how,
                at: now,
                failed: !success,
                held: false,
            };
            if child == Child::Agent {
                state.agent.reset(now);
                if !success && !quiet {
                    state.attention.call("the agent ended");
                }
            }
        }
        Fact::PipeHeld => {
            if let Process::Exited { held, .. } = process {
                *held = true;
            }
        }
        Fact::Restarting { after } => {
            let how = match process {
                Process::Exited { how, .. } => std::mem::take(how),
                _ => String::new(),
            };
            let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::ZERO);
            *process = Process::Restarting {
                how,
                at: now,
                due: now + after,
            };
        }
        Fact::GaveUp { why, stderr } => {
            let failed = !matches!(process, Process::Exited { failed: false, .. });
            *process = Process::GaveUp {
                why,
                stderr: stderr.iter().map(|l| clean(l.as_bytes()).0).collect(),
                at: now,
                failed,
            };
            if !quiet {
                state
                    .attention
                    .call(format!("the {name} is not started again"));
            }
        }
        Fact::Stopped => {
            *process = Process::Stopped;
            if let Some(quitting) = &mut state.quitting {
                quitting.waiting.retain(|c| *c != child);
                let standing = state.demo.as_ref().is_some_and(|d| d.standing);
                if quitting.waiting.is_empty() && !standing {
                    return vec![Effect::Exit(quitting.code)];
                }
            }
        }
        Fact::StartFailed { .. } | Fact::OutputEnded | Fact::ControlLost { .. } => {}
    }
    Vec::new()
}

/// What the transcript says of a fact. The agent's pane tells of all children: there is where
/// people look.
fn words(name: &str, fact: &Fact) -> Option<(Kind, String)> {
    Some(match fact {
        Fact::Started { .. } | Fact::OutputEnded | Fact::StartFailed { .. } | Fact::Stopped => {
            return None;
        }
        Fact::Exited { how, success } => {
            let kind = if *success { Kind::Child } else { Kind::Bad };
            let meaning = meaning(how).map_or(String::new(), |m| format!(": {m}"));
            (kind, format!("the {name} ended: {how}{meaning}"))
        }
        Fact::PipeHeld => (
            Kind::Warning,
            format!("the {name} has exited, but something it started holds its output open"),
        ),
        Fact::Restarting { after } => {
            let wait = seconds(after.as_millis().try_into().unwrap_or(u64::MAX));
            (
                Kind::Child,
                format!("the {name} is started again in {wait}"),
            )
        }
        Fact::GaveUp { why, stderr } => {
            let mut text = format!("the {name} is not started again: {why}; r restarts it");
            if name == "monitor" {
                text = text.replace("; r ", "; R ");
            }
            for line in stderr {
                text.push_str("\n  stderr: ");
                text.push_str(line);
            }
            (Kind::Bad, text)
        }
        Fact::ControlLost { why } => (
            Kind::Warning,
            format!("the {name} did not get what was sent to it: {why}"),
        ),
    })
}
