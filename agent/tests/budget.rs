//! What an agent may spend: each cap ends the work with one closing turn, none is ever passed, and
//! a ticket whose budget is used up waits for a person.

mod common;

use agent_lab::{
    event::Kind,
    ledger::{NewTicket, Status},
};
use common::{
    counted, shell,
    stage::{MODEL, Stage, events, said},
    text,
};
use std::{process::Stdio, time::Duration};

/// Turns that each use so many tokens, then words for the end.
fn turns(n: usize, input: u64, output: u64) -> Vec<common::Answer> {
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

fn last_words() -> common::Answer {
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
            .any(|e| e.entry_type == "notice" && e.content.contains("budget"))
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
    stage.ledger().set_held(1, false, "ada").unwrap();
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
        .find(|e| e.entry_type == "tool_result")
        .unwrap();
    assert!(
        result.timed_out && result.duration_ms.unwrap() < 10_000,
        "{result:?}"
    );
    let why = session.outcome_summary.unwrap();
    assert!(why.contains("minutes"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_side_by_side_never_pass_the_cap_of_the_day() {
    const CAP: f64 = 0.4;
    let mut stages = Vec::new();
    // Two agents with scripts of their own on one ledger.
    for _ in 0..2 {
        stages.push(Stage::new(turns(40, 5_000, 2_000)).await);
    }
    let ledger = stages[0].db();
    for n in 0..3 {
        let message = format!("another {n}");
        stages[0]
            .ledger()
            .open_ticket(&NewTicket {
                message: &message,
                by: "test",
                ..Default::default()
            })
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
    let began = std::time::Instant::now();
    loop {
        let spent = ledger.spent_today().unwrap();
        assert!(spent <= CAP + 1e-9, "{spent}");
        let running = ledger
            .sessions(10)
            .unwrap()
            .iter()
            .any(|s| s.status == "running");
        // Too little is left for another turn of anybody.
        if spent > CAP - 0.1 && !running {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{spent}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for mut agent in agents {
        agent.kill().await.unwrap();
    }
    let sessions = ledger.sessions(10).unwrap();
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
    assert!(stage.ledger().sessions(1).unwrap().is_empty());
}
