//! How a model ends its work: by a `finish` that is judged, and by nothing else. What it says in a
//! text is never a claim.

use crate::{
    agent::{CLUSTER, Monitor},
    common::{
        Answer, finish, finish_with, shell,
        stage::{LONG, Stage, events, here, results, said},
        text, turn, until,
    },
};
use operator_ledger::{
    EntryKind, FinishOutcome, FinishRow, Resolution, SessionStatus, Status,
    event::{Control, Kind, VerifyState},
};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};

fn finishes(stage: &Stage) -> Vec<FinishRow> {
    here(stage.ledger().finishes(1)).unwrap()
}

fn looked() -> Answer {
    turn(&[text("I look."), shell("a", "echo seen")], "tool_use")
}

fn ended(outcome: &str) -> Answer {
    turn(&[finish("f", outcome)], "tool_use")
}

/// Nothing of a claim is anywhere.
fn no_claim(stage: &Stage) {
    assert!(!stage.ticket().claimed);
    assert!(here(stage.ledger().verifications(1)).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_hands_over_is_no_claim_however_it_is_dressed() {
    for words in [
        "ESCALATE: the disk is gone.",
        "**ESCALATE:** the disk is gone.",
        "## ESCALATE: the disk is gone.",
        "I looked at it.\n\nESCALATE: the disk is gone.",
        "Escalate: the disk is gone.",
        "ESCALATE - the disk is gone.",
        "> ESCALATE: the disk is gone.",
        "- **ESCALATE**: the disk is gone.",
    ] {
        let stage = Stage::new(vec![turn(&[text(words)], "end_turn")]).await;
        stage.run(&[]).await;
        let ticket = stage.ticket();
        assert_eq!(ticket.status, Status::Escalated, "{words}");
        no_claim(&stage);
        let diagnosis = ticket.diagnosis.unwrap();
        assert!(
            diagnosis.ends_with("the disk is gone.") && !diagnosis.contains("ESCALATE:"),
            "{words}: {diagnosis}"
        );
        let rows = finishes(&stage);
        assert_eq!(rows.len(), 1, "{words}");
        assert_eq!(rows[0].finish.outcome, FinishOutcome::Escalate, "{words}");
        assert!(
            rows[0].finish.cause.ends_with("the disk is gone."),
            "{rows:?}"
        );
        assert_eq!(stage.server.asked().len(), 1, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_nobody_asked_for_is_nudged_once_and_then_handed_over() {
    let stage = Stage::new(vec![
        turn(&[text("I will not escalate: it is repaired.")], "end_turn"),
        turn(&[text("As I said, it is repaired.")], "end_turn"),
    ])
    .await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 2);
    assert!(said(&asked[1].body).contains("A text alone ends nothing"));
    no_claim(&stage);
    assert_eq!(stage.ticket().status, Status::Escalated);
    let rows = finishes(&stage);
    assert_eq!(rows[0].finish.cause, "As I said, it is repaired.");
    assert_eq!(rows[0].finish.outcome, FinishOutcome::Escalate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nudge_is_enough_for_a_model_that_forgot() {
    let stage = Stage::new(vec![
        looked(),
        turn(&[text("It is repaired.")], "end_turn"),
        ended("repaired"),
    ])
    .await;
    let done = stage.run(&[]).await;
    assert!(stage.ticket().claimed, "the finish is a claim");
    let rows = finishes(&stage);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].call_id.as_deref(), &rows[0].finish.evidence[..]),
        (Some("c2"), &["c1".to_owned()][..]),
        "its evidence is named by our id"
    );
    let events = events(&done);
    let at = |f: &dyn Fn(&Kind) -> bool| events.iter().position(|e| f(&e.kind)).unwrap();
    let finish = at(&|k| matches!(k, Kind::Finish(f) if f.cause == "the cause"));
    assert!(
        finish
            < at(&|k| matches!(
                k,
                Kind::Verify {
                    state: VerifyState::Waiting,
                    ..
                }
            ))
    );
    let (session, entries) = stage.session();
    let entry = entries.iter().find(|e| e.entry_type == EntryKind::Finish);
    assert_eq!(entry.unwrap().finish(), rows[0].finish);
    let sound = here(stage.ledger().verify_session(&session.session_id)).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!(here(stage.ledger().verify_ledger()).unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_beside_a_finish_runs_first_and_the_last_finish_counts() {
    let stage = Stage::new(vec![turn(
        &[
            finish("f1", "repaired"),
            finish("f2", "escalate"),
            shell("a", "echo ran"),
        ],
        "tool_use",
    )])
    .await;
    stage.run(&[]).await;
    no_claim(&stage);
    let rows = finishes(&stage);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].call_id.as_deref(), Some("c2"));
    let (_, entries) = stage.session();
    let at = |kind: EntryKind| entries.iter().position(|e| e.entry_type == kind).unwrap();
    assert!(at(EntryKind::ToolResult) < at(EntryKind::Finish));
    assert!(
        entries
            .iter()
            .any(|e| e.content.contains("only the last finish of a turn counts")),
        "the other one is answered, and on record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finish_that_says_too_little_or_too_much_is_answered_and_may_be_said_again() {
    let huge = "x".repeat(2 << 20);
    let bad = |input: Value| turn(&[finish_with("f", input)], "tool_use");
    let stage = Stage::new(vec![
        looked(),
        bad(json!({})),
        bad(
            json!({ "outcome": "repaired", "cause": huge, "evidence": ["1"], "actions": "a",
            "checked": "c", "confidence": "high" }),
        ),
        bad(
            json!({ "outcome": "repaired", "cause": "x", "evidence": ["7"], "actions": "a",
            "checked": "c", "confidence": "high", "mood": "good" }),
        ),
        ended("escalate"),
    ])
    .await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    for (n, words) in [
        (2, vec!["`cause` is missing", "`outcome` is missing"]),
        (3, vec!["`cause` has 2097152 bytes, and 8192 are allowed"]),
        (
            4,
            vec![
                "a call \"7\" that there was not",
                "there is no field `mood`",
            ],
        ),
    ] {
        let answer = &results(&asked[n].body)[0];
        assert!(answer.2, "{answer:?}");
        for words in words {
            assert!(answer.1.contains(words), "{words}: {}", answer.1);
        }
        assert!(answer.1.contains("Call finish again"), "{}", answer.1);
    }
    no_claim(&stage);
    assert_eq!(finishes(&stage).len(), 1, "what was not taken is none");
    let size = std::fs::metadata(stage.db()).unwrap().len();
    assert!(size < 2 << 20, "{size} bytes of ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_only_finishes_badly_is_given_up() {
    let script = (0..20)
        .map(|n| {
            turn(
                &[finish_with("f", json!({ "cause": format!("{n}") }))],
                "tool_use",
            )
        })
        .collect();
    let stage = Stage::new(script).await;
    stage.run(&[]).await;
    assert!((5..=8).contains(&stage.server.asked().len()));
    let (session, _) = stage.session();
    assert!(session.outcome_summary.unwrap().contains("no usable turn"));
    no_claim(&stage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_says_something_comes_before_a_finish() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("go");
    let waits = format!(
        "until [ -e {} ]; do echo tick; sleep 0.1; done",
        flag.display()
    );
    let stage = Stage::new(vec![
        turn(&[shell("a", &waits), finish("f1", "repaired")], "tool_use"),
        turn(
            &[text("I only looked."), finish("f2", "escalate")],
            "tool_use",
        ),
    ])
    .await;
    let mut ticks = 0;
    stage
        .steered(&[], |kind| match kind {
            Kind::ToolOutput { .. } => {
                ticks += 1;
                if ticks > 3 {
                    std::fs::write(&flag, "").unwrap();
                }
                (ticks == 1).then(|| Control::Message {
                    text: "did you restart it?".into(),
                    by: "ada".into(),
                })
            }
            _ => None,
        })
        .await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 2);
    let answers = results(&asked[1].body);
    assert!(
        answers[1].0 == "f1" && answers[1].2 && answers[1].1.contains("a person said something"),
        "{answers:?}"
    );
    assert!(said(&asked[1].body).contains("[message from ada, a person]\\ndid you restart it?"));
    no_claim(&stage);
    assert_eq!(finishes(&stage).len(), 1);
}

/// An agent on a ticket that a monitor opened, which sees what is at `up`.
async fn watched(script: Vec<Answer>, up: &Path) -> (Stage, Monitor) {
    let stage = Stage::without_ticket(script).await;
    let (db, up) = (stage.db(), up.to_owned());
    let ledger = stage.ledger();
    let start = move || Monitor::of(&db, move || up.exists(), Duration::from_millis(400));
    let monitor = tokio::task::spawn_blocking(start).await.unwrap();
    until("a ticket", LONG, || {
        here(ledger.newest_ticket()).unwrap() > 0
    });
    let agent = stage
        .agent(&["--once", "--cluster-id", CLUSTER])
        .stdin(Stdio::null())
        .output();
    tokio::time::timeout(LONG, agent)
        .await
        .expect("it ends")
        .unwrap();
    (stage, monitor)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_the_monitor_refutes_is_told_twice_and_then_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let script = vec![
        looked(),
        ended("repaired"),
        ended("repaired"),
        ended("repaired"),
    ];
    let (stage, _monitor) = watched(script, &dir.path().join("never")).await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 4);
    for n in [2, 3] {
        let answer = &results(&asked[n].body)[0];
        assert!(
            answer.0 == "f" && answer.1.contains("it is not repaired: tikv1 is"),
            "{answer:?}"
        );
        assert!(!answer.2, "it was taken");
    }
    let (session, _) = stage.session();
    assert_eq!(session.status, SessionStatus::Escalated);
    assert_eq!(finishes(&stage).len(), 3, "each of them was said");
    assert_eq!(stage.ticket().status, Status::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_only_if_the_monitor_sees_nothing_either() {
    let dir = tempfile::tempdir().unwrap();
    let up = dir.path().join("up");
    let heal = format!("touch {}", up.display());
    let script = vec![
        looked(),
        ended("nothing_wrong"),
        turn(&[shell("b", &heal)], "tool_use"),
        ended("nothing_wrong"),
    ];
    let (stage, _monitor) = watched(script, &up).await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 4);
    assert!(
        results(&asked[2].body)[0]
            .1
            .contains("it is not repaired: tikv1 is")
    );
    no_claim(&stage);
    let (session, _) = stage.session();
    assert_eq!(session.status, SessionStatus::Released, "{session:?}");
    // It was left to the monitor, which closes it.
    until("the end of the ticket", LONG, || {
        stage.ticket().status == Status::Resolved
    });
    assert_ne!(stage.ticket().resolution, Some(Resolution::Proven));
    assert_eq!(here(stage.ledger().verify_ledger()).unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_again_and_again_that_nothing_is_wrong_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let script = vec![
        looked(),
        ended("nothing_wrong"),
        ended("nothing_wrong"),
        ended("nothing_wrong"),
    ];
    let (stage, _monitor) = watched(script, &dir.path().join("never")).await;
    let (session, _) = stage.session();
    assert_eq!(session.status, SessionStatus::Escalated);
    let why = session.outcome_summary.unwrap();
    assert!(
        why.contains("said that nothing is wrong, and not borne out"),
        "{why}"
    );
    no_claim(&stage);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_that_nobody_can_see_is_for_a_person() {
    let stage = Stage::new(vec![looked(), ended("nothing_wrong")]).await;
    stage.run(&[]).await;
    let ticket = stage.ticket();
    assert_eq!(
        (ticket.status, ticket.needs_person),
        (Status::Escalated, true)
    );
    no_claim(&stage);
    let why = stage.session().0.outcome_summary.unwrap();
    assert!(
        why.contains("found nothing wrong, and the monitor cannot say"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closing_turn_may_finish() {
    let stage = Stage::new(vec![looked(), ended("escalate")]).await;
    stage.run(&["--turn-cap", "2"]).await;
    let ticket = stage.ticket();
    assert!(ticket.needs_person, "another session would end no better");
    let diagnosis = ticket.diagnosis.unwrap();
    assert!(
        diagnosis.starts_with("ESCALATED: the cause\nactions: ") && diagnosis.contains("next: "),
        "{diagnosis}"
    );
    let why = stage.session().0.outcome_summary.unwrap();
    assert!(why.contains("1 of 2 turns"), "{why}");
    assert_eq!(finishes(&stage).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_turn_that_calls_something_else_hands_over_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    let touch = format!("touch {}", mark.display());
    let stage = Stage::new(vec![looked(), turn(&[shell("b", &touch)], "tool_use")]).await;
    stage.run(&["--turn-cap", "2"]).await;
    assert!(!mark.exists(), "it does not run");
    let diagnosis = stage.ticket().diagnosis.unwrap();
    assert!(
        diagnosis.contains("1. $ echo seen") && !diagnosis.contains("it said nothing"),
        "{diagnosis}"
    );
    let (_, entries) = stage.session();
    assert!(
        entries
            .iter()
            .any(|e| e.content.contains("this was the last turn")),
        "its call is answered"
    );
    assert!(finishes(&stage).is_empty(), "it did not say how it ends");
}
