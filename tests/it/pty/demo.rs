//! The demo in a pseudo-terminal: a real lab, a real monitor, a real agent, and nothing left.

use super::harness::{Dashboard, processes_of, wait_until};
use rustix::process::Signal;

/// The lab is up and watched.
fn running() -> Dashboard {
    let mut dash = Dashboard::demo(120, 40);
    dash.until(|s| s.contains("● HEALTHY") && s.contains("agent READY") && s.contains("monitor 0"));
    dash
}

#[test]
fn a_demo_that_is_quit_while_the_lab_starts_leaves_nothing() {
    let mut dash = Dashboard::demo(80, 24);
    dash.until(|s| s.contains("starting the lab"));
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
    wait_until("everything is gone", || {
        processes_of(dash.home()).is_empty()
    });
}

#[test]
fn a_demo_that_is_ended_however_leaves_no_process_not_even_a_stopped_one() {
    for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        let mut dash = running();
        let before = processes_of(dash.home());
        assert!(before.len() >= 9, "{before:?}");
        dash.lab(&["pause", "tikv1"]);
        match signal {
            None => {
                // The agent may be at a command by now, and then it asks.
                dash.send("q");
                dash.send("y");
                assert_eq!(dash.exit_code(), 0);
            }
            Some(signal) => {
                dash.signal(signal);
                dash.exit_code();
            }
        }
        if signal != Some(Signal::KILL) {
            dash.assert_terminal_as_found();
        }
        wait_until("everything is gone", || {
            processes_of(dash.home()).is_empty()
        });
    }
}
