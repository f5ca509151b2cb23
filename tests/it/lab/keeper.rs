//! A lab's keeper that is frozen, raced for, or loses its home.

use super::harness::{LONG, Lab, SHORT, exists, kill, parent, signal, text, until};
use rustix::process::Signal;
use std::{fs, process::Stdio, time::Instant};

#[test]
fn a_frozen_keeper_is_named_and_down_ends_its_lab() {
    let lab = Lab::up(&["--no-load"]);
    lab.ok(&["pause", "tikv1"]);
    let pids = lab.pids();
    let keeper = parent(pids[0]);
    signal(keeper, Signal::STOP);
    let started = Instant::now();
    let output = lab.run(&["ps"]);
    assert!(!output.status.success());
    let said = text(&output);
    assert!(
        said.contains("frozen") && said.contains(&keeper.to_string()) && said.contains("lab down"),
        "{said}"
    );
    assert!(started.elapsed() < LONG);
    lab.ok(&["down"]);
    assert!(!exists(keeper));
    assert!(pids.iter().all(|pid| !exists(*pid)));
    assert!(text(&lab.run(&["ps"])).contains("no lab is up"));
}

#[test]
fn two_labs_that_start_at_once_in_one_home_are_one_lab() {
    let lab = Lab::new();
    for _ in 0..3 {
        let ups: Vec<_> = (0..2)
            .map(|_| {
                lab.command(&["up", "--fresh", "--no-load"])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let said: Vec<_> = ups
            .into_iter()
            .map(|up| up.wait_with_output().unwrap())
            .collect();
        assert!(said.iter().all(|o| o.status.success()), "{said:#?}");
        let second = said.iter().filter(|o| text(o).contains("already up"));
        assert_eq!(second.count(), 1, "{said:#?}");
        assert_eq!(lab.pids().len(), 7);
        until("it is whole", LONG, || lab.is_balanced());
        lab.ok(&["down"]);
    }
}

#[test]
fn a_lab_whose_home_is_removed_ends() {
    let lab = Lab::up(&["--no-load"]);
    lab.ok(&["pause", "pd1"]);
    let pids = lab.pids();
    let keeper = parent(pids[0]);
    fs::remove_dir_all(lab.dir()).unwrap();
    until("the keeper ends", SHORT, || !exists(keeper));
    assert!(pids.iter().all(|pid| !exists(*pid)));
}

#[test]
fn a_socket_that_is_removed_comes_back() {
    let lab = Lab::up(&["--no-load"]);
    fs::remove_file(lab.dir().join("keeper.sock")).unwrap();
    until("the keeper answers again", SHORT, || {
        lab.run(&["ps"]).status.success()
    });
    let pids = lab.pids();
    lab.ok(&["down"]);
    assert!(pids.iter().all(|pid| !exists(*pid)));
    assert!(!lab.dir().join("keeper.sock").exists());
}

#[test]
fn a_keeper_that_dies_while_the_lab_starts_is_the_reason_that_is_given() {
    let lab = Lab::new();
    let up = lab
        .command(&["up", "--no-load"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it has nodes", SHORT, || {
        lab.run(&["ps"]).status.success() && !lab.pids().is_empty()
    });
    let pids = lab.pids();
    kill(parent(pids[0]));
    let output = up.wait_with_output().unwrap();
    assert!(!output.status.success());
    let said = text(&output);
    assert!(
        said.contains("keeper ended") && said.contains("signal 9"),
        "{said}"
    );
    until("all is gone", SHORT, || {
        pids.iter().all(|pid| !exists(*pid))
    });
    lab.ok(&["up", "--no-load"]);
}
#[test]
fn what_a_frozen_keeper_was_asked_for_it_does_not_do_later() {
    let lab = Lab::up(&["--no-load"]);
    let pids = lab.pids();
    let keeper = parent(pids[0]);
    signal(keeper, Signal::STOP);
    for command in ["kill", "stop", "pause"] {
        let output = lab.run(&[command, "tikv1"]);
        assert!(!output.status.success(), "{output:?}");
    }
    signal(keeper, Signal::CONT);
    // Asked after them, and done after them, if they were done.
    lab.ok(&["pause", "tikv2"]);
    let shown = text(&lab.run(&["ps"]));
    let tikv1 = shown.lines().find(|l| l.starts_with("tikv1")).unwrap();
    assert!(tikv1.contains("running"), "{shown}");
    assert_eq!(lab.pids(), pids);
}
