//! What a key is about, as things are: the ticket, the session, the agent at work, the commands that
//! wait. Only asks.

use super::{
    agent::{Agent, Phase, Proposal},
    approvals::CONFIRMED,
    command::Command,
    overlay::Overlay,
    pane::Pane,
    process::Process,
    state::State,
};
use jiff::SignedDuration;
use operator_ledger::{RunningSession, Status, Ticket};

/// Ours is in the ledger before it says so itself.
const OURS_SPEAKS: SignedDuration = SignedDuration::from_secs(2);

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

/// What waits, the first to be answered first.
pub fn queue(state: &State) -> Vec<&Proposal> {
    let ours = state.agent.proposal.as_ref().filter(|_| !state.replayed);
    let answered = |p: &Proposal| {
        state.approvals.answered.iter().any(|(session, call, at)| {
            *session == p.session
                && *call == p.call
                && state.tick.saturating_duration_since(*at) < CONFIRMED
        })
    };
    let listed = &state.approvals.elsewhere;
    // The one that is followed asks before the list says so.
    let followed = state.other.as_ref().and_then(|o| o.agent.proposal.as_ref());
    let followed = followed.filter(|f| {
        let same = |p: &&Proposal| p.session == f.session && p.call == f.call;
        !listed.iter().any(|p| same(&p))
    });
    let mut queue: Vec<_> = ours
        .into_iter()
        .chain(followed)
        .chain(listed)
        // Nobody decides about what cannot be shown.
        .filter(|p| !answered(p) && !p.command.is_empty())
        .collect();
    queue.sort_by_key(|p| p.since);
    queue
}

/// The session that is chosen, or open.
pub fn session_at_hand(state: &State) -> Option<String> {
    match state.overlays.last() {
        Some(Overlay::Sessions(browser)) => browser.current().map(|s| s.session.session_id.clone()),
        Some(Overlay::Ticket(view)) => {
            let line = view.doc.current().map_or(0, |l| l.id);
            view.text.session_at(line).map(str::to_owned)
        }
        Some(_) => None,
        None => match (&state.record, &state.other) {
            (Some(record), _) => Some(record.session.clone()),
            (None, Some(other)) => Some(other.session.clone()),
            (None, None) => state.agent.session.clone(),
        },
    }
}

/// The ticket that keys act on: the one that is open, or chosen, or worked on.
pub fn ticket_at_hand(state: &State) -> Option<i64> {
    match state.overlays.last() {
        Some(Overlay::Ticket(view)) => return Some(view.id),
        Some(_) => return None,
        None => {}
    }
    let recorded = state.record.as_ref().map(|r| r.row.as_ref()?.ticket_id);
    match state.focus {
        Pane::Tickets => state.tickets.selected,
        Pane::Agent => match recorded {
            Some(recorded) => recorded,
            None => state.shown().ticket.or(state.tickets.selected),
        },
        Pane::Cluster | Pane::Chapter => None,
    }
}

fn known(state: &State) -> Option<&Ticket> {
    let id = ticket_at_hand(state)?;
    state.tickets.list().iter().find(|t| t.id == id)
}

/// Whether the ticket at hand is held, or waits for a person: what `hold` then undoes.
pub fn is_held(state: &State) -> bool {
    known(state).is_some_and(|t| t.held || t.needs_person)
}

/// Whether a command would change the ticket at hand.
pub fn would(command: Command, state: &State) -> bool {
    known(state).is_some_and(|t| match command {
        Command::Reopen => matches!(t.status, Status::Resolved | Status::Escalated),
        _ => t.status != Status::Resolved,
    })
}
