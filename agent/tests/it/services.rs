//! Services: what a command leaves running that made itself independent stays, whatever ends; and
//! what only looks like one does not.

use crate::{
    common::{
        Answer, finish, shell as call,
        stage::{LONG, Stage as Agent, here},
        turn,
    },
    shell::{Stage, alive, pids, stage, until, written},
};
use operator_ledger::{EntryKind, ServiceRow, SessionStatus};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path, process::Stdio, time::Duration};

/// A process that is killed at the latest when the test ends.
pub(crate) struct Guest(pub(crate) i32);

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.0) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Runs it, and takes what it says on its first line for the pid of a service.
async fn left_by(stage: &mut Stage, command: &str) -> Guest {
    let done = stage.run(command).await;
    assert_eq!(done.exit_code, Some(0), "{command}: {done:?}");
    let guest = Guest(pids(&done.printed.text)[0]);
    let named: Vec<i32> = done.left.services.iter().map(|s| s.pid).collect();
    assert_eq!(named, [guest.0], "{command}: {done:?}");
    assert!(done.left.jobs.is_empty(), "{command}: {done:?}");
    let service = &done.left.services[0];
    let stat = operator_process::proc::Stat::of(Pid::from_raw(guest.0).unwrap()).unwrap();
    assert_eq!(service.start_ticks, stat.start_ticks);
    assert!(service.began().is_some());
    guest
}

#[tokio::test(flavor = "multi_thread")]
async fn what_made_itself_independent_outlives_the_session() {
    for command in [
        // Its output open, closed, and in a file.
        "setsid sleep 300 & echo $!",
        "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!",
        "nohup sleep 300 & echo $!",
        "nohup sleep 300 >/dev/null 2>&1 & echo $!",
        "(trap '' HUP; exec sleep 300) & echo $!",
        // A daemon's double fork: the one that leads its session is gone.
        "setsid bash -c 'sleep 300 & echo $!'",
        // One that is stopped is as alive as any other.
        "setsid sleep 300 & p=$!; sleep 0.1; kill -STOP $p; echo $p",
    ] {
        let mut stage = stage();
        let guest = left_by(&mut stage, command).await;
        let closed = stage.shell.close().await;
        assert!(alive(guest.0), "{command}");
        assert!(closed.ended.is_empty(), "{command}: {closed:?}");
        drop(stage);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(alive(guest.0), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_outlives_the_limit_and_an_interrupt_of_its_command() {
    let mut stage = stage();
    let command = "setsid sleep 300 & echo $!; sleep 300 & echo $!; wait";
    let done = stage.limited(command, Duration::from_secs(1)).await;
    assert!(done.timed_out, "{done:?}");
    let pids_ = pids(&done.printed.text);
    let guest = Guest(pids_[0]);
    assert!(alive(guest.0) && !alive(pids_[1]), "{done:?}");
    assert_eq!(done.left.services[0].pid, guest.0, "{done:?}");
    let note = tempfile::NamedTempFile::new().unwrap();
    let command = format!(
        "setsid sleep 300 & echo $!; sleep 0.1; echo > {}; wait",
        note.path().display()
    );
    let (done, _) = stage.seen(&command, LONG, written(note.path())).await;
    assert!(done.interrupted, "{done:?}");
    let guest = Guest(pids(&done.printed.text)[0]);
    assert!(alive(guest.0), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_no_service_of_its_own() {
    // It ignores hangups itself, or moves to a session of its own, and all it starts with it.
    for command in [
        "trap '' HUP; echo $$; sleep 300 & echo $!; sleep 300",
        "echo $$; exec setsid sleep 300",
        "echo $$; exec nohup bash -c 'echo $$; sleep 300 & echo $!; sleep 300'",
    ] {
        let mut stage = stage();
        let done = stage.limited(command, Duration::from_secs(1)).await;
        assert!(done.timed_out && done.left.is_empty(), "{done:?}");
        for pid in pids(&done.printed.text) {
            assert!(!alive(pid), "{command}: {done:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_ended_beside_services() {
    let mut stage = stage();
    let done = stage
        .run("setsid sleep 300 & echo $!; sleep 301 & echo $!; tail -f /dev/null & echo $!; (sleep 302 &)")
        .await;
    let all = pids(&done.printed.text);
    let guest = Guest(all[0]);
    assert_eq!(done.left.services.len(), 1, "{done:?}");
    assert_eq!(done.left.jobs.len(), 3, "{done:?}");
    let closed = stage.shell.close().await;
    assert!(alive(guest.0) && !alive(all[1]) && !alive(all[2]));
    assert_eq!(closed.ended.len(), 3, "{closed:?}");
    assert_eq!(closed.left.services[0].pid, guest.0, "{closed:?}");
}

/// Prints a line every 5 ms, more than a pipe takes, and counts them in a file.
fn printing(count: &Path) -> String {
    format!(
        "setsid bash -c 'n=0; while :; do n=$((n+1)); printf \"%4000d\\n\" 0; echo $n >{0}.new; \
         mv {0}.new {0}; sleep 0.005; done' & echo $!",
        count.display()
    )
}

fn counted(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_prints_neither_hangs_the_call_nor_stands_still() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let mut stage = stage();
    let done = stage.run(&printing(&count)).await;
    let guest = Guest(pids(&done.printed.text)[0]);
    assert!(done.duration < LONG, "{done:?}");
    // While the session lasts, when it is over, and when the shell is gone: more than a pipe takes.
    let goes_on = async |when: &str| {
        let from = counted(&count);
        until(when, LONG, || counted(&count) > from + 60).await;
        assert!(alive(guest.0));
    };
    goes_on("in the session").await;
    stage.shell.close().await;
    goes_on("after the session").await;
    drop(stage);
    goes_on("without a shell").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ended_is_reaped_while_the_agent_lives() {
    let mut stage = stage();
    let guest = left_by(&mut stage, "setsid sleep 300 >/dev/null 2>&1 & echo $!").await;
    stage.shell.close().await;
    let pid = Pid::from_raw(guest.0).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    // `kill -0` must not find a zombie for ever.
    until("it is gone", LONG, || {
        operator_process::proc::Stat::of(pid).is_none()
    })
    .await;
}

/// A service and a job, then a command that takes its time.
fn leaves_both() -> Vec<Answer> {
    let left = "setsid sleep 300 & echo $!; sleep 301 & echo $!";
    vec![
        turn(&[call("toolu_a", left)], "tool_use"),
        turn(&[call("toolu_b", "sleep 300")], "tool_use"),
    ]
}

fn services_of(agent: &Agent) -> Vec<ServiceRow> {
    here(agent.ledger().services()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_in_the_record_and_outlives_an_agent_that_is_killed() {
    let agent = Agent::new(leaves_both()).await;
    let mut process = agent.agent(&[]).stdout(Stdio::null()).spawn().unwrap();
    let asked = || agent.server.asked().len();
    until("the second turn", LONG, || asked() > 1).await;
    let services = services_of(&agent);
    let [service] = &services[..] else {
        panic!("{services:?}");
    };
    let guest = Guest(service.pid);
    assert_eq!(service.command, "sleep 300");
    assert_eq!(
        (service.call_id.as_str(), service.ticket_id),
        ("c1", Some(1))
    );
    // The model hears of both, each by its kind.
    let told = agent.server.asked()[1].body.to_string();
    let at = |words: &str| {
        told.find(words)
            .unwrap_or_else(|| panic!("{words}: {told}"))
    };
    assert!(at("services left running") < at("jobs still running"));
    assert!(at(&format!("pid {}, started ", guest.0)) < at("jobs still running"));
    let (_, entries) = agent.session();
    let result = entries
        .iter()
        .find(|e| e.entry_type == EntryKind::ToolResult);
    let raw = result.unwrap().raw_content.clone().unwrap_or_default();
    let job = pids(&raw)
        .into_iter()
        .find(|p| *p > 1 && *p != guest.0 && alive(*p))
        .expect("the job is named");
    process.kill().await.unwrap();
    // Whoever reads knows at once that nobody works on it any more.
    let (session, _) = agent.session();
    assert_eq!(session.status, SessionStatus::Failed, "{session:?}");
    assert!(session.ended_at >= session.started_at, "{session:?}");
    let running = here(agent.ledger().running_sessions(None)).unwrap();
    assert!(running.is_empty(), "{running:?}");
    until("the end of the job", LONG, || !alive(job)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(alive(guest.0), "the service is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_ended_before_a_claim_is_judged_the_model_hears() {
    let mut script = leaves_both();
    script.truncate(1);
    script.push(turn(&[finish("f", "repaired")], "tool_use"));
    let agent = Agent::new(script).await;
    agent.run(&[]).await;
    let services = services_of(&agent);
    let guest = Guest(services[0].pid);
    assert!(alive(guest.0));
    let (_, entries) = agent.session();
    let notice = entries
        .iter()
        .find(|e| e.content.contains("ended before proof is asked for"))
        .expect("it is recorded");
    assert!(notice.content.contains(": sleep 301"), "{notice:?}");
    assert!(!notice.content.contains("sleep 300"), "{notice:?}");
}
