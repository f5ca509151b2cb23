//! The demo with the real executable: it ends proven, and whatever ends it leaves nothing behind.

use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-tui");

/// Three times what a demo may take.
const LIMIT: Duration = Duration::from_secs(240);

fn demo(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(OPERATOR);
    command
        .args(["demo", "--headless", "--auto"])
        .args(args)
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("ANTHROPIC_AUTH_TOKEN")
        .env_remove("PD_ENDPOINT")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Processes that were given this home, by environment or argument: pid, state and command line.
fn processes_of(home: &Path) -> Vec<(u32, char, String)> {
    let home = home.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let read = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let (line, environment) = (read("cmdline"), read("environ"));
        if line.contains(home) || environment.contains(home) {
            let stat = read("stat");
            let state = stat
                .rsplit_once(") ")
                .and_then(|(_, s)| s.chars().next())
                .unwrap_or('?');
            found.push((pid, state, line));
        }
    }
    found
}

fn gone(home: &Path) {
    let mut left = Vec::new();
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        left = processes_of(home);
        if left.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("left behind: {left:#?}");
}

/// Lines of a demo as they come.
struct Lines(BufReader<ChildStdout>, String);

impl Lines {
    fn of(child: &mut Child) -> Self {
        Self(BufReader::new(child.stdout.take().unwrap()), String::new())
    }

    /// Reads up to a line that holds `word`. The demo's own limits end it if none comes.
    fn until(&mut self, word: &str) {
        loop {
            let mut line = String::new();
            let n = self.0.read_line(&mut line).unwrap();
            self.1.push_str(&line);
            assert!(n > 0, "ended before {word:?}:\n{}", self.1);
            if line.contains(word) {
                return;
            }
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn json(home: &Path, args: &[&str]) -> serde_json::Value {
    let out = Command::new(OPERATOR)
        .args(args)
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .output()
        .unwrap();
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn a_killed_store_is_repaired_and_proven_with_bash_and_coreutils_alone() {
    let home = tempfile::tempdir().unwrap();
    // Neither curl nor jq, nor anything else that a bare machine may lack.
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["bash", "sh", "cat", "sleep", "head", "tail", "ls", "date"] {
        let real = ["/usr/bin", "/bin"].map(|d| Path::new(d).join(name));
        let real = real.iter().find(|p| p.exists()).unwrap();
        symlink(real, bin.join(name)).unwrap();
    }
    let done = demo(home.path(), &["--seed", "7"])
        .env("PATH", &bin)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}\n{errors}");
    let summary = text.lines().last().unwrap();
    assert!(
        summary.contains("summary") && summary.contains(" proven · tikv"),
        "{text}"
    );
    assert!(!text.contains("jq") && !text.contains("curl"), "{text}");
    gone(home.path());

    // The record says the same.
    let tickets = json(home.path(), &["tickets", "list", "--lab", "--json"]);
    let down: Vec<_> = tickets
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["invariant_name"] == "store_down")
        .collect();
    assert_eq!(down.len(), 1, "{tickets:#}");
    assert_eq!(down[0]["resolution"], "proven");
    assert_eq!(down[0]["claimed"], true);
    let session = json(home.path(), &["audit", "show", "--lab", "--json"]);
    assert_eq!(session["model"], "rehearsal");
    let entries = session["entries"].as_array().unwrap();
    let of = |kind: &str| entries.iter().filter(|e| e["entry_type"] == kind).count();
    assert!(
        of("tool_call") >= 4 && of("tool_call") == of("tool_result"),
        "{entries:#?}"
    );
    let verify = json(home.path(), &["audit", "verify", "--lab", "--json"]);
    assert_eq!(verify["sessions"][0]["verdict"]["verdict"], "intact");
}

#[test]
fn the_agent_is_not_told_and_a_terminated_demo_leaves_nothing_and_releases_the_ticket() {
    let home = tempfile::tempdir().unwrap();
    let mut child = demo(home.path(), &["--seed", "424242", "--fault", "pause"])
        .spawn()
        .unwrap();
    let mut lines = Lines::of(&mut child);
    lines.until("$ operator-tui");
    let agents: Vec<_> = processes_of(home.path())
        .into_iter()
        .filter(|(_, _, line)| line.contains(" agent ") && line.contains("--supervised"))
        .collect();
    assert_eq!(agents.len(), 1, "{agents:?}");
    let environment = fs::read(format!("/proc/{}/environ", agents[0].0)).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    for word in ["424242", "--seed", "pause", "--fault", "chapter"] {
        assert!(!agents[0].2.contains(word), "{word} in {}", agents[0].2);
        assert!(!environment.contains(word), "{word} in its environment");
    }
    assert!(
        processes_of(home.path())
            .iter()
            .any(|(_, state, _)| *state == 'T'),
        "a store is frozen"
    );

    signal(&child, Signal::TERM);
    let status = child.wait().unwrap();
    assert!(!status.success());
    gone(home.path());
    let tickets = json(home.path(), &["tickets", "list", "--lab", "--json"]);
    assert_ne!(tickets[0]["status"], "acknowledged", "stuck: {tickets:#}");
    assert_ne!(tickets[0]["status"], "resolved", "{tickets:#}");
    let sessions = json(home.path(), &["audit", "list", "--lab", "--json"]);
    assert_eq!(sessions[0]["status"], "interrupted", "{sessions:#}");
}

#[test]
fn a_demo_killed_in_mid_command_leaves_no_process_frozen_ones_included() {
    let home = tempfile::tempdir().unwrap();
    let mut child = demo(home.path(), &["--seed", "1", "--fault", "pause"])
        .spawn()
        .unwrap();
    let mut lines = Lines::of(&mut child);
    lines.until("$ operator-tui");
    let before = processes_of(home.path());
    assert!(
        before.len() >= 10,
        "keeper, seven nodes, monitor and agent: {before:#?}"
    );
    assert!(
        before.iter().any(|(_, state, _)| *state == 'T'),
        "{before:#?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    gone(home.path());

    // The next demo begins as if nothing had been: the old ticket is not stuck.
    let mut child = demo(home.path(), &["--seed", "1"]).spawn().unwrap();
    let mut lines = Lines::of(&mut child);
    lines.until("The healthy cluster");
    until("the old ticket is closed", LIMIT, || {
        let tickets = json(home.path(), &["tickets", "list", "--lab", "--json"]);
        tickets
            .as_array()
            .unwrap()
            .iter()
            .all(|t| t["status"] == "resolved")
    });
    signal(&child, Signal::INT);
    child.wait().unwrap();
    gone(home.path());
}

/// The process of a demo whose command line holds `word`.
fn process(home: &Path, word: &str) -> Pid {
    let found: Vec<_> = processes_of(home)
        .into_iter()
        .filter(|(_, _, line)| line.contains(word))
        .collect();
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    Pid::from_raw(i32::try_from(found[0].0).unwrap()).unwrap()
}

#[test]
fn with_its_keeper_frozen_a_demo_still_ends_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (word, how) in [
        // While the lab starts, and once it is up.
        ("waiting for", Signal::TERM),
        ("Load", Signal::TERM),
        ("Load", Signal::KILL),
    ] {
        let mut child = demo(home.path(), &["--seed", "1"]).spawn().unwrap();
        Lines::of(&mut child).until(word);
        kill_process(process(home.path(), "lab keeper"), Signal::STOP).unwrap();
        signal(&child, how);
        assert!(!child.wait().unwrap().success());
        gone(home.path());
    }
}

#[test]
fn a_demo_whose_every_helper_is_frozen_leaves_none_of_them() {
    let home = tempfile::tempdir().unwrap();
    for how in [Signal::KILL, Signal::TERM] {
        let mut child = demo(home.path(), &["--seed", "1"]).spawn().unwrap();
        Lines::of(&mut child).until("$ sleep 2");
        let runner = || {
            let all = processes_of(home.path());
            all.iter().any(|(_, _, line)| line.contains("__command"))
        };
        until("the command runs", LIMIT, runner);
        for word in [
            "lab keeper",
            "monitor run",
            " agent --supervised",
            "__runner",
            "__command",
        ] {
            kill_process(process(home.path(), word), Signal::STOP).unwrap();
        }
        signal(&child, how);
        assert!(!child.wait().unwrap().success());
        gone(home.path());
    }
}

#[test]
fn a_demo_whose_keeper_is_killed_says_so_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let child = {
        let mut child = demo(home.path(), &["--seed", "1"]).spawn().unwrap();
        let mut lines = Lines::of(&mut child);
        lines.until("fault  ");
        child.stdout = Some(lines.0.into_inner());
        child
    };
    kill_process(process(home.path(), "lab keeper"), Signal::KILL).unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("the lab is gone") && errors.contains("signal 9"),
        "{errors}"
    );
    gone(home.path());
}

#[test]
fn a_monitor_and_an_agent_that_are_killed_come_back_and_the_repair_is_proven() {
    let home = tempfile::tempdir().unwrap();
    // The user's settings are for real systems: with them no ticket would be opened here.
    let settings = "prometheus = \"http://127.0.0.1:9\"\n[monitor.store_down]\nenabled = false\n";
    fs::write(home.path().join("config.toml"), settings).unwrap();
    let mut child = demo(home.path(), &["--seed", "2"]).spawn().unwrap();
    let mut lines = Lines::of(&mut child);
    lines.until("$ operator-tui");
    for word in ["monitor run", " agent --supervised"] {
        kill_process(process(home.path(), word), Signal::KILL).unwrap();
    }
    lines.until("summary");
    assert!(lines.1.contains(" proven · tikv"), "{}", lines.1);
    assert!(child.wait().unwrap().success(), "{}", lines.1);
    gone(home.path());
}

#[test]
fn chapters_that_prove_nothing_are_no_success() {
    let home = tempfile::tempdir().unwrap();
    let chapters = home.path().join("chapters");
    fs::create_dir(&chapters).unwrap();
    let text = "+++\ntitle = \"A\"\nadvance = \"manual\"\n+++\nx\n";
    fs::write(chapters.join("01-a.md"), text).unwrap();
    let done = demo(home.path(), &["--chapters", chapters.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(text.contains("NOT PROVEN"), "{text}");
    assert_eq!(done.status.code(), Some(1), "{text}");
    gone(home.path());
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let home = tempfile::tempdir().unwrap();
    let chapters = home.path().join("chapters");
    fs::create_dir(&chapters).unwrap();
    let fails = |args: &[&str], words: &[&str]| {
        let done = demo(home.path(), args).output().unwrap();
        assert!(!done.status.success());
        let text = String::from_utf8_lossy(&done.stderr);
        for word in words {
            assert!(text.contains(word), "{args:?}: {word} in {text}");
        }
    };
    let folder = chapters.to_str().unwrap();
    fails(
        &["--chapters", folder],
        &["no chapters in", "01-welcome.md"],
    );
    fs::write(
        chapters.join("01-a.md"),
        "+++\ntitle = \"A\"\nadvance = \"later\"\n+++\nx\n",
    )
    .unwrap();
    fails(
        &["--chapters", folder],
        &["01-a.md:3:", "expected manual", "later"],
    );
    fails(&["--chapters", "/nowhere/at/all"], &["/nowhere/at/all"]);
    fails(&["--fault", "drown"], &["kill", "pause"]);

    fs::create_dir(home.path().join("lab-record")).unwrap();
    let ledger = home.path().join("lab-record/tickets.db");
    fs::write(
        &ledger,
        "this is no database, though it is long enough".repeat(30),
    )
    .unwrap();
    fails(&[], &["tickets.db", "damaged or is not a ledger"]);
    assert!(processes_of(home.path()).is_empty());
}
