//! What a person says goes, against an agent at work: holds, a pause, what was said to another session.

use crate::common::{
    Answer, shell,
    stage::{LONG, Stage, here, said},
    text, turn, until,
};
use operator_ledger::{
    EntryKind, HoldScope, NewHold, SessionStatus,
    event::{Control, Kind, Outcome, parse},
};
use rustix::process::Pid;
use std::{fs, path::Path, process::Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};

fn handed_over() -> Answer {
    turn(&[text("ESCALATE: enough")], "end_turn")
}

fn hold(scope: HoldScope) -> NewHold {
    NewHold {
        scope,
        names: vec!["tikv0".into()],
        by: "ada".into(),
        why: "I look at its disk".into(),
    }
}

fn count(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_pause_end_the_command_at_work_and_nothing_more_runs() {
    for scope in [HoldScope::Incident(1), HoldScope::All] {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("ran");
        let command = format!("echo ran >> {}; echo $$; sleep 300", log.display());
        let again = format!("echo again >> {}", log.display());
        let stage = Stage::new(vec![
            turn(&[shell("a", &command), shell("b", &again)], "tool_use"),
            turn(&[shell("c", &again)], "tool_use"),
            handed_over(),
        ])
        .await;
        let mut agent = stage
            .command(&[])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
        let (mut pid, mut end) = (None, None);
        let work = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                match parse(&line).unwrap().kind {
                    Kind::ToolOutput { text, .. } => {
                        pid = text.trim().parse::<i32>().ok();
                        stage.ledger().hold(hold(scope.clone())).await.unwrap();
                    }
                    Kind::SessionEnd {
                        outcome, summary, ..
                    } => end = Some((outcome, summary)),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(LONG, work)
            .await
            .expect("the agent ends");
        let (outcome, summary) = end.unwrap();
        assert_eq!(outcome, Outcome::Interrupted, "{summary}");
        assert!(summary.contains("I look at its disk"), "{summary}");
        let pid = Pid::from_raw(pid.unwrap()).unwrap();
        until("its command is ended", LONG, || {
            !operator_process::proc::is_alive(pid)
        });
        assert_eq!(count(&log), 1, "nothing ran after it");
        let (session, entries) = stage.session();
        assert_eq!(session.status, SessionStatus::Interrupted);
        let calls = entries
            .iter()
            .filter(|e| e.entry_type == EntryKind::ToolCall);
        assert_eq!(calls.count(), 1);
        // Nobody takes it as long as that stands.
        let refused = stage.run(&[]).await;
        assert!(!refused.status.success());
        assert_eq!(count(&log), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_names_a_held_thing_waits_for_a_person_in_every_mode() {
    let dir = tempfile::tempdir().unwrap();
    let (held, other) = (dir.path().join("held"), dir.path().join("other"));
    let stage = Stage::new(vec![
        turn(
            &[
                shell("a", &format!("echo start tikv0 > {}", held.display())),
                shell("b", &format!("echo start tikv01 > {}", other.display())),
            ],
            "tool_use",
        ),
        handed_over(),
    ])
    .await;
    let thing = HoldScope::Thing {
        system: None,
        thing: "1".into(),
    };
    stage.ledger().hold(hold(thing)).await.unwrap();
    let mut why = Vec::new();
    stage
        .steered(&["--mode", "autonomous"], |kind| match kind {
            Kind::Proposal {
                call, why: said, ..
            } => {
                why.push(said.clone());
                Some(Control::Reject {
                    call: call.clone(),
                    why: "not now".into(),
                    by: "ada".into(),
                })
            }
            _ => None,
        })
        .await;
    assert_eq!(
        why,
        ["it names tikv0, which ada holds (I look at its disk)"]
    );
    assert!(!held.exists(), "what was rejected did not run");
    assert!(other.exists(), "what names something else did");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_said_is_told_to_the_next_session_until_it_is_taken_back() {
    let stage = Stage::new(vec![
        turn(&[shell("a", "echo look; sleep 1")], "tool_use"),
        handed_over(),
        handed_over(),
        handed_over(),
    ])
    .await;
    let order = "do not touch tikv0";
    stage
        .steered(&[], |kind| {
            matches!(kind, Kind::ToolOutput { .. }).then(|| Control::Message {
                text: order.into(),
                by: "ada".into(),
            })
        })
        .await;
    let orders = here(stage.ledger().orders(1)).unwrap();
    assert_eq!(orders.len(), 1, "{orders:?}");
    let reopen = || here(stage.ledger().reopen_by_person(1, "ada")).unwrap();
    assert!(reopen());
    stage.run(&[]).await;
    let told = stage.server.asked();
    let told = said(&told.last().unwrap().body);
    assert!(told.contains("ada, ") && told.contains(order), "{told}");
    assert!(here(stage.ledger().take_order_back(orders[0].id, "ada")).unwrap());
    assert!(reopen());
    stage.run(&[]).await;
    let told = stage.server.asked();
    let told = said(&told.last().unwrap().body);
    assert!(!told.contains("It still stands"), "{told}");
}
