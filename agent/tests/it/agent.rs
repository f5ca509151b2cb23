//! The agent as a process: what it does to a ticket, and what it leaves when it is stopped, killed
//! or frozen. `operator-tui` is played by a script; the monitor by this test.

use crate::common::{stage::LONG, until};
use operator_ledger::{
    Check, Effect, EntryKind, EntryRow, MonitorLedger, NewTicket, Observation, PersonLedger,
    Reader, Reading, Resolution, SessionRow, SessionStatus, Severity, Status, Stopwatch, Stored,
    SystemId, Ticket, Verdict,
    event::{Event, Kind, Outcome, VerifyState, parse},
};
use rustix::process::Pid;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tempfile::TempDir;

pub(crate) const CLUSTER: &str = "7458123";

/// Prints a healthy cluster; `tikv1` is what the file `state` says.
const PLAYED: &str = r#"#!/bin/bash
here=$(dirname "$(readlink -f "$0")")
state=$(cat "$here/state")
case "$*" in
cluster)
    seen=DISCONNECTED; [ "$state" = running ] && seen=Up
    echo "cluster 7458123"; echo
    echo "PD   STATE   ADDRESS"
    echo "pd0  leader  http://127.0.0.1:1"; echo
    echo "ID  STORE  STATE         HEARTBEAT  LEADERS  REGIONS  DISK  OPS/S  P99"
    printf '1   tikv1  %-12s  0.4 s      2        6        12 %%  100    4.0 ms\n' "$seen"; echo
    echo "6 regions: 0 without leader, 0 without quorum, 0 with a peer down, 0 with a peer missing, 0 with a peer behind"
    ;;
"lab ps")
    echo "NODE   ROLE   STATE    EXIT      SINCE  PID  ADDRESS  STATUS ADDRESS"
    echo "pd0    pd     running  -         1s     1    x        -"
    printf 'tikv1  store  %-7s  signal 9  1s     2    x        -\n' "$state"
    ;;
"lab logs tikv1 -n 20") echo "INFO serving" ;;
"lab start tikv1") echo running > "$here/state"; echo "tikv1 started" ;;
*) exit 64 ;;
esac
"#;

/// Hangs in every command, with children that do not want to end.
const HANGING: &str = r#"#!/bin/bash
here=$(dirname "$(readlink -f "$0")")
env > "$here/environment"
bash -c 'trap "" TERM; echo $$ >> '"$here"'/pids; while :; do sleep 1; done' &
( set -m; sleep 300 & echo $! >> "$here/pids" )
echo $$ >> "$here/pids"
echo hanging
touch "$here/hangs"
sleep 300
"#;

struct Stage {
    dir: TempDir,
    agent: PathBuf,
}

impl Stage {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        // Away from its siblings, so that the PATH decides what `operator-tui` is.
        let agent = bin.join("agent_lab");
        fs::copy(env!("CARGO_BIN_EXE_agent_lab"), &agent).unwrap();
        let played = bin.join("operator-tui");
        fs::write(&played, script).unwrap();
        fs::set_permissions(&played, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(bin.join("state"), "running\n").unwrap();
        Self { dir, agent }
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    fn state(&self, word: &str) {
        fs::write(self.bin().join("state"), format!("{word}\n")).unwrap();
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("home/tickets.db")
    }

    fn ledger(&self) -> PersonLedger {
        PersonLedger::open(&self.db()).wait().unwrap()
    }

    fn open_by_hand(&self, message: &str) -> i64 {
        self.ledger()
            .open_ticket(NewTicket {
                message: message.into(),
                by: "test".into(),
                ..Default::default()
            })
            .wait()
            .unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.agent);
        let path = format!(
            "{}:{}",
            self.bin().display(),
            std::env::var("PATH").unwrap()
        );
        command
            .args(["--model", "rehearsal", "--json", "--cluster-id", CLUSTER])
            .env("OPERATOR_HOME", self.dir.path().join("home"))
            .env("PATH", path)
            .env_remove("PD_ENDPOINT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        command
    }

    fn agent(&self, args: &[&str]) -> Agent {
        Agent::spawn(self.command().args(args))
    }

    /// Processes the hanging script started.
    fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.bin().join("pids")).unwrap_or_default();
        text.split_whitespace()
            .map(|p| p.parse().unwrap())
            .collect()
    }

    fn hangs(&self) -> bool {
        self.bin().join("hangs").exists() && self.pids().len() >= 3
    }
}

/// A running agent; its events are read as they come.
struct Agent {
    child: Child,
    events: Arc<Mutex<Vec<Event>>>,
    reader: Option<JoinHandle<()>>,
}

impl Agent {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stdout.take().map(|out| {
            let events = events.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let event = parse(&line).unwrap_or_else(|| panic!("not an event: {line}"));
                    events.lock().unwrap().push(event);
                }
            })
        });
        Self {
            child,
            events,
            reader,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end; the exit code.
    fn ended(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        until("the end of the agent", limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.unwrap().code()
    }

    fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    fn saw(&self, what: impl Fn(&Kind) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(|e| what(&e.kind))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(operator_process::proc::is_alive)
}

fn ticket(ledger: &Reader, id: i64) -> Ticket {
    ledger.ticket(id).wait().unwrap().unwrap()
}

fn sessions(ledger: &Reader, ticket: i64) -> Vec<SessionRow> {
    ledger.sessions_of_ticket(ticket).wait().unwrap()
}

fn entries(ledger: &Reader, session: &str) -> Vec<EntryRow> {
    ledger.entries(session, 0, 1000).wait().unwrap()
}

/// A monitor that looks at the file `state` five times a second.
pub(crate) struct Monitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    fn start(db: &Path, state: PathBuf, hold: Duration) -> Self {
        let up = move || fs::read_to_string(&state).unwrap().trim() == "running";
        Self::of(db, up, hold)
    }

    /// One that sees `tikv1` up when this says so.
    pub(crate) fn of(db: &Path, up: impl Fn() -> bool + Send + 'static, hold: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ledger, ended) = (MonitorLedger::open(db).wait().unwrap(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let data = Stopwatch::start();
                let down = !up();
                let observation = Observation {
                    key: "store_down:tikv1".into(),
                    invariant: "store_down".into(),
                    subject: Some("tikv1".into()),
                    subject_name: None,
                    extent: None,
                    reading: if down {
                        Reading::Violated
                    } else {
                        Reading::Clear
                    },
                    message: if down {
                        "tikv1 is disconnected"
                    } else {
                        "tikv1 is up"
                    }
                    .into(),
                    severity: Severity::Critical,
                    grace: Duration::ZERO,
                    hold,
                    outside: None,
                };
                ledger
                    .record_check(Check {
                        cluster_id: SystemId::new(CLUSTER),
                        age: data.elapsed(),
                        observations: vec![observation],
                        metric_snapshot: None,
                        subject_context: None,
                        sample: None,
                        changes: Vec::new(),
                        place: String::new(),
                        interval: Duration::from_millis(200),
                        ok: true,
                        detail: String::new(),
                    })
                    .wait()
                    .unwrap();
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_ticket_opened_by_hand_ends_with_a_person() {
    let stage = Stage::new(PLAYED);
    let id = stage.open_by_hand("is anything wrong?");
    let mut agent = stage.agent(&["--once"]);
    assert_eq!(agent.ended(LONG), Some(1), "only proof is success");
    let ledger = stage.ledger();
    let ticket = ticket(&ledger, id);
    assert_eq!(
        (ticket.status, ticket.claimed, ticket.resolution),
        (Status::Escalated, false, None)
    );
    let session = &sessions(&ledger, id)[0];
    assert_eq!(
        (session.status.as_str(), session.model.as_deref()),
        ("escalated", Some("rehearsal"))
    );
    let kinds: Vec<String> = entries(&ledger, &session.session_id)
        .into_iter()
        .map(|e| e.entry_type.to_string())
        .collect();
    assert_eq!(
        kinds,
        [
            "system",
            "ticket",
            "reasoning",
            "tool_call",
            "tool_result",
            "reasoning",
            "tool_call",
            "tool_result",
            "reasoning",
            "finish",
            "end"
        ]
    );
    assert!(matches!(
        ledger
            .verify_session(&session.session_id)
            .wait()
            .unwrap()
            .verdict,
        Verdict::Intact { .. }
    ));
    let events = agent.events();
    assert!(matches!(&events[0].kind, Kind::Hello { model, .. } if model == "rehearsal"));
    let seqs: Vec<u64> = events.iter().map(|e| e.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b));
    assert!(agent.saw(|k| matches!(k, Kind::Finish(said) if said.evidence.len() == 2)));
    assert!(agent.saw(|k| matches!(k, Kind::SessionEnd { outcome: Outcome::Escalated, head_hash, .. } if !head_hash.is_empty())));
    assert!(
        !stage.dir.path().join("home/run").exists(),
        "no folder is left behind"
    );
}

#[test]
fn a_killed_store_is_repaired_and_proven() {
    let stage = Stage::new(PLAYED);
    stage.state("exited");
    drop(stage.ledger());
    let _monitor = Monitor::start(
        &stage.db(),
        stage.bin().join("state"),
        Duration::from_secs(1),
    );
    let mut agent = stage.agent(&["--once"]);
    assert_eq!(agent.ended(LONG), Some(0));
    let ledger = stage.ledger();
    let ticket = &ledger.tickets(10).wait().unwrap()[0];
    assert_eq!(
        (ticket.status, ticket.resolution, ticket.claimed),
        (Status::Resolved, Some(Resolution::Proven), true)
    );
    let session = &sessions(&ledger, ticket.id)[0];
    assert_eq!(session.status, SessionStatus::Resolved);
    let ran: Vec<String> = entries(&ledger, &session.session_id)
        .iter()
        .filter_map(|e| Some(e.tool_params.as_ref()?["command"].as_str()?.to_string()))
        .collect();
    assert!(
        ran.contains(&"operator-tui lab start tikv1".to_string()),
        "{ran:?}"
    );
    let entries = entries(&ledger, &session.session_id);
    let effect_of = |command: &str| {
        let call = entries.iter().find(|e| e.input() == command);
        call.and_then(|call| call.effect.as_ref()?.known())
    };
    assert_eq!(
        effect_of("operator-tui lab start tikv1"),
        Some(Effect::Changes)
    );
    assert!(agent.saw(|k| matches!(
        k,
        Kind::ToolCall { input, effect: Some(Stored::Known(Effect::Changes)), .. }
            if input == "operator-tui lab start tikv1"
    )));
    let call = entries
        .into_iter()
        .find(|e| e.entry_type == EntryKind::ToolCall)
        .unwrap();
    assert_eq!(call.effect, Some(Stored::Known(Effect::Reads)), "{call:?}");
    let output = ledger
        .output(&session.session_id, &call.call_id.unwrap(), 100)
        .wait()
        .unwrap();
    let output: String = output.into_iter().map(|c| c.text).collect();
    assert!(
        output.contains("DISCONNECTED"),
        "what was seen is in the ledger: {output}"
    );
    assert!(agent.saw(|k| matches!(
        k,
        Kind::Verify {
            state: VerifyState::Proven,
            ..
        }
    )));
}

#[test]
fn a_repair_that_does_not_last_is_not_proven() {
    let stage = Stage::new(PLAYED);
    stage.state("exited");
    drop(stage.ledger());
    let _monitor = Monitor::start(
        &stage.db(),
        stage.bin().join("state"),
        // Much longer than a repair lasts, however late whoever undoes it comes.
        Duration::from_secs(20),
    );
    let mut agent = stage.agent(&["--once"]);
    // Undoes each repair after a while.
    let state = stage.bin().join("state");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let undo = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            if fs::read_to_string(&state).unwrap().trim() == "running" {
                std::thread::sleep(Duration::from_millis(1500));
                fs::write(&state, "exited\n").unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let code = agent.ended(Duration::from_secs(90));
    stop.store(true, Ordering::Relaxed);
    undo.join().unwrap();
    assert_eq!(code, Some(1));
    let ledger = stage.ledger();
    let ticket = &ledger.tickets(10).wait().unwrap()[0];
    assert_eq!(
        (ticket.status, ticket.resolution),
        (Status::Escalated, None)
    );
    assert!(!agent.saw(|k| matches!(
        k,
        Kind::Verify {
            state: VerifyState::Proven,
            ..
        }
    )));
}

#[test]
fn without_a_monitor_a_claim_is_escalated_at_once() {
    let stage = Stage::new(PLAYED);
    stage.state("exited");
    drop(stage.ledger());
    let monitor = Monitor::start(
        &stage.db(),
        stage.bin().join("state"),
        Duration::from_secs(1),
    );
    until("a ticket", LONG, || {
        !stage.ledger().tickets(1).wait().unwrap().is_empty()
    });
    drop(monitor);
    let mut agent = stage.agent(&["--once"]);
    assert_eq!(agent.ended(LONG), Some(1));
    let ticket = &stage.ledger().tickets(10).wait().unwrap()[0];
    assert_eq!((ticket.status, ticket.claimed), (Status::Escalated, true));
    assert!(agent.saw(|k| matches!(k, Kind::SessionEnd { summary, .. } if summary.contains("could not be verified"))));
}

#[test]
fn killed_in_mid_command_it_leaves_nothing_and_the_next_session_knows() {
    let stage = Stage::new(HANGING);
    let id = stage.open_by_hand("look");
    let agent = stage.agent(&["--lease", "1"]);
    until("a hanging command", LONG, || stage.hangs());
    agent.signal(rustix::process::Signal::KILL);
    let pids = stage.pids();
    until("the end of all descendants", Duration::from_secs(6), || {
        !pids.iter().any(|p| alive(*p))
    });
    let first = sessions(&stage.ledger(), id)[0].session_id.clone();
    // The next agent finds a cluster that answers.
    fs::write(stage.bin().join("operator-tui"), PLAYED).unwrap();
    let mut next = stage.agent(&["--once"]);
    next.ended(LONG);
    let ledger = stage.ledger();
    let all = sessions(&ledger, id);
    assert_eq!((all.len(), all[0].status.as_str()), (2, "failed"));
    let told = entries(&ledger, &all[1].session_id);
    let told = told
        .iter()
        .find(|e| e.entry_type == EntryKind::Ticket)
        .unwrap()
        .raw_content
        .as_ref()
        .unwrap();
    assert!(
        told.contains(&first) && told.contains("operator-tui cluster -> no result"),
        "{told}"
    );
    assert!(matches!(
        ledger.verify_session(&first).wait().unwrap().verdict,
        Verdict::Intact { .. } | Verdict::Unfinished { .. }
    ));
}

#[test]
fn sigterm_gives_the_ticket_back_and_leaves_no_process() {
    for how in ["signal", "stdin", "shutdown"] {
        let stage = Stage::new(HANGING);
        let id = stage.open_by_hand("look");
        let mut agent = stage.agent(&["--supervised"]);
        until("a hanging command", LONG, || stage.hangs());
        match how {
            "signal" => agent.signal(rustix::process::Signal::TERM),
            "stdin" => drop(agent.child.stdin.take()),
            _ => {
                use std::io::Write;
                let stdin = agent.child.stdin.as_mut().unwrap();
                stdin.write_all(b"{\"type\":\"shutdown\"}\n").unwrap();
            }
        }
        // Who supervises it is told of a TERM: it may not have been its own.
        let code = if how == "signal" { 143 } else { 0 };
        assert_eq!(agent.ended(LONG), Some(code), "{how}");
        for pid in stage.pids() {
            assert!(!alive(pid), "{how}: {pid} outlived the agent");
        }
        let ledger = stage.ledger();
        assert_eq!(ticket(&ledger, id).status, Status::Open, "{how}");
        let session = &sessions(&ledger, id)[0];
        assert_eq!(session.status, SessionStatus::Interrupted, "{how}");
        assert!(agent.saw(|k| matches!(
            k,
            Kind::SessionEnd {
                outcome: Outcome::Interrupted,
                ..
            }
        )));
    }
}

#[test]
fn supervised_it_ends_when_nobody_reads_any_more() {
    let stage = Stage::new(PLAYED);
    stage.open_by_hand("look");
    let mut command = stage.command();
    let mut agent = command.args(["--supervised"]).spawn().unwrap();
    drop(agent.stdout.take());
    until("the end of the agent", LONG, || {
        agent.try_wait().unwrap().is_some()
    });
    assert!(agent.stdin.is_some(), "stdin was open all the time");
}

#[test]
fn frozen_past_its_lease_it_writes_and_runs_nothing_more() {
    let stage = Stage::new(HANGING);
    let id = stage.open_by_hand("look");
    let frozen = stage.agent(&["--lease", "1"]);
    until("a hanging command", LONG, || stage.hangs());
    // Not in the middle of a write: then nobody could write until it goes on.
    until("a freeze between two writes", LONG, || {
        frozen.signal(rustix::process::Signal::STOP);
        let other = rusqlite::Connection::open(stage.db()).unwrap();
        other.busy_timeout(Duration::from_millis(200)).unwrap();
        let free = other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        if !free {
            frozen.signal(rustix::process::Signal::CONT);
        }
        free
    });
    // The command does not outlive the right to run it, though the agent cannot end it.
    let pids = stage.pids();
    until("the end of the command", LONG, || {
        !pids.iter().any(|p| alive(*p))
    });
    fs::write(stage.bin().join("operator-tui"), PLAYED).unwrap();
    let mut next = stage.agent(&["--once"]);
    next.ended(LONG);
    let ledger = stage.ledger();
    let all = sessions(&ledger, id);
    assert_eq!(all.len(), 2);
    let before = entries(&ledger, &all[0].session_id);
    let events_before = ledger.ticket_events(id).wait().unwrap();
    frozen.signal(rustix::process::Signal::CONT);
    until("a word about the lost lease", LONG, || {
        frozen
            .saw(|k| matches!(k, Kind::Notice { text, .. } if text.contains("write nothing more")))
    });
    assert_eq!(entries(&ledger, &all[0].session_id), before);
    assert_eq!(ledger.ticket_events(id).wait().unwrap(), events_before);
    assert_eq!(sessions(&ledger, id).len(), 2);
}

#[test]
fn a_command_that_kills_its_runner_does_not_outlive_it() {
    let stage =
        Stage::new(&HANGING.replace("sleep 300\n", "kill -9 $(ps -o ppid= $PPID); sleep 300\n"));
    let id = stage.open_by_hand("look");
    let mut agent = stage.agent(&["--once"]);
    assert_eq!(agent.ended(LONG), Some(1));
    assert!(stage.pids().len() >= 3);
    for pid in stage.pids() {
        assert!(!alive(pid), "{pid} outlived its runner");
    }
    let session = &sessions(&stage.ledger(), id)[0];
    assert_eq!(
        session.status,
        SessionStatus::Escalated,
        "not knowing what it did is a reason to stop"
    );
}

#[test]
fn a_command_that_cannot_be_recorded_does_not_run() {
    let stage = Stage::new(&PLAYED.replace("cluster)", "cluster) touch \"$here/ran\";"));
    let id = stage.open_by_hand("look");
    rusqlite::Connection::open(stage.db())
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON agent_log_entries WHEN NEW.entry_type = 'tool_call'
             BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
        )
        .unwrap();
    let mut agent = stage.agent(&["--once"]);
    assert_eq!(agent.ended(LONG), Some(1));
    assert!(!stage.bin().join("ran").exists());
    assert!(
        !agent.saw(|k| matches!(k, Kind::ToolCall { .. })),
        "nor is it shown as if it had"
    );
    let ledger = stage.ledger();
    assert_eq!(
        ticket(&ledger, id).status,
        Status::Open,
        "the ticket is given back"
    );
    assert_eq!(sessions(&ledger, id)[0].status, SessionStatus::Failed);
}

#[test]
fn a_ledger_that_is_locked_for_a_while_delays_but_loses_nothing() {
    let stage = Stage::new(&PLAYED.replace("cluster)", "cluster) touch \"$here/ran\"; sleep 0.5;"));
    let id = stage.open_by_hand("look");
    let mut agent = stage.agent(&["--once"]);
    until("a command", LONG, || stage.bin().join("ran").exists());
    let other = rusqlite::Connection::open(stage.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Longer than one call waits for another writer, shorter than the lease.
    until("a word about the lock", LONG, || {
        agent.saw(|k| matches!(k, Kind::Notice { text, .. } if text.contains("locked")))
    });
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(agent.ended(LONG), Some(1));
    let ledger = stage.ledger();
    let all = sessions(&ledger, id);
    assert_eq!((all.len(), all[0].status.as_str()), (1, "escalated"));
    let verdict = ledger
        .verify_session(&all[0].session_id)
        .wait()
        .unwrap()
        .verdict;
    assert!(matches!(verdict, Verdict::Intact { .. }));
}

#[test]
fn two_agents_never_share_a_ticket() {
    // A command of one agent goes on when one of another has begun: nobody can do it all alone.
    let others = r#"cluster)
    touch "$here/$OPERATOR_SESSION"
    until [ "$(ls "$here" | grep -c -- "-.*-.*-")" -ge 2 ]; do sleep 0.05; done\n"#;
    let stage = Stage::new(&PLAYED.replace("cluster)\n", others));
    let ids: Vec<i64> = (0..8)
        .map(|n| stage.open_by_hand(&format!("ticket {n}")))
        .collect();
    let agents = [stage.agent(&[]), stage.agent(&[]), stage.agent(&[])];
    let ledger = stage.ledger();
    until("the end of all tickets", Duration::from_secs(90), || {
        ids.iter()
            .all(|id| ticket(&ledger, *id).status == Status::Escalated)
    });
    for id in ids {
        assert_eq!(sessions(&ledger, id).len(), 1, "ticket {id}");
    }
    let worked = agents
        .iter()
        .filter(|a| a.saw(|k| matches!(k, Kind::SessionStart { .. })))
        .count();
    assert!(worked >= 2, "one agent did it all");
}

#[test]
fn nothing_of_ours_reaches_a_command() {
    let stage = Stage::new(HANGING);
    stage.open_by_hand("look");
    let mut command = stage.command();
    command
        .env("ANTHROPIC_API_KEY", "key-0123456789")
        .env("ANTHROPIC_AUTH_TOKEN", "token-0123456789")
        .env("OPERATOR_CHAPTER", "fault")
        .env("OPERATOR_FAULT", "kill tikv1")
        .env("OPERATOR_SEED", "7")
        .env("AWS_SECRET_ACCESS_KEY", "aws-0123456789");
    let _agent = Agent::spawn(&mut command);
    until("a hanging command", LONG, || stage.hangs());
    let environment = fs::read_to_string(stage.bin().join("environment")).unwrap();
    assert!(environment.contains("OPERATOR_SESSION="));
    for word in ["0123456789", "CHAPTER", "FAULT", "SEED", "kill tikv1"] {
        assert!(!environment.contains(word), "{word} reached a command");
    }
}

#[test]
fn a_reader_that_stands_still_does_not_stop_the_work() {
    let stage = Stage::new(PLAYED);
    let id = stage.open_by_hand("look");
    let mut command = stage.command();
    // Nobody reads; a pipe takes 64 KiB, and the script prints more.
    fs::write(
        stage.bin().join("operator-tui"),
        PLAYED.replace("cluster)\n", "cluster)\n    seq 1 200000\n"),
    )
    .unwrap();
    let mut agent = command.args(["--once"]).spawn().unwrap();
    let ledger = stage.ledger();
    until("the end of the ticket", LONG, || {
        ticket(&ledger, id).status == Status::Escalated
    });
    until("the end of the agent", LONG, || {
        agent.try_wait().unwrap().is_some()
    });
}
