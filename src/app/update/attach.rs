//! Whose session the agent's pane shows. Ours, while it works; else, if an agent that nobody here
//! started holds a ticket, that one's, followed through the ledger.

use crate::{
    app::{
        event::Effect,
        model::{
            agent::{Agent, Phase},
            at_hand::elsewhere,
            other::Other,
            process::Process,
            state::State,
        },
    },
    history::SessionUpdate,
    transcript::clean::clean,
};
use operator_ledger::{RunningSession, SessionStatus};

/// Chooses anew, when the ledger or our agent has changed.
pub(super) fn settle(state: &mut State) -> Vec<Effect> {
    let ours_works = state.agent.ticket.is_some();
    let ours_talks = state.agent.phase == Phase::Plain && state.agent.process.running();
    let keep = state.other.as_ref().is_some_and(|other| {
        other.pinned || (!ours_works && (!other.ended || elsewhere(state).next().is_none()))
    });
    if keep {
        return Vec::new();
    }
    let next = elsewhere(state)
        .next()
        .filter(|_| !ours_works && !ours_talks)
        .cloned();
    match next {
        Some(next) => follow(state, &next, false),
        None if state.other.take().is_some() => vec![Effect::Follow(None)],
        None => Vec::new(),
    }
}

/// Follows a session that runs elsewhere.
pub(super) fn follow(state: &mut State, running: &RunningSession, pinned: bool) -> Vec<Effect> {
    let session = running.session.session_id.clone();
    let whose = match running.pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".into(),
    };
    let mut agent = Agent::new(Process::Elsewhere(whose), state.now);
    let model = running.session.model.as_deref().unwrap_or("model unknown");
    agent.model = Some(clean(model.as_bytes()).0);
    state.other = Some(Other {
        session: session.clone(),
        agent,
        pinned,
        ended: false,
        untaken: Vec::new(),
    });
    vec![Effect::Follow(Some(session))]
}

/// Back to our own agent, or to whichever works.
pub(super) fn unpin(state: &mut State) -> Vec<Effect> {
    if state.other.take().is_none() {
        return Vec::new();
    }
    let mut effects = vec![Effect::Follow(None)];
    effects.extend(settle(state));
    effects
}

pub(super) fn on_news(state: &mut State, news: &SessionUpdate) {
    let now = state.now;
    let Some(other) = state.other.as_mut() else {
        return;
    };
    if other.session != news.session.session_id {
        return;
    }
    for event in &news.events {
        let at = event.at.min(now);
        other.agent.last_event_at = Some(at);
        other.agent.apply_event(event, at);
    }
    if let Some(proposal) = &mut other.agent.proposal {
        proposal.session = Some(other.session.clone());
    }
    other.ended = news.session.status != SessionStatus::Running;
    other.agent.cost = news.session.usage.cost_usd;
    let untaken = news.commands.iter().filter(|c| c.taken_at.is_none());
    other.untaken = untaken.filter(|_| !other.ended).cloned().collect();
}
