//! One million lines, and what is seen of them.

use crate::{
    clock, process,
    tool::{LIMIT, Tool},
};
use std::{
    fs,
    io::Write,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

pub(crate) struct Flood {
    /// From the word to go until the last line is on the screen. None: it never was.
    pub visible: Option<Duration>,
    /// Until the child had written it all.
    pub written: Duration,
    /// Processor time of the tool.
    pub cpu: Duration,
    /// How often the newest line on the screen changed, a second.
    pub updates: f64,
    /// MB, before and at most.
    pub memory: (f64, f64),
}

/// `what`: plain, coloured or events. `how`: blocks or lines, each a write of the child.
pub(crate) fn flood(tool: Tool, what: &str, how: &str, count: usize) -> Flood {
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    fifo(&go);
    let child = format!("flood {what} {how} {count} {}", go.display());
    let running = tool.start(&child).ready();
    let mut pipe = fs::OpenOptions::new().write(true).open(&go).expect("go");
    sleep(Duration::from_millis(500));
    let before = (running.cpu(), process::memory(&running.pids));
    let start = clock::now();
    pipe.write_all(b"!").expect("the child");
    let (mut newest, mut updates, mut visible) = (0, 0, None);
    let deadline = Instant::now() + LIMIT;
    let mut reads = 0;
    while visible.is_none() && Instant::now() < deadline {
        // Not on every read: looking costs more than reading.
        sleep(Duration::from_micros(500));
        let seen = running.terminal.seen();
        if seen.reads == reads {
            continue;
        }
        reads = seen.reads;
        let line = newest_line(&seen.screen().contents());
        if line != newest {
            newest = line;
            updates += 1;
        }
        if line == count {
            visible = Some(clock::between(start, clock::at(seen.at)));
        }
    }
    let took = visible.unwrap_or(LIMIT);
    Flood {
        visible,
        written: clock::between(start, done(&go)),
        cpu: Duration::from_nanos(running.cpu() - before.0),
        updates: f64::from(updates) / took.as_secs_f64(),
        memory: (before.1, process::most_memory(&running.pids)),
    }
}

pub(crate) struct Endless {
    /// How often the newest line on the screen changed, a second.
    pub updates: f64,
    /// Of one processor.
    pub percent: f64,
    /// MB, at most.
    pub memory: f64,
}

/// A child that writes as fast as it is read, after a second of it.
pub(crate) fn endless(tool: Tool, while_: Duration) -> Endless {
    let running = tool.start("endless coloured").up("line ");
    sleep(Duration::from_secs(1));
    let (before, from) = (running.cpu(), Instant::now());
    let (mut newest, mut updates, mut reads) = (0, 0, 0);
    while from.elapsed() < while_ {
        sleep(Duration::from_micros(500));
        let seen = running.terminal.seen();
        if seen.reads == reads {
            continue;
        }
        reads = seen.reads;
        let line = newest_line(&seen.screen().contents());
        updates += u32::from(line != newest);
        newest = line;
    }
    let seconds = from.elapsed().as_secs_f64();
    Endless {
        updates: f64::from(updates) / seconds,
        percent: (running.cpu() - before) as f64 / 1e7 / seconds,
        memory: process::most_memory(&running.pids),
    }
}

/// The same from a pipe into a loop that only splits, keeps the newest hundred lines and wakes
/// 60 times a second to take them: what cannot be beaten.
pub(crate) fn bare(what: &str, how: &str, count: usize) -> Duration {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    fifo(&go);
    let own = operator_process::executable();
    let mut child = Command::new(own)
        .args(["child", "flood", what, how, &count.to_string()])
        .arg(&go)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut out = child.stdout.take().expect("a pipe");
    let mut pipe = fs::OpenOptions::new().write(true).open(&go).expect("go");
    sleep(Duration::from_millis(500));
    let start = clock::now();
    pipe.write_all(b"!").expect("the child");
    let mut buffer = vec![0; 1024 * 1024];
    let mut seen = 0;
    let mut newest = std::collections::VecDeque::new();
    while seen < count + 1 {
        let read = std::io::Read::read(&mut out, &mut buffer).expect("output");
        let lines: Vec<_> = buffer[..read]
            .split_inclusive(|b| *b == b'\n')
            .rev()
            .take(100)
            .map(<[u8]>::to_vec)
            .collect();
        seen += memchr::memchr_iter(b'\n', &buffer[..read]).count();
        newest.extend(lines.into_iter().rev());
        let old = newest.len().saturating_sub(100);
        newest.drain(..old);
    }
    let took = clock::between(start, clock::now());
    let _ = child.kill();
    let _ = child.wait();
    took
}

fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
}

fn done(go: &Path) -> u64 {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Ok(text) = fs::read_to_string(go.with_extension("done")) {
            return text.parse().expect("a time");
        }
        assert!(Instant::now() < deadline, "the child was never done");
        sleep(Duration::from_millis(1));
    }
}

/// The highest number of a line on the screen.
fn newest_line(screen: &str) -> usize {
    let number = |rest: &str| rest.get(..7)?.parse().ok();
    screen
        .split("line ")
        .skip(1)
        .filter_map(number)
        .max()
        .unwrap_or(0)
}
