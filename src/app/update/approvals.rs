//! Commands that wait for a person, in the order they asked: of our agent, and of agents elsewhere,
//! as the ledger has them. Nothing runs unless somebody approves it; looking away leaves it waiting.

use crate::{
    app::{
        event::Effect,
        model::{
            agent::Proposal,
            approvals::CONFIRMED,
            at_hand::queue,
            child::Child,
            overlay::{ApprovalView, Overlay},
            prompt::{Prompt, PromptKind},
            state::State,
        },
        request::Write,
    },
    transcript::{Composer, Doc, Kind, Ring},
};
use agent_lab::control::person;
use operator_ledger::event::Control;

/// Shows the first that waits.
pub(super) fn open(state: &mut State) {
    let Some(first) = queue(state).first().map(|p| (*p).clone()) else {
        state.say("Nothing waits for approval.");
        return;
    };
    state
        .overlays
        .retain(|o| !matches!(o, Overlay::Approval(_)));
    let doc = document(&first);
    state.overlays.push(Overlay::Approval(ApprovalView {
        proposal: first,
        doc,
    }));
}

/// The command, every line of it, and why.
fn document(proposal: &Proposal) -> Doc {
    let (mut ring, mut composer) = (Ring::unbounded(), Composer::default());
    for (n, line) in proposal.command.lines().enumerate() {
        let kind = if n == 0 {
            Kind::Command
        } else {
            Kind::CommandMore
        };
        ring.push(kind, line);
    }
    composer.say(&mut ring, Kind::Why, proposal.reasoning.replace('\n', " "));
    let why = format!("it waits: {}", proposal.why);
    ring.push_line(Kind::Notice, why, 0, true);
    Doc::new(ring)
}

/// Closes what shows a proposal that was decided elsewhere meanwhile.
pub(super) fn settle(state: &mut State) {
    let now = state.tick;
    let answered = &mut state.approvals.answered;
    answered.retain(|(_, _, at)| now.saturating_duration_since(*at) < CONFIRMED);
    let Some(Overlay::Approval(view)) = state.overlays.last() else {
        return;
    };
    let (session, call) = (view.proposal.session.clone(), view.proposal.call.clone());
    let waits = queue(state)
        .iter()
        .any(|p| p.session == session && p.call == call);
    if !waits {
        state.overlays.pop();
        state.prompt.take_if(|p| p.kind == PromptKind::Reject);
        state.say("That command was decided elsewhere, or its session has ended.");
    }
}

/// Asks why it is rejected; no answer is needed.
pub(super) fn ask_why(state: &mut State) {
    if matches!(state.overlays.last(), Some(Overlay::Approval(_))) {
        state.prompt = Some(Prompt::new(PromptKind::Reject, ""));
    }
}

/// Answers the proposal that is shown.
pub(super) fn answer(state: &mut State, approved: bool, why: &str) -> Vec<Effect> {
    let Some(Overlay::Approval(view)) = state.overlays.last() else {
        return Vec::new();
    };
    if approved && !view.doc.near_end(1, state.geometry.overlay) {
        state.say("Read it to its end first: j goes down.");
        return Vec::new();
    }
    let proposal = view.proposal.clone();
    state.overlays.pop();
    let now = state.tick;
    let asked = (proposal.session.clone(), proposal.call.clone(), now);
    state.approvals.answered.push(asked);
    let word = if approved { "approved" } else { "rejected" };
    let reason = if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    };
    let left = queue(state).len();
    state.say(match left {
        0 => format!("You {word} it{reason}."),
        _ => format!("You {word} it{reason}. {left} more wait: a shows the next."),
    });
    let (call, why, by) = (proposal.call.clone(), why.to_owned(), person());
    let control = if approved {
        Control::Approve { call, why, by }
    } else {
        Control::Reject { call, why, by }
    };
    let ours = state.agent.proposal.as_ref() == Some(&proposal);
    match proposal.session {
        _ if ours => vec![Effect::Control(Child::Agent, control)],
        Some(session) => vec![Effect::Write(Write::Command { session, control })],
        None => Vec::new(),
    }
}
