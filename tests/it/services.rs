//! `operator-tui steer services`: services are listed, and ended by people if they are what was
//! written down.

use crate::wait::until;
use operator_ledger::{
    AgentLedger, ClaimRequest, Holder, NewService, NewSession, NewTicket, PersonLedger, event::Mode,
};
use operator_process::proc::{Stat, is_alive};
use rustix::process::Pid;
use serde_json::Value;
use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

struct Stage {
    home: TempDir,
    guest: Child,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.guest.kill();
        let _ = self.guest.wait();
    }
}

impl Stage {
    /// A process of this script, written down as a service that began `off` ticks later.
    fn new(script: &str, off: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let guest = Command::new("bash")
            .args(["-c", script])
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let stage = Self { home, guest };
        let db = stage.db();
        let people = PersonLedger::open(&db).wait().unwrap();
        let ticket = NewTicket {
            message: "look".into(),
            by: "test".into(),
            ..NewTicket::default()
        };
        people.open_ticket(ticket).wait().unwrap();
        let agent = AgentLedger::open(&db).wait().unwrap();
        let holder = Holder::this_process();
        let request = ClaimRequest {
            holder: holder.clone(),
            cluster_id: None,
            ticket: None,
            lease: Duration::from_secs(600),
        };
        let claim = agent.claim(request).wait().unwrap().unwrap();
        let session = NewSession {
            ticket: claim.ticket.id,
            lease: claim.lease,
            model: "test".into(),
            mode: Mode::Autonomous,
            cluster_id: None,
            holder,
        };
        let session = agent.begin_session(session).wait().unwrap();
        let service = NewService {
            pid: stage.guest.id().cast_signed(),
            start_ticks: Stat::of(stage.pid()).unwrap().start_ticks + off,
            began: None,
            command: "served \u{1b}[31mred".into(),
        };
        // What is known is not written again.
        for _ in 0..2 {
            let services = [service.clone()];
            agent
                .record_services(&session, "c1", &services)
                .wait()
                .unwrap();
        }
        stage
    }

    fn db(&self) -> PathBuf {
        self.home.path().join("tickets.db")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.guest)
    }

    fn steer(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_operator-tui"))
            .args(["steer", "services"])
            .args(args)
            .env("OPERATOR_HOME", self.home.path())
            .env_remove("OPERATOR_SESSION")
            .env("USER", "ada")
            .output()
            .unwrap()
    }

    fn listed(&self, args: &[&str]) -> Vec<Value> {
        let out = self.steer(&[args, &["--json"]].concat());
        assert!(out.status.success(), "{out:?}");
        serde_json::from_slice(&out.stdout).unwrap()
    }

    fn stop(&self, pid: u32) -> Output {
        self.steer(&["stop", &pid.to_string()])
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_service_is_listed_and_a_person_ends_it_with_what_it_started() {
    let note = tempfile::NamedTempFile::new().unwrap();
    let script = format!("sleep 300 & echo $! >{}; wait", note.path().display());
    let mut stage = Stage::new(&script, 0);
    let read = || {
        std::fs::read_to_string(note.path())
            .unwrap()
            .trim()
            .parse()
            .ok()
    };
    until("its child", Duration::from_secs(20), || read().is_some());
    let child = Pid::from_raw(read().unwrap()).unwrap();
    let shown = text(&stage.steer(&[]).stdout);
    assert!(
        shown.contains(&format!("{}  ", stage.guest.id())),
        "{shown}"
    );
    assert!(shown.contains("#1") && shown.contains("running"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let rows = stage.listed(&[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["state"], "running");
    let guest = stage.guest.id();
    let stopped = stage.stop(guest);
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(!is_alive(stage.pid()) && !is_alive(child));
    stage.guest.wait().unwrap();
    assert!(stage.listed(&[]).is_empty());
    let all = stage.listed(&["--all"]);
    assert_eq!(
        (&all[0]["state"], &all[0]["ended_by"]),
        (
            &"ended".into(),
            &format!(
                "ada@{}",
                rustix::system::uname().nodename().to_str().unwrap()
            )
            .into()
        )
    );
    let again = stage.stop(guest);
    assert!(!again.status.success());
    assert!(
        text(&again.stderr).contains("does not run any more"),
        "{again:?}"
    );
}

#[test]
fn one_that_began_at_another_time_or_that_nobody_wrote_down_is_not_ended() {
    let stage = Stage::new("sleep 300", 1);
    let refused = stage.stop(stage.guest.id());
    assert!(!refused.status.success());
    let why = text(&refused.stderr);
    assert!(why.contains("began at another time"), "{why}");
    let other = stage.stop(std::process::id());
    assert!(!other.status.success());
    assert!(
        text(&other.stderr).contains("no service has the pid"),
        "{other:?}"
    );
    assert!(is_alive(stage.pid()));
    let all = stage.listed(&["--all"]);
    assert_eq!(
        (&all[0]["state"], &all[0]["ended_by"]),
        (&"ended".into(), &Value::Null)
    );
}

#[test]
fn an_agent_ends_no_service() {
    let stage = Stage::new("sleep 300", 0);
    let out = Command::new(env!("CARGO_BIN_EXE_operator-tui"))
        .args(["steer", "services", "stop", &stage.guest.id().to_string()])
        .env("OPERATOR_HOME", stage.home.path())
        .env("OPERATOR_SESSION", "s")
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(text(&out.stderr).contains("in an agent's shell"), "{out:?}");
    assert!(is_alive(stage.pid()));
}
