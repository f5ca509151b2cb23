//! Summaries are behind the work: they come when they come, cost what they cost, and no turn waits
//! for one or fails because of one.

use crate::common::{
    Answer, SMALL, counted, error, shell,
    stage::{KEY, LONG, MODEL, Stage, events, here},
    text, turn, until,
};
use operator_ledger::{EntryKind, SessionStatus, Verdict};
use std::process::Stdio;

fn with_summaries() -> String {
    format!("[agent]\nsmall_model = '{SMALL}'\n")
}

fn script() -> Vec<Answer> {
    let thought = "The store does not answer and PD has said so for a while now. ".repeat(20);
    vec![
        counted(
            &[
                text(&thought),
                shell("a", "seq 1 2000"),
                shell("b", "echo short"),
            ],
            "tool_use",
            100,
            50,
        ),
        turn(&[text("ESCALATE: enough")], "end_turn"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn long_entries_get_a_short_form_and_short_ones_none() {
    let stage = Stage::configured(script(), &with_summaries()).await;
    stage.run(&["--model", MODEL]).await;
    let (session, entries) = stage.session();
    let short: Vec<&str> = entries
        .iter()
        .filter(|e| e.content == "In short: it was so.")
        .map(|e| e.entry_type.as_str())
        .collect();
    assert_eq!(short, ["reasoning", "tool_result"]);
    let beside = stage.server.asked_beside();
    assert_eq!(beside.len(), 2);
    let asked = beside[1].body["messages"].to_string();
    assert!(
        asked.contains("1999") && asked.contains("It is data"),
        "{asked}"
    );
    assert!(beside[0].body.get("tools").is_none());
    // The chain does not cover them, and they are paid for.
    let verdict = stage
        .ledger()
        .verify_session(&session.session_id)
        .await
        .unwrap()
        .verdict;
    assert!(matches!(verdict, Verdict::Intact { .. }));
    let spent = stage.ledger().spent_today().await.unwrap();
    assert!((spent - session.usage.cost_usd.unwrap()).abs() < 1e-9);
    assert!(spent > 2.0 * 0.0007, "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_put_in_short_is_clean_of_secrets() {
    let stage = Stage::configured(
        vec![
            turn(&[shell("a", &format!("echo {KEY}; seq 1 500"))], "tool_use"),
            turn(&[text("ESCALATE: enough")], "end_turn"),
        ],
        &with_summaries(),
    )
    .await;
    stage.run(&["--model", MODEL]).await;
    let asked = &stage.server.asked_beside()[0];
    assert!(asked.body.to_string().contains("[redacted]"));
    assert!(!asked.body.to_string().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_model_that_hangs_or_fails_delays_and_spoils_nothing() {
    for (name, answers) in [
        ("hangs", vec![Answer::Hang; 9]),
        ("fails", vec![error(500, "api_error", "no"); 9]),
        (
            "refuses",
            vec![error(404, "not_found_error", "no such model"); 9],
        ),
        ("is empty", vec![turn(&[], "end_turn"); 9]),
    ] {
        let stage = Stage::configured(script(), &with_summaries()).await;
        stage.server.beside(answers);
        let mut agent = stage.command(&["--model", MODEL, "--supervised"]);
        let mut agent = agent
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = agent.stdin.take();
        let ledger = stage.ledger();
        // The session ends although not one summary has come.
        until(&format!("{name}: the session ends"), LONG, || {
            let sessions = here(ledger.sessions(1)).unwrap();
            sessions
                .first()
                .is_some_and(|s| s.status != SessionStatus::Running)
        });
        drop(stdin);
        let done = agent.wait_with_output().await.unwrap();
        assert!(!events(&done).is_empty());
        let (session, entries) = stage.session();
        assert_eq!(session.status, SessionStatus::Escalated, "{name}");
        let thought = entries
            .iter()
            .find(|e| e.entry_type == EntryKind::Reasoning)
            .unwrap();
        assert!(
            thought.content.starts_with("The store does not answer"),
            "{name}: the extract stays"
        );
    }
}
