//! One event in, the state changed, effects out. No I/O, no clock but the one it is given.

mod act;
mod approvals;
mod attach;
mod attention;
mod copy;
mod demo;
pub mod on_child;
mod on_key;
mod on_mouse;
mod open;
mod quit;
mod reading;
mod record;
mod replay;
mod steer;

use self::{
    on_child::on_child,
    on_key::{on_key, on_paste},
    on_mouse::on_mouse,
    quit::begin_quit,
};
use super::{
    event::{Effect, Event, Response},
    model::{
        agent::{self, Proposal},
        app::App,
        at_hand,
        state::State,
        tickets::LedgerView,
    },
};
use crate::{supervisor::Item, terminal::signals::Signal};
use jiff::Timestamp;
use operator_ledger::spoken;
use std::time::{Duration, Instant};

/// A toast is read by then.
const TOAST: Duration = Duration::from_secs(5);

pub fn update(app: &mut App, event: Event, now: Timestamp, tick: Instant) -> Vec<Effect> {
    app.set_time(now, tick);
    let only_text = is_only_text(&event);
    let mut effects = change(app, event);
    effects.extend(demo::walk(&mut app.live));
    effects.extend(replay::step(app));
    if only_text {
        return effects;
    }
    let state = &mut app.live;
    approvals::settle(state);
    attention::on_proposals(state);
    effects.extend(attention::effects(state));
    effects
}

/// Text that streams in: it can neither make nor answer a question, and changes no title.
fn is_only_text(event: &Event) -> bool {
    let text = |item: &Item| matches!(item, Item::Delta(_) | Item::Plain { .. } | Item::Lost(_));
    matches!(event, Event::Child(_, items) if items.iter().all(text))
}

fn change(app: &mut App, event: Event) -> Vec<Effect> {
    let state = &mut app.live;
    let now = state.now;
    let tick = state.tick;
    state
        .toast
        .take_if(|(_, at)| tick.saturating_duration_since(*at) > TOAST);
    // After a clock was set back: nothing was heard later than now.
    for heard in [&mut state.agent.last_event_at, &mut state.tickets.looked] {
        *heard = heard.map(|at| at.min(now));
    }
    state.cluster.judge(now);
    match event {
        Event::Key(key) => return on_key(app, key),
        Event::Paste(text) => on_paste(app, &text),
        Event::Mouse(mouse) => return on_mouse(app, mouse),
        Event::Tick => return open::log_again(state),
        Event::TerminalGone => return begin_quit(state, Signal::Hangup.exit_code()),
        Event::Signal(signal) => return on_signal(state, signal),
        Event::Child(child, items) => {
            let mut effects = on_child(state, child, items);
            effects.extend(attach::settle(state));
            return effects;
        }
        Event::Cluster(snapshot, patience) => {
            state.cluster.patience = patience;
            state.cluster.seen(*snapshot, now);
        }
        Event::Past(past) => state.cluster.backfill(&past),
        Event::Ledger(view) => return on_ledger(state, *view),
        Event::LedgerSame => state.tickets.looked = Some(now),
        Event::Followed(news) => attach::on_news(state, &news),
        Event::Found(found) => return on_found(app, found),
        Event::Written(_, Ok(done)) => state.say(done),
        Event::Written(_, Err(why)) => state.say(format!("✗ Not written: {why}")),
        Event::Lab(news) => return demo::on_lab(state, news),
    }
    Vec::new()
}

/// What was asked for goes to whoever asked: a replay, its stage, or what is live.
fn on_found(app: &mut App, found: Response) -> Vec<Effect> {
    match replay::found(app, found) {
        Ok(effects) => effects,
        // Whoever has asked knows its own; what was asked for before a replay began is the live one's.
        Err(found) => {
            let mut effects = match &mut app.replay {
                Some(_) => replay::on_stage(app, |stage| open::found(stage, found.clone())),
                None => Vec::new(),
            };
            effects.extend(open::found(&mut app.live, found));
            effects
        }
    }
}

fn on_signal(state: &mut State, signal: Signal) -> Vec<Effect> {
    match signal {
        Signal::Resize => Vec::new(),
        Signal::Stop => vec![Effect::Suspend],
        Signal::Continue => vec![Effect::Redraw],
        Signal::Terminate | Signal::Interrupt | Signal::Quit | Signal::Hangup => {
            if state.quitting.is_some() {
                return vec![Effect::KillAll];
            }
            begin_quit(state, signal.exit_code())
        }
    }
}

/// When to look again though nothing happens.
pub fn due(app: &App) -> Option<Instant> {
    let replay = app.replay.as_ref().and_then(|r| r.due(app.live.tick));
    [demo::due(&app.live), replay].into_iter().flatten().min()
}

fn on_ledger(state: &mut State, view: LedgerView) -> Vec<Effect> {
    attention::on_tickets(state, &view);
    state.tickets.read(view);
    let mut effects = act::read_again(state);
    effects.extend(attach::settle(state));
    let waiting = at_hand::elsewhere(state).filter_map(|running| {
        let proposal = running.proposal.as_ref()?;
        let lines = agent::lines;
        Some(Proposal {
            session: Some(running.session.session_id.clone()),
            call: proposal.call.clone(),
            command: lines(&spoken(&proposal.tool, &proposal.input)),
            reasoning: lines(&proposal.reasoning),
            why: lines(&proposal.why),
            since: proposal.since.unwrap_or(state.now),
        })
    });
    state.approvals.elsewhere = waiting.collect();
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::model::{
        child::Child,
        config::{Config, Role},
        palette::Palette,
    };
    use jiff::SignedDuration;

    #[test]
    fn silence_is_seen_though_the_clock_was_set_back() {
        let nobody = || Role::Off("a test".into());
        let config = Config {
            subject: "tikv".into(),
            place: "here".into(),
            look: crate::cluster::Options::new("pd"),
            ledger: "tickets.db".into(),
            lab: None,
            palette: Palette::Terminal,
            agent: nobody(),
            monitor: nobody(),
            replay: None,
            demo: None,
        };
        let (then, begun): (Timestamp, _) =
            ("2026-01-30T10:00:00Z".parse().unwrap(), Instant::now());
        let mut app = App::new(&config, None, then);
        let word = Item::Plain {
            line: b"word".into(),
            stderr: false,
            omitted: 0,
        };
        update(
            &mut app,
            Event::Child(Child::Agent, vec![word]),
            then,
            begun,
        );
        app.live.say("told");
        let back = then - SignedDuration::from_hours(48);
        for seconds in [1, 4, 41] {
            let tick = begun + Duration::from_secs(seconds);
            let now = back + SignedDuration::from_secs(seconds.cast_signed());
            update(&mut app, Event::Tick, now, tick);
        }
        let state = &app.live;
        let heard = state.agent.last_event_at.unwrap();
        assert_eq!(state.since(heard), SignedDuration::from_secs(40));
        assert_eq!(state.toast, None);
    }
}
