//! A program in a pseudo-terminal, and a terminal emulator that reads what it writes.
//!
//! Shared by the tests and the bench; knows neither the dashboard nor any other program.

#![allow(dead_code, reason = "the tests and the bench each use some of it")]

use operator_process::proc::is_alive;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{Read, Write},
    num::NonZero,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    // Kept open, so that its settings can be read after the program has ended.
    _slave: Box<dyn portable_pty::SlavePty + Send>,
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    /// Settings before the program ran.
    termios: String,
    /// When it was started.
    pub started: Instant,
}

/// What has come from the program.
pub(crate) struct Seen {
    pub parser: vt100::Parser,
    /// All bytes, if they are kept.
    pub raw: Vec<u8>,
    keep: bool,
    /// When the last of them was read.
    pub at: Instant,
    /// How often something was read, and how much.
    pub reads: u64,
    pub bytes: u64,
}

impl Seen {
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }
}

impl Terminal {
    /// Starts `command`. `keep`: every byte it writes is kept.
    pub(crate) fn spawn(width: u16, height: u16, mut command: CommandBuilder, keep: bool) -> Self {
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        let pair = native_pty_system().openpty(size(width, height)).unwrap();
        let termios = settings(&*pair.master);
        let seen = Arc::new((
            Mutex::new(Seen {
                parser: vt100::Parser::new(cells(height), cells(width), 0),
                raw: Vec::new(),
                keep,
                at: Instant::now(),
                reads: 0,
                bytes: 0,
            }),
            Condvar::new(),
        ));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        let shared = seen.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                let at = Instant::now();
                let mut seen = shared.0.lock().unwrap();
                seen.parser.process(&buffer[..read]);
                if seen.keep {
                    seen.raw.extend_from_slice(&buffer[..read]);
                }
                seen.at = at;
                seen.reads += 1;
                seen.bytes += read as u64;
                shared.1.notify_all();
            }
        });
        Self {
            master: pair.master,
            _slave: pair.slave,
            child,
            writer,
            seen,
            termios,
            started,
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap()
    }

    /// Waits until what has come is as wanted. The time is that of the bytes that made it so.
    pub(crate) fn wait(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&Seen) -> bool,
    ) -> Option<Instant> {
        let deadline = Instant::now() + limit;
        let mut seen = self.seen();
        loop {
            if wanted(&seen) {
                return Some(seen.at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    pub(crate) fn contents(&self) -> String {
        self.seen().screen().contents()
    }

    pub(crate) fn send(&mut self, keys: &[u8]) {
        self.writer.write_all(keys).unwrap();
        self.writer.flush().unwrap();
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.master.resize(size(width, height)).unwrap();
        self.seen()
            .parser
            .screen_mut()
            .set_size(cells(height), cells(width));
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap().cast_signed()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The exit code, if the program has ended within `limit`.
    pub(crate) fn exit_code(&mut self, limit: Duration) -> Option<u32> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.exit_code());
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What is not as it was before the program ran. Empty: nothing.
    pub(crate) fn changed(&self) -> Vec<String> {
        let mut changed = Vec::new();
        let now = settings(&*self.master);
        if now != self.termios {
            changed.push(format!("settings: {now}, were {}", self.termios));
        }
        let seen = self.seen();
        let screen = seen.screen();
        let default = vt100::Color::Default;
        for (is, what) in [
            (screen.alternate_screen(), "alternate screen"),
            (screen.hide_cursor(), "hidden cursor"),
            (screen.bracketed_paste(), "bracketed paste"),
            (screen.application_cursor(), "application cursor keys"),
            (screen.application_keypad(), "application keypad"),
            (
                screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
                "mouse",
            ),
            (
                screen.fgcolor() != default || screen.bgcolor() != default,
                "colours",
            ),
            (
                screen.bold()
                    || screen.dim()
                    || screen.italic()
                    || screen.underline()
                    || screen.inverse(),
                "attributes",
            ),
        ] {
            if is {
                changed.push(what.to_owned());
            }
        }
        changed
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn size(width: u16, height: u16) -> PtySize {
    PtySize {
        rows: height,
        cols: width,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().unwrap())
}

/// The emulator has no empty screen.
fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap_or(NonZero::<u16>::MIN)
}

/// A zombie counts as dead.
pub(crate) fn alive(pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(is_alive)
}
