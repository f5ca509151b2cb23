//! Whose session the agent's pane shows. Ours, while it works; else, if an agent that nobody here
//! started holds a ticket, that one's, followed through the ledger.

use super::{
    agent::{Agent, Phase},
    event::Effect,
    state::{Process, State},
};
use crate::{history::News, transcript::clean::clean};
use jiff::SignedDuration;
use operator_ledger::{CommandRow, RunningSession};

/// Ours is in the ledger before it says so itself.
const OURS_SPEAKS: SignedDuration = SignedDuration::from_secs(2);

/// An agent elsewhere.
#[derive(Debug)]
pub struct Other {
    pub session: String,
    pub agent: Agent,
    /// A person chose it.
    pub pinned: bool,
    pub ended: bool,
    /// What people told it that it has not taken yet.
    pub untaken: Vec<CommandRow>,
}

pub fn working(agent: &Agent) -> bool {
    agent.process.running() && matches!(agent.phase, Phase::Working | Phase::Verifying)
}

/// Sessions on this cluster that run and are not ours.
pub fn elsewhere(state: &State) -> impl Iterator<Item = &RunningSession> {
    let view = state.tickets.view.as_ref();
    let here = state
        .cluster
        .snapshot
        .as_ref()
        .and_then(|s| s.cluster_id.clone());
    let ours = match state.agent.process {
        Process::Running { pid, .. } => Some(pid),
        _ => None,
    };
    view.into_iter()
        .flat_map(|v| &v.running)
        .filter(move |r| Some(&r.session.session_id) != state.agent.session.as_ref())
        .filter(move |r| r.pid.is_none() || r.pid != ours)
        .filter(move |r| {
            here.is_none() || r.session.cluster_id.is_none() || here == r.session.cluster_id
        })
        .filter(move |r| {
            // A program we started may have started the agent in turn.
            let young = |at| state.since(at) < OURS_SPEAKS;
            ours.is_none() || !r.session.started_at.is_some_and(young)
        })
}

/// Chooses anew, when the ledger or our agent has changed.
pub fn settle(state: &mut State) -> Vec<Effect> {
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
pub fn follow(state: &mut State, running: &RunningSession, pinned: bool) -> Vec<Effect> {
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
pub fn unpin(state: &mut State) -> Vec<Effect> {
    if state.other.take().is_none() {
        return Vec::new();
    }
    let mut effects = vec![Effect::Follow(None)];
    effects.extend(settle(state));
    effects
}

pub fn on_news(state: &mut State, news: &News) {
    let now = state.now;
    let Some(other) = state.other.as_mut() else {
        return;
    };
    if other.session != news.session.session_id {
        return;
    }
    for event in &news.events {
        let at = event.at.min(now);
        other.agent.heard = Some(at);
        other.agent.hear(event, at);
    }
    if let Some(proposal) = &mut other.agent.proposal {
        proposal.session = Some(other.session.clone());
    }
    other.ended = news.session.status != "running";
    other.agent.cost = news.session.usage.cost_usd;
    let untaken = news.commands.iter().filter(|c| c.taken_at.is_none());
    other.untaken = untaken.filter(|_| !other.ended).cloned().collect();
}
