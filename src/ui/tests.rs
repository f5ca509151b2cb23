//! What the screen looks like: snapshots at several sizes.

mod stage;

use crate::{
    app::{
        Child, Effect, Event, Palette,
        archive::{Found, Read},
        demo::StageNews,
        detail::Detail,
        state::Pane,
        state::Process,
        tickets::LedgerView,
    },
    cluster::{ClusterSnapshot, Observed},
    supervisor::{Fact, Item},
};
use agent_lab::ledger::TicketEvent;
use crossterm::event::KeyCode;
use ratatui::style::Color;
use stage::{Stage, at_work, text};

#[test]
fn at_work_80x24() {
    insta::assert_snapshot!(at_work(true).show(80, 24));
}

#[test]
fn at_work_120x40() {
    insta::assert_snapshot!(at_work(true).show(120, 40));
}

#[test]
fn at_work_200x60() {
    insta::assert_snapshot!(at_work(true).show(200, 60));
}

#[test]
fn at_work_40x20_shows_one_pane_at_a_time() {
    let mut stage = at_work(true);
    let agent = stage.show(40, 20);
    stage.key(KeyCode::Char('1'));
    let cluster = stage.show(40, 20);
    stage.key(KeyCode::Char('2'));
    let tickets = stage.show(40, 20);
    insta::assert_snapshot!([agent, cluster, tickets].join("\n"));
}

#[test]
fn at_work_40x10() {
    insta::assert_snapshot!(at_work(true).show(40, 10));
}

#[test]
fn at_work_watching_80x24() {
    insta::assert_snapshot!(at_work(false).show(80, 24));
}

#[test]
fn without_colours_nothing_is_lost() {
    let mut stage = at_work(true);
    let colour = stage.draw(120, 40);
    stage.state.taste.palette = Palette::Mono;
    let mono = stage.draw(120, 40);
    assert_eq!(text(&colour), text(&mono));
    for cell in mono.content() {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{cell:?}");
    }
    assert!(colour.content().iter().any(|c| c.fg != Color::Reset));
}

#[test]
fn nothing_at_all_is_known() {
    let mut stage = Stage::new(false);
    stage.state.agent.process =
        Process::Off("there is no API key (ANTHROPIC_API_KEY is not set).".into());
    let why = "http://10.0.0.1:2379/pd/api/v1/stores: connection refused";
    let snapshot = ClusterSnapshot {
        at: stage.now(),
        pd: Observed::unknown(why),
        stores: Observed::unknown(why),
        ..ClusterSnapshot::default()
    };
    stage.send(Event::Cluster(Box::new(snapshot)));
    let missing = LedgerView {
        at: stage.now(),
        error: None,
        missing: true,
        tickets: Vec::new(),
        open: 0,
        done: 0,
        heartbeat: None,
        running: Vec::new(),
    };
    stage.send(Event::Ledger(Box::new(missing)));
    stage.wait(3);
    insta::assert_snapshot!(stage.show(80, 24));
}

#[test]
fn what_is_stale_is_unknown() {
    let mut stage = at_work(false);
    stage.wait(40);
    let shown = stage.show(120, 36);
    assert!(
        shown.contains("? UNKNOWN") && !shown.contains("● up"),
        "{shown}"
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn the_lab_is_starting() {
    let mut stage = Stage::new(true);
    for child in Child::ALL {
        *stage.state.process_mut(child) = Process::Off("it comes when the lab is up.".into());
    }
    let progress = crate::lab::Progress {
        step: "PD has a leader".into(),
        done: 2,
        total: 5,
    };
    stage.send(Event::Stage(StageNews::Progress(progress)));
    stage.wait(3);
    insta::assert_snapshot!(stage.show(80, 24));
}

#[test]
fn help_is_made_of_the_table_of_keys() {
    let mut stage = at_work(false);
    stage.key(KeyCode::Char('?'));
    let shown = stage.show(80, 40);
    assert!(shown.contains("or follow the newest again"));
    insta::assert_snapshot!(shown);
    stage.key(KeyCode::Esc);
    assert!(stage.state.overlays.is_empty());
}

#[test]
fn a_ticket_shows_its_events_and_its_story() {
    let mut stage = at_work(false);
    stage.key(KeyCode::Char('2'));
    stage.key(KeyCode::Down);
    let effects = stage.key(KeyCode::Enter);
    assert_eq!(effects, [Effect::Read(Read::Ticket(4))]);
    let mut found = stage.state.tickets.list()[1].clone();
    found.diagnosis = Some("The process of tikv1 was killed.".into());
    let at = stage.at(31);
    let events = vec![TicketEvent {
        id: 1,
        ticket_id: 4,
        from: None,
        to: "open".into(),
        by: "monitor".into(),
        why: "no heartbeat for 6 s".into(),
        at: Some(at),
    }];
    let detail = Detail {
        id: 4,
        ticket: Some(found),
        events,
        ..Detail::default()
    };
    stage.send(Event::Found(Found::Ticket(Box::new(detail))));
    insta::assert_snapshot!(stage.show(80, 24));
}

#[test]
fn quitting_asks_while_a_command_runs() {
    let mut stage = at_work(false);
    assert!(stage.key(KeyCode::Char('q')).is_empty());
    insta::assert_snapshot!(stage.show(80, 24));
    assert!(stage.key(KeyCode::Char('n')).is_empty());
    assert!(stage.state.quitting.is_none());
    stage.key(KeyCode::Char('q'));
    assert_eq!(stage.key(KeyCode::Char('y')), [Effect::StopAll]);
    stage.fact(Child::Monitor, Fact::Stopped);
    let effects = stage.send(Event::Child(Child::Agent, vec![Item::Fact(Fact::Stopped)]));
    assert_eq!(effects, [Effect::Exit(0)]);
}

#[test]
fn a_paused_view_says_what_waits() {
    let mut stage = at_work(false);
    for n in 0..50 {
        stage.agent(&[&format!(
            r#""type":"tool_output","call":"d","stream":"stdout","text":"row {n}\n""#
        )]);
    }
    stage.show(80, 24);
    stage.key(KeyCode::PageUp);
    for n in 50..300 {
        stage.agent(&[&format!(
            r#""type":"tool_output","call":"d","stream":"stdout","text":"row {n}\n""#
        )]);
    }
    let shown = stage.show(80, 24);
    assert!(shown.contains("frozen · 250 new"), "{shown}");
    assert!(
        shown.contains("row 20") && !shown.contains("row 299"),
        "{shown}"
    );
    stage.key(KeyCode::End);
    assert!(stage.show(80, 24).contains("row 299"));
}

#[test]
fn a_crash_loop_is_said_plainly() {
    let mut stage = Stage::new(false);
    stage.fact(Child::Agent, Fact::Started { pid: 11 });
    stage.fact(
        Child::Agent,
        Fact::Exited {
            how: "exit code 3".into(),
            success: false,
        },
    );
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
fn no_size_panics() {
    let mut stage = at_work(true);
    for overlay in [None, Some('?'), Some('i')] {
        if let Some(key) = overlay {
            stage.state.overlays.clear();
            stage.key(KeyCode::Char(key));
        }
        for focus in [Pane::Agent, Pane::Cluster, Pane::Tickets] {
            stage.state.focus = focus;
            for (width, height) in [
                (0, 0),
                (1, 1),
                (0, 9),
                (9, 0),
                (19, 4),
                (20, 5),
                (40, 10),
                (59, 7),
                (60, 6),
                (61, 30),
            ] {
                stage.draw(width, height);
                stage.key(KeyCode::Down);
                stage.key(KeyCode::PageUp);
            }
        }
    }
}
