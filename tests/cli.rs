//! The command line as scripts and people use it: output, errors, exit codes.

use assert_cmd::Command;
use std::{fs, path::Path};
use tempfile::TempDir;

fn operator(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator-tui"));
    command
        .env("OPERATOR_HOME", home)
        .env_remove("PD_ENDPOINT")
        .env_remove("OPERATOR_SESSION")
        .env_remove("ANTHROPIC_API_KEY");
    command
}

fn out(home: &Path, args: &[&str]) -> String {
    let done = operator(home).args(args).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

/// stderr of a command that must fail.
fn err(home: &Path, args: &[&str]) -> String {
    let done = operator(home).args(args).assert().failure();
    assert!(done.get_output().stdout.is_empty());
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_ticket_opened_by_hand_is_listed_shown_held_and_resolved() {
    let home = home();
    let home = home.path();
    let opened = out(home, &["tickets", "open", "--message", "disk \x1b[31mred"]);
    assert_eq!(opened, "Opened ticket #1\n");
    let list = out(home, &["tickets", "list"]);
    assert!(
        list.starts_with("ID") && list.contains("#1  open"),
        "{list}"
    );
    assert!(!list.contains('\x1b'));
    let shown = out(home, &["tickets", "show", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["status"], "open");
    assert_eq!(json["events"][0]["to"], "open");
    out(home, &["tickets", "hold", "1"]);
    assert!(out(home, &["tickets", "list"]).contains("open, held"));
    out(home, &["tickets", "unhold", "1"]);
    out(home, &["tickets", "resolve", "1"]);
    assert!(out(home, &["tickets", "show", "1"]).contains("human"));
    assert!(out(home, &["tickets", "resolve", "1"]).contains("already"));
    assert_eq!(
        out(home, &["tickets", "list", "--status", "open"]),
        "No tickets.\n"
    );
}

#[test]
fn an_agents_shell_cannot_close_tickets() {
    let home = home();
    out(home.path(), &["tickets", "open", "--message", "m"]);
    for verb in ["resolve", "hold", "unhold"] {
        let done = operator(home.path())
            .args(["tickets", verb, "1"])
            .env("OPERATOR_SESSION", "s")
            .assert()
            .failure();
        let text = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(text.contains("refused in an agent's shell"), "{text}");
    }
    assert!(out(home.path(), &["tickets", "list"]).contains("open"));
}

#[test]
fn errors_name_the_thing_and_what_to_do() {
    let home = home();
    let home = home.path();
    let text = err(home, &["tickets", "list"]);
    assert!(
        text.contains("tickets.db") && text.contains("nothing has been recorded"),
        "{text}"
    );
    out(home, &["tickets", "open", "--message", "m"]);
    assert!(err(home, &["tickets", "show", "9"]).contains("#9 not found"));
    assert!(err(home, &["tickets", "list", "--status", "opened"]).contains("escalated"));
    assert!(err(home, &["audit", "show", "nope"]).contains("nope"));

    let broken = home.join("broken.db");
    fs::write(&broken, "not a database at all, but long enough".repeat(50)).unwrap();
    let text = err(home, &["tickets", "list", "--db", broken.to_str().unwrap()]);
    assert!(
        text.contains("broken.db") && text.contains("--db"),
        "{text}"
    );

    fs::write(home.join("config.toml"), "[monitor]\ninterval = soon\n").unwrap();
    let text = err(home, &["monitor", "run", "--once"]);
    assert!(
        text.contains("config.toml") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn without_a_ledger_there_is_a_hint_at_the_demos() {
    let home = home();
    out(home.path(), &["tickets", "open", "--lab", "--message", "m"]);
    assert!(err(home.path(), &["tickets", "list"]).contains("--lab"));
    assert!(out(home.path(), &["tickets", "list", "--lab"]).contains("#1"));
}

#[test]
fn an_empty_record_is_said_to_be_empty() {
    let home = home();
    out(home.path(), &["tickets", "open", "--message", "m"]);
    assert_eq!(out(home.path(), &["audit", "list"]), "No sessions.\n");
    assert_eq!(out(home.path(), &["audit", "show"]), "No sessions.\n");
    assert!(out(home.path(), &["audit", "verify"]).starts_with("0 of 0"));
    assert_eq!(out(home.path(), &["audit", "list", "--json"]), "[]\n");
}

#[test]
fn a_cluster_that_cannot_be_asked_is_unknown_not_down() {
    let home = home();
    // Port 9 is reserved for discard; nobody speaks PD there.
    let args = ["cluster", "--json", "--pd", "127.0.0.1:9"];
    let done = operator(home.path()).args(args).assert().code(1);
    let json: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert!(json["stores"]["value"].is_null());
    assert!(
        json["stores"]["error"]
            .as_str()
            .unwrap()
            .contains("127.0.0.1:9")
    );

    let args = ["monitor", "run", "--once", "--json", "--pd", "127.0.0.1:9"];
    let done = operator(home.path()).args(args).assert().code(1);
    let report: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(report["ok"], false);
    let keys: Vec<_> = report["violations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["reading"] == "violated")
        .map(|v| v["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["observation_failed:pd"]);
}

#[test]
fn completions_are_printed_for_every_shell() {
    let home = home();
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(home.path(), &["completions", shell]).contains("tickets"));
    }
}
