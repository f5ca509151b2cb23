//! The real executable in a pseudo-terminal, with real children.

mod demo;
mod harness;
mod hostile;
mod incident;
mod kills;
mod survival;
mod terminal;

pub(crate) use harness::Dashboard;
use harness::{alive, limit, wait_until};
use rustix::process::Signal;
use std::{fs, time::Duration};

/// An agent that says its pid and its child's, then waits.
const QUIET: &str = "echo agent $$; sleep 1000 & echo child $!; wait";

#[test]
fn plain_lines_are_shown_as_they_are_and_quit_leaves_nothing() {
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--agent-cmd", QUIET]);
    dash.until(|s| s.contains("agent RUNNING") && s.contains("child "));
    let pids = dash.pids(&["agent ", "child "]);
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
    wait_until("children are gone", || pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_signal_leaves_a_sane_terminal_and_no_process() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--agent-cmd", QUIET]);
        dash.until(|s| s.contains("child "));
        let pids = dash.pids(&["agent ", "child "]);
        dash.signal(signal);
        assert_eq!(dash.exit_code(), code, "{signal:?}");
        dash.assert_terminal_as_found();
        wait_until("children are gone", || pids.iter().all(|pid| !alive(*pid)));
    }
}

#[test]
fn a_killed_dashboard_leaves_no_child_that_reads_its_stdin() {
    let script = "echo agent $$; cat >/dev/null";
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--agent-cmd", script]);
    dash.until(|s| s.contains("agent RUNNING"));
    dash.until(|s| s.contains("┃agent "));
    let pids = dash.pids(&["┃agent "]);
    dash.signal(Signal::KILL);
    dash.exit_code();
    wait_until("the agent is gone", || pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_child_that_ignores_term_does_not_keep_the_dashboard() {
    let script = "trap '' TERM; echo agent $$; while :; do sleep 1; done";
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--agent-cmd", script]);
    dash.until(|s| s.contains("┃agent "));
    let pids = dash.pids(&["┃agent "]);
    dash.send("q");
    dash.until(|s| s.contains("ending agent"));
    dash.send("\x03");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
    wait_until("the agent is gone", || pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn somebody_elses_agent_gets_a_key_only_where_a_person_says_so() {
    let agent = "echo \"key ${BRAVE_API_KEY-none}.\"; cat";
    for (more, shown) in [
        (None, "key none."),
        (Some("--agent-cmd-keys"), "key of-a-test."),
    ] {
        let args: Vec<_> = ["--no-monitor", "--agent-cmd", agent]
            .into_iter()
            .chain(more)
            .collect();
        let mut dash = Dashboard::with_env(80, 24, &args, &[("BRAVE_API_KEY", "of-a-test")]);
        dash.until(|s| s.contains(shown));
        dash.send("q");
        assert_eq!(dash.exit_code(), 0);
    }
}

#[test]
fn keys_are_answered_during_a_flood_and_its_last_line_is_shown() {
    let script = "seq 1 1000000; echo the last line; cat";
    let mut dash = Dashboard::new(120, 40, &["--no-monitor", "--agent-cmd", script]);
    dash.until(|s| s.contains("q quit"));
    dash.send("?");
    dash.until(|s| s.contains("or follow the newest again"));
    dash.send("\x1b");
    dash.until(|s| !s.contains("or follow the newest again"));
    dash.until(|s| s.contains("the last line"));
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
}

#[test]
fn hostile_output_arrives_harmless() {
    let script = concat!(
        "head -c 10000000 /dev/zero | tr '\\0' x; echo; ",
        "printf 'a\\033]0;PWN\\007b\\033]52;c;UFdO\\007\\033[?1049l\\033[2J\\033[Hc\\n'; ",
        "printf 'bad \\377\\376 utf8\\n'; printf '\\033]0;never ended\\n'; ",
        "printf '\\342\\200\\256bidi\\n'; echo END; cat",
    );
    let mut dash = Dashboard::new(120, 40, &["--no-monitor", "--agent-cmd", script]);
    dash.until(|s| s.contains("END"));
    let screen = dash.screen();
    assert!(screen.contains("┃abc"), "{screen}");
    assert!(screen.contains("bytes not shown"), "{screen}");
    assert!(screen.contains("┃<202e>bidi"), "{screen}");
    assert!(dash.in_alternate_screen());
    let raw = dash.raw();
    // The emulator leaves replacement characters out.
    assert!(raw.contains("\u{fffd}\u{fffd}"), "{screen}");
    for bad in ["PWN", "never ended", "UFdO", "\u{202e}"] {
        assert!(!raw.contains(bad), "{bad:?}");
    }
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
}

#[test]
fn a_scrolled_view_stays_put_while_its_lines_are_evicted() {
    let script = "seq 1 60; head -n 1 >/dev/null; seq 61 5000; cat";
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--agent-cmd", script]);
    dash.until(|s| s.contains("┃60 "));
    dash.send("\x1b[5~");
    dash.until(|s| s.contains("frozen · 0 new"));
    let agent_rows = |s: &str| -> Vec<String> {
        s.lines()
            .skip(2)
            .take(18)
            .map(|l| l.split('┃').nth(1).unwrap_or("").to_owned())
            .collect()
    };
    let before = agent_rows(&dash.screen());
    dash.send("mgo on\r");
    dash.until(|s| s.contains("frozen · 494"));
    assert_eq!(agent_rows(&dash.screen()), before);
    dash.send("f");
    dash.until(|s| s.contains("┃5000 ") && s.contains("following"));
    dash.send("q");
    dash.exit_code();
}

#[test]
fn an_idle_dashboard_writes_next_to_nothing() {
    let mut dash = Dashboard::new(120, 40, &["--no-monitor", "--no-agent"]);
    dash.until(|s| s.contains("Unknown. PD at") && s.contains("No agent runs here"));
    let (bytes, frames, seconds) = dash.written_during(Duration::from_secs(4));
    // Only the clock and two ages may have changed, once a second.
    assert!(bytes < (seconds + 1) * 200, "{bytes} bytes");
    assert!(frames <= 2 * (seconds + 1), "{frames} frames");
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
}

#[test]
fn an_agent_that_is_killed_is_started_again() {
    let mut dash = Dashboard::new(
        100,
        30,
        &["--no-monitor", "--agent-cmd", "echo agent $$; cat"],
    );
    dash.until(|s| s.lines().any(|l| l.contains("┃agent ")));
    let pid = dash.pids(&["┃agent "])[0];
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    dash.until(|s| s.contains("ended by signal 9"));
    dash.until(|s| s.matches("┃agent ").count() == 2);
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
}

#[test]
fn stopping_gives_the_terminal_back_and_continuing_draws_again() {
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--no-agent"]);
    dash.until(|s| s.contains("No agent runs here"));
    dash.send("\x1a");
    wait_until("it is stopped", || dash.process_state() == Some('T'));
    dash.assert_terminal_as_found();
    dash.signal(Signal::CONT);
    dash.until(|s| s.contains("No agent runs here"));
    assert!(dash.in_alternate_screen());
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
}

#[test]
fn any_size_is_survived() {
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--no-agent"]);
    dash.until(|s| s.contains("No agent runs here"));
    for (width, height) in [
        (0, 0),
        (1, 1),
        (19, 4),
        (40, 10),
        (200, 60),
        (20, 5),
        (61, 9),
    ] {
        for step in 0..5 {
            dash.resize(width + step, height + step);
        }
    }
    dash.resize(120, 40);
    dash.until(|s| s.contains("No agent runs here") && s.lines().count() >= 39);
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
}

#[test]
fn without_colours_none_is_written() {
    let args = [
        "--no-monitor",
        "--agent-cmd",
        "echo plain; echo error >&2; cat",
    ];
    let mut dash = Dashboard::with_env(80, 24, &args, &[("NO_COLOR", "1")]);
    dash.until(|s| s.contains("plain") && s.contains("┆ error"));
    dash.send("?");
    dash.until(|s| s.contains("Esc closes"));
    assert!(dash.colours().is_empty(), "{:?}", dash.colours());
    dash.send("\x1b");
    dash.until(|s| !s.contains("Esc closes"));
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
}

/// Set where the test below is the program under test.
const PANIC: &str = "OPERATOR_TEST_PANIC";

#[test]
fn a_panic_gives_the_terminal_back() {
    if let Ok(thread) = std::env::var(PANIC) {
        let guard = operator_tui::terminal::Guard::enter().expect("a terminal");
        std::hint::black_box(&guard);
        if thread == "another" {
            let _ = std::thread::spawn(|| panic!("on purpose")).join();
            unreachable!("a panic of any thread ends it");
        }
        panic!("on purpose");
    }
    for thread in ["its own", "another"] {
        let name = "pty::a_panic_gives_the_terminal_back";
        let mut dash = Dashboard::of_this_test(name, (PANIC, thread));
        dash.until(|s| s.contains("on purpose"));
        assert_eq!(dash.exit_code(), 101);
        dash.assert_terminal_as_found();
        // The message is written after the terminal was given back.
        assert!(!dash.in_alternate_screen());
    }
}

#[test]
fn what_is_no_terminal_is_refused() {
    let home = tempfile::tempdir().unwrap();
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_operator-tui"))
        .args(["--no-monitor", "--no-agent"])
        .env("OPERATOR_HOME", home.path())
        .env_remove("OPERATOR_LAB_DIR")
        .timeout(limit())
        .assert()
        .code(2)
        .stdout("")
        .stderr("operator-tui: stdin is not a terminal, and the dashboard draws on one; run it in a terminal, or use a subcommand that prints (`operator-tui --help`)\n");
}

#[test]
fn what_cannot_be_used_is_named_before_the_screen_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let db = home.path().join("broken.db");
    fs::write(
        &db,
        "this is no database, and long enough to be looked at as one".repeat(20),
    )
    .unwrap();
    let mut dash = Dashboard::new(80, 24, &["--no-agent", "--db", db.to_str().unwrap()]);
    assert_eq!(dash.exit_code(), 1);
    dash.until_written("broken.db");
    let mut dash = Dashboard::new(80, 24, &["--no-monitor", "--agent-cmd", "no-such-agent"]);
    assert_eq!(dash.exit_code(), 1);
    dash.until_written("there is no program no-such-agent");
}
