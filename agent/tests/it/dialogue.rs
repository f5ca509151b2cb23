//! People who write to an agent at work: they are answered, their words are never lost, and an
//! answer is neither an end nor a claim.

use crate::common::{
    Answer, finish, shell,
    stage::{Stage, said},
    text, turn,
};
use operator_ledger::{
    EntryKind, Status,
    event::{Control, Kind},
};
use serde_json::Value;
use std::time::Duration;

const QUESTIONS: usize = 6;

fn message(text: impl Into<String>) -> Control {
    Control::Message {
        text: text.into(),
        by: "ada".into(),
    }
}

/// What was said to the model since its last turn.
fn last(body: &Value) -> String {
    body["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .to_string()
}

/// A model that answers each question in a text, and looks about while nobody asks.
fn patient(body: &Value) -> Answer {
    let last = last(body);
    let asked = (1..=QUESTIONS).rfind(|n| last.contains(&format!("question {n}")));
    if let Some(n) = asked {
        return turn(
            &[text(&format!(
                "The answer to {n} is yes, and it is repaired."
            ))],
            "end_turn",
        );
    }
    if said(body).contains(&format!("question {QUESTIONS}")) {
        return turn(&[finish("f", "escalate")], "tool_use");
    }
    let turns = body["messages"].as_array().unwrap().len();
    turn(&[shell(&format!("t{turns}"), "date +%N")], "tool_use")
}

#[tokio::test(flavor = "multi_thread")]
async fn six_questions_that_are_answered_in_text_are_a_dialogue() {
    let stage = Stage::new(vec![Answer::To(patient); 150]).await;
    let mut sent = 0;
    stage
        .steered(&["--spend-cap", "50", "--day-cap", "50"], |kind| {
            let next = match kind {
                Kind::ToolResult { .. } => sent == 0,
                Kind::Text { end, .. } => *end && sent > 0 && sent < QUESTIONS,
                _ => false,
            };
            next.then(|| {
                sent += 1;
                message(format!("question {sent}"))
            })
        })
        .await;
    let asked = stage.server.asked();
    let all = said(&asked.last().unwrap().body);
    for n in 1..=QUESTIONS {
        assert!(
            all.contains(&format!("question {n}")),
            "question {n} was not passed on"
        );
        assert!(
            all.contains(&format!("The answer to {n} is yes")),
            "nor answered"
        );
    }
    assert!(!stage.ticket().claimed, "no answer is a claim");
    let (session, entries) = stage.session();
    let why = session.outcome_summary.unwrap();
    assert!(why.contains("the agent hands it to a person"), "{why}");
    let questions = entries
        .iter()
        .filter(|e| e.entry_type == EntryKind::Message && e.text().starts_with("question"));
    assert_eq!(questions.count(), QUESTIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_no_claim_and_the_work_goes_on() {
    let stage = Stage::new(vec![
        turn(&[shell("a", "echo begun; sleep 300")], "tool_use"),
        turn(&[text("Yes: I repaired it, and all is well.")], "end_turn"),
        turn(&[shell("b", "echo on")], "tool_use"),
        turn(&[finish("f", "escalate")], "tool_use"),
    ])
    .await;
    let events = stage
        .steered(&[], |kind| match kind {
            Kind::ToolOutput { text, .. } if text.contains("begun") => {
                Some(Control::Interrupt { by: "ada".into() })
            }
            Kind::Notice { waits: true, .. } => Some(message("is it repaired?")),
            _ => None,
        })
        .await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 4);
    assert!(last(&asked[1].body).contains("[message from ada, a person]\\nis it repaired?"));
    assert!(last(&asked[2].body).contains("Your answer was passed on"));
    assert!(!stage.ticket().claimed);
    assert_eq!(stage.ticket().status, Status::Escalated);
    assert!(!events.iter().any(|e| matches!(e.kind, Kind::Verify { .. })));
}

/// The same, word for word.
fn slow(answer: Answer) -> Answer {
    let Answer::Stream(chunks) = answer else {
        unreachable!("a turn is a stream");
    };
    Answer::Slow(Duration::from_millis(300), chunks)
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_come_while_the_model_speaks_are_passed_on_and_nothing_is_an_end() {
    let stage = Stage::new(vec![
        turn(&[shell("a", "echo begun")], "tool_use"),
        slow(turn(
            &[text("I am done: ESCALATE: the disk is gone.")],
            "end_turn",
        )),
        turn(
            &[text("It was tikv1."), finish("f", "escalate")],
            "tool_use",
        ),
    ])
    .await;
    let mut sent = false;
    stage
        .steered(&[], |kind| match kind {
            // While it still speaks: before its turn is at its end.
            Kind::Text { delta, .. } if delta.contains("I am") && !sent => {
                sent = true;
                Some(message("which store was it?"))
            }
            _ => None,
        })
        .await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 3, "the person came first");
    assert!(last(&asked[2].body).contains("which store was it?"));
}
