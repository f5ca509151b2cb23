//! What it costs to do nothing, how soon it is there, and whether the last words of a child are.

use crate::{
    ledger, process,
    tool::{LIMIT, Running, Tool},
};
use std::{thread::sleep, time::Duration};

/// Everything that is done once is done by then.
const SETTLED: Duration = Duration::from_secs(3);

pub(crate) struct Idle {
    /// Of one processor.
    pub percent: f64,
    /// Waits of its threads, a second.
    pub wakes: f64,
    /// Bytes to the terminal, a second.
    pub bytes: f64,
    /// MB.
    pub memory: f64,
}

/// A child that says one line and nothing more.
pub(crate) fn idle(tool: Tool, while_: Duration) -> Idle {
    let running = tool.start("quiet").ready();
    sleep(SETTLED);
    rest_of(&running, while_)
}

fn rest_of(running: &Running, while_: Duration) -> Idle {
    let bytes = || running.terminal.seen().bytes;
    let before = (running.cpu(), process::waits(&running.pids), bytes());
    sleep(while_);
    let seconds = while_.as_secs_f64();
    Idle {
        percent: running.cpu().saturating_sub(before.0) as f64 / 1e7 / seconds,
        wakes: process::waits(&running.pids).saturating_sub(before.1) as f64 / seconds,
        bytes: (bytes() - before.2) as f64 / seconds,
        memory: process::memory(&running.pids),
    }
}

pub(crate) struct Start {
    pub first_frame: Duration,
    /// MB.
    pub memory: Option<f64>,
}

/// From the call until the child's first line is on the screen.
pub(crate) fn start(tool: Tool) -> Duration {
    let running = tool.start("quiet");
    running.see("ready");
    let at = running.terminal.seen().at;
    at - running.terminal.started
}

/// Our own with nothing to load: until header, panes and footer are there.
pub(crate) fn first_frame(settle: bool) -> Start {
    let args = ["--no-monitor", "--no-agent", "--pd", "http://127.0.0.1:1"];
    until(
        &args,
        &["operator", "Cluster", "Tickets", "Agent", "q quit"],
        settle,
    )
}

/// Our own on a ledger with much in it, with its monitor: until its newest ticket is there.
pub(crate) fn full_ledger(ledger: &ledger::Full, settle: bool) -> Start {
    let path = ledger.path.to_str().expect("a name");
    let args = ["--pd", "http://127.0.0.1:1", "--no-agent", "--db", path];
    let newest = format!("#{} ", ledger.tickets);
    until(&args, &["operator", "Cluster", &newest, "q quit"], settle)
}

/// `settle`: with the memory it has when all is settled.
fn until(args: &[&str], words: &[&str], settle: bool) -> Start {
    let running = Tool::operator(args);
    let seen = running.terminal.wait(LIMIT, |seen| {
        let screen = seen.screen().contents();
        words.iter().all(|word| screen.contains(word))
    });
    let first_frame = seen.expect("a frame") - running.terminal.started;
    let memory = settle.then(|| {
        sleep(SETTLED);
        process::memory(&running.pids)
    });
    Start {
        first_frame,
        memory,
    }
}

/// How many of the last words of a child that writes them and exits at once are shown.
pub(crate) fn words(tool: Tool, count: usize) -> usize {
    let running = tool.start(&format!("words {count}"));
    let shown = |screen: &str| {
        (1..=count)
            .filter(|n| screen.contains(&format!("word {n:03} of the last")))
            .count()
    };
    let limit = Duration::from_secs(10);
    running
        .terminal
        .wait(limit, |seen| shown(&seen.screen().contents()) == count);
    shown(&running.terminal.contents())
}
