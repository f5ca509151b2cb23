//! Steering and attention: who is told what, what is asked first, when somebody is called.

use super::{
    fixtures::{at_work, detail, elsewhere, proposal, running, session, ticket, tickets},
    stage::Stage,
};
use crate::{
    app::{
        event::{Effect, Event, Response},
        model::{child::Child, overlay::Overlay, pane::Pane},
        request::{Request, Write},
    },
    history::SessionUpdate,
    supervisor::{Fact, Item},
};
use agent_lab::control::person;
use crossterm::event::KeyCode;
use operator_ledger::{CommandRow, Status, event::Control};

#[test]
fn quitting_asks_while_a_command_runs() {
    let mut stage = at_work(false);
    assert!(stage.keys("q").is_empty());
    assert!(
        stage
            .show(80, 24)
            .contains("Its command is ended: operator-tui lab ps")
    );
    assert!(stage.keys("n").is_empty());
    assert!(stage.app.live.quitting.is_none());
    stage.keys("q");
    assert_eq!(stage.keys("y"), [Effect::StopAll]);
    stage.fact(Child::Monitor, Fact::Stopped);
    let effects = stage.send(Event::Child(Child::Agent, vec![Item::Fact(Fact::Stopped)]));
    assert_eq!(effects, [Effect::Exit(0)]);
}

#[test]
fn an_interrupt_asks_first_and_enter_means_no() {
    let mut stage = at_work(false);
    stage.keys("i");
    assert!(
        stage
            .show(80, 24)
            .contains("Ends its command: operator-tui lab ps")
    );
    assert!(stage.key(KeyCode::Enter).is_empty());
    stage.keys("i");
    let control = Control::Interrupt { by: person() };
    assert_eq!(stage.keys("y"), [Effect::Control(Child::Agent, control)]);
    assert!(stage.show(80, 24).contains("◆ you: interrupt"));
    // What is to be done next is said, and offered.
    stage.agent(&[
        r#""session":"s","type":"tool_result","call":"d","exit_code":130,"duration_ms":1"#,
        r#""session":"s","type":"notice","level":"warn","text":"interrupted by kim; waiting for a message to go on","waits":true"#,
    ]);
    let shown = stage.show(80, 24);
    for words in [
        "agent STOPPED #4",
        "‖ stopped; it waits for a message",
        "m message",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("i stop it"), "{shown}");
    stage
        .agent(&[r#""session":"s","type":"notice","level":"info","text":"message of kim: go on""#]);
    assert!(stage.show(80, 24).contains("agent WORKING #4"));
}

#[test]
fn a_message_goes_to_our_agent_by_its_stdin() {
    let mut stage = at_work(false);
    let control = Control::Message {
        text: "look at pd1".into(),
        by: person(),
    };
    let sent = [Effect::Control(Child::Agent, control)];
    assert_eq!(stage.enter("mlook at pd1"), sent);
    assert_eq!(stage.enter(":message look at pd1"), sent);
    stage.enter("m");
    assert!(stage.app.live.prompt.is_none());
}

#[test]
fn an_agent_elsewhere_is_followed_and_steered_through_the_ledger() {
    let mut stage = elsewhere();
    let shown = stage.show(120, 40);
    assert!(
        shown.contains("Agent elsewhere · #4 store_down tikv1"),
        "{shown}"
    );
    assert!(shown.contains("live from the ledger"), "{shown}");
    let to = |control| {
        [Effect::Write(Write::Command {
            session: "s-else".into(),
            control,
        })]
    };
    let text = "go on".to_owned();
    assert_eq!(
        stage.enter("mgo on"),
        to(Control::Message { text, by: person() })
    );
    stage.keys("i");
    assert_eq!(stage.keys("y"), to(Control::Interrupt { by: person() }));
    // Until its agent takes it, it says so.
    let mut news = SessionUpdate {
        session: running(&stage, "s-else").session,
        events: Vec::new(),
        commands: vec![CommandRow {
            id: 1,
            session_id: "s-else".into(),
            command: Control::Interrupt { by: "kim".into() },
            by: "kim".into(),
            at: Some(stage.at(3)),
            taken_at: None,
        }],
    };
    stage.send(Event::Followed(Box::new(news.clone())));
    let shown = stage.show(120, 40);
    assert!(
        shown.contains("interrupt left 3 s ago, not taken yet"),
        "{shown}"
    );
    news.session = session("s-else", 4, "interrupted", stage.at(31), 30);
    stage.send(Event::Followed(Box::new(news)));
    let shown = stage.show(120, 40);
    assert!(
        !shown.contains("not taken") && shown.contains("Agent elsewhere, ended"),
        "{shown}"
    );
    assert!(stage.enter("mtoo late").is_empty());
}

#[test]
fn our_own_agent_comes_first_when_it_works_and_esc_leaves_what_has_ended() {
    let mut stage = at_work(false);
    stage.app.live.agent.session = Some("ours".into());
    let both = vec![running(&stage, "ours"), running(&stage, "theirs")];
    let list = tickets(&stage);
    assert!(stage.ledger_with(list.clone(), both.clone()).is_empty());
    assert!(stage.app.live.other.is_none());
    // Chosen by hand it stays, whatever ours does.
    stage.enter(":session theirs");
    let follow = stage.send(Event::Found(Response::Session(Ok("theirs".into()))));
    assert_eq!(follow, [Effect::Follow(Some("theirs".into()))]);
    assert!(stage.ledger_with(list, both).is_empty());
    assert!(stage.show(120, 40).contains("Agent elsewhere"));
    assert_eq!(stage.key(KeyCode::Esc), [Effect::Follow(None)]);
    assert!(stage.show(120, 40).contains("Agent · #4"));
}

#[test]
fn a_session_we_did_not_start_is_not_followed_while_ours_has_just_begun() {
    let mut stage = Stage::new(false);
    stage.fact(Child::Agent, Fact::Started { pid: 11 });
    let mut young = running(&stage, "s");
    young.session.started_at = Some(stage.now());
    assert!(
        stage
            .ledger_with(Vec::new(), vec![young.clone()])
            .is_empty()
    );
    young.pid = Some(11);
    young.session.started_at = Some(stage.at(60));
    assert!(
        stage
            .ledger_with(Vec::new(), vec![young.clone()])
            .is_empty()
    );
    young.pid = Some(12);
    let effects = stage.ledger_with(Vec::new(), vec![young]);
    assert_eq!(effects, [Effect::Follow(Some("s".into()))]);
}

/// Two agents elsewhere that ask, the second one first.
fn two_ask() -> Stage {
    let mut stage = elsewhere();
    let mut first = running(&stage, "s-else");
    first.proposal = Some(proposal(&stage, "lab start tikv1"));
    let mut second = running(&stage, "s-two");
    second.proposal = Some(operator_ledger::WaitingProposal {
        call: "p2".into(),
        since: Some(stage.at(30)),
        ..proposal(&stage, "lab stop tikv2")
    });
    let list = tickets(&stage);
    stage.ledger_with(list, vec![first, second]);
    stage
}

#[test]
fn proposals_are_answered_in_order_and_nothing_runs_by_default() {
    let mut stage = two_ask();
    assert!(stage.show(120, 40).contains("a approve … (2)"));
    stage.keys("a");
    let shown = stage.show(120, 40);
    assert!(
        shown.contains("$ lab stop tikv2") && shown.contains("1 of 2"),
        "{shown}"
    );
    // Looking away answers nothing.
    assert!(stage.key(KeyCode::Esc).is_empty());
    stage.keys("a");
    stage.show(120, 40);
    // Enter rejects, and asks why.
    assert!(stage.key(KeyCode::Enter).is_empty());
    let control = Control::Reject {
        call: "p2".into(),
        why: "tikv2 is healthy".into(),
        by: person(),
    };
    let rejected = Effect::Write(Write::Command {
        session: "s-two".into(),
        control,
    });
    assert_eq!(stage.enter("tikv2 is healthy"), [rejected]);
    stage.keys("a");
    assert!(stage.show(120, 40).contains("$ lab start tikv1"));
    let control = Control::Approve {
        call: "p1".into(),
        why: String::new(),
        by: person(),
    };
    let approved = Effect::Write(Write::Command {
        session: "s-else".into(),
        control,
    });
    assert_eq!(stage.keys("y"), [approved]);
    stage.keys("a");
    assert!(stage.show(120, 40).contains("Nothing waits for approval."));
    // An answer that nobody took is asked for again.
    stage.wait(20);
    assert!(stage.show(120, 40).contains("a approve … (2)"));
}

#[test]
fn an_answer_is_to_what_is_shown_and_to_nothing_else() {
    let mut stage = two_ask();
    stage.keys("a");
    stage.show(120, 40);
    // Decided elsewhere, while the other one still waits.
    let mut first = running(&stage, "s-else");
    first.proposal = Some(proposal(&stage, "lab start tikv1"));
    let list = tickets(&stage);
    stage.ledger_with(list, vec![first]);
    assert!(stage.app.live.overlays.is_empty());
    assert!(stage.show(120, 40).contains("decided elsewhere"));
    assert!(stage.keys("y").is_empty());
}

#[test]
fn a_command_must_be_read_to_its_end_before_it_is_approved() {
    let mut stage = elsewhere();
    let mut other = running(&stage, "s-else");
    let long: Vec<_> = (0..60).map(|n| format!("echo {n}")).collect();
    other.proposal = Some(proposal(&stage, &(long.join("\n") + "\nrm -rf data")));
    let list = tickets(&stage);
    stage.ledger_with(list, vec![other]);
    stage.keys("a");
    let shown = stage.show(80, 24);
    assert!(
        shown.contains("there is more of it below") && !shown.contains("rm -rf"),
        "{shown}"
    );
    assert!(stage.keys("y").is_empty());
    assert!(matches!(
        stage.app.live.overlays.last(),
        Some(Overlay::Approval(_))
    ));
    stage.keys("G");
    assert!(stage.show(80, 24).contains("rm -rf data"));
    assert_eq!(stage.keys("y").len(), 1);
}

#[test]
fn our_own_agent_asks_by_its_events_and_is_answered_by_its_stdin() {
    let mut stage = at_work(false);
    stage.agent(&[
        r#""session":"s","type":"tool_call","call":"q","tool":"shell","input":"reboot","reasoning":"""#,
        r#""session":"s","type":"proposal","call":"q","why":"it changes something""#,
    ]);
    assert!(stage.show(120, 40).contains("‖ waits for approval"));
    stage.keys("a");
    stage.show(120, 40);
    let control = Control::Approve {
        call: "q".into(),
        why: String::new(),
        by: person(),
    };
    assert_eq!(stage.keys("y"), [Effect::Control(Child::Agent, control)]);
    stage.agent(&[r#""session":"s","type":"decision","call":"q","approved":true,"by":"kim""#]);
    assert!(stage.show(120, 40).contains("✓ approved by kim"));
    assert!(stage.app.live.agent.proposal.is_none());
}

#[test]
fn a_rejected_command_does_not_run() {
    let mut stage = at_work(false);
    stage.agent(&[
        r#""session":"s","type":"tool_call","call":"q","tool":"shell","input":"reboot","reasoning":"""#,
        r#""session":"s","type":"proposal","call":"q","why":"it changes something""#,
    ]);
    stage.keys("a");
    stage.show(120, 40);
    stage.enter("nnot now");
    assert!(stage.show(120, 40).contains("You rejected it: not now."));
    stage.agent(&[r#""session":"s","type":"decision","call":"q","approved":false,"by":"kim""#]);
    let shown = stage.show(120, 40);
    assert!(
        shown.contains("▌ thinking") && !shown.contains("▌ running"),
        "{shown}"
    );
}

#[test]
fn a_program_that_is_done_is_not_called_dead() {
    for (success, word, pane) in [
        (true, "agent ENDED", "◆ it ended by itself"),
        (false, "agent DEAD", "✗ it ended by itself"),
    ] {
        let mut stage = Stage::new(false);
        stage.fact(Child::Agent, Fact::Started { pid: 7 });
        let how = "exit code 0".into();
        stage.fact(Child::Agent, Fact::Exited { how, success });
        let (why, stderr) = ("it ended by itself".into(), Vec::new());
        stage.fact(Child::Agent, Fact::GaveUp { why, stderr });
        let shown = stage.show(120, 40);
        assert!(shown.contains(word) && shown.contains(pane), "{shown}");
    }
}

#[test]
fn tickets_are_held_resolved_and_opened_again_by_hand() {
    let mut stage = at_work(false);
    stage.keys("2j");
    let write = |write| [Effect::Write(write)];
    let held = true;
    assert_eq!(stage.keys("h"), write(Write::Hold { ticket: 4, held }));
    assert!(stage.keys("d").is_empty());
    assert!(stage.show(120, 40).contains("Resolve #4 by hand?"));
    assert_eq!(stage.keys("y"), write(Write::Resolve(4)));
    assert_eq!(stage.keys("u"), write(Write::Reopen(4)));
    // One that waits for a person is let go.
    let mut waits = ticket(4, Status::Escalated, "store_down", Some("2"), stage.at(9));
    waits.needs_person = true;
    stage.ledger(vec![waits]);
    let held = false;
    assert_eq!(stage.keys("h"), write(Write::Hold { ticket: 4, held }));
    stage.send(Event::Written(
        Write::Resolve(4),
        Err("it is locked".into()),
    ));
    assert!(stage.show(120, 40).contains("✗ Not written: it is locked"));
    // In the agent's pane the same keys read on.
    stage.keys("3");
    assert_eq!(stage.app.live.focus, Pane::Agent);
    assert!(stage.keys("du").is_empty() && stage.app.live.overlays.is_empty());
}

#[test]
fn a_ticket_opens_its_sessions() {
    let mut stage = at_work(false);
    stage.keys("2j");
    assert_eq!(
        stage.key(KeyCode::Enter),
        [Effect::Read(Request::Ticket(4))]
    );
    let detail = detail(&stage);
    stage.send(Event::Found(Response::Ticket(Box::new(detail))));
    stage.show(120, 40);
    stage.keys("G");
    let effects = stage.key(KeyCode::Enter);
    assert!(
        matches!(&effects[..], [Effect::Read(Request::Page { session, .. })] if session == "s-2")
    );
}

fn bells(stage: &mut Stage) -> usize {
    let calls = std::mem::take(&mut stage.calls);
    calls.iter().filter(|e| **e == Effect::Bell).count()
}

fn title(stage: &Stage) -> String {
    let titles = stage.calls.iter().rev().find_map(|e| match e {
        Effect::Title(title) => Some(title.clone()),
        _ => None,
    });
    titles.unwrap_or_default()
}

#[test]
fn somebody_is_called_for_what_is_new_and_bad() {
    let mut stage = at_work(false);
    bells(&mut stage);
    let mut list = tickets(&stage);
    stage.ledger(list.clone());
    assert_eq!(bells(&mut stage), 0);
    list.insert(
        0,
        ticket(6, Status::Open, "store_down", Some("3"), stage.now()),
    );
    stage.ledger(list.clone());
    assert!(
        title(&stage).starts_with("(!) critical #6 · operator: ! DEGRADED"),
        "{}",
        title(&stage)
    );
    assert_eq!(bells(&mut stage), 1);
    // Once, and until somebody is there.
    stage.ledger(list.clone());
    assert_eq!(bells(&mut stage), 0);
    stage.keys("j");
    assert_eq!(title(&stage), "operator: ! DEGRADED · #4");
    list[0].status = Status::Escalated;
    stage.ledger(list);
    assert!(title(&stage).starts_with("(!) escalated #6"));
    assert_eq!(bells(&mut stage), 1);
    stage.agent(&[r#""type":"proposal","call":"d","why":"it changes something""#]);
    assert!(title(&stage).starts_with("(!) a command waits for approval"));
    assert_eq!(bells(&mut stage), 1);
    let how = "ended by signal 9".to_owned();
    stage.fact(
        Child::Agent,
        Fact::Exited {
            how,
            success: false,
        },
    );
    assert!(title(&stage).starts_with("(!) the agent ended"));
    assert_eq!(bells(&mut stage), 1);
}

#[test]
fn a_crash_loop_is_said_plainly() {
    let mut stage = Stage::new(false);
    stage.fact(Child::Agent, Fact::Started { pid: 11 });
    let how = "exit code 127".to_owned();
    stage.fact(
        Child::Agent,
        Fact::Exited {
            how,
            success: false,
        },
    );
    let after = std::time::Duration::from_secs(4);
    stage.fact(Child::Agent, Fact::Restarting { after });
    stage.wait(1);
    let shown = stage.show(140, 24);
    assert!(shown.contains("the shell found no such command"), "{shown}");
    assert!(shown.contains("starts again in 4 s"), "{shown}");
    let given_up = Fact::GaveUp {
        why: "it failed 5 times in 8 s".into(),
        stderr: vec!["no such file: agent.toml".into()],
    };
    stage.fact(Child::Agent, given_up);
    let shown = stage.show(140, 24);
    assert!(shown.contains("agent DEAD"), "{shown}");
    assert!(
        shown.contains("it failed 5 times in 8 s; r restarts it"),
        "{shown}"
    );
    assert!(
        shown.contains("stderr: no such file: agent.toml"),
        "{shown}"
    );
}

#[test]
fn silence_and_a_held_pipe_are_visible() {
    let mut stage = Stage::new(false);
    stage.fact(Child::Agent, Fact::Started { pid: 11 });
    let line = b"working on it".to_vec();
    stage.send(Event::Child(
        Child::Agent,
        vec![Item::Plain {
            line,
            stderr: false,
            omitted: 0,
        }],
    ));
    stage.wait(40);
    assert!(stage.show(120, 24).contains("no output for 40 s"));
    let how = "exit code 0".to_owned();
    stage.fact(Child::Agent, Fact::Exited { how, success: true });
    stage.fact(Child::Agent, Fact::PipeHeld);
    let shown = stage.show(120, 24);
    assert!(
        shown.contains("something it started holds its output open"),
        "{shown}"
    );
}
