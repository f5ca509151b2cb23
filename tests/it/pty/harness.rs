//! A dashboard in a pseudo-terminal, with a home of its own, as the tests use it.

pub(crate) use super::terminal::alive;
use super::terminal::{Seen, Terminal};
use crate::wait::until;
use operator_process::proc::Stat;
use portable_pty::CommandBuilder;
use rustix::process::Signal;
use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Three times what anything here should need on a busy machine.
pub(super) fn limit() -> Duration {
    Duration::from_secs(60)
}

pub(crate) struct Dashboard {
    terminal: Terminal,
    home: Arc<TempDir>,
}

/// A lab of its own that stays up until this is dropped.
pub(super) struct Lab {
    home: Arc<TempDir>,
}

impl Lab {
    pub(super) fn up() -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        lab(home.path(), &["up"]);
        Self { home }
    }

    pub(super) fn run(&self, args: &[&str]) {
        lab(self.home.path(), args);
    }

    /// A dashboard that watches it, on its ledger; the agent rehearses.
    pub(super) fn dashboard(&self, width: u16, height: u16, args: &[&str]) -> Dashboard {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(args);
        command.arg("--lab");
        command.env("ANTHROPIC_MODEL", "rehearsal");
        Dashboard::run_in(self.home.clone(), width, height, command)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Not by `lab`: a test that fails already is not to fail once more.
        let _ = std::process::Command::new(env!("CARGO_BIN_EXE_operator-tui"))
            .args(["lab", "down"])
            .env("OPERATOR_HOME", self.home.path())
            .env_remove("OPERATOR_LAB_DIR")
            .status();
    }
}

/// `operator-tui lab` in a home; what it printed.
fn lab(home: &Path, args: &[&str]) -> String {
    let done = assert_cmd::Command::new(env!("CARGO_BIN_EXE_operator-tui"))
        .arg("lab")
        .args(args)
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .timeout(limit())
        .assert()
        .success();
    String::from_utf8_lossy(&done.get_output().stdout).into_owned()
}

impl Dashboard {
    pub(crate) fn new(width: u16, height: u16, args: &[&str]) -> Self {
        Self::with_env(width, height, args, &[])
    }

    /// With a PD address nobody listens on, unless `args` say otherwise.
    pub(crate) fn with_env(width: u16, height: u16, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(args);
        command.args(["--pd", "http://127.0.0.1:1"]);
        for (name, value) in env {
            command.env(name, value);
        }
        Self::run(width, height, command)
    }

    /// The demo, with a home of its own.
    pub(crate) fn demo(width: u16, height: u16) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(["demo", "--seed", "7"]);
        Self::run(width, height, command)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// `operator-tui lab`, on the lab of this demo.
    pub(crate) fn lab(&self, args: &[&str]) {
        lab(self.home(), args);
    }

    /// With this PD.
    pub(crate) fn of_pd(width: u16, height: u16, pd: &str, args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(args);
        command.args(["--pd", pd]);
        Self::run(width, height, command)
    }

    /// A test of this executable, in a terminal, told by a variable that it is.
    pub(crate) fn of_this_test(name: &str, (variable, value): (&str, &str)) -> Self {
        let mut command = CommandBuilder::new(operator_process::executable());
        command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
        command.env(variable, value);
        Self::run(80, 24, command)
    }

    pub(crate) fn run(width: u16, height: u16, command: CommandBuilder) -> Self {
        Self::run_at(tempfile::tempdir().unwrap(), width, height, command)
    }

    /// In a home that may have something in it.
    pub(crate) fn run_at(home: TempDir, width: u16, height: u16, command: CommandBuilder) -> Self {
        Self::run_in(Arc::new(home), width, height, command)
    }

    fn run_in(home: Arc<TempDir>, width: u16, height: u16, mut command: CommandBuilder) -> Self {
        command.env("OPERATOR_HOME", home.path());
        command.env_remove("OPERATOR_LAB_DIR");
        command.env_remove("ANTHROPIC_API_KEY");
        command.env_remove("ANTHROPIC_AUTH_TOKEN");
        command.cwd(home.path());
        Self {
            terminal: Terminal::spawn(width, height, command, true),
            home,
        }
    }

    /// Since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.terminal.started.elapsed()
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.terminal.exit_code(Duration::ZERO).is_none()
    }

    pub(crate) fn screen(&self) -> String {
        self.terminal.contents()
    }

    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// All it ever wrote.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.terminal.seen().raw.clone()
    }

    pub(crate) fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.terminal.seen().screen())
    }

    pub(crate) fn in_alternate_screen(&self) -> bool {
        self.terminal.seen().screen().alternate_screen()
    }

    /// Waits until the screen is as wanted. In the middle of a frame part of it is still the last
    /// one's: that counts for nothing.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&str) -> bool) {
        let seen = |seen: &Seen| {
            let last = |mark: &[u8]| memchr::memmem::rfind(&seen.raw, mark);
            let whole = last(b"\x1b[?2026h") <= last(b"\x1b[?2026l");
            whole && wanted(&seen.screen().contents())
        };
        let found = self.terminal.wait(limit(), seen);
        assert!(found.is_some(), "not seen in time:\n{}", self.screen());
    }

    /// Waits until it has written this, wherever a line was broken: what it wrote last is read after
    /// its end.
    #[track_caller]
    pub(crate) fn until_written(&self, words: &str) {
        let seen = |seen: &Seen| memchr::memmem::find(&seen.raw, words.as_bytes()).is_some();
        let found = self.terminal.wait(limit(), seen);
        assert!(found.is_some(), "not written in time:\n{}", self.raw());
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.send_bytes(keys.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.terminal.send(bytes);
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.terminal.resize(width, height);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.terminal.signal(signal);
    }

    /// The numbers on screen that follow these words.
    pub(crate) fn pids(&self, words: &[&str]) -> Vec<u32> {
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
    pub(crate) fn exit_code(&mut self) -> u32 {
        match self.terminal.exit_code(limit()) {
            Some(code) => code,
            None => panic!("it does not end:\n{}", self.screen()),
        }
    }

    #[track_caller]
    pub(crate) fn assert_terminal_as_found(&self) {
        // The last bytes may not have been read yet.
        let deadline = Instant::now() + limit();
        loop {
            let changed = self.terminal.changed();
            if changed.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{changed:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `T` while stopped.
    pub(crate) fn process_state(&self) -> Option<char> {
        Some(Stat::of(self.terminal.pid())?.state)
    }

    /// Bytes and frames written in a while, and how many seconds that was: more, on a busy machine.
    pub(crate) fn written_during(&self, while_: Duration) -> (usize, usize, usize) {
        let before = self.terminal.seen().raw.len();
        let began = Instant::now();
        thread::sleep(while_);
        let seen = self.terminal.seen();
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
        let new = String::from_utf8_lossy(&seen.raw[before..]).into_owned();
        (new.len(), new.matches("\x1b[?2026h").count(), seconds)
    }

    /// Colours of the cells on screen.
    pub(crate) fn colours(&self) -> Vec<String> {
        let seen = self.terminal.seen();
        let screen = seen.screen();
        let (rows, columns) = screen.size();
        (0..rows.get())
            .flat_map(|row| (0..columns.get()).filter_map(move |column| screen.cell(row, column)))
            .flat_map(|cell| [cell.fgcolor(), cell.bgcolor()])
            .filter(|colour| *colour != vt100::Color::Default)
            .map(|colour| format!("{colour:?}"))
            .collect()
    }
}

/// Living processes of a dashboard: they have its home in their environment or arguments.
pub(super) fn processes_of(home: &Path) -> Vec<u32> {
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

#[track_caller]
pub(super) fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    until(what, limit(), holds);
}
