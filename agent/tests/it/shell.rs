//! The shell tool with the real runner: what commands leave behind, and what they cannot.

use crate::common::stage::LONG;
use agent_lab::{
    cell::{Cell, Door, Surroundings},
    lease_keeper::Until,
    redact::Redactor,
    tools::{
        collect::{Collected, Collector},
        shell::{Outcome, Output, Shell},
    },
};
use operator_ledger::event::Stream;
use rustix::process::Pid;
use std::{
    future::pending,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

#[derive(Default)]
pub(crate) struct Seen {
    pieces: Vec<(Stream, String)>,
    /// How long the cell had said nothing when that was told first.
    pub(crate) silent: Option<Duration>,
}

impl Output for Seen {
    fn text(&mut self, stream: Stream, text: &str, _record: bool) {
        self.pieces.push((stream, text.to_string()));
    }

    fn silent(&mut self, since: Duration) {
        self.silent.get_or_insert(since);
    }
}

/// A command that ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) printed: Collected,
}

impl std::ops::Deref for Done {
    type Target = Outcome;
    fn deref(&self) -> &Outcome {
        &self.outcome
    }
}

pub(crate) struct Stage {
    _home: TempDir,
    pub(crate) shell: Shell,
}

pub(crate) fn stage() -> Stage {
    stage_in(Cell::Host)
}

/// With commands in this cell.
pub(crate) fn stage_in(cell: Cell) -> Stage {
    let home = tempfile::tempdir().unwrap();
    let executable = PathBuf::from(env!("CARGO_BIN_EXE_agent_lab"));
    let door = Door {
        runner: (!cell.is_this_host()).then(|| executable.clone()),
        cell,
        executable,
        dashboard: "operator-tui".into(),
        around: Surroundings {
            lab_dir: home.path().join("lab"),
            pd: Some("http://127.0.0.1:1".into()),
            prometheus: None,
        },
    };
    let session = format!("session-{}", home.path().display());
    let redactor = Redactor::new(["our-own-credential".to_string()]);
    let shell = Shell::new(door, &session, redactor);
    Stage { _home: home, shell }
}

impl Stage {
    pub(crate) async fn run(&mut self, command: &str) -> Done {
        self.limited(command, Duration::from_secs(30)).await
    }

    pub(crate) async fn limited(&mut self, command: &str, limit: Duration) -> Done {
        self.seen(command, limit, pending()).await.0
    }

    pub(crate) async fn seen(
        &mut self,
        command: &str,
        limit: Duration,
        end: impl Future<Output = ()>,
    ) -> (Done, Seen) {
        let mut seen = Seen::default();
        let running = self.shell.start(command, limit);
        let mut collector = Collector::new();
        let outcome = running.wait(&mut collector, &mut seen, end).await.unwrap();
        let printed = collector.finish(outcome.file.clone());
        (Done { outcome, printed }, seen)
    }
}

pub(crate) fn alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(operator_process::proc::is_alive)
}

/// Numbers in the output, in order.
pub(crate) fn pids(text: &str) -> Vec<i32> {
    text.split_whitespace()
        .filter_map(|w| w.parse().ok())
        .collect()
}

/// Until a command has written a line to this file.
pub(crate) async fn written(note: &Path) {
    let whole = || std::fs::read_to_string(note).unwrap().ends_with('\n');
    until("what the command writes", LONG, whole).await;
}

pub(crate) async fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_exit_code_arrive_whole() {
    let mut stage = stage();
    let done = stage.run("echo out; echo err >&2; exit 3").await;
    assert_eq!(done.exit_code, Some(3));
    assert!(
        done.printed.text.contains("out\n") && done.printed.text.contains("err\n"),
        "{done:?}"
    );
    assert!(done.left.is_empty() && !done.timed_out && done.failed.is_none());
    let done = stage.run("cat").await;
    assert_eq!(
        (done.exit_code, done.printed.text.as_str()),
        (Some(0), ""),
        "stdin is closed"
    );
    let done = stage.run("kill -9 $$").await;
    assert_eq!((done.exit_code, done.signal), (None, Some(9)));
}

/// Makes a file as soon as it sees something.
struct Opens<'a>(&'a Path, Vec<String>);
impl Output for Opens<'_> {
    fn text(&mut self, _: Stream, text: &str, _: bool) {
        self.1.push(text.to_string());
        std::fs::write(self.0, "").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_seen_while_the_command_runs() {
    let mut stage = stage();
    let gate = tempfile::tempdir().unwrap();
    let path = gate.path().join("go");
    let command = format!(
        "echo first; until [ -e {0} ]; do sleep 0.02; done; echo last",
        path.display()
    );
    let mut seen = Opens(&path, Vec::new());
    let mut collector = Collector::new();
    let running = stage.shell.start(&command, Duration::from_secs(20));
    let done = running
        .wait(&mut collector, &mut seen, pending())
        .await
        .unwrap();
    // Only seeing the first line lets the command come to its end.
    assert_eq!(done.exit_code, Some(0), "{done:?}");
    assert_eq!(seen.1, ["first\n", "last\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_folder_for_small_files_is_called_is_never_run() {
    for name in [
        "sp ace",
        "it's",
        "$(exit 7)",
        "`exit 7`",
        "a\"b; exit 7",
        "-x *",
    ] {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path().join(name);
        std::fs::create_dir(&temp).unwrap();
        let set = format!("TMPDIR={}", temp.display());
        let mut stage = stage_in(Cell::Prefix(vec!["env".into(), set]));
        let done = stage.run("cd /usr").await;
        assert_eq!(
            (done.exit_code, done.printed.text.as_str()),
            (Some(0), ""),
            "{name}"
        );
        assert_eq!(stage.run("pwd -P").await.printed.text, "/usr\n", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_working_folder_is_kept() {
    let mut stage = stage();
    stage.run("cd /usr && cd lib").await;
    assert_eq!(
        stage.run("pwd -P").await.printed.text,
        std::fs::canonicalize("/usr/lib")
            .unwrap()
            .display()
            .to_string()
            + "\n"
    );
    stage.run("(cd /tmp); false").await;
    assert!(stage.run("pwd").await.printed.text.ends_with("lib\n"));
    let gone = tempfile::tempdir().unwrap();
    stage.run(&format!("cd {}", gone.path().display())).await;
    drop(gone);
    assert_eq!(
        stage.run("pwd").await.printed.text,
        "/\n",
        "a folder that is gone is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_clean() {
    let mut stage = stage();
    let done = stage
        .run("env -0 | tr '\\0' '\\n' | cut -d= -f1 | sort")
        .await;
    let allowed = [
        "GIT_PAGER",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_CTYPE",
        "LC_MESSAGES",
        "LOGNAME",
        "NO_COLOR",
        "OPERATOR_LAB_DIR",
        "OPERATOR_SESSION",
        "PAGER",
        "PATH",
        "PD_ENDPOINT",
        "PWD",
        "SHLVL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "_",
        "OLDPWD",
    ];
    for name in done.printed.text.lines() {
        assert!(allowed.contains(&name), "{name} reached a command");
    }
    assert!(done.printed.text.contains("OPERATOR_SESSION\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_ends_everything_the_command_started() {
    let mut stage = stage();
    // One of a group of its own, one that ignores TERM, one that is stopped, and one whose parent
    // is gone.
    let command = "
        set -m; sleep 300 & echo $!; set +m
        bash -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &
        sleep 300 & kill -STOP $!; echo $!
        ( ( bash -c 'trap \"\" TERM; echo $$; exec sleep 300' & ) & )
        sleep 0.5; echo started
        sleep 300";
    let done = stage.limited(command, Duration::from_secs(5)).await;
    assert!(done.timed_out && done.exit_code.is_none(), "{done:?}");
    assert!(
        done.printed.text.contains("started"),
        "what it printed before is kept"
    );
    assert!(done.duration < LONG, "{done:?}");
    let pids = pids(&done.printed.text);
    assert_eq!(pids.len(), 4, "{done:?}");
    for pid in pids {
        assert!(!alive(pid), "{pid} outlived its command");
    }
    assert!(done.left.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_everything_too() {
    let mut stage = stage();
    let note = tempfile::NamedTempFile::new().unwrap();
    let command = format!(
        "sleep 300 & echo $!; echo > {}; wait",
        note.path().display()
    );
    let (done, _) = stage.seen(&command, LONG, written(note.path())).await;
    assert!(done.interrupted && !done.timed_out);
    assert!(!alive(pids(&done.printed.text)[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_do_not_hang_the_call_and_end_with_the_session() {
    let mut stage = stage();
    let done = stage.run("sleep 321 & echo $!").await;
    assert_eq!(done.exit_code, Some(0));
    assert!(done.duration < LONG, "{done:?}");
    let pid = pids(&done.printed.text)[0];
    assert!(done.left.services.is_empty(), "{done:?}");
    let job = &done.left.jobs[0];
    assert_eq!((job.pid, job.command.as_str()), (pid, "sleep 321"));
    assert!(alive(pid));
    // One that goes on writing is neither blocked nor ended by a broken pipe.
    let done = stage
        .run("(while :; do echo x; sleep 0.01; done) & echo $!")
        .await;
    let writer = pids(&done.printed.text)[0];
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(alive(writer) && alive(pid));
    let closed = stage.shell.close().await;
    assert!(!alive(pid) && !alive(writer));
    let mut ended: Vec<i32> = closed.ended.iter().map(|job| job.pid).collect();
    ended.retain(|p| [pid, writer].contains(p));
    assert_eq!(ended.len(), 2, "{closed:?}");
    assert!(closed.left.is_empty(), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_running_command_ends_it() {
    let mut stage = stage();
    let note = tempfile::NamedTempFile::new().unwrap();
    let command = format!("echo $$ > {}; exec sleep 300", note.path().display());
    {
        let mut seen = Seen::default();
        let mut collector = Collector::new();
        let running = stage.shell.start(&command, Duration::from_secs(60));
        tokio::select! {
            _ = running.wait(&mut collector, &mut seen, pending()) => panic!("ended by itself"),
            () = written(note.path()) => {}
        }
    }
    let pid: i32 = std::fs::read_to_string(note.path())
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    until("the end of the command", LONG, || !alive(pid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_renewal_the_right_to_run_ends() {
    let lasts = Duration::from_millis(800);
    let mut stage = stage();
    stage.shell.right = Some(Until::after(lasts).1);
    let done = stage.run("sleep 100").await;
    assert!(done.interrupted, "{done:?}");
    assert!(done.duration < LONG);
    // Renewed in time, it goes on.
    let lasts = Duration::from_secs(3);
    let (renewal, right) = Until::after(lasts);
    stage.shell.right = Some(right);
    let renewing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            renewal.goes_on(renewal.asked(), lasts);
        }
    });
    let mut collector = Collector::new();
    let running = stage
        .shell
        .start("sleep 4; echo done", Duration::from_secs(20));
    let done = running
        .wait(&mut collector, &mut Seen::default(), pending())
        .await
        .unwrap();
    assert_eq!(collector.finish(None).text, "done\n", "{done:?}");
    renewing.abort();
    // With a right that is over, nothing starts.
    let touched = tempfile::tempdir().unwrap();
    stage.shell.right = Some(Until::after(Duration::ZERO).1);
    let done = stage
        .run(&format!("touch {}/x", touched.path().display()))
        .await;
    assert!(
        done.failed.is_some() && !touched.path().join("x").exists(),
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_and_endless_output_is_harmless() {
    let mut stage = stage();
    let done = stage
        .run(r"printf 'caf\351 \033[31mred\033[0m \033]0;t\007ok\n'")
        .await;
    assert_eq!(done.printed.text, "caf\u{fffd} red ok\n");
    let done = stage
        .run("echo our-own-cred''ential; printf our-own-; sleep 0.4; echo credential")
        .await;
    assert_eq!(done.printed.text, "[redacted]\n[redacted]\n");
    let (done, seen) = stage
        .seen(
            "seq 1 1000000; echo end",
            Duration::from_secs(60),
            pending(),
        )
        .await;
    assert_eq!(done.exit_code, Some(0));
    assert!(
        done.printed.text.starts_with("1\n2\n") && done.printed.text.ends_with("1000000\nend\n")
    );
    assert!(done.printed.text.contains("bytes omitted") && done.printed.text.len() < 40_000);
    let total: usize = seen.pieces.iter().map(|(_, t)| t.len()).sum();
    assert_eq!(total, 6_888_896 + 4, "all of it is seen live");
    assert!(
        done.printed.unrecorded > 2_000_000,
        "{}",
        done.printed.unrecorded
    );
    let done = stage.run("head -c 10000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(done.exit_code, Some(0));
    assert!(done.printed.text.len() < 40_000 && done.printed.omitted > 9_900_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_killed_is_said_so() {
    let mut stage = stage();
    let done = stage.run("kill -9 $PPID; sleep 0.2; echo still here").await;
    assert!(
        done.failed.is_some() || done.exit_code.is_none(),
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_runner_neither_holds_the_session_up_nor_stays() {
    let mut stage = stage();
    let note = tempfile::NamedTempFile::new().unwrap();
    let command = format!(
        "echo $PPID; echo $$; kill -STOP $PPID; echo > {}; sleep 300",
        note.path().display()
    );
    let by_limit = stage.limited(&command, Duration::from_secs(3)).await;
    assert!(by_limit.timed_out, "{by_limit:?}");
    std::fs::write(note.path(), "").unwrap();
    let (by_end, _) = stage.seen(&command, LONG, written(note.path())).await;
    assert!(by_end.interrupted, "{by_end:?}");
    assert!(by_end.duration < LONG, "{by_end:?}");
    for done in [by_limit, by_end] {
        let pids = pids(&done.printed.text);
        assert_eq!(pids.len(), 2, "{done:?}");
        until("runner and shell are gone", LONG, || {
            pids.iter().all(|pid| !alive(*pid))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_cannot_be_started_is_said_so() {
    let mut stage = stage_in("cmd:env PATH=/nowhere".parse().unwrap());
    let done = stage.run("true").await;
    assert!(done.failed.as_deref().unwrap().contains("bash"), "{done:?}");
}
