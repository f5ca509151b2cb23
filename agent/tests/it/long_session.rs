//! A long session: sixty rounds, eight calls at once, outputs of megabytes, bytes that are no text,
//! commands that hang, servers that fail in every way that is known. It ends as it should, and its
//! record is whole.

use crate::common::{
    self, Answer, counted, error, event, shell,
    stage::{MODEL, Stage, events, results},
    text, turn,
};
use operator_ledger::{
    EntryKind, SessionStatus, Verdict,
    event::{Kind, Outcome},
};
use serde_json::{Value, json};
use std::process::Stdio;

const ROUNDS: usize = 60;
const CALLS: usize = 8;

fn hanging(id: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "shell",
        "input": { "command": "echo before; sleep 300", "reasoning": "to wait", "timeout_s": 0.3 } })
}

/// What the calls of one round run.
fn command(round: usize, call: usize) -> String {
    match (round, call) {
        // Three megabytes, told apart by their first line.
        (r, 0) if r % 20 == 5 => format!(
            "echo big {r}; head -c 3000000 /dev/zero | tr '\\0' '{}'",
            r % 10
        ),
        (r, 1) if r % 20 == 6 => {
            format!("echo bin {r}; head -c 20000 /dev/urandom; echo; echo end {r}")
        }
        (r, 2) if r % 20 == 7 => format!("echo out {r}; echo err {r} >&2; exit {}", r % 7),
        (r, 3) if r % 20 == 8 => format!("echo {r}; kill -9 $$"),
        (r, 4) if r % 20 == 9 => format!("(sleep 300; echo never) & echo back {r}"),
        (r, c) => format!("echo round {r} call {c}"),
    }
}

/// Everything that can go wrong on the way to a turn and passes.
fn failures() -> Vec<Answer> {
    let half: Vec<Vec<u8>> = common::events(&[text("half")], "end_turn")
        .iter()
        .map(event)
        .take(3)
        .collect();
    let wait = |status| Answer::Plain {
        status,
        headers: vec![("retry-after-ms", "10".into())],
        body: String::new(),
    };
    let page = |kind: &str, body: &str| Answer::Plain {
        status: 200,
        headers: vec![("content-type", kind.into())],
        body: body.into(),
    };
    let in_stream = |kind: &str| {
        let error = json!({"type":"error","error":{"type":kind,"message":"later"}});
        Answer::Stream([half.clone(), vec![event(&error)]].concat())
    };
    vec![
        wait(408),
        wait(409),
        wait(429),
        wait(500),
        wait(502),
        wait(504),
        wait(529),
        Answer::Stream(half.clone()),
        Answer::Cut(half.clone()),
        in_stream("overloaded_error"),
        in_stream("api_error"),
        page("text/html", "<h1>portal</h1>"),
        page("application/json", "{\"not\": \"a message\"}"),
        page("application/json", "not even JSON"),
        Answer::Plain {
            status: 400,
            headers: vec![("x-should-retry", "true".into())],
            body: String::new(),
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_rounds_of_everything() {
    let mut script = Vec::new();
    let mut trouble = failures().into_iter().cycle();
    for round in 0..ROUNDS {
        // A retry waits half a second of its own; so not in every round.
        if round % 4 == 1 {
            script.extend(trouble.next());
        }
        let mut blocks = vec![
            json!({"type":"thinking","thinking":format!("round {round}"),"signature":format!("s{round}==")}),
            text(&format!("Round {round}.")),
        ];
        for call in 0..CALLS {
            let id = format!("r{round}c{call}");
            blocks.push(if (round % 20, call) == (10, 5) {
                hanging(&id)
            } else {
                shell(&id, &command(round, call))
            });
        }
        let context = 2_000 + 900 * round as u64;
        script.push(counted(&blocks, "tool_use", context, 300));
    }
    script.push(turn(
        &[text("ESCALATE: sixty rounds are enough.")],
        "end_turn",
    ));
    let stage = Stage::new(script).await;
    let mut agent = stage.command(&["--model", MODEL, "--spend-cap", "50", "--day-cap", "50"]);
    let done = agent.stdin(Stdio::null()).output();
    let done = tokio::time::timeout(std::time::Duration::from_secs(300), done)
        .await
        .expect("the agent ends")
        .unwrap();
    let (session, entries) = stage.session();
    assert_eq!(
        session.outcome_summary.as_deref(),
        Some("the agent hands it to a person: sixty rounds are enough."),
    );
    assert_eq!(session.usage.turns, Some(ROUNDS as u64 + 1));
    let ledger = stage.ledger();
    let report = ledger.verify_session(&session.session_id).await.unwrap();
    assert!(
        matches!(report.verdict, Verdict::Intact { .. }),
        "{report:?}"
    );
    assert!(
        report.outputs_differ.is_empty(),
        "every output is as it was printed"
    );

    // Each call was answered, in order, and nothing was asked before the answers were there.
    let asked: Vec<_> = stage.server.asked();
    let mut rounds = 0;
    let mut before = 0;
    for a in &asked {
        let messages = a.body["messages"].as_array().unwrap();
        if messages.len() <= before {
            continue; // A retry.
        }
        before = messages.len();
        let answered: Vec<String> = results(&a.body).into_iter().map(|r| r.0).collect();
        if answered.is_empty() {
            continue;
        }
        let expected: Vec<String> = (0..CALLS).map(|c| format!("r{rounds}c{c}")).collect();
        assert_eq!(answered, expected);
        rounds += 1;
    }
    assert_eq!(rounds, ROUNDS);
    // What was sent is the beginning of all that follows: signatures stay valid, caches are hit.
    let last = &asked.last().unwrap().body;
    for a in [&asked[3], &asked[40]] {
        let unmarked = |v: &Value| {
            v.to_string()
                .replace(r#","cache_control":{"type":"ephemeral"}"#, "")
        };
        let (early, late) = (unmarked(&a.body["messages"]), unmarked(&last["messages"]));
        assert!(late.starts_with(early.trim_end_matches(']')));
        assert_eq!(a.body["tools"], last["tools"]);
        assert_eq!(a.body["system"], last["system"]);
    }

    let ours = |id: &str| {
        let called = entries.iter().find(|e| {
            let named = e.meta.as_ref().and_then(|m| m.server_call.as_deref());
            e.entry_type == EntryKind::ToolCall && named == Some(id)
        });
        called.and_then(|e| e.call_id.clone())
    };
    let result = |id: &str| {
        let ours = ours(id);
        let found = |e: &&operator_ledger::EntryRow| {
            e.entry_type == EntryKind::ToolResult && e.call_id == ours
        };
        entries
            .iter()
            .find(found)
            .unwrap_or_else(|| panic!("{id} has a result"))
    };
    let raw = |id: &str| result(id).raw_content.clone().unwrap();
    let big = raw("r5c0");
    assert!(
        big.starts_with("exit 0 [call ")
            && big.contains("]\nbig 5\n")
            && big.len() < 40_000
            && big.contains("bytes omitted")
    );
    let meta = result("r5c0").meta.clone().unwrap();
    // It was in the cell, and went with the runner.
    let file = std::path::Path::new(meta.file.as_ref().unwrap());
    assert!(file.is_absolute() && !file.exists());
    let stored: usize = ledger
        .output(&session.session_id, &ours("r5c0").unwrap(), 100_000)
        .await
        .unwrap()
        .iter()
        .map(|c| c.text.len())
        .sum();
    assert_eq!((stored, result("r5c0").omitted_bytes), (3_000_006, 0));
    let binary = raw("r6c1");
    assert!(
        binary.starts_with("exit 0 [call ")
            && binary.contains("]\nbin 6\n")
            && binary.trim_end().ends_with("end 6")
    );
    assert!(raw("r7c2").contains("out 7") && raw("r7c2").contains("err 7"));
    assert_eq!(result("r27c2").exit_code, Some(27 % 7));
    assert!(raw("r8c3").starts_with("ended by signal 9"));
    assert!(raw("r9c4").contains("still running in the background"));
    assert!(result("r10c5").timed_out && raw("r10c5").contains("before"));
    let retries = entries
        .iter()
        .filter(|e| e.entry_type == EntryKind::Retry)
        .count();
    assert_eq!(retries, failures().len());
    let events = events(&done);
    assert!(matches!(
        &events
            .iter()
            .rev()
            .find(|e| matches!(e.kind, Kind::SessionEnd { .. }))
            .unwrap()
            .kind,
        Kind::SessionEnd {
            outcome: Outcome::Escalated,
            ..
        }
    ));
    let seqs: Vec<u64> = events.iter().map(|e| e.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_helped_is_not_tried_twice() {
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
    ] {
        let stage = Stage::new(vec![error(status, kind, "the words of the server")]).await;
        let done = stage.run(&[]).await;
        assert_eq!(stage.server.asked().len(), 1, "{status}");
        assert_eq!(done.status.code(), Some(1));
        let (session, _) = stage.session();
        assert_eq!(session.status, SessionStatus::Escalated, "{status}");
        let why = session.outcome_summary.unwrap();
        assert!(
            why.contains("the words of the server") && why.contains(kind),
            "{why}"
        );
    }
}
