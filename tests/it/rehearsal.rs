//! The rehearsal on a real lab, with the real monitor: what it repairs is proven, what it cannot
//! repair it escalates. Each from the evidence alone.

use operator_lab::timing::MONITOR_LIMITS;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-tui");

/// Three times what anything here may take.
const LIMIT: Duration = Duration::from_secs(90);

/// A lab under a monitor. Dropping it ends both.
struct Stage {
    home: TempDir,
    pd: String,
    monitor: Child,
}

impl Stage {
    fn set() -> Self {
        let home = tempfile::tempdir().unwrap();
        let up = operator(home.path(), "", &["lab", "up"]).output().unwrap();
        let text = String::from_utf8_lossy(&up.stdout).into_owned();
        assert!(
            up.status.success(),
            "{}",
            String::from_utf8_lossy(&up.stderr)
        );
        let pd = text
            .lines()
            .find_map(|l| l.strip_prefix("PD"))
            .unwrap()
            .trim()
            .to_owned();
        let monitor = operator(home.path(), &pd, &["monitor", "run", "--lab"])
            .args(MONITOR_LIMITS)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { home, pd, monitor }
    }

    fn out(&self, args: &[&str]) -> Output {
        operator(self.home.path(), &self.pd, args).output().unwrap()
    }

    fn done(&self, args: &[&str]) {
        let out = self.out(args);
        assert!(
            out.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    fn tickets(&self) -> Vec<serde_json::Value> {
        let out = self.out(&["tickets", "list", "--lab", "--json"]);
        serde_json::from_slice(&out.stdout).unwrap_or_default()
    }

    fn wait(&self, what: &str, done: impl Fn(&[serde_json::Value]) -> bool) {
        let start = Instant::now();
        while !done(&self.tickets()) {
            assert!(
                start.elapsed() < LIMIT,
                "not in {LIMIT:?}: {what}: {:#?}",
                self.tickets()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs the rehearsal until no ticket is left to it. Returns the commands it ran.
    fn rehearse(&self) -> Vec<String> {
        let ledger = self.home.path().join("lab-record/tickets.db");
        let mut agent = operator(
            self.home.path(),
            &self.pd,
            &["agent", "--model", "rehearsal", "--db"],
        )
        .arg(&ledger)
        .stdout(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
        self.wait("every ticket is closed or handed over", |tickets| {
            let left =
                |t: &serde_json::Value| t["status"] == "open" || t["status"] == "acknowledged";
            !tickets.is_empty() && !tickets.iter().any(left)
        });
        agent.kill().unwrap();
        agent.wait().unwrap();
        let sessions = self.out(&["audit", "list", "--lab", "--json"]);
        let sessions: Vec<serde_json::Value> = serde_json::from_slice(&sessions.stdout).unwrap();
        let mut commands = Vec::new();
        for session in sessions.iter().rev() {
            let id = session["session_id"].as_str().unwrap();
            let shown = self.out(&["audit", "show", id, "--lab", "--json"]);
            let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
            for entry in shown["entries"].as_array().unwrap() {
                commands.extend(entry["tool_params"]["command"].as_str().map(str::to_owned));
            }
        }
        commands
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
        self.out(&["lab", "down"]);
    }
}

fn operator(home: &Path, pd: &str, args: &[&str]) -> Command {
    let mut command = Command::new(OPERATOR);
    command
        .args(args)
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .env("PD_ENDPOINT", pd)
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("ANTHROPIC_AUTH_TOKEN");
    command
}

fn of<'a>(tickets: &'a [serde_json::Value], invariant: &str) -> Vec<&'a serde_json::Value> {
    tickets
        .iter()
        .filter(|t| t["invariant_name"] == invariant)
        .collect()
}

/// Commands that change something.
fn changes(commands: &[String]) -> Vec<&str> {
    let verbs = ["start", "stop", "kill", "pause", "resume", "load"];
    let changing = |c: &&String| verbs.iter().any(|v| c.contains(&format!("lab {v} ")));
    commands
        .iter()
        .filter(changing)
        .map(String::as_str)
        .collect()
}

#[test]
fn two_stores_down_are_both_brought_back() {
    let stage = Stage::set();
    stage.done(&["lab", "kill", "tikv0", "tikv2"]);
    stage.wait("tickets", |t| of(t, "store_down").len() == 2);
    let commands = stage.rehearse();
    let mut changes = changes(&commands);
    changes.sort_unstable();
    assert_eq!(
        changes,
        [
            "operator-tui lab start tikv0",
            "operator-tui lab start tikv2"
        ]
    );
    let tickets = stage.tickets();
    assert!(
        tickets.iter().all(|t| t["status"] == "resolved"),
        "{tickets:#?}"
    );
    assert!(
        of(&tickets, "store_down")
            .iter()
            .any(|t| t["resolution"] == "proven")
    );
}

#[test]
fn a_frozen_pd_member_and_then_a_pd_without_a_leader_are_repaired() {
    let stage = Stage::set();
    stage.done(&["lab", "pause", "pd1"]);
    stage.wait("a ticket", |t| of(t, "pd_member_down").len() == 1);
    let commands = stage.rehearse();
    assert_eq!(changes(&commands), ["operator-tui lab resume pd1"]);

    // PD cannot even say which cluster it is.
    stage.done(&["lab", "kill", "pd0", "pd2"]);
    stage.wait("a ticket", |t| {
        of(t, "pd_no_leader")
            .iter()
            .any(|t| t["status"] != "resolved")
    });
    let commands = stage.rehearse();
    let mut changes = changes(&commands)[1..].to_vec();
    changes.sort_unstable();
    assert_eq!(
        changes,
        ["operator-tui lab start pd0", "operator-tui lab start pd2"]
    );
    let tickets = stage.tickets();
    assert!(
        tickets.iter().all(|t| t["status"] == "resolved"),
        "{tickets:#?}"
    );
}

#[test]
fn a_store_whose_data_are_damaged_is_handed_over_with_what_was_found() {
    let stage = Stage::set();
    stage.done(&["lab", "kill", "tikv1"]);
    let data = stage.home.path().join("lab/data/tikv1");
    let mut damaged = 0;
    for entry in fs::read_dir(&data).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            fs::write(entry.path(), vec![0x5a; 65_536]).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    stage.wait("a ticket", |t| of(t, "store_down").len() == 1);
    let commands = stage.rehearse();
    assert_eq!(
        changes(&commands),
        ["operator-tui lab start tikv1"],
        "tried once"
    );
    let tickets = stage.tickets();
    let ticket = of(&tickets, "store_down")[0];
    assert_eq!(ticket["status"], "escalated", "{ticket:#}");
    assert!(
        ticket["diagnosis"].as_str().unwrap().contains("damaged"),
        "{ticket:#}"
    );
}

#[test]
fn a_false_alarm_changes_nothing() {
    let stage = Stage::set();
    stage.done(&[
        "tickets",
        "open",
        "--lab",
        "--message",
        "somebody says that it is slow",
    ]);
    let commands = stage.rehearse();
    assert!(
        !commands.is_empty() && changes(&commands).is_empty(),
        "{commands:#?}"
    );
    // Nothing can prove what a person wrote: a person closes it.
    assert_eq!(stage.tickets()[0]["status"], "escalated");
}
