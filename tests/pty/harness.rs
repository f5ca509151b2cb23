//! A dashboard in a pseudo-terminal, read by a terminal emulator.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{Read, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Three times what anything here should need on a busy machine.
pub fn limit() -> Duration {
    Duration::from_secs(60)
}

pub struct Dashboard {
    master: Box<dyn MasterPty + Send>,
    // Kept open, so that its settings can be read after the dashboard has ended.
    _slave: Box<dyn portable_pty::SlavePty + Send>,
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    termios: String,
    home: TempDir,
}

struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Dashboard {
    pub fn new(width: u16, height: u16, args: &[&str]) -> Self {
        Self::with_env(width, height, args, &[])
    }

    /// With a PD address nobody listens on, unless `args` say otherwise.
    pub fn with_env(width: u16, height: u16, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(args);
        command.args(["--pd", "http://127.0.0.1:1"]);
        for (name, value) in env {
            command.env(name, value);
        }
        Self::run(width, height, command)
    }

    /// The demo, with a home of its own.
    pub fn demo(width: u16, height: u16) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(["demo", "--seed", "7"]);
        Self::run(width, height, command)
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `operator-tui lab`, on the lab of this demo.
    pub fn lab(&self, args: &[&str]) {
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_operator-tui"))
            .arg("lab")
            .args(args)
            .env("OPERATOR_HOME", self.home())
            .timeout(limit())
            .assert()
            .success();
    }

    /// An ignored test of this executable, in a terminal.
    pub fn of_this_test(name: &str) -> Self {
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        Self::run(80, 24, command)
    }

    fn run(width: u16, height: u16, mut command: CommandBuilder) -> Self {
        let home = tempfile::tempdir().unwrap();
        command.env("OPERATOR_HOME", home.path());
        command.env("TERM", "xterm-256color");
        command.env_remove("ANTHROPIC_API_KEY");
        command.env_remove("ANTHROPIC_AUTH_TOKEN");
        command.cwd(home.path());
        let size = PtySize {
            rows: height,
            cols: width,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let termios = format!("{:?}", pair.master.get_termios().unwrap());
        let child = pair.slave.spawn_command(command).unwrap();
        let parser = vt100::Parser::new(cells(height), cells(width), 0);
        let seen = Arc::new((
            Mutex::new(Seen {
                parser,
                raw: Vec::new(),
            }),
            Condvar::new(),
        ));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let shared = seen.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                let mut seen = shared.0.lock().unwrap();
                seen.parser.process(&buffer[..read]);
                seen.raw.extend_from_slice(&buffer[..read]);
                shared.1.notify_all();
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self {
            master: pair.master,
            _slave: pair.slave,
            child,
            writer,
            seen,
            termios,
            home,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap()
    }

    pub fn screen(&self) -> String {
        self.seen().parser.screen().contents()
    }

    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen().raw).into_owned()
    }

    pub fn in_alternate_screen(&self) -> bool {
        self.seen().parser.screen().alternate_screen()
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn until(&mut self, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + limit();
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            let screen = seen.parser.screen().contents();
            if wanted(&screen) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not seen in time:\n{screen}");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    pub fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        let size = PtySize {
            rows: height,
            cols: width,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).unwrap();
        self.seen()
            .parser
            .screen_mut()
            .set_size(cells(height), cells(width));
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap().cast_signed()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The numbers on screen that follow these words.
    pub fn pids(&self, words: &[&str]) -> Vec<u32> {
        let screen = self.screen();
        words
            .iter()
            .map(|word| {
                screen
                    .split(word)
                    .skip(1)
                    .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
                    .unwrap_or_else(|| panic!("no number after {word:?} in\n{screen}"))
            })
            .collect()
    }

    #[track_caller]
    pub fn exit_code(&mut self) -> u32 {
        let deadline = Instant::now() + limit();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.screen()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub fn assert_terminal_as_found(&self) {
        let now = format!("{:?}", self.master.get_termios().unwrap());
        assert_eq!(now, self.termios);
        wait_until("the last bytes are read", || {
            let seen = self.seen();
            let screen = seen.parser.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
    }

    /// `T` while stopped.
    pub fn process_state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }

    /// Bytes and frames written in a while.
    pub fn written_during(&self, while_: Duration) -> (usize, usize) {
        let before = self.seen().raw.len();
        thread::sleep(while_);
        let seen = self.seen();
        let new = String::from_utf8_lossy(&seen.raw[before..]).into_owned();
        (new.len(), new.matches("\x1b[?2026h").count())
    }

    /// Colours of the cells on screen.
    pub fn colours(&self) -> Vec<String> {
        let seen = self.seen();
        let screen = seen.parser.screen();
        let (rows, columns) = screen.size();
        (0..rows.get())
            .flat_map(|row| (0..columns.get()).filter_map(move |column| screen.cell(row, column)))
            .flat_map(|cell| [cell.fgcolor(), cell.bgcolor()])
            .filter(|colour| *colour != vt100::Color::Default)
            .map(|colour| format!("{colour:?}"))
            .collect()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The emulator has no empty screen.
fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap_or(NonZero::<u16>::MIN)
}

/// Living processes of a dashboard: they have its home in their environment or arguments.
pub fn processes_of(home: &Path) -> Vec<u32> {
    let wanted = home.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let holds = |file: &str| {
            std::fs::read(entry.path().join(file))
                .is_ok_and(|text| text.windows(wanted.len()).any(|w| w == wanted))
        };
        if (holds("environ") || holds("cmdline")) && alive(pid) {
            found.push(pid);
        }
    }
    found
}

/// A zombie counts as dead.
pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("").starts_with('Z'))
}

#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + limit();
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
