//! What somebody does who never saw it: follows an incident, approves a command, reads what the agent
//! did, plays it back. With a real lab, a real monitor and a real agent.

use super::harness::{Dashboard, Lab};

/// Approves what waits, as its command says.
fn approve(dash: &mut Dashboard, command: &str) {
    dash.until(|s| s.contains("waits for approval") && s.contains(command));
    dash.until(|s| s.contains("a approve"));
    dash.send("a");
    dash.until(|s| s.contains("Run this command?") && s.contains(command));
    dash.send("y");
    dash.until(|s| !s.contains("Run this command?"));
}

#[test]
fn an_incident_is_followed_approved_read_and_played_back() {
    let lab = Lab::up();
    let mut ours = lab.dashboard(120, 40, &["--mode", "propose"]);
    ours.until(|s| s.contains("● HEALTHY") && s.contains("agent READY"));
    lab.run(&["kill", "tikv1"]);
    ours.until(|s| s.contains("agent ASKS #1"));
    // Somebody else looks on: no agent, no monitor of theirs.
    let mut theirs = lab.dashboard(120, 40, &["--no-agent", "--no-monitor"]);
    theirs.until(|s| s.contains("Agent elsewhere · #1") && s.contains("live from the ledger"));
    approve(&mut theirs, "operator-tui lab start tikv1");
    // What only looks waits for nobody.
    ours.until(|s| s.contains("✓ proven"));
    theirs.until(|s| s.contains("Agent elsewhere, ended"));
    ours.send("q");
    assert_eq!(ours.exit_code(), 0);
    ours.assert_terminal_as_found();

    // Read it.
    theirs.send("s");
    theirs.until(|s| s.contains("┏ Sessions") && s.contains("✓ proven"));
    theirs.send("\r");
    theirs
        .until(|s| s.contains("Session on #1 · ✓ proven") && s.contains("$ operator-tui cluster"));
    theirs.send("/lab start\r");
    theirs.until(|s| s.contains("▶$ operator-tui lab start tikv1"));
    theirs.send("\r");
    theirs.until(|s| s.contains("┏ Output · ✓ exit 0"));
    theirs.send("q");
    // Play it back.
    theirs.send("p");
    theirs.until(|s| s.contains("Replay ▶ 1x"));
    theirs.send("$");
    theirs.until(|s| s.contains("Replay ‖") && s.contains("agent ENDED"));
    // Where it ended the monitor still looked on.
    theirs.send("<");
    theirs.until(|s| s.contains("the session ends") && s.contains("● HEALTHY"));
    theirs.send(":seek 0\r");
    theirs.until(|s| s.contains("before anything happened") && s.contains("agent NOT YET"));
    // PD calls it disconnected before it is a ticket, as a rule.
    let opened = |s: &str| s.contains("#1 store_down tikv1: ");
    theirs.send(">");
    theirs.until(|s| opened(s) || s.contains("tikv1 was up"));
    if !opened(&theirs.screen()) {
        theirs.send(">");
    }
    theirs.until(opened);
    theirs.send("q");
    theirs.until(|s| s.contains("Session on #1 · ✓ proven"));
    theirs.send("qq");
    assert_eq!(theirs.exit_code(), 0);
    theirs.assert_terminal_as_found();
}

#[test]
fn title_mouse_and_clipboard_are_the_terminals_and_given_back() {
    let args = [
        "--no-monitor",
        "--agent-cmd",
        "echo first; echo second; cat",
    ];
    let mut dash = Dashboard::new(80, 24, &args);
    dash.until(|s| s.contains("second"));
    dash.send("yyM");
    dash.until(|s| s.contains("Mouse on"));
    // The wheel, over the agent's pane, and a click on the tickets'.
    dash.send("\x1b[<0;5;20M\x1b[<0;5;20m");
    dash.until(|s| s.contains("┏ Tickets"));
    dash.send("M");
    dash.until(|s| s.contains("Mouse off"));
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
    let raw = dash.raw();
    // "second", base64.
    for expected in [
        "\x1b]52;c;c2Vjb25k",
        "\x1b[?1002h",
        "\x1b]0;operator: ? unknown\x07",
    ] {
        assert!(raw.contains(expected), "{expected:?}");
    }
    let (kept, given) = (raw.find("\x1b[22;0t"), raw.rfind("\x1b[23;0t"));
    assert!(kept.is_some() && given > kept);
}

#[test]
fn a_replay_of_what_is_not_there_is_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    let refused = assert_cmd::Command::new(env!("CARGO_BIN_EXE_operator-tui"))
        .args(["replay", "2026"])
        .env("OPERATOR_HOME", home.path())
        .env_remove("OPERATOR_LAB_DIR")
        .assert()
        .code(1);
    let words = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(words.contains("no ledger at"), "{words}");
}
