//! Every way in which a turn can end or fail, and what a session makes of it.

use crate::common::{
    self, Answer, counted, error, event, shell,
    stage::{LONG, Stage, events, here, results, said},
    text, turn, until,
};
use operator_ledger::{EntryKind, NewTicket, SessionStatus, Status, event::Kind};
use serde_json::{Value, json};
use std::{process::Stdio, sync::atomic::Ordering};

fn handed_over() -> Answer {
    turn(&[text("ESCALATE: enough")], "end_turn")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_hands_the_ticket_over_in_the_servers_words() {
    let refusal = vec![
        event(&json!({"type":"message_start","message":{"id":"m","usage":{"input_tokens":5}}})),
        event(
            &json!({"type":"message_delta","delta":{"stop_reason":"refusal",
            "stop_details":{"category":"cyber","explanation":"that looks like an attack"}},"usage":{"output_tokens":1}}),
        ),
        event(&json!({"type":"message_stop"})),
    ];
    let stage = Stage::new(vec![Answer::Stream(refusal)]).await;
    stage.run(&[]).await;
    let (session, _) = stage.session();
    assert_eq!(session.status, SessionStatus::Escalated);
    assert!(
        session
            .outcome_summary
            .unwrap()
            .contains("that looks like an attack")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_turn_goes_on_with_the_same_conversation() {
    let part = text("Half of it");
    let stage = Stage::new(vec![
        turn(std::slice::from_ref(&part), "pause_turn"),
        handed_over(),
    ])
    .await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    let messages = asked[1].body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(
        messages[1]["content"],
        json!([part]),
        "the last word is the model's own"
    );
    assert_eq!(asked[0].body["tools"], asked[1].body["tools"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_pauses_is_given_up() {
    let stage = Stage::new(vec![turn(&[text("wait")], "pause_turn"); 20]).await;
    stage.run(&[]).await;
    assert!((5..=8).contains(&stage.server.asked().len()));
    let (session, _) = stage.session();
    assert_eq!(session.status, SessionStatus::Escalated);
    assert!(session.outcome_summary.unwrap().contains("no usable turn"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_turn_that_its_model_ended_is_a_claim_or_runs_anything() {
    let mark = tempfile::tempdir().unwrap();
    let path = mark.path().join("ran");
    let call = |id: &str| shell(id, &format!("touch {}", path.display()));
    // A call whose end did not come, though the turn's did.
    let mut open = common::events(&[call("c")], "tool_use");
    open.retain(|e| e["type"] != "content_block_stop");
    open.push(json!({"type":"message_stop"}));
    let stage = Stage::new(vec![
        turn(&[text("I repaired it.")], "something_new"),
        turn(&[text("I repaired it.")], "tool_use"),
        turn(&[call("a")], "something_new"),
        Answer::Stream(open.iter().map(event).collect()),
        handed_over(),
    ])
    .await;
    let done = stage.run(&[]).await;
    assert!(!stage.ticket().claimed, "neither was a claim");
    let asked = stage.server.asked();
    assert!(said(&asked[1].body).contains("did not come to its end"));
    assert!(results(&asked[3].body)[0].1.contains("may be cut off"));
    assert!(results(&asked[4].body)[0].1.contains("INVALID_JSON"));
    assert!(!path.exists(), "nothing of it ran");
    assert!(
        events(&done).iter().any(
            |e| matches!(&e.kind, Kind::Notice { text, .. } if text.contains("something_new"))
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn thinking_that_was_cut_does_not_go_back() {
    let mut cut = common::events(
        &[
            text("Let me think."),
            json!({"type":"thinking","thinking":"half a thought","signature":"s"}),
        ],
        "max_tokens",
    );
    cut.retain(|e| e["delta"]["type"] != "signature_delta");
    cut.push(json!({"type":"message_stop"}));
    let stage = Stage::new(vec![
        Answer::Stream(cut.iter().map(event).collect()),
        handed_over(),
    ])
    .await;
    stage.run(&[]).await;
    let back = &stage.server.asked()[1].body["messages"][1]["content"];
    assert_eq!(back, &json!([text("Let me think.")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_only_thinks_between_calls_keeps_its_plan() {
    let mut script: Vec<Answer> = (0..6)
        .map(|n| {
            let plan = json!({"type":"thinking","thinking":format!("Plan {n}: the disk."),"signature":"s=="});
            counted(&[plan, shell(&format!("t{n}"), "date +%N")], "tool_use", 8_000 * n, 500)
        })
        .collect();
    script.push(handed_over());
    let stage = Stage::configured(script, SMALL_WINDOW).await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    assert_eq!(
        asked[0].body["thinking"]["display"],
        Value::Null,
        "as the entry in config.toml says"
    );
    let short = asked
        .iter()
        .skip(1)
        .find(|a| said(&a.body).contains("The work so far"));
    assert!(said(&short.expect("it was made shorter").body).contains("Plan 0: the disk."));
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_turns_are_answered_and_then_given_up() {
    let stage = Stage::new(vec![turn(&[], "end_turn"); 20]).await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    assert!(asked.len() <= 8);
    let messages = asked[1].body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "never two of the same role in a row");
    assert!(said(&asked[1].body).contains("was empty"));
    assert_eq!(stage.session().0.status, SessionStatus::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_turn_gets_more_room_and_its_call_never_runs() {
    let mark = tempfile::tempdir().unwrap();
    let path = mark.path().join("ran");
    let stage = Stage::new(vec![
        turn(
            &[shell("a", &format!("touch {}", path.display()))],
            "max_tokens",
        ),
        handed_over(),
    ])
    .await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    let room = |n: usize| asked[n].body["max_tokens"].as_u64().unwrap();
    assert_eq!(room(1), 2 * room(0));
    assert!(!path.exists());
    let result = &results(&asked[1].body)[0];
    assert!(result.2 && result.1.contains("not run"), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_cannot_be_read_are_answered_as_documented() {
    let mut broken = common::events(&[shell("a", "rm -rf /")], "tool_use");
    for e in &mut broken {
        if e["delta"]["type"] == "input_json_delta" {
            e["delta"]["partial_json"] = r#"{"comm"#.into();
        }
    }
    broken.push(json!({"type":"message_stop"}));
    let stage = Stage::new(vec![
        Answer::Stream(broken.iter().map(event).collect()),
        handed_over(),
    ])
    .await;
    stage.run(&[]).await;
    let result = &results(&stage.server.asked()[1].body)[0];
    assert_eq!(
        (result.1.as_str(), result.2),
        (r#"{"INVALID_JSON":"{\"comm{\"comm"}"#, true)
    );
    assert!(
        !stage
            .session()
            .1
            .iter()
            .any(|e| e.entry_type == EntryKind::ToolCall)
    );
}

/// A model of which little fits: each turn says so much that the window is soon full.
const SMALL_WINDOW: &str = "[agent.models.claude-sonnet-5-5]\ncontext = 40000\noutput = 8000\n\
    price = { input = 2.0, output = 10.0, cache_read = 0.1, cache_write = 2.5 }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_gets_too_long_goes_on_in_short() {
    let mut script: Vec<Answer> = (0..6)
        .map(|n| {
            let plan = text(&format!("My plan, version {n}."));
            let call = shell(&format!("t{n}"), &format!("echo result {n}"));
            counted(&[plan, call], "tool_use", 8_000 * n, 500)
        })
        .collect();
    script.push(handed_over());
    let stage = Stage::configured(script, SMALL_WINDOW).await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    let lengths: Vec<usize> = asked
        .iter()
        .map(|a| a.body["messages"].as_array().unwrap().len())
        .collect();
    let short = 1 + lengths
        .iter()
        .skip(1)
        .position(|n| *n == 1)
        .expect("it was made shorter");
    let began_with = said(&asked[short].body);
    for kept in [
        "look into it",
        "My plan, version 0.",
        "$ echo result 0",
        "result 1",
        "exit 0",
    ] {
        assert!(began_with.contains(kept), "{kept} in {began_with}");
    }
    assert_eq!(asked[0].body["system"], asked[short].body["system"]);
    let (session, entries) = stage.session();
    let compaction = entries
        .iter()
        .find(|e| e.entry_type == EntryKind::Compaction)
        .unwrap();
    let meta = compaction.meta.as_ref().unwrap();
    assert!(meta.messages_dropped.unwrap() >= 4, "{meta:?}");
    assert_eq!(
        compaction.raw_content.as_deref().unwrap(),
        asked[short].body["messages"][0]["content"][0]["text"]
            .as_str()
            .unwrap(),
        "what it goes on with is on record"
    );
    assert_eq!(session.status, SessionStatus::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_context_and_a_prompt_that_is_too_long_are_made_shorter() {
    let call = |id: &str| shell(id, &format!("echo {id}"));
    let stage = Stage::new(vec![
        turn(&[text("one"), call("a")], "tool_use"),
        turn(&[text("two"), call("b")], "tool_use"),
        error(413, "request_too_large", "prompt is too long"),
        turn(&[text("three"), call("c")], "tool_use"),
        turn(&[text("four"), call("d")], "tool_use"),
        turn(
            &[text("half a"), call("never")],
            "model_context_window_exceeded",
        ),
        handed_over(),
    ])
    .await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 7);
    for n in [3, 6] {
        let body = &asked[n].body;
        assert_eq!(body["messages"].as_array().unwrap().len(), 1, "request {n}");
        assert!(said(body).contains("The work so far"));
    }
    assert!(said(&asked[6].body).contains("$ echo a") && said(&asked[6].body).contains("one"));
    assert!(
        !said(&asked[6].body).contains("$ echo never"),
        "it never ran"
    );
    assert_eq!(stage.session().0.status, SessionStatus::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_model_goes_on_and_on_in_short() {
    let config = "[agent.models.claude-sonnet-5-5]\ncontext = 16000\noutput = 2000\n\
        price = { input = 2.0, output = 10.0, cache_read = 0.1, cache_write = 2.5 }\n";
    let script = (0..40)
        .map(|n| {
            let call = shell(&format!("t{n}"), &format!("seq {n} 3000"));
            counted(
                &[text(&"I look at it. ".repeat(40)), call],
                "tool_use",
                3_000 + 4_000 * (n % 3),
                500,
            )
        })
        .chain([handed_over()])
        .collect();
    let stage = Stage::configured(script, config).await;
    stage.run(&["--spend-cap", "50", "--day-cap", "50"]).await;
    let (session, entries) = stage.session();
    assert_eq!(
        session.outcome_summary.as_deref(),
        Some("the agent hands it to a person: enough")
    );
    assert!(
        entries
            .iter()
            .filter(|e| e.entry_type == EntryKind::Compaction)
            .count()
            >= 5
    );
    for asked in stage.server.asked() {
        let first = asked.body["messages"][0].to_string();
        assert!(first.len() < 12_000, "{} bytes to begin with", first.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_mid_session_ends_the_agent_too() {
    let stage = Stage::new(vec![
        turn(&[text("one"), shell("a", "true")], "tool_use"),
        turn(&[text("two"), shell("b", "true")], "tool_use"),
        error(
            400,
            "invalid_request_error",
            "your own spend limit is reached",
        ),
    ])
    .await;
    stage
        .ledger()
        .open_ticket(NewTicket {
            message: "another".into(),
            by: "test".into(),
            ..Default::default()
        })
        .await
        .unwrap();
    let done = stage.agent(&[]).stdin(Stdio::null()).output();
    let done = tokio::time::timeout(LONG, done).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&done.stderr).contains("your own spend limit"));
    assert_eq!(
        stage.server.asked().len(),
        3,
        "asked once, and not for another ticket"
    );
    assert_eq!(
        stage.ledger().ticket(2).await.unwrap().unwrap().status,
        Status::Open
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_the_first_words_ends_the_agent() {
    let stage = Stage::new(vec![error(400, "invalid_request_error", "unknown beta: x")]).await;
    let done = stage.agent(&[]).stdin(Stdio::null()).output();
    let done = tokio::time::timeout(LONG, done).await.unwrap().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("unknown beta: x"));
    assert_eq!(stage.ticket().status, Status::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spend_limit_is_not_tried_again() {
    let capped = Answer::Plain {
        status: 429,
        headers: vec![("content-type", "application/json".into())],
        body: json!({"type":"error","error":{"type":"rate_limit_error","message":"monthly cap reached",
            "details":{"error_code":"enforced_spend_limit_reached"}}})
        .to_string(),
    };
    let stage = Stage::new(vec![capped]).await;
    let done = stage.run(&[]).await;
    assert_eq!(stage.server.asked().len(), 1);
    assert!(String::from_utf8_lossy(&done.stderr).contains("monthly cap reached"));
}

#[tokio::test(flavor = "multi_thread")]
async fn going_in_circles_is_pointed_out_and_then_ended() {
    let same = turn(&[text("Again."), shell("t", "echo the same")], "tool_use");
    let stage = Stage::new(vec![same; 30]).await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    assert_eq!(asked.len(), 8);
    assert!(!results(&asked[2].body)[0].1.contains("exactly this result"));
    assert!(
        results(&asked[3].body)[0]
            .1
            .contains("exactly this result 3 times")
    );
    let (session, _) = stage.session();
    assert!(session.outcome_summary.unwrap().contains("went in circles"));
    assert_eq!(session.status, SessionStatus::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kind_of_circle_is_missed() {
    let page = serve("always the same").await;
    let fetch = json!({ "type": "tool_use", "id": "t", "name": "web_fetch",
        "input": { "url": format!("{page}/x"), "reasoning": "" } });
    let unknown =
        json!({ "type": "tool_use", "id": "t", "name": "teleport", "input": { "to": "x" } });
    for (what, call) in [
        ("a page", fetch),
        ("a long output", shell("t", "seq 1 20000")),
        ("an unknown tool", unknown),
        ("input that is missing", shell("t", "")),
    ] {
        let stage = Stage::configured(
            vec![turn(&[text("Again."), call], "tool_use"); 30],
            "[agent.web]\nprivate_addresses = true\n",
        )
        .await;
        stage.run(&[]).await;
        assert_eq!(stage.server.asked().len(), 8, "{what}");
        let (session, _) = stage.session();
        assert!(
            session.outcome_summary.unwrap().contains("went in circles"),
            "{what}"
        );
    }
}

/// A server that answers the same to everything.
async fn serve(body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move { body });
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_on_record_before_it_is_made() {
    let stage = Stage::new(vec![error(529, "overloaded_error", "Overloaded"); 9]).await;
    let mut agent = stage
        .command(&[])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ledger = stage.ledger();
    let retries = || {
        let session = here(ledger.sessions(1)).unwrap().pop()?;
        let entries = here(ledger.entries(&session.session_id, 0, 99)).unwrap();
        entries
            .into_iter()
            .find(|e| e.entry_type == EntryKind::Retry)
    };
    until("a retry", LONG, || retries().is_some());
    agent.kill().await.unwrap();
    assert!(
        retries()
            .unwrap()
            .content
            .contains("529 overloaded_error: Overloaded, try 2 of 8")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_away_keeps_no_ticket_and_is_waited_for() {
    // Tries are as far apart as in life; there are fewer.
    let stage = Stage::configured(vec![handed_over()], "[agent.api]\ntries = 2\n").await;
    stage.server.away.store(true, Ordering::Relaxed);
    let mut command = stage.agent(&[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut agent = command.spawn().unwrap();
    let ledger = stage.ledger();
    until(
        "the session fails, and the ticket is given back",
        LONG,
        || {
            let sessions = here(ledger.sessions(5)).unwrap();
            sessions.iter().any(|s| s.status == SessionStatus::Failed)
                && stage.ticket().status == Status::Open
        },
    );
    stage.server.away.store(false, Ordering::Relaxed);
    until("the ticket is worked on", LONG, || {
        stage.ticket().status == Status::Escalated
    });
    agent.kill().await.unwrap();
    let sessions = ledger.sessions(9).await.unwrap();
    assert_eq!(sessions.len(), 2, "none was begun while it was away");
    assert_eq!(sessions[0].status, SessionStatus::Escalated);
    let retried = ledger
        .entries(&sessions[1].session_id, 0, 99)
        .await
        .unwrap();
    let retry = retried
        .iter()
        .find(|e| e.entry_type == EntryKind::Retry)
        .unwrap();
    assert!(
        retry
            .content
            .starts_with("503 Service Unavailable: out of order, try 2 of 2, "),
        "{}",
        retry.content
    );
}
