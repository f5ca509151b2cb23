//! The only select loop: events in, effects out, frames when they are due.
//!
//! Children are not read here but by their tasks; what they said is taken at frame times, so that
//! a flood costs one look a frame.

use super::{
    config::Config,
    effects::{After, Hands},
    event::{Event, Frontend},
    state::State,
    update::{self, update},
};
use crate::terminal::{Pace, Signals};
use jiff::{SignedDuration, Timestamp};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc},
    time::sleep_until,
};

/// Ending children have their own limits, which are shorter; this one is for a bug in them.
const QUIT_LIMIT: SignedDuration = SignedDuration::from_secs(15);

/// How a dashboard ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: u8,
    /// Why, if it was not a person's wish.
    pub failure: Option<String>,
}

/// Runs the dashboard until it ends; returns its exit code. Must be called on the main thread.
pub async fn run<F: Frontend>(mut config: Config, mut front: F) -> io::Result<Outcome> {
    let mut signals = Signals::listen()?;
    let bell = Arc::new(Notify::new());
    let (sender, mut events) = mpsc::channel(64);
    let walk = config.demo.as_mut().and_then(|demo| demo.walk.take());
    let mut state = State::new(&config, walk, Timestamp::now());
    let mut hands = Hands::start(config, bell.clone(), sender)?;
    let mut pace = Pace::default();
    pace.urge();
    let mut rang = false;
    let mut front_gone = false;
    loop {
        let now = Instant::now();
        let mut queue = Vec::new();
        if rang && pace.earliest(now) <= now {
            rang = false;
            queue.extend(hands.heard());
            pace.change();
        } else if pace.due(now) {
            state.set_time(Timestamp::now(), now);
            match front.draw(&state) {
                Ok(geometry) => state.set_geometry(geometry),
                Err(_) if front_gone => {}
                Err(_) => {
                    front_gone = true;
                    queue.push(Event::TerminalGone);
                }
            }
            pace.drawn(Instant::now());
        }
        if queue.is_empty() {
            // A frame that is owed, or children that wait for the next one.
            let due = if rang {
                Some(pace.earliest(now))
            } else {
                pace.due_at(now)
            };
            let walk_due = update::due(&state);
            let event = tokio::select! {
                biased;
                signal = signals.next() => Some(Event::Signal(signal)),
                event = front.next(), if !front_gone => {
                    front_gone |= matches!(event, Event::TerminalGone);
                    pace.urge();
                    Some(event)
                }
                Some(event) = events.recv() => Some(event),
                () = bell.notified(), if !rang => {
                    rang = true;
                    None
                }
                () = until(due) => None,
                () = until(walk_due) => Some(Event::Tick),
                () = next_second() => Some(Event::Tick),
            };
            queue.extend(event);
        }
        for event in queue {
            pace.change();
            for effect in update(&mut state, event, Timestamp::now(), Instant::now()) {
                match hands.execute(effect, &mut front)? {
                    After::Nothing => {}
                    After::Redraw => pace.urge(),
                    After::Exit(code) => return Ok(outcome(state, code)),
                }
            }
        }
        if let Some(quitting) = &state.quitting
            && state.since(quitting.since) > QUIT_LIMIT
        {
            let code = quitting.code;
            return Ok(outcome(state, code));
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Ages are shown in whole seconds of the clock.
async fn next_second() {
    let past = Timestamp::now()
        .subsec_nanosecond()
        .rem_euclid(1_000_000_000);
    let left = 1_000_000_000 - u64::try_from(past).unwrap_or(0);
    tokio::time::sleep(Duration::from_nanos(left)).await;
}

fn outcome(state: State, code: u8) -> Outcome {
    Outcome {
        code,
        failure: state.failure,
    }
}
