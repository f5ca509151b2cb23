//! What a person tells an agent, and does to tickets. Ours is told by its stdin, an agent elsewhere
//! by the ledger; either way the record says who it was.

use crate::{
    app::{
        event::Effect,
        model::{
            at_hand::{self, ticket_at_hand},
            child::Child,
            overlay::{Overlay, Question},
            prompt::{Prompt, PromptKind},
            state::State,
        },
        request::Write,
    },
    transcript::Kind,
};
use agent_lab::control::person;
use operator_ledger::event::Control;

/// Lines of one's own message that are shown.
const ECHO: usize = 3;

pub(super) fn ask_interrupt(state: &mut State) {
    if state.shown().ticket.is_some() {
        state.overlays.push(Overlay::Confirm(Question::Interrupt));
    } else {
        state.say("The agent is not working on a ticket.");
    }
}

pub(super) fn interrupt(state: &mut State) -> Vec<Effect> {
    tell(state, "you: interrupt", Control::Interrupt { by: person() })
}

pub(super) fn ask_message(state: &mut State) {
    let ended = state.other.as_ref().is_some_and(|o| o.ended);
    if state.shown().process.running() && !ended {
        state.prompt = Some(Prompt::new(PromptKind::Message, ""));
    } else {
        state.say("No agent is running to read a message.");
    }
}

pub(super) fn message(state: &mut State, text: &str) -> Vec<Effect> {
    if text.is_empty() {
        return Vec::new();
    }
    let control = Control::Message {
        text: text.to_owned(),
        by: person(),
    };
    // The agent's pane is for what the agent says.
    let lines = text.lines().count();
    let shown: Vec<&str> = text.lines().take(ECHO).collect();
    let mut words = format!("you: {}", shown.join("\n"));
    if lines > ECHO {
        words += &format!("\n     … {lines} lines");
    }
    tell(state, &words, control)
}

/// To the agent whose pane it is.
fn tell(state: &mut State, words: &str, control: Control) -> Vec<Effect> {
    let to = state.other.as_ref().map(|o| (o.session.clone(), o.ended));
    if let Some((_, true)) = to {
        state.say("That session has ended: there is no agent to tell it to.");
        return Vec::new();
    }
    let agent = state.shown_mut();
    agent.composer.say(&mut agent.ring, Kind::Child, words);
    match to {
        Some((session, _)) => vec![Effect::Write(Write::Command { session, control })],
        None => vec![Effect::Control(Child::Agent, control)],
    }
}

/// Holds the ticket at hand, or lets it go.
pub(super) fn hold(state: &mut State, ticket: Option<i64>) -> Vec<Effect> {
    let Some(ticket) = ticket.or_else(|| ticket_at_hand(state)) else {
        state.say("Which ticket? Choose one in the tickets pane, or open it.");
        return Vec::new();
    };
    let known = state.tickets.list().iter().find(|t| t.id == ticket);
    // One that waits for a person is let go by this, held or not.
    let held = known.is_none_or(|t| !t.held && !t.needs_person);
    vec![Effect::Write(Write::Hold { ticket, held })]
}

pub(super) fn ask_resolve(state: &mut State, ticket: Option<i64>) {
    match ticket.or_else(|| ticket_at_hand(state)) {
        Some(ticket) => state
            .overlays
            .push(Overlay::Confirm(Question::Resolve(ticket))),
        None => state.say("Which ticket? Choose one in the tickets pane, or open it."),
    }
}

pub(super) fn reopen(state: &mut State, ticket: Option<i64>) -> Vec<Effect> {
    match ticket.or_else(|| ticket_at_hand(state)) {
        Some(ticket) => vec![Effect::Write(Write::Reopen(ticket))],
        None => {
            state.say("Which ticket? Choose one in the tickets pane, or open it.");
            Vec::new()
        }
    }
}

pub(super) fn restart(state: &mut State, child: Child) -> Vec<Effect> {
    let process = state.process(child);
    if !process.supervised() {
        state.say(format!("There is no {} of ours to restart.", child.name()));
        return Vec::new();
    }
    if child == Child::Agent && at_hand::working(&state.agent) {
        let question = Question::Restart(child);
        state.overlays.push(Overlay::Confirm(question));
        return Vec::new();
    }
    vec![Effect::Restart(child)]
}
