//! How long until a line is on the screen, and until a key is answered.

use crate::{clock, tool::Tool};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// An answer that takes longer is none.
const LOST: Duration = Duration::from_secs(3);
/// Who loses so many is not asked any more.
const ENOUGH: usize = 10;

pub(crate) struct Times {
    pub p50: Duration,
    pub p99: Duration,
    pub most: Duration,
    pub lost: usize,
    pub asked: usize,
}

fn times(mut all: Vec<Duration>, lost: usize) -> Times {
    Times {
        asked: all.len() + lost,
        p50: clock::percentile(&mut all, 50),
        p99: clock::percentile(&mut all, 99),
        most: clock::percentile(&mut all, 100),
        lost,
    }
}

/// A line every 50 ms.
pub(crate) fn lines(tool: Tool, count: usize) -> Times {
    let running = tool.start(&format!("tick {count}")).ready();
    let (mut all, mut lost) = (Vec::new(), 0);
    for n in 0..count {
        let word = format!("tick {n:06} ");
        let mut written = None;
        let seen = running.terminal.wait(LOST, |seen| {
            let screen = seen.screen().contents();
            written = screen.find(&word).and_then(|at| {
                screen
                    .get(at + word.len()..at + word.len() + 20)?
                    .parse()
                    .ok()
            });
            written.is_some()
        });
        match (seen, written) {
            (Some(at), Some(written)) => all.push(clock::between(written, clock::at(at))),
            _ => lost += 1,
        }
    }
    times(all, lost)
}

/// Keys, one after the answer to the other, while the child is `quiet` or floods.
pub(crate) fn keys(tool: Tool, count: usize, flood: bool) -> Times {
    let child = if flood { "endless coloured" } else { "quiet" };
    let word = if flood { "line " } else { "ready" };
    let mut running = tool.start(child).up(word);
    running.prompt();
    let (mut all, mut lost) = (Vec::new(), 0);
    for n in 0..count {
        // Not in step with any frame.
        sleep(Duration::from_micros(3000 + (n as u64 * 7919) % 17_000));
        let sent = Instant::now();
        let answered = running.key(n);
        match running.terminal.wait(LOST, |seen| answered(seen.screen())) {
            Some(at) => all.push(at.saturating_duration_since(sent)),
            None => lost += 1,
        }
        if lost == ENOUGH {
            break;
        }
    }
    times(all, lost)
}
