//! When a person is called: the bell, and the title of the window, which says why until a key is
//! pressed.

use crate::app::{
    event::Effect,
    model::{
        at_hand,
        cluster::Overall,
        process::Process,
        state::State,
        tickets::{DisplayState, LedgerView, display_state},
    },
};
use operator_ledger::{Severity, Ticket};

/// Calls for tickets that are new and critical, and for those that were given up since the ledger
/// was read before.
pub(super) fn on_tickets(state: &mut State, view: &LedgerView) {
    let Some(before) = &state.tickets.view else {
        return;
    };
    if before.error.is_some() || before.missing {
        return;
    }
    let given_up = |t: &Ticket| {
        matches!(
            display_state(t),
            DisplayState::Escalated | DisplayState::NeedsPerson
        )
    };
    let newest = before.tickets.iter().map(|t| t.id).max().unwrap_or(0);
    let mut calls = Vec::new();
    for ticket in &view.tickets {
        let earlier = before.tickets.iter().find(|t| t.id == ticket.id);
        if given_up(ticket) && !earlier.is_some_and(given_up) {
            calls.push(format!("escalated #{}", ticket.id));
        } else if ticket.id > newest && ticket.severity == Severity::Critical {
            calls.push(format!("critical #{}", ticket.id));
        }
    }
    for call in calls {
        state.attention.call(call);
    }
}

/// Calls for proposals nobody was called for yet.
pub(super) fn on_proposals(state: &mut State) {
    let queue: Vec<_> = at_hand::queue(state)
        .into_iter()
        .map(|p| (p.session.clone(), p.call.clone()))
        .collect();
    let new = queue.iter().any(|q| !state.attention.asked.contains(q));
    state.attention.asked = queue;
    if new {
        state.attention.call("a command waits for approval");
    }
}

/// What is owed: bell and title.
pub(super) fn effects(state: &mut State) -> Vec<Effect> {
    let mut effects = Vec::new();
    if std::mem::take(&mut state.attention.calls) > 0 {
        effects.push(Effect::Bell);
    }
    let title = title(state);
    if title != state.attention.title {
        state.attention.title.clone_from(&title);
        effects.push(Effect::Title(title));
    }
    effects
}

fn title(state: &State) -> String {
    let health = match state.cluster.overall().0 {
        Overall::Unknown => "? unknown",
        Overall::NotBootstrapped => "not bootstrapped",
        Overall::Suspect => "? SUSPECT",
        Overall::Healthy => "healthy",
        Overall::Degraded => "! DEGRADED",
        Overall::NoPdLeader => "✗ NO PD LEADER",
        Overall::Unavailable => "✗ UNAVAILABLE",
    };
    let agent = state.shown();
    let doing = match (&agent.process, agent.ticket) {
        (Process::GaveUp { failed: true, .. }, _) => " · agent DEAD".into(),
        (_, Some(ticket)) if at_hand::working(agent) => format!(" · #{ticket}"),
        _ => String::new(),
    };
    match &state.attention.mark {
        Some(why) => format!("(!) {why} · operator: {health}{doing}"),
        None => format!("operator: {health}{doing}"),
    }
}
