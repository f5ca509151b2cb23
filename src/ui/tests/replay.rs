//! A replay: its time, its timeline, and reading on its stage.

use super::{
    fixtures::{incident, moment, replay},
    stage::Stage,
};
use crate::{
    app::{
        event::{Effect, Event, Response},
        request::Request,
    },
    history::scene::{Item, Stretch},
};
use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::SignedDuration;

/// Seconds into the incident, and hundredths.
fn into(stage: &Stage) -> String {
    let clock = &stage.app.replay.as_ref().unwrap().clock;
    let into = clock.shown().duration_since(clock.from).as_secs_f64();
    format!("{into:.2}")
}

#[test]
fn it_asks_for_the_incident_then_how_it_stood_then_what_comes() {
    let mut stage = Stage::new(false);
    let effects = stage.enter(":replay s-4");
    assert_eq!(effects, [Effect::Read(Request::Incident("s-4".into()))]);
    assert!(stage.show(120, 40).contains("Reading from the ledger"));
    let incident = incident(&stage);
    let (session, from, to) = ("s-4".to_owned(), incident.from, incident.to);
    let found = Response::Incident(session.clone(), Ok(Box::new(incident)));
    let effects = stage.send(Event::Found(found));
    let at = from;
    assert_eq!(
        effects,
        [Effect::Read(Request::Moment {
            session: session.clone(),
            at
        })]
    );
    moment(&mut stage);
    // It plays by itself, as far as was read.
    let some = from + SignedDuration::from_secs(40);
    stage.wait(3);
    assert_eq!(into(&stage), "0.00");
    let stretch = Stretch {
        from,
        to: some,
        items: vec![(from + SignedDuration::from_secs(20), Item::Tickets)],
    };
    stage.send(Event::Found(Response::Stretch(
        session.clone(),
        Ok(Box::new(stretch)),
    )));
    stage.wait(19);
    assert_eq!(into(&stage), "19.00");
    assert!(stage.show(120, 40).contains("0 open"));
    let effects = stage.send(Event::Tick);
    assert!(effects.is_empty(), "{effects:?}");
    stage.wait(1);
    assert!(stage.show(120, 40).contains("1 open"));
    // It reads on in time.
    stage.wait(1);
    let asked = stage.app.replay.as_ref().unwrap();
    assert!(asked.clock.playing());
    let ahead = Stretch {
        from: some,
        to,
        items: Vec::new(),
    };
    stage.send(Event::Found(Response::Stretch(
        session,
        Ok(Box::new(ahead)),
    )));
    stage.wait(200);
    assert_eq!(into(&stage), "85.00");
    assert!(!stage.app.replay.as_ref().unwrap().clock.playing());
}

#[test]
fn time_is_paused_set_and_hurried_and_marks_are_gone_to() {
    let mut stage = replay();
    assert_eq!(into(&stage), "33.00");
    stage.keys(">");
    assert_eq!(into(&stage), "36.00");
    stage.keys("<<");
    assert_eq!(into(&stage), "30.00");
    stage.key(KeyCode::Left);
    assert_eq!(into(&stage), "25.00");
    stage.keys(".");
    assert_eq!(into(&stage), "55.00");
    stage.enter(":seek 1:10");
    assert_eq!(into(&stage), "70.00");
    stage.enter(":seek 50%");
    assert_eq!(into(&stage), "42.50");
    stage.keys("^");
    assert_eq!(into(&stage), "0.00");
    stage.keys("$");
    assert_eq!(into(&stage), "85.00");
    stage.keys("++-");
    assert!((stage.app.replay.as_ref().unwrap().clock.speed() - 2.0).abs() < 0.01);
    stage.enter(":seek soon");
    assert!(stage.show(120, 40).contains("seek 1:20"));
}

#[test]
fn how_it_stood_is_asked_for_once_however_fast_somebody_scrubs() {
    let mut stage = replay();
    let mut asked = 0;
    for _ in 0..6 {
        asked += stage.key(KeyCode::Left).len();
    }
    assert_eq!(asked, 1);
    // What comes is of where they were; where they are now is asked for next.
    let at = stage.app.replay.as_ref().unwrap().clock.shown();
    let effects = {
        let late = crate::history::scene::Moment {
            at: at + SignedDuration::from_secs(25),
            samples: Vec::new(),
            events: Vec::new(),
        };
        stage.send(Event::Found(Response::Moment(
            "s-4".into(),
            Ok(Box::new(late)),
        )))
    };
    let session = "s-4".to_owned();
    assert_eq!(effects, [Effect::Read(Request::Moment { session, at })]);
    assert_eq!(stage.app.replay.as_ref().unwrap().clock.shown(), at);
}

#[test]
fn tickets_faults_commands_measures_and_verdict_stand_together() {
    let mut stage = replay();
    let shown = stage.show(120, 40);
    for word in [
        "✗ 0:02 ago  exit 1: operator-tui lab start",
        "ops/s",
        "420",
        "p99",
        "48 ms",
        "#4",
        "working",
    ] {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
    let row = |start: &str| {
        let line = shown.lines().rfind(|l| l.contains(start)).unwrap();
        line.to_owned()
    };
    let (ticket, events) = (row("┃#4"), row("┃events"));
    assert!(
        ticket.contains("◆━") && ticket.contains("~~") && ticket.contains('✓'),
        "{ticket}"
    );
    for glyph in ['▼', '!', '$', '✗', '~', '✓'] {
        assert!(events.contains(glyph), "{glyph} {events}");
    }
}

#[test]
fn its_stage_is_read_like_what_is_live_but_there_is_nobody_to_tell() {
    let mut stage = replay();
    stage.show(120, 40);
    stage.enter("/port");
    let on_stage = &stage.app.replay.as_ref().unwrap().stage;
    assert!(on_stage.needle.is_some() && !on_stage.agent.view.following());
    assert!(stage.show(120, 40).contains("frozen"));
    let effects = stage.key(KeyCode::Enter);
    assert!(
        matches!(&effects[..], [Effect::Read(Request::Output { .. })]),
        "{effects:?}"
    );
    stage.keys("q");
    for key in ["i", "m", "a", "r", "s"] {
        assert!(stage.keys(key).is_empty());
        assert!(stage.show(120, 40).contains("Not in a replay"), "{key}");
    }
    assert_eq!(
        stage.keys("yy"),
        [Effect::Copy("it does not start: the port is taken".into())]
    );
}

#[test]
fn q_leaves_it_for_what_is_live_and_ends_one_that_is_alone() {
    let mut stage = replay();
    stage.keys("q");
    assert!(stage.app.replay.is_none() && stage.app.live.quitting.is_none());
    let mut stage = replay();
    stage.app.replay.as_mut().unwrap().alone = true;
    assert!(!stage.keys("q").is_empty());
    assert!(stage.app.live.quitting.is_some());
}

#[test]
fn dragging_on_the_timeline_scrubs() {
    let mut stage = replay();
    stage.show(120, 40);
    let track = stage.app.replay.as_ref().unwrap().track;
    let press = |kind, column| {
        Event::Mouse(MouseEvent {
            kind,
            column,
            row: track.y,
            modifiers: KeyModifiers::NONE,
        })
    };
    stage.send(press(MouseEventKind::Down(MouseButton::Left), track.x));
    assert_eq!(into(&stage), "0.00");
    let middle = track.x + track.width / 2;
    stage.send(press(MouseEventKind::Drag(MouseButton::Left), middle));
    assert!(into(&stage).starts_with("42."), "{}", into(&stage));
}

#[test]
fn a_session_that_cannot_be_read_says_so() {
    let mut stage = Stage::new(false);
    stage.enter(":replay gone");
    let found = Response::Incident("gone".into(), Err("session gone not found".into()));
    stage.send(Event::Found(found));
    assert!(
        stage
            .show(120, 40)
            .contains("? It cannot be played back: session gone not found")
    );
    stage.keys("q");
    assert!(stage.app.replay.is_none());
}
