//! What an agent with a scripted model survives: being killed at any instant, a full disk, a clock
//! that goes back, a connection cut in the middle of a turn, a person who was faster.

use crate::common::{
    self, Answer, event, shell,
    stage::{LONG, Stage, here, said},
    text, turn, until,
};
use operator_ledger::{
    EntryKind, NewTicket, Reader, Resolution, SessionStatus, Status, Verdict,
    event::{Kind, Level, parse},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::io::{AsyncBufReadExt, BufReader};

fn handed_over() -> Answer {
    turn(&[text("ESCALATE: enough")], "end_turn")
}

fn pid_of(child: &tokio::process::Child) -> Pid {
    Pid::from_raw(child.id().unwrap().cast_signed()).unwrap()
}

fn alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(operator_process::proc::is_alive)
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_string).collect()
}

/// No chain is broken, whatever happened; every session but those that run is at its end.
fn check_the_record(ledger: &Reader) {
    for session in here(ledger.sessions(1000)).unwrap() {
        let report = here(ledger.verify_session(&session.session_id)).unwrap();
        assert!(
            matches!(
                report.verdict,
                Verdict::Intact { .. } | Verdict::Unfinished { .. }
            ),
            "{report:?}"
        );
        let over = session.status != SessionStatus::Running;
        assert_eq!(over, session.ended_at.is_some(), "{session:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_instant_it_loses_no_row_and_leaves_no_process() {
    let scratch = tempfile::tempdir().unwrap();
    let (ran, pids) = (scratch.path().join("ran"), scratch.path().join("pids"));
    // Each command leaves its mark, then lingers with a child that has left its group.
    let script = (0..400)
        .map(|n| {
            let command = format!(
                "echo mark-{n} >> {}; echo $$ >> {1}; set -m; sleep 60 & echo $! >> {1}; set +m; sleep 0.{2}",
                ran.display(),
                pids.display(),
                n % 3
            );
            turn(
                &[text("On."), shell(&format!("t{n}"), &command)],
                "tool_use",
            )
        })
        .collect();
    let stage = Stage::new(script).await;
    for n in 0..14u64 {
        stage
            .ledger()
            .open_ticket(NewTicket {
                message: format!("ticket {n}"),
                by: "test".into(),
                ..Default::default()
            })
            .await
            .unwrap();
        let mut agent = stage
            .agent(&["--lease", "0.5"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before its first row to the middle of its work.
        let work = || match n % 3 {
            0 => None,
            1 => Some(here(stage.ledger().sessions(1000)).unwrap().len()),
            _ => Some(lines(&ran).len()),
        };
        let before = work();
        until("a session, or a command", LONG, || {
            before.is_none() || work() > before
        });
        tokio::time::sleep(Duration::from_millis(30 + n * 61 % 700)).await;
        agent.kill().await.unwrap();
    }
    let living = || lines(&pids).iter().any(|p| alive(p.parse().unwrap()));
    until("the end of all commands", LONG, || !living());
    let ledger = stage.ledger();
    check_the_record(&ledger);
    let sessions = ledger.sessions(1000).await.unwrap();
    assert!(sessions.len() >= 5, "{}", sessions.len());
    let recorded: BTreeSet<String> = sessions
        .iter()
        .flat_map(|s| here(ledger.entries(&s.session_id, 0, 10_000)).unwrap())
        .filter_map(|e| Some(e.tool_params?["command"].as_str()?.to_string()))
        .collect();
    let marks = lines(&ran);
    assert!(!marks.is_empty());
    for mark in &marks {
        let found = recorded
            .iter()
            .any(|c| c.contains(&format!("echo {mark} ")));
        assert!(found, "{mark} ran and is not in the ledger");
    }
    let once: BTreeSet<&String> = marks.iter().collect();
    assert_eq!(once.len(), marks.len(), "no command ran twice");

    // No ticket is stuck: the next agent takes up what is left, a person what was given up.
    stage.server.then(vec![]);
    let mut agent = stage
        .agent(&["--lease", "5", "--turn-cap", "2"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the end of every ticket", LONG, || {
        let open = here(stage.ledger().tickets(100)).unwrap();
        open.iter()
            .all(|t| t.needs_person || t.status == Status::Resolved)
    });
    agent.kill().await.unwrap();
    assert!(
        ledger
            .tickets(100)
            .await
            .unwrap()
            .iter()
            .all(|t| t.resolution.is_none()),
        "none is resolved"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_asked_for_by_number_is_taken_when_the_lease_of_a_dead_agent_has_run_out() {
    let stage = Stage::new(vec![
        turn(&[shell("t0", "sleep 60")], "tool_use"),
        handed_over(),
    ])
    .await;
    let mut dead = stage
        .command(&["--lease", "8"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it works", LONG, || !stage.server.asked().is_empty());
    dead.kill().await.unwrap();
    let next = stage.run(&[]).await;
    let told = String::from_utf8_lossy(&next.stderr);
    assert!(!told.contains("cannot be taken"), "{told}");
    assert_eq!(here(stage.ledger().sessions(10)).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_reads_clear_is_nobodys_work_once_its_agent_is_dead() {
    let stage = Stage::new(vec![turn(&[shell("t0", "sleep 60")], "tool_use")]).await;
    let mut dead = stage
        .command(&["--lease", "4"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it works", LONG, || !stage.server.asked().is_empty());
    dead.kill().await.unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let sql = format!(
        "UPDATE tickets SET cluster_id = 'c', by_hand = 0; UPDATE incidents SET cluster_id = 'c';
         INSERT INTO invariant_states (cluster_id, violation_key, state, detail, boot, observed_ms)
           SELECT 'c', violation_key, 'clear', '', '{}', 1 FROM tickets",
        boot.trim()
    );
    let ledger = rusqlite::Connection::open(stage.db()).unwrap();
    ledger.execute_batch(&sql).unwrap();
    let next = stage.run(&[]).await;
    let told = String::from_utf8_lossy(&next.stderr);
    assert!(
        told.contains("its agent is gone, and the monitor no longer sees it violated"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_runs_unrecorded_and_the_work_goes_on_later() {
    let scratch = tempfile::tempdir().unwrap();
    let ran = scratch.path().join("ran");
    let script = (0..40)
        .map(|n| {
            let command = format!(
                "echo mark-{n} >> {}; head -c 60000 /dev/zero | tr '\\0' x",
                ran.display()
            );
            turn(
                &[text("On."), shell(&format!("t{n}"), &command)],
                "tool_use",
            )
        })
        .collect();
    let stage = Stage::new(script).await;
    drop(stage.ledger());
    // No file may grow past 400 KiB: what a full disk is to the ledger.
    let full = stage.command(&["--lease", "2"]);
    let full = full.as_std();
    let mut command = tokio::process::Command::new("bash");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "bash"])
        .arg(full.get_program())
        .args(full.get_args())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, value) in full.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let done = tokio::time::timeout(LONG, command.output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8_lossy(&done.stdout).to_string();
    assert!(told.contains("ledger"), "it says what is wrong: {told}");
    let ledger = stage.ledger();
    check_the_record(&ledger);
    let (session, entries) = stage.session();
    let recorded = |mark: &str| {
        entries.iter().any(|e| {
            let params = e.tool_params.as_ref().map(ToString::to_string);
            params.is_some_and(|p| p.contains(&format!("echo {mark} ")))
        })
    };
    let marks = lines(&ran);
    assert!(!marks.is_empty() && marks.len() < 40, "{}", marks.len());
    assert!(
        marks.iter().all(|m| recorded(m)),
        "{marks:?} in {}",
        session.session_id
    );
    assert_ne!(stage.ticket().status, Status::Resolved);
    // There is room again.
    stage.server.then(vec![]);
    let done = stage.run(&["--turn-cap", "3"]).await;
    let why = String::from_utf8_lossy(&done.stderr).to_string();
    assert_eq!(stage.ticket().status, Status::Escalated, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_changes_nothing() {
    let library = ["x86_64", "aarch64"]
        .map(|arch| format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|p| Path::new(p).exists());
    let Some(library) = library else {
        // The gate installs it, and skips nothing.
        assert!(
            std::env::var_os("OPERATOR_TEST_ALL").is_none(),
            "faketime is not installed"
        );
        eprintln!("skipped: the library faketime is not installed");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let (offset, gate) = (scratch.path().join("offset"), scratch.path().join("gate"));
    fs::write(&offset, "+0\n").unwrap();
    let wait = format!(
        "until [ -e {} ]; do sleep 0.05; done; echo through",
        gate.display()
    );
    let stage = Stage::new(vec![
        turn(&[shell("a", &wait)], "tool_use"),
        turn(&[shell("b", "echo after")], "tool_use"),
        handed_over(),
    ])
    .await;
    let mut command = stage.command(&["--lease", "3"]);
    let mut agent = command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &offset)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let work = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            match parse(&line).unwrap().kind {
                Kind::ToolCall {
                    server_call: Some(id),
                    ..
                } if id == "a" => {
                    fs::write(&offset, "-2d\n").unwrap();
                    // Longer than the lease: it must be renewed by another clock.
                    tokio::time::sleep(Duration::from_secs(4)).await;
                    fs::write(&gate, "").unwrap();
                }
                Kind::Notice { level, text, .. } => assert_ne!(level, Level::Error, "{text}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, work)
        .await
        .expect("the agent ends");
    let (session, entries) = stage.session();
    assert_eq!(session.status, SessionStatus::Escalated);
    let times: Vec<_> = entries.iter().filter_map(|e| e.at).collect();
    assert!(!times.is_sorted(), "the clock did go back: {times:?}");
    let kinds: Vec<&str> = entries.iter().map(|e| e.entry_type.as_str()).collect();
    assert_eq!(
        kinds.iter().filter(|k| **k == "tool_result").count(),
        2,
        "{kinds:?}"
    );
    check_the_record(&stage.ledger());
    assert_eq!(
        stage.ledger().sessions_of_ticket(1).await.unwrap().len(),
        1,
        "it kept its ticket"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_cut_in_the_middle_is_asked_for_again_and_runs_nothing_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let ran = scratch.path().join("ran");
    let call = shell("a", &format!("echo once >> {}", ran.display()));
    let mut cut: Vec<Vec<u8>> = common::events(&[text("I look."), call.clone()], "tool_use")
        .iter()
        .map(event)
        .collect();
    // The call is whole; only the end of the turn is missing.
    cut.pop();
    let stage = Stage::new(vec![
        Answer::Cut(cut),
        turn(&[text("I look."), call], "tool_use"),
        handed_over(),
    ])
    .await;
    stage.run(&[]).await;
    assert_eq!(lines(&ran), ["once"]);
    let asked = stage.server.asked();
    assert_eq!(asked[0].body, asked[1].body, "the same question");
    let (session, entries) = stage.session();
    let count = |kind: EntryKind| entries.iter().filter(|e| e.entry_type == kind).count();
    assert_eq!(
        (count(EntryKind::Retry), count(EntryKind::ToolCall)),
        (1, 1)
    );
    assert_eq!(entries.iter().filter(|e| e.content == "I look.").count(), 1);
    // What the cut try had used is paid for.
    assert_eq!(session.usage.input, Some(300));
    let spent = stage.ledger().spent_today().await.unwrap();
    assert!((session.usage.cost_usd.unwrap() - spent).abs() < 1e-9);
    assert_eq!(said(&asked[2].body).matches("I look.").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_a_person_resolves_meanwhile_is_left_at_once() {
    let stage = Stage::new(vec![
        turn(&[shell("a", "echo $$; sleep 300")], "tool_use"),
        handed_over(),
    ])
    .await;
    let mut command = stage.command(&["--lease", "2"]);
    let mut agent = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let mut pid = None;
    let mut told = String::new();
    let work = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            match parse(&line).unwrap().kind {
                Kind::ToolOutput { text, .. } => {
                    pid = text.trim().parse::<i32>().ok();
                    assert!(stage.ledger().resolve_by_person(1, "ada").await.unwrap());
                }
                Kind::SessionEnd { summary, .. } => told = summary,
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, work)
        .await
        .expect("the agent ends");
    assert!(told.contains("ada resolved it"), "{told}");
    assert!(!alive(pid.unwrap()), "its command is ended");
    let ticket = stage.ticket();
    assert_eq!(
        (ticket.status, ticket.resolution),
        (Status::Resolved, Some(Resolution::Human))
    );
    let (session, entries) = stage.session();
    assert_eq!(session.status, SessionStatus::Interrupted);
    assert_eq!(
        entries.last().unwrap().entry_type,
        EntryKind::ToolCall,
        "it wrote nothing more"
    );
    assert_eq!(stage.server.asked().len(), 1, "and asked nothing more");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_in_any_state_it_is_gone_in_two_seconds_and_the_ticket_is_free() {
    let mut half: Vec<Vec<u8>> = common::events(&[text("Let me think")], "end_turn")
        .iter()
        .map(event)
        .collect();
    half.truncate(3);
    let endless = [half, vec![event(&serde_json::json!({"type":"ping"})); 500]].concat();
    for (state, answer) in [
        ("waiting for the model", Answer::Hang),
        (
            "in the middle of a turn",
            Answer::Slow(Duration::from_millis(50), endless),
        ),
        (
            "in a command",
            turn(&[shell("a", "trap '' TERM; sleep 300")], "tool_use"),
        ),
        (
            "waiting for a person",
            turn(&[shell("a", "touch x")], "tool_use"),
        ),
    ] {
        let stage = Stage::new(vec![answer]).await;
        let mode = if state == "waiting for a person" {
            "propose"
        } else {
            "autonomous"
        };
        let mut agent = stage
            .command(&["--mode", mode])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
        let reached = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                match (state, parse(&line).unwrap().kind) {
                    ("waiting for the model", Kind::SessionStart { .. })
                    | ("in the middle of a turn", Kind::Text { .. })
                    | ("in a command", Kind::ToolCall { .. })
                    | ("waiting for a person", Kind::Proposal { .. }) => return,
                    _ => {}
                }
            }
            panic!("{state}: never reached");
        };
        tokio::time::timeout(LONG, reached).await.unwrap();
        if state == "waiting for the model" {
            until("the question", LONG, || !stage.server.asked().is_empty());
        }
        kill_process(pid_of(&agent), Signal::TERM).unwrap();
        let asked = Instant::now();
        let rest = async { while lines.next_line().await.unwrap().is_some() {} };
        tokio::time::timeout(LONG, rest).await.unwrap();
        assert!(agent.wait().await.unwrap().success(), "{state}");
        eprintln!("{state}: gone after {:?}", asked.elapsed());
        assert_eq!(stage.ticket().status, Status::Open, "{state}");
        assert_eq!(
            stage.session().0.status,
            SessionStatus::Interrupted,
            "{state}"
        );
    }
}
