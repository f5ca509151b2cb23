//! What an agent may spend: each cap ends the work with one closing turn, none is ever passed, and
//! a ticket whose budget is used up waits for a person.

use crate::common::{
    self, Answer, counted, event, shell,
    stage::{LONG, MODEL, Stage, events, here, results, said},
    text, until,
};
use operator_ledger::{EntryKind, NewTicket, SessionStatus, Status, event::Kind};
use serde_json::{Value, json};
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::sync::Barrier;

/// Turns that each use so many tokens, then words for the end.
fn turns(n: usize, input: u64, output: u64) -> Vec<Answer> {
    (0..n)
        .map(|i| {
            counted(
                &[text("On."), shell(&format!("t{i}"), &format!("echo {i}"))],
                "tool_use",
                input,
                output,
            )
        })
        .collect()
}

fn last_words() -> Answer {
    counted(
        &[text("ESCALATE: it is the disk of tikv1; replace it.")],
        "end_turn",
        1_000,
        100,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn dollars_end_the_work_with_one_closing_turn_before_the_cap() {
    // Three cents a turn.
    let mut script = turns(3, 5_000, 2_000);
    script.push(last_words());
    let stage = Stage::new(script).await;
    let done = stage.run(&["--model", MODEL, "--spend-cap", "0.15"]).await;
    let asked = stage.server.asked();
    let last = &asked.last().unwrap().body;
    assert!(said(last).contains("This is your last turn"), "{last}");
    assert_eq!(last["max_tokens"], 2_000);
    assert!(asked[0].body["max_tokens"].as_u64() > last["max_tokens"].as_u64());
    let (session, entries) = stage.session();
    let cost = session.usage.cost_usd.unwrap();
    assert!(cost > 0.03 && cost <= 0.15, "{cost}");
    let ticket = stage.ticket();
    assert_eq!(ticket.status, Status::Escalated);
    assert!(ticket.needs_person, "another session would end no better");
    assert_eq!(
        ticket.diagnosis.unwrap(),
        "ESCALATED: it is the disk of tikv1; replace it."
    );
    let why = session.outcome_summary.unwrap();
    assert!(why.contains("of 0.15 US dollars"), "{why}");
    assert!(
        entries
            .iter()
            .any(|e| e.entry_type == EntryKind::Notice && e.content.contains("budget"))
    );
    assert!(
        events(&done)
            .iter()
            .any(|e| matches!(&e.kind, Kind::Usage { cost_usd: Some(c), .. } if *c > 0.0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_sessions_count_until_a_person_gives_the_ticket_back() {
    let mut script = turns(2, 5_000, 2_000);
    script.push(counted(&[text("ESCALATE: no")], "end_turn", 5_000, 2_000));
    let stage = Stage::new(script).await;
    let caps = ["--model", MODEL, "--turn-cap", "5"];
    stage.run(&caps).await;
    assert_eq!(stage.session().0.usage.turns, Some(3));
    stage.ledger().set_held(1, false, "ada").await.unwrap();
    // Given back: the whole budget again.
    stage.server.then(turns(4, 10, 10));
    stage.server.then(vec![last_words()]);
    stage.run(&caps).await;
    let (session, _) = stage.session();
    assert_eq!(session.usage.turns, Some(5), "four, and the closing one");
    assert!(session.outcome_summary.unwrap().contains("4 of 5 turns"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_unknown_price_works_only_under_a_cap_in_tokens() {
    let mut script = turns(3, 10_000, 500);
    script.push(last_words());
    let stage = Stage::new(script).await;
    let refused = stage.run(&["--model", "somebody-elses"]).await;
    let why = String::from_utf8_lossy(&refused.stderr).to_string();
    assert!(
        !refused.status.success() && why.contains("--token-cap"),
        "{why}"
    );
    assert!(stage.server.asked().is_empty());
    stage
        .run(&["--model", "somebody-elses", "--token-cap", "70000"])
        .await;
    let (session, _) = stage.session();
    assert_eq!(session.usage.cost_usd, None, "unknown, not nothing");
    let tokens = session.usage.input.unwrap() + session.usage.output.unwrap();
    assert!((20_000..70_000).contains(&tokens), "{tokens}");
    let why = session.outcome_summary.unwrap();
    assert!(why.contains("of 70000 tokens"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_ends_a_command_and_the_work() {
    let stage = Stage::new(vec![
        counted(&[shell("a", "echo begun; sleep 600")], "tool_use", 10, 10),
        last_words(),
    ])
    .await;
    stage.run(&["--model", MODEL, "--time-cap", "2s"]).await;
    let (session, entries) = stage.session();
    let result = entries
        .iter()
        .find(|e| e.entry_type == EntryKind::ToolResult)
        .unwrap();
    assert!(
        result.timed_out && result.duration_ms.unwrap() < 60_000,
        "{result:?}"
    );
    let why = session.outcome_summary.unwrap();
    assert!(why.contains("minutes"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_side_by_side_never_pass_the_cap_of_the_day() {
    // Room for the first turn of both at its dearest, and for fewer turns than one script has.
    const CAP: f64 = 1.0;
    let mut stages = Vec::new();
    // Two agents with scripts of their own on one ledger. Neither goes on before both have begun:
    // otherwise one of them may have spent the day before the other is there.
    let both = Arc::new(Barrier::new(2));
    for _ in 0..2 {
        let mut script = turns(40, 5_000, 2_000);
        let first = script.remove(0);
        script.insert(0, Answer::Together(both.clone(), Box::new(first)));
        stages.push(Stage::new(script).await);
    }
    let ledger = stages[0].db();
    for n in 0..3 {
        let message = format!("another {n}");
        stages[0]
            .ledger()
            .open_ticket(NewTicket {
                message,
                by: "test".into(),
                ..Default::default()
            })
            .await
            .unwrap();
    }
    let cap = CAP.to_string();
    let mut agents = Vec::new();
    for stage in &stages {
        let mut command = stage.agent(&["--model", MODEL, "--day-cap", &cap, "--db"]);
        command
            .arg(&ledger)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        agents.push(command.spawn().unwrap());
    }
    let ledger = stages[0].ledger();
    until("the day is spent", LONG, || {
        let spent = here(ledger.spent_today()).unwrap();
        assert!(spent <= CAP + 1e-9, "{spent}");
        let running = here(ledger.sessions(10))
            .unwrap()
            .iter()
            .any(|s| s.status == SessionStatus::Running);
        // Too little is left for another turn of anybody.
        spent > CAP - 0.1 && !running
    });
    for mut agent in agents {
        agent.kill().await.unwrap();
    }
    let sessions = ledger.sessions(10).await.unwrap();
    assert!(sessions.len() >= 2);
    let total: f64 = sessions.iter().filter_map(|s| s.usage.cost_usd).sum();
    assert!(total <= CAP && total > 0.1, "{total}");
    let asked: usize = stages.iter().map(|s| s.server.asked().len()).sum();
    assert!(
        stages.iter().all(|s| !s.server.asked().is_empty()),
        "both worked: {asked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_day_is_spent_no_ticket_is_taken() {
    let stage = Stage::new(vec![]).await;
    let done = stage.run(&["--model", MODEL, "--day-cap", "0.001"]).await;
    let why = String::from_utf8_lossy(&done.stderr).to_string();
    assert!(
        why.contains("of 0.00 US dollars of the day") && why.contains("--day-cap"),
        "{why}"
    );
    assert_eq!(stage.ticket().status, Status::Open);
    assert!(stage.ledger().sessions(1).await.unwrap().is_empty());
}

/// The beginning of a turn that the server had counted, and no more.
fn broken(input: u64) -> Answer {
    let Answer::Stream(mut chunks) = counted(&[text("half")], "end_turn", input, 1) else {
        unreachable!("a turn is a stream");
    };
    chunks.truncate(4);
    Answer::Cut(chunks)
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_that_broke_off_are_paid_for_on_the_ticket_too() {
    let mut script = vec![broken(10_000); 3];
    script.push(last_words());
    let stage = Stage::new(script).await;
    stage.run(&["--model", MODEL]).await;
    let (session, entries) = stage.session();
    let cost = session.usage.cost_usd.unwrap();
    // Three times ten thousand tokens, and the turn that came.
    let expected = 3.0 * 10_000.0 * 2e-6 + 1_000.0 * 2e-6 + 100.0 * 10e-6;
    assert!((cost - expected).abs() < 3e-4, "{cost} {expected}");
    assert!((stage.ledger().spent_today().await.unwrap() - cost).abs() < 1e-9);
    assert_eq!(session.usage.input, Some(31_000));
    assert_eq!(
        entries
            .iter()
            .filter(|e| e.entry_type == EntryKind::Retry)
            .count(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_breaks_off_cannot_spend_more_than_the_cap() {
    let stage = Stage::new(vec![broken(9_000); 200]).await;
    stage
        .run(&["--model", MODEL, "--spend-cap", "0.12", "--day-cap", "5"])
        .await;
    let spent = stage.ledger().spent_today().await.unwrap();
    assert!(spent > 0.05 && spent <= 0.12, "{spent}");
    assert_eq!(stage.ticket().status, Status::Escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_that_was_killed_had_set_aside_counts_on_the_ticket() {
    let stage = Stage::new(vec![Answer::Hang]).await;
    let mut agent = stage
        .command(&["--model", MODEL])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the question", LONG, || !stage.server.asked().is_empty());
    agent.kill().await.unwrap();
    let spent = stage.ledger().spent_on_incident(1, None).await.unwrap();
    assert!(spent.usd > 0.3, "a turn at its dearest: {spent:?}");
    assert!((stage.ledger().spent_today().await.unwrap() - spent.usd).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_does_not_outlast_the_time_of_its_ticket() {
    let ping = event(&json!({"type":"ping"}));
    let start = common::events(&[text("x")], "end_turn").remove(0);
    let endless = [vec![event(&start)], vec![ping; 2_000]].concat();
    let stage = Stage::new(vec![
        Answer::Slow(Duration::from_millis(100), endless),
        last_words(),
    ])
    .await;
    // Ends, which it must within a minute, while the turn would go on for more than three.
    stage.run(&["--model", MODEL, "--time-cap", "2s"]).await;
    let (session, _) = stage.session();
    assert!(session.outcome_summary.unwrap().contains("minutes"));
    assert!(
        session.usage.cost_usd.unwrap() > 0.005,
        "the turn that was cut is paid for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn time_in_which_nobody_was_at_work_is_not_time_spent() {
    let stage = Stage::new(vec![
        counted(&[shell("a", "echo begun; sleep 100")], "tool_use", 10, 10),
        last_words(),
    ])
    .await;
    let mut agent = stage
        .command(&["--model", MODEL, "--lease", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ledger = stage.ledger();
    let call = || {
        let session = here(ledger.sessions(1)).unwrap().pop()?;
        let entries = here(ledger.entries(&session.session_id, 0, 99)).unwrap();
        entries
            .into_iter()
            .find(|e| e.entry_type == EntryKind::ToolCall)
    };
    until("the command", LONG, || call().is_some());
    agent.kill().await.unwrap();
    // The power was cut, and came back after a weekend.
    rusqlite::Connection::open(stage.db())
        .unwrap()
        .execute_batch("UPDATE agent_sessions SET started_at = '2020-01-01T00:00:00.000Z'")
        .unwrap();
    stage.run(&["--model", MODEL]).await;
    let (session, _) = stage.session();
    let why = session.outcome_summary.unwrap();
    assert!(why.contains("hands it to a person"), "{why}");
    let spent = ledger.spent_on_incident(1, None).await.unwrap();
    assert!(spent.wall < Duration::from_secs(120), "{spent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_within_the_budget_of_the_ticket() {
    let call = |n: usize| {
        json!({ "type": "tool_use", "id": format!("s{n}"), "name": "web_search",
            "input": { "query": format!("q{n}"), "reasoning": "" } })
    };
    let searched = [
        json!({"type":"message_start","message":{"id":"m","usage":{"input_tokens":900}}}),
        json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"found"}}),
        json!({"type":"content_block_stop","index":0}),
        json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},
            "usage":{"output_tokens":20,"server_tool_use":{"web_search_requests":3}}}),
        json!({"type":"message_stop"}),
    ];
    let config = format!(
        "[agent]\nsmall_model = '{}'\n[agent.web]\nsearch = 'api'\n",
        common::SMALL
    );
    let calls: Vec<Value> = (0..30).map(call).collect();
    let stage = Stage::configured(
        vec![counted(&calls, "tool_use", 10, 10), last_words()],
        &config,
    )
    .await;
    let answer = Answer::Stream(searched.iter().map(event).collect());
    stage.server.beside(vec![answer; 30]);
    stage.run(&["--model", MODEL, "--spend-cap", "0.40"]).await;
    let (session, _) = stage.session();
    let cost = session.usage.cost_usd.unwrap();
    assert!(cost > 0.1 && cost <= 0.40, "{cost}");
    let refused = results(&stage.server.asked()[1].body);
    assert!(
        refused[29].1.contains("nothing is left for this"),
        "{}",
        refused[29].1
    );
    let payments = stage.ledger().payments(&session.session_id).await.unwrap();
    let search = payments.iter().find(|p| p.what == "web_search").unwrap();
    assert_eq!(
        (search.model.as_deref(), search.tokens),
        (Some(common::SMALL), Some(920))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lower_of_what_was_agreed_to_and_what_was_set_holds() {
    for (config, flag, cap) in [
        ("[agent.budget]\nusd = 0.5\n", None, 0.5),
        ("", Some("20"), 3.0),
        ("", None, 3.0),
        ("[agent.budget]\nusd = 9\n", Some("1"), 1.0),
    ] {
        let stage = Stage {
            consent: false,
            ..Stage::configured(vec![last_words()], config).await
        };
        let home = operator_ledger::home::Home::at(stage.home.path());
        let wanted = agent_lab::consent::Consent::wanted(&stage.db(), 3.0, &stage.server.base);
        wanted.remember(&home).unwrap();
        let flags = flag.map_or(vec![], |f| vec!["--spend-cap", f]);
        let done = stage.run(&flags).await;
        let (_, entries) = stage.session();
        let meta = entries[0].meta.as_ref().unwrap();
        let budget = meta.budget.as_ref().unwrap().usd;
        assert!((budget - cap).abs() < 1e-9, "{config} {flag:?}: {budget}");
        let told = String::from_utf8_lossy(&done.stdout).contains("as was agreed to, not 20.00");
        assert_eq!(told, flag == Some("20"));
    }
}
