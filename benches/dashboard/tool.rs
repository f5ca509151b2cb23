//! The programs that are measured: how each is started with a child, and what answers a key.

use crate::{process, terminal::Terminal};
use portable_pty::CommandBuilder;
use std::{path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;

pub(crate) const WIDTH: u16 = 160;
pub(crate) const HEIGHT: u16 = 40;
/// Nothing here takes longer; what does is shown as not seen.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Operator,
    Tmux,
    Mprocs,
}

/// A tool at work.
pub(crate) struct Running {
    pub tool: Tool,
    pub terminal: Terminal,
    /// Its processes, without its child.
    pub pids: Vec<u32>,
    /// What was typed into its prompt.
    typed: String,
    socket: String,
    _home: TempDir,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Operator, Self::Tmux, Self::Mprocs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator-tui",
            Self::Tmux => "tmux",
            Self::Mprocs => "mprocs",
        }
    }

    fn path(self) -> Option<PathBuf> {
        if self == Self::Operator {
            return Some(env!("CARGO_BIN_EXE_operator-tui").into());
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders)
            .map(|folder| folder.join(self.name()))
            .find(|file| file.is_file())
    }

    pub(crate) fn version(self) -> Option<String> {
        let flag = if self == Self::Tmux {
            "-V"
        } else {
            "--version"
        };
        let out = Command::new(self.path()?).arg(flag).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout);
        text.split_whitespace().last().map(str::to_owned)
    }

    /// Starts it with this executable in the role `child`.
    pub(crate) fn start(self, child: &str) -> Running {
        // By its own name: another program starts it.
        let own = std::fs::canonicalize(operator_process::executable()).expect("a path");
        let child = format!("{} child {child}", own.display());
        let program = self.path().expect("asked before");
        let home = tempfile::tempdir().expect("a folder");
        let socket = format!("bench-{}", std::process::id());
        let mut command = CommandBuilder::new(program);
        match self {
            Self::Operator => {
                command.args(["--no-monitor", "--pd", "http://127.0.0.1:1", "--agent-cmd"]);
                command.arg(child);
            }
            // The pane stays when its child ends, so that its last lines can be seen.
            Self::Tmux => command.args([
                "-L",
                &socket,
                "-f",
                "/dev/null",
                "new-session",
                &child,
                ";",
                "set",
                "remain-on-exit",
                "on",
            ]),
            Self::Mprocs => command.args([&child, "sleep 3600"]),
        }
        Running::new(self, command, socket, home)
    }

    /// Our own, with these arguments.
    pub(crate) fn operator(args: &[&str]) -> Running {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(args);
        let home = tempfile::tempdir().expect("a folder");
        Running::new(Self::Operator, command, String::new(), home)
    }
}

impl Running {
    fn new(tool: Tool, mut command: CommandBuilder, socket: String, home: TempDir) -> Self {
        command.env("OPERATOR_HOME", home.path());
        command.env_remove("OPERATOR_LAB_DIR");
        command.env_remove("ANTHROPIC_API_KEY");
        command.env_remove("ANTHROPIC_AUTH_TOKEN");
        command.env_remove("TMUX");
        command.cwd(home.path());
        let terminal = Terminal::spawn(WIDTH, HEIGHT, command, false);
        let own = terminal.pid().as_raw_nonzero().get().cast_unsigned();
        Self {
            tool,
            terminal,
            pids: vec![own],
            typed: String::new(),
            socket,
            _home: home,
        }
    }

    /// Waits until the child's first line is there, and the tool is what it will be.
    pub(crate) fn ready(self) -> Self {
        self.up("ready")
    }

    /// Waits until there is this word of the child.
    pub(crate) fn up(mut self, word: &str) -> Self {
        self.see(word);
        if self.tool == Tool::Tmux {
            let server = Command::new("tmux")
                .args(["-L", &self.socket, "display-message", "-p", "#{pid}"])
                .output()
                .expect("tmux");
            let server = String::from_utf8_lossy(&server.stdout).trim().parse();
            self.pids.push(server.expect("the pid of its server"));
        }
        self
    }

    pub(crate) fn see(&self, text: &str) {
        let seen = self
            .terminal
            .wait(LIMIT, |seen| seen.screen().contents().contains(text));
        assert!(
            seen.is_some(),
            "{}: no {text:?} in\n{}",
            self.tool.name(),
            self.terminal.contents()
        );
    }

    pub(crate) fn cpu(&self) -> u64 {
        process::cpu(&self.pids)
    }

    /// Opens the prompt that [`Self::key`] types into, where there is one.
    pub(crate) fn prompt(&mut self) {
        match self.tool {
            Tool::Operator => self.terminal.send(b"/"),
            Tool::Tmux => self.terminal.send(b"\x02:"),
            Tool::Mprocs => return,
        }
        let seen = self.terminal.wait(LIMIT, |seen| {
            last_row(seen.screen()).trim() == prompt(self.tool)
        });
        assert!(seen.is_some(), "no prompt in\n{}", self.terminal.contents());
    }

    /// Sends the `n`-th key; returns what tells that it was answered.
    pub(crate) fn key(&mut self, n: usize) -> impl Fn(&vt100::Screen) -> bool + use<> {
        let tool = self.tool;
        if tool == Tool::Mprocs {
            self.terminal
                .send(if n.is_multiple_of(2) { b"j" } else { b"k" });
        } else if self.typed.len() == 20 {
            self.typed.clear();
            self.terminal.send(b"\x15");
        } else {
            let letter = b'a' + (n % 26) as u8;
            self.typed.push(char::from(letter));
            self.terminal.send(&[letter]);
        }
        let typed = self.typed.clone();
        move |screen| {
            if tool == Tool::Mprocs {
                let row = if n.is_multiple_of(2) { 2 } else { 1 };
                return screen.cell(row, 1).is_some_and(|c| c.contents() == "•");
            }
            let row = last_row(screen);
            row.trim().strip_prefix(prompt(tool)).map(str::trim) == Some(&typed)
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.tool == Tool::Tmux {
            let _ = Command::new("tmux")
                .args(["-L", &self.socket, "kill-server"])
                .output();
        }
    }
}

fn prompt(tool: Tool) -> &'static str {
    match tool {
        Tool::Operator => "/",
        Tool::Tmux => ":",
        Tool::Mprocs => "",
    }
}

fn last_row(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let row = screen
        .rows(0, columns.get())
        .nth(usize::from(rows.get()) - 1);
    row.unwrap_or_default()
}
