//! Cells: runners that are elsewhere, are somebody else, are not there, are lost, or stand still.

use crate::{
    common::stage::LONG,
    shell::{alive, pids, stage, stage_in, until, written},
};
use std::{os::unix::fs::PermissionsExt, time::Duration};

/// Until the agent has given up a runner that stands still: see the shell's limits.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// In a command: the pid of the runner, the parent of the process around it.
const RUNNER: &str = "$(awk '{print $4}' /proc/$PPID/stat)";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shell_prints_before_its_runner_is_passed_over() {
    let cell = r#"cmd:sh -c 'echo "Welcome to this host"; echo motd >&2; exec "$0" "$@"'"#;
    let mut stage = stage_in(cell.parse().unwrap());
    let done = stage.run("cd /usr; echo out; echo err >&2; exit 3").await;
    assert_eq!(done.exit_code, Some(3), "{done:?}");
    assert!(done.printed.text.contains("out\n") && done.printed.text.contains("err\n"));
    assert_eq!(stage.run("pwd").await.printed.text, "/usr\n");
    // Files of this machine mean nothing there.
    let told = stage
        .run("echo ${OPERATOR_LAB_DIR-none} $PD_ENDPOINT")
        .await;
    assert_eq!(told.printed.text, "none http://127.0.0.1:1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_cannot_be_used_is_named_with_what_to_do() {
    for (cell, words) in [
        ("cmd:/no/such/program", "/no/such/program"),
        ("cmd:false", "nothing answered"),
        (
            "cmd:sh -c 'echo sh: operator-tui: not found >&2; exit 127'",
            "operator-tui: not found",
        ),
        ("cmd:echo hello", "it is not a runner that answered: hello"),
        ("host:no-such-user", "no-such-user"),
    ] {
        let mut stage = stage_in(cell.parse().unwrap());
        let done = stage.run("true").await;
        let why = done.failed.clone().unwrap_or_default();
        assert!(
            why.contains(words) && why.contains("--runner"),
            "{cell}: {done:?}"
        );
        assert!(done.duration < LONG, "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_killed_is_a_result_and_the_next_command_has_a_new_one() {
    let mut stage = stage();
    let job = pids(&stage.run("cd /usr; sleep 300 & echo $!").await.printed.text)[0];
    // With the process around it, which else would end it.
    let command = format!("sleep 301 & echo $!; kill -9 {RUNNER} $PPID; sleep 302");
    let done = stage.run(&command).await;
    let why = done.failed.clone().unwrap_or_default();
    assert!(why.contains("was lost while it ran"), "{done:?}");
    assert!(done.duration < Duration::from_secs(5), "{done:?}");
    let orphan = pids(&done.printed.text)[0];
    let done = stage.run("pwd").await;
    assert_eq!(done.exit_code, Some(0), "{done:?}");
    assert_ne!(done.printed.text, "/usr\n");
    let said = done.renewed.clone().unwrap_or_default();
    assert!(
        said.contains("new shell") && said.contains("background jobs"),
        "{said}"
    );
    assert!(said.contains("sleep 301"), "{said}");
    assert_eq!(stage.run("true").await.renewed, None);
    until("what it had left is gone", LONG, || {
        !alive(job) && !alive(orphan)
    })
    .await;
    stage.shell.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_with_a_lost_runner_leaves_no_job() {
    let mut stage = stage();
    let command = format!(
        "setsid sleep 303 & echo $!; sleep 304 & echo $!; kill -9 {RUNNER} $PPID; sleep 305"
    );
    let done = stage.run(&command).await;
    let left = pids(&done.printed.text);
    let closed = stage.shell.close().await;
    assert!(!alive(left[1]), "{closed:?}");
    assert!(alive(left[0]), "a service stays: {closed:?}");
    let guest = crate::services::Guest(left[0]);
    drop(guest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_stands_still_is_said_and_given_up_after_the_limit() {
    // Nothing here can wake it: what is started first is not the runner.
    let cell = r#"cmd:sh -c '"$0" "$@"; exit 1'"#;
    let mut stage = stage_in(cell.parse().unwrap());
    let note = tempfile::NamedTempFile::new().unwrap();
    let command = format!(
        "echo {RUNNER} > {}; kill -STOP {RUNNER}; sleep 300",
        note.path().display()
    );
    let (done, seen) = stage
        .seen(&command, Duration::from_secs(2), std::future::pending())
        .await;
    let why = done.failed.clone().unwrap_or_default();
    assert!(why.contains("has not answered for"), "{done:?}");
    assert!(done.duration < GIVEN_UP, "{done:?}");
    assert!(seen.silent < Some(Duration::from_secs(10)) && seen.silent.is_some());
    written(note.path()).await;
    let runner = crate::services::Guest(pids(&std::fs::read_to_string(note.path()).unwrap())[0]);
    let done = stage.run("echo again").await;
    assert_eq!(done.printed.text, "again\n", "{done:?}");
    drop(runner);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_is_heard_while_the_cell_is_being_reached() {
    let mut stage = stage_in("cmd:sh -c 'sleep 60'".parse().unwrap());
    let soon = tokio::time::sleep(Duration::from_millis(200));
    let (done, _) = stage.seen("true", LONG, soon).await;
    assert!(
        done.interrupted && done.duration < Duration::from_secs(5),
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_cannot_read_what_is_only_ours() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let ours = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ours.path(), "the record\n").unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(ours.path(), mode).unwrap();
    let mut stage = stage_in("host:nobody".parse().unwrap());
    let done = stage
        .run(&format!(
            "id -un; echo $USER; cat {}",
            ours.path().display()
        ))
        .await;
    assert!(
        done.printed.text.starts_with("nobody\nnobody\n"),
        "{done:?}"
    );
    assert!(done.printed.text.contains("Permission denied"), "{done:?}");
    assert_eq!(stage.shell.place().unwrap().user, "nobody");
    let done = stage.run("seq 100000").await;
    let file = done.file.clone().unwrap();
    let read = stage.run(&format!("wc -l < {}", file.path.display())).await;
    assert_eq!(read.printed.text, "100000\n", "{done:?}");
}
