//! One event in, the state changed, effects out. No I/O, no clock but the one it is given.

use super::{
    act,
    agent::Proposal,
    approvals,
    archive::Found,
    attach, attention, demo,
    event::{Child, Effect, Event},
    keys::{Section, TABLE},
    on_child::on_child,
    on_key::{on_key, on_paste},
    on_mouse::on_mouse,
    open,
    overlay::Overlay,
    replay,
    state::{Pane, Quitting, State},
    tickets::LedgerView,
};
use crate::{
    terminal::signals::Signal,
    transcript::{Composer, Kind, Line, Ring},
};
use jiff::Timestamp;
use operator_ledger::spoken;
use std::time::{Duration, Instant};

/// A toast is read by then.
const TOAST: Duration = Duration::from_secs(5);

pub fn update(state: &mut State, event: Event, now: Timestamp, tick: Instant) -> Vec<Effect> {
    state.set_time(now, tick);
    let mut effects = change(state, event);
    effects.extend(demo::walk(state));
    effects.extend(replay::step(state));
    approvals::settle(state);
    attention::on_proposals(state);
    effects.extend(attention::effects(state));
    effects
}

fn change(state: &mut State, event: Event) -> Vec<Effect> {
    let now = state.now;
    let tick = state.tick;
    state
        .toast
        .take_if(|(_, at)| tick.saturating_duration_since(*at) > TOAST);
    // After a clock was set back: nothing was heard later than now.
    for heard in [&mut state.agent.heard, &mut state.tickets.looked] {
        *heard = heard.map(|at| at.min(now));
    }
    state.cluster.judge(now);
    match event {
        Event::Key(key) => return on_key(state, key),
        Event::Paste(text) => on_paste(state, &text),
        Event::Mouse(mouse) => return on_mouse(state, mouse),
        Event::Tick => return open::log_again(state),
        Event::TerminalGone => return begin_quit(state, Signal::Hangup.exit_code()),
        Event::Signal(signal) => return on_signal(state, signal),
        Event::Child(child, items) => {
            let mut effects = on_child(state, child, items);
            effects.extend(attach::settle(state));
            return effects;
        }
        Event::Cluster(snapshot) => state.cluster.seen(*snapshot, now),
        Event::Past(past) => state.cluster.fared(&past),
        Event::Ledger(view) => return on_ledger(state, *view),
        Event::LedgerSame => state.tickets.looked = Some(now),
        Event::Followed(news) => attach::on_news(state, &news),
        Event::Found(found) => return on_found(state, found),
        Event::Written(_, Ok(done)) => state.say(done),
        Event::Written(_, Err(why)) => state.say(format!("✗ Not written: {why}")),
        Event::Stage(news) => return demo::on_stage(state, news),
    }
    Vec::new()
}

/// What was asked for goes to whoever asked: a replay, its stage, or what is live.
fn on_found(state: &mut State, found: Found) -> Vec<Effect> {
    match replay::found(state, found) {
        Ok(effects) => effects,
        Err(found) => match &mut state.replay {
            Some(replay) => open::found(&mut replay.stage, found),
            None => open::found(state, found),
        },
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
pub fn due(state: &State) -> Option<Instant> {
    let replay = state.replay.as_ref().and_then(|r| r.due(state.tick));
    [demo::due(state), replay].into_iter().flatten().min()
}

/// Ends the children, then the program.
pub fn begin_quit(state: &mut State, code: u8) -> Vec<Effect> {
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
        vec![Effect::StopAll, Effect::Strike]
    } else {
        vec![Effect::StopAll]
    }
}

fn on_ledger(state: &mut State, view: LedgerView) -> Vec<Effect> {
    attention::on_tickets(state, &view);
    state.tickets.read(view);
    let mut effects = act::read_again(state);
    effects.extend(attach::settle(state));
    let waiting = attach::elsewhere(state).filter_map(|running| {
        let proposal = running.proposal.as_ref()?;
        let lines = super::agent::lines;
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

/// The help, from the table of keys; what is about what the reader sees comes first.
pub fn help(state: &State) -> Vec<Line> {
    let (mut ring, mut composer) = (Ring::unbounded(), Composer::default());
    let heading = |ring: &mut Ring, text: &str, gap| {
        ring.push_line(Kind::Session, text.into(), 0, gap);
    };
    let here = match state.overlays.last() {
        _ if state.replayed => Section::Replay,
        Some(Overlay::Approval(_)) => Section::Answers,
        Some(Overlay::Ticket(_)) => Section::Tickets,
        None if state.focus == Pane::Tickets => Section::Tickets,
        _ => Section::Agent,
    };
    let others = Section::ALL.into_iter().filter(|s| *s != here);
    for section in [here].into_iter().chain(others) {
        heading(&mut ring, section.title(), section != here);
        for binding in TABLE.iter().filter(|b| b.section == section) {
            let key = if binding.keys.is_empty() {
                binding.name
            } else {
                binding.label
            };
            composer.say(&mut ring, Kind::Key, format!("{key:<10}  {}", binding.help));
        }
    }
    heading(&mut ring, "what the marks mean", true);
    for text in [
        "● up, healthy     ! degraded      ✗ down, failed",
        "? unknown: nothing was heard, or it is too old to believe",
        "~ claimed: the agent says it is repaired",
        "✓ proven: the monitor saw that it is, and that it stayed so",
        "↑ escalated: the agent gave up     ‖ paused or held",
    ] {
        composer.say(&mut ring, Kind::Plain, text);
    }
    heading(
        &mut ring,
        "what the marks of a replay's timeline mean",
        true,
    );
    for text in [
        "▼ a fault was injected   ! a ticket was opened   ◆ an agent took it",
        "$ a command   ✗ one that failed   ‖ one that waits for a person   ◇ what they said",
        "~ claimed   ✓ proven   ↑ escalated   · closed, or the session ended",
    ] {
        composer.say(&mut ring, Kind::Plain, text);
    }
    heading(&mut ring, "good to know", true);
    for text in [
        "Everything is in the ledger: what was thought, run, printed, decided, proven.",
        "Copying needs a terminal that takes OSC 52; in tmux: set -g set-clipboard on.",
        "Quitting ends the agent and the monitor that were started here, and no others.",
    ] {
        composer.say(&mut ring, Kind::Reasoning, text);
    }
    ring.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::{Config, Palette, Role},
        supervisor::Item,
    };
    use jiff::SignedDuration;

    #[test]
    fn silence_is_seen_though_the_clock_was_set_back() {
        let nobody = || Role::Off("a test".into());
        let config = Config {
            subject: "tikv".into(),
            place: "here".into(),
            pd: "pd".into(),
            prometheus: None,
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
        let mut state = State::new(&config, None, then);
        let word = Item::Plain {
            line: b"word".into(),
            stderr: false,
            omitted: 0,
        };
        update(
            &mut state,
            Event::Child(Child::Agent, vec![word]),
            then,
            begun,
        );
        state.say("told");
        let back = then - SignedDuration::from_hours(48);
        for seconds in [1, 4, 41] {
            let tick = begun + Duration::from_secs(seconds);
            let now = back + SignedDuration::from_secs(seconds.cast_signed());
            update(&mut state, Event::Tick, now, tick);
        }
        let heard = state.agent.heard.unwrap();
        assert_eq!(state.since(heard), SignedDuration::from_secs(40));
        assert_eq!(state.toast, None);
    }
}
