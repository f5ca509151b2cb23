//! A whole session of the real agent with a scripted model behind HTTP.

use crate::common::{
    error, finish, shell,
    stage::{KEY, LONG, Stage, events, here, results},
    text, turn,
};
use operator_ledger::{
    EntryKind, EntryRow, SessionStatus, Status,
    event::{Control, Event, Kind, Outcome, parse},
};
use serde_json::json;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_parallel_calls_a_cut_turn_and_a_retry() {
    let touched = tempfile::tempdir().unwrap();
    let mark = touched.path().join("cut");
    let first = vec![
        json!({"type":"thinking","thinking":"two things at once","signature":"s=="}),
        text(&format!("I look at two things. My key is {KEY}.")),
        shell("toolu_a", "echo first; cd /usr; env | grep -c ANTHROPIC"),
        shell("toolu_b", &format!("pwd; echo {KEY}; exit 3")),
        json!({"type":"tool_use","id":"toolu_c","name":"teleport","input":{}}),
    ];
    let cut = vec![
        text("Now"),
        shell("toolu_d", &format!("touch {}", mark.display())),
    ];
    let stage = Stage::new(vec![
        turn(&first, "tool_use"),
        error(529, "overloaded_error", "Overloaded"),
        turn(&cut, "max_tokens"),
        turn(&[], "end_turn"),
        turn(
            &[text(
                "ESCALATE: the disk is at its end; a person should replace it.",
            )],
            "end_turn",
        ),
    ])
    .await;
    let done = stage.run(&["--model", "claude-sonnet-5-5"]).await;
    assert_eq!(
        done.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    let asked = stage.server.asked();
    assert_eq!(asked.len(), 5);
    assert_eq!(asked[0].header("x-api-key"), Some(KEY));
    let told = &asked[1].body;
    assert_eq!(
        told["messages"][1]["content"],
        json!(first),
        "goes back as it came"
    );
    let results_1 = results(told);
    assert_eq!(results_1[0].0, "toolu_a");
    assert_eq!(
        results_1[0].1, "exit 1 [call 1]\nfirst\n0\n",
        "grep finds nothing of ours"
    );
    assert_eq!(results_1[1].1, "exit 3 [call 2]\n/usr\n[redacted]\n");
    assert!(results_1[2].2 && results_1[2].1.contains("teleport"));
    assert!(!mark.exists(), "a cut call never runs");
    let cut = &results(&asked[3].body)[0];
    assert!(cut.0 == "toolu_d" && cut.2 && cut.1.contains("not run"));
    assert_eq!(
        told["system"], asked[4].body["system"],
        "the system prompt never changes"
    );

    let (session, entries) = stage.session();
    assert_eq!(
        (session.status.as_str(), session.model.as_deref()),
        ("escalated", Some("claude-sonnet-5-5"))
    );
    assert_eq!(session.usage.input, Some(400));
    assert!(
        session
            .usage
            .cost_usd
            .is_some_and(|c| c > 0.002 && c < 0.01),
        "{:?}",
        session.usage
    );
    let ticket = stage.ledger().ticket(1).await.unwrap().unwrap();
    assert_eq!(ticket.status, Status::Escalated);
    assert!(ticket.diagnosis.unwrap().contains("the disk is at its end"));
    let kinds: Vec<&str> = entries.iter().map(|e| e.entry_type.as_str()).collect();
    for kind in [
        "thinking",
        "usage",
        "retry",
        "tool_call",
        "tool_result",
        "notice",
        "end",
    ] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    for entry in &entries {
        assert!(!format!("{entry:?}").contains(KEY), "{entry:?}");
    }
    let events = events(&done);
    assert!(!String::from_utf8_lossy(&done.stdout).contains(KEY));
    assert!(events.iter().any(|e| matches!(
        &e.kind,
        Kind::Retry {
            status: Some(529),
            ..
        }
    )));
    assert!(events.iter().any(|e| matches!(
        &e.kind,
        Kind::SessionEnd {
            outcome: Outcome::Escalated,
            ..
        }
    )));
    // The record of a command is there before anything it printed.
    let position = |f: &dyn Fn(&Kind) -> bool| events.iter().position(|e| f(&e.kind)).unwrap();
    let call = position(&|k| matches!(k, Kind::ToolCall { call, .. } if call == "c2"));
    let result = position(
        &|k| matches!(k, Kind::ToolResult { call, exit_code: Some(3), .. } if call == "c2"),
    );
    assert!(call < result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_key_ends_the_agent_with_the_servers_own_words() {
    let stage = Stage::new(vec![error(
        401,
        "authentication_error",
        "invalid x-api-key",
    )])
    .await;
    let done = stage.run(&[]).await;
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("invalid x-api-key"));
    let (session, _) = stage.session();
    assert_eq!(session.status, SessionStatus::Escalated);
    assert!(
        session
            .outcome_summary
            .unwrap()
            .contains("invalid x-api-key")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_consent_a_real_model_gets_no_shell() {
    if agent_lab::consent::is_contained(&agent_lab::cell::Cell::Host) {
        eprintln!("skipped: in a container the container is the boundary");
        return;
    }
    let stage = Stage {
        consent: false,
        ..Stage::new(vec![]).await
    };
    let done = stage.run(&[]).await;
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        !done.status.success() && said.contains("--host-shell"),
        "{said}"
    );
    assert!(stage.server.asked().is_empty());
    assert_eq!(
        stage.ledger().ticket(1).await.unwrap().unwrap().status,
        Status::Open
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_observes_runs_only_what_reads() {
    let touched = tempfile::tempdir().unwrap();
    let mark = touched.path().join("x");
    let stage = Stage::new(vec![
        turn(
            &[
                shell("a", "cat /proc/loadavg"),
                shell("b", &format!("touch {}", mark.display())),
            ],
            "tool_use",
        ),
        turn(&[text("ESCALATE: seen enough")], "end_turn"),
    ])
    .await;
    stage.run(&["--mode", "observe"]).await;
    let results = results(&stage.server.asked()[1].body);
    assert!(results[0].1.starts_with("exit 0 [call 1]\n"), "{results:?}");
    assert!(
        results[1].2 && results[1].1.contains("rejected") && !mark.exists(),
        "{results:?}"
    );
    let (_, entries) = stage.session();
    assert!(entries.iter().any(|e| e.entry_type == EntryKind::Decision));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_stops_the_turn_and_a_message_takes_it_up_again() {
    let stage = Stage::new(vec![
        turn(
            &[
                shell("a", "echo begun; sleep 300"),
                shell("b", "echo never"),
            ],
            "tool_use",
        ),
        turn(&[text("ESCALATE: as you wish")], "end_turn"),
    ])
    .await;
    let events = stage
        .steered(&[], |kind| match kind {
            Kind::ToolOutput { .. } => Some(Control::Interrupt { by: String::new() }),
            Kind::Notice { text, .. } if text.contains("waiting for a message") => {
                Some(Control::Message {
                    text: "leave it, a person looks at it".into(),
                    by: "ada".into(),
                })
            }
            _ => None,
        })
        .await;
    let asked = stage.server.asked();
    let messages = asked[1].body["messages"].to_string();
    assert!(
        messages.contains("interrupted: ended from outside"),
        "{messages}"
    );
    assert!(
        messages.contains("not run: a person interrupted"),
        "{messages}"
    );
    assert!(
        messages.contains("leave it, a person looks at it"),
        "{messages}"
    );
    let calls = events
        .iter()
        .filter(|e| matches!(e.kind, Kind::ToolCall { .. }))
        .count();
    assert_eq!(calls, 1);
    let (_, entries) = stage.session();
    assert!(entries.iter().any(|e| e.entry_type == EntryKind::Message));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proposes_waits_for_a_person() {
    let touched = tempfile::tempdir().unwrap();
    let path = |n: &str| touched.path().join(n);
    let touch = |id: &str, n: &str| shell(id, &format!("touch {}", path(n).display()));
    let stage = Stage::new(vec![
        turn(
            &[
                touch("yes", "yes"),
                touch("no", "no"),
                shell("reads", "pwd"),
            ],
            "tool_use",
        ),
        turn(&[text("ESCALATE: enough")], "end_turn"),
    ])
    .await;
    let (mut yes_before, mut asked_for) = (true, Vec::new());
    stage
        .steered(&["--mode", "propose"], |kind| {
            let Kind::Proposal { call, .. } = kind else {
                return None;
            };
            asked_for.push(call.clone());
            yes_before &= !path("yes").exists() || call == "c2";
            Some(if call == "c1" {
                Control::Approve {
                    call: call.clone(),
                    why: "go on".into(),
                    by: "ada".into(),
                }
            } else {
                Control::Reject {
                    call: call.clone(),
                    why: "not on my watch".into(),
                    by: String::new(),
                }
            })
        })
        .await;
    assert_eq!(
        asked_for,
        ["c1", "c2"],
        "what only reads is not asked about"
    );
    assert!(yes_before && path("yes").exists() && !path("no").exists());
    let results = results(&stage.server.asked()[1].body);
    assert!(
        results[1].2 && results[1].1.contains("not on my watch"),
        "{results:?}"
    );
    let (_, entries) = stage.session();
    let kinds: Vec<&str> = entries.iter().map(|e| e.entry_type.as_str()).collect();
    assert_eq!(
        kinds.iter().filter(|k| **k == "decision").count(),
        2,
        "{kinds:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_the_background_is_ended_before_a_claim_is_judged() {
    let started = [shell("toolu_a", "sleep 300 & echo started")];
    let stage = Stage::new(vec![
        turn(&started, "tool_use"),
        turn(&[finish("f", "repaired")], "tool_use"),
    ])
    .await;
    stage.run(&[]).await;
    let (_, entries) = stage.session();
    let at = |kind: EntryKind, words: &str| {
        let found = |e: &EntryRow| e.entry_type == kind && e.content.contains(words);
        entries.iter().position(found)
    };
    let ended = at(EntryKind::Notice, "ended before proof is asked for").expect("it is recorded");
    assert!(
        ended
            < at(EntryKind::Verify, "waiting")
                .or(at(EntryKind::Verify, ""))
                .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_somebody_else_is_steered_through_the_ledger() {
    let touched = tempfile::tempdir().unwrap();
    let mark = touched.path().join("approved");
    let stage = Stage::new(vec![
        turn(
            &[
                shell("a", &format!("touch {}; sleep 300", mark.display())),
                shell("b", "echo never"),
            ],
            "tool_use",
        ),
        turn(&[text("ESCALATE: as you wish")], "end_turn"),
    ])
    .await;
    let ledger = stage.ledger();
    let mut sent = Vec::new();
    let mut send = |session: &str, command: Control| {
        let id = here(ledger.send_command(session, &command, "grace")).unwrap();
        sent.push(id);
    };
    let mut session = String::new();
    // Every event is answered by a row, none by a line on stdin.
    let mut answer = |event: &Event| match &event.kind {
        Kind::SessionStart { .. } => session = event.session.clone().unwrap(),
        Kind::Proposal { call, .. } if call == "c1" => send(
            &session,
            Control::Approve {
                call: call.clone(),
                why: "try it".into(),
                by: String::new(),
            },
        ),
        Kind::Decision { call, by, .. } if call == "c1" => {
            assert_eq!(by, "grace");
            send(&session, Control::Interrupt { by: String::new() });
        }
        Kind::Notice { text, .. } if text.contains("interrupted by grace") => send(
            &session,
            Control::Message {
                text: "hand it over".into(),
                by: "not for the row to say".into(),
            },
        ),
        _ => {}
    };
    let mut agent = stage
        .command(&["--mode", "propose"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let work = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            answer(&parse(&line).unwrap());
        }
    };
    tokio::time::timeout(LONG, work)
        .await
        .expect("the agent ends");
    assert!(mark.exists());
    assert!(
        stage.server.asked()[1].body["messages"]
            .to_string()
            .contains("hand it over")
    );
    let ledger = stage.ledger();
    let commands = ledger.commands(&session).await.unwrap();
    assert_eq!(commands.iter().map(|c| c.id).collect::<Vec<_>>(), sent);
    assert!(commands.len() == 3 && commands.iter().all(|c| c.taken_at.is_some()));
    let (_, entries) = stage.session();
    let said = entries
        .iter()
        .find(|e| e.entry_type == EntryKind::Message)
        .unwrap();
    assert_eq!(said.meta.as_ref().unwrap().by.as_deref(), Some("grace"));
    let late = stage
        .ledger()
        .send_command(&session, &Control::Shutdown, "grace");
    assert!(late.await.unwrap_err().to_string().contains("has ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_a_secret_out() {
    let secret = "sk-ant-api03-aB3dE5gH7jaB3dE5gH7jaB3dE5gH7j";
    let fetch = json!({ "type": "tool_use", "id": "f", "name": "web_fetch",
        "input": { "url": format!("http://127.0.0.1:9/?key={KEY}&t={secret}"), "reasoning": "" } });
    let stage = Stage::new(vec![
        error(529, "overloaded_error", &format!("your key {KEY} is busy")),
        turn(
            &[
                shell(
                    "a",
                    &format!("(exec -a 'daemon {KEY}' sleep 100) & echo on"),
                ),
                fetch,
            ],
            "tool_use",
        ),
        error(
            401,
            "authentication_error",
            &format!("{KEY} is not valid, nor is {secret}"),
        ),
    ])
    .await;
    let done = stage.run(&[]).await;
    assert!(!done.status.success());
    let dump = std::process::Command::new("cat")
        .arg(stage.db())
        .arg(stage.home.path().join("tickets.db-wal"))
        .output()
        .unwrap();
    for (place, bytes) in [
        ("stdout", &done.stdout),
        ("stderr", &done.stderr),
        ("the ledger", &dump.stdout),
    ] {
        let text = String::from_utf8_lossy(bytes);
        for word in [KEY, secret] {
            assert!(!text.contains(word), "{word} is in {place}");
        }
    }
    let (session, entries) = stage.session();
    assert!(
        session
            .outcome_summary
            .unwrap()
            .contains("[redacted] is not valid")
    );
    assert!(
        entries
            .iter()
            .any(|e| e.entry_type == EntryKind::Retry && e.content.contains("[redacted] is busy"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_at_a_proposal_ends_the_turn_not_the_one_call() {
    let stage = Stage::new(vec![
        turn(
            &[
                shell("a", "touch /nowhere/x"),
                shell("b", "touch /nowhere/y"),
            ],
            "tool_use",
        ),
        turn(&[text("ESCALATE: as you wish")], "end_turn"),
    ])
    .await;
    let mut proposed = Vec::new();
    stage
        .steered(&["--mode", "propose"], |kind| match kind {
            Kind::Proposal { call, .. } => {
                proposed.push(call.clone());
                Some(Control::Interrupt { by: "ada".into() })
            }
            Kind::Notice { text, .. } if text.contains("waiting for a message") => {
                Some(Control::Message {
                    text: "stop here".into(),
                    by: "ada".into(),
                })
            }
            _ => None,
        })
        .await;
    assert_eq!(proposed, ["c1"], "the next call is not even proposed");
    let told = results(&stage.server.asked()[1].body);
    assert!(told[0].1.contains("interrupted") && told[1].1.contains("a person interrupted"));
}
