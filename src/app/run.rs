//! The only select loop: events in, effects out, frames when they are due.
//!
//! This thread has the terminal and the children: keys, output, drawing, the state. Reading a child
//! costs so little, and writing to the terminal never waits, so that neither keeps the other up; a
//! line is on the screen without having waited for another thread to wake. What may take its time
//! is elsewhere: the cluster and the demo's lab on a second thread, the ledger on threads of its
//! own. What children said is taken at frame times, so that a flood costs one look a frame.

use super::{
    event::{Event, Frontend},
    update::{self, update},
};
use crate::{
    app::{
        io::effects::{After, EffectRunner},
        model::{app::App, config::Config},
    },
    terminal::{Pace, Signals, signals::Signal},
};
use futures_util::FutureExt;
use jiff::Timestamp;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Notify, mpsc},
    time::sleep_until,
};

/// Ending children have their own limits, which are shorter; this one is for a bug in them.
const QUIT_LIMIT: Duration = Duration::from_secs(15);
/// Keys that may come before what they did is shown.
const KEYS: usize = 64;

/// How a dashboard ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: u8,
    /// Why, if it was not a person's wish.
    pub failure: Option<String>,
}

/// Runs the dashboard until it ends. Must be called on the main thread.
pub fn run<F: Frontend>(config: Config, front: F) -> io::Result<Outcome> {
    let back = BackgroundRuntime::start()?;
    let here = Builder::new_current_thread().enable_all().build()?;
    let ours = config.has_children().then(|| config.ledger.clone());
    let outcome = here.block_on(dashboard(config, front, back.handle()));
    drop(back);
    if let Some(ledger) = ours {
        // Those who wrote it have ended while it was read here, and so could not tidy up. Best
        // effort: what is in the log is as durable as the rest.
        let _ = operator_ledger::settle(&ledger);
    }
    outcome
}

/// The second thread. Ends with what runs on it, also when this one panics.
struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("back").enable_all();
        builder.build().map(|runtime| Self(Some(runtime)))
    }

    fn handle(&self) -> Handle {
        self.0
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        // Longer than any task needs to see that it is over; a name that is being looked up may
        // take longer, and nobody waits for it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

async fn dashboard<F: Frontend>(
    mut config: Config,
    mut front: F,
    back: Handle,
) -> io::Result<Outcome> {
    let mut signals = Signals::listen()?;
    let wake_up = Arc::new(Notify::new());
    let (sender, mut events) = mpsc::channel(64);
    let walk = config.demo.as_mut().and_then(|demo| demo.walk.take());
    let mut app = App::new(&config, walk, Timestamp::now());
    let mut runner = EffectRunner::start(config, wake_up.clone(), sender, back)?;
    let mut pace = Pace::default();
    pace.urge();
    let mut rang = false;
    let mut front_gone = false;
    let code = 'run: loop {
        let now = Instant::now();
        let mut queue = Vec::new();
        let can_draw = front_gone || front.ready();
        if rang && pace.earliest(now) <= now {
            rang = false;
            queue.extend(runner.child_events());
            pace.change();
        } else if can_draw && pace.due(now) {
            app.set_time(Timestamp::now(), now);
            match front.draw(&app) {
                Ok(drawn) => app.set_geometry(drawn),
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
                pace.due_at(now).filter(|_| can_draw)
            };
            let walk_due = update::due(&app);
            let event = tokio::select! {
                biased;
                signal = signals.next() => {
                    if signal == Signal::Resize {
                        pace.urge();
                    }
                    Some(Event::Signal(signal))
                }
                event = front.next(), if !front_gone => {
                    if event.is_some() {
                        pace.urge();
                    }
                    event
                }
                Some(event) = events.recv() => Some(event),
                () = wake_up.notified(), if !rang => {
                    rang = true;
                    None
                }
                () = until(due) => None,
                () = until(walk_due) => Some(Event::Tick),
                () = next_second() => Some(Event::Tick),
            };
            queue.extend(event);
        }
        // Keys that are there already are answered together.
        while matches!(
            queue.last(),
            Some(Event::Key(_) | Event::Mouse(_) | Event::Paste(_))
        ) && queue.len() < KEYS
            && let Some(Some(event)) = front.next().now_or_never()
        {
            queue.push(event);
        }
        front_gone |= matches!(queue.last(), Some(Event::TerminalGone));
        for event in queue {
            pace.change();
            for effect in update(&mut app, event, Timestamp::now(), Instant::now()) {
                match runner.execute(effect, &mut front)? {
                    After::Nothing => {}
                    After::Redraw => pace.urge(),
                    After::Exit(code) => break 'run code,
                }
            }
        }
        if let Some(quitting) = &app.live.quitting
            && quitting.since.elapsed() > QUIT_LIMIT
        {
            break quitting.code;
        }
    };
    // Who reads the ledger may be about to say something: nobody listens any more.
    drop(events);
    runner.close();
    Ok(outcome(app, code))
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

fn outcome(app: App, code: u8) -> Outcome {
    Outcome {
        code,
        failure: app.live.failure,
    }
}
