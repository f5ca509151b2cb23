//! Reading: what keys do to the agent's lines, to an earlier session, to lists and overlays.

use super::{
    fixtures::{at_work, listed, output, page, record},
    stage::Stage,
};
use crate::{
    app::{
        event::{Effect, Event, Response},
        model::{overlay::Overlay, pane::Pane},
        request::Request,
    },
    history::Which,
    transcript::{Kind, doc::LineSource},
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// At work, with rows of output of its second command.
fn busy(rows: usize) -> Stage {
    let mut stage = at_work(false);
    print(&mut stage, 0..rows);
    stage.show(80, 24);
    stage
}

fn print(stage: &mut Stage, rows: std::ops::Range<usize>) {
    for n in rows {
        stage.agent(&[&format!(
            r#""type":"tool_output","call":"d","stream":"stdout","text":"row {n}\n""#
        )]);
    }
}

fn read(page: crate::history::Page, which: Which) -> Event {
    Event::Found(Response::Page(which, Ok(Box::new(page))))
}

#[test]
fn a_frozen_view_says_what_waits() {
    let mut stage = busy(50);
    stage.key(KeyCode::PageUp);
    print(&mut stage, 50..300);
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
fn f_freezes_and_follows_again() {
    let mut stage = busy(50);
    stage.keys("f");
    print(&mut stage, 50..60);
    assert!(stage.show(80, 24).contains("frozen · 10 new"));
    stage.keys("f");
    assert!(stage.show(80, 24).contains("following"));
}

#[test]
fn a_search_goes_up_from_the_newest_line_then_both_ways_and_esc_ends_it() {
    let mut stage = busy(50);
    stage.enter("/row 3");
    let at = |stage: &Stage| {
        stage
            .app
            .live
            .agent
            .view
            .current_text(&stage.app.live.agent.ring)
            .unwrap()
    };
    assert_eq!(at(&stage), "row 39");
    stage.keys("N");
    assert_eq!(at(&stage), "row 38");
    stage.keys("n");
    assert_eq!(at(&stage), "row 39");
    stage.keys("n");
    assert!(stage.show(80, 24).contains("No further match below."));
    stage.key(KeyCode::Esc);
    assert!(stage.app.live.needle.is_none() && !stage.app.live.agent.view.following());
    stage.key(KeyCode::Esc);
    assert!(stage.app.live.agent.view.following());
}

#[test]
fn brackets_jump_between_commands_and_o_folds_what_is_long() {
    let mut stage = busy(50);
    let at = |stage: &Stage| {
        stage
            .app
            .live
            .agent
            .view
            .current_text(&stage.app.live.agent.ring)
            .unwrap()
    };
    stage.keys("[");
    assert_eq!(at(&stage), "operator-tui lab ps");
    stage.keys("[");
    assert!(at(&stage).starts_with("curl"));
    stage.keys("]");
    assert_eq!(at(&stage), "operator-tui lab ps");
    stage.keys("o");
    assert!(stage.show(80, 60).contains("┄ 43 more lines ┄"));
    stage.keys("o");
    assert!(!stage.show(80, 60).contains("more lines"));
}

#[test]
fn y_copies_line_command_or_block() {
    let mut stage = busy(3);
    assert!(stage.keys("y").is_empty());
    assert!(stage.show(80, 24).contains("y line · c command · b block"));
    assert_eq!(stage.keys("y"), [Effect::Copy("row 2".into())]);
    assert_eq!(
        stage.keys("yc"),
        [Effect::Copy("operator-tui lab ps".into())]
    );
    let block = "tikv1  exited  signal 9\nrow 0\nrow 1\nrow 2";
    assert_eq!(stage.keys("yb"), [Effect::Copy(block.into())]);
    // Any other key ends it, and does nothing else.
    assert!(stage.keys("yq").is_empty());
    assert!(stage.app.live.quitting.is_none() && !stage.app.live.copying);
}

#[test]
fn enter_opens_the_output_of_the_command_the_reader_is_on() {
    let mut stage = at_work(false);
    stage.agent(&[
        r#""session":"s","type":"tool_call","call":"e1","tool":"shell","input":"one","reasoning":"""#,
        r#""session":"s","type":"tool_result","call":"e1","exit_code":0,"duration_ms":1"#,
        r#""session":"s","type":"tool_call","call":"e2","tool":"shell","input":"two","reasoning":"""#,
    ]);
    stage.show(80, 24);
    let wanted = |call: &str| {
        [Effect::Read(Request::Output {
            session: "s".into(),
            call: call.into(),
        })]
    };
    assert_eq!(stage.key(KeyCode::Enter), wanted("e2"));
    stage.key(KeyCode::Esc);
    stage.keys("[");
    assert_eq!(stage.key(KeyCode::Enter), wanted("e1"));
    let found = output(&stage, 400);
    stage.send(Event::Found(Response::Output {
        call: "e1".into(),
        output: Ok(Box::new(found)),
    }));
    assert!(stage.show(80, 24).contains("✗ exit 1 · 2.7 s · 400 lines"));
    stage.keys("G");
    assert!(stage.show(80, 24).contains("399  what"));
    stage.enter("/  12 ");
    stage.keys("N");
    let Some(Overlay::Output(view)) = stage.app.live.overlays.last() else {
        panic!("closed");
    };
    assert!(view.doc.current().unwrap().text.starts_with("    12"));
    let [Effect::Copy(whole)] = &stage.keys("yb")[..] else {
        panic!("not copied");
    };
    assert_eq!(whole.lines().count(), view_len(&stage));
}

fn view_len(stage: &Stage) -> usize {
    match stage.app.live.overlays.last() {
        Some(Overlay::Output(view)) => view.doc.lines().len(),
        _ => 0,
    }
}

#[test]
fn above_the_hundred_lines_the_ledger_goes_on() {
    let mut stage = at_work(false);
    stage.agent(&[
        r#""session":"s","type":"tool_call","call":"e1","tool":"shell","input":"one","reasoning":"""#,
    ]);
    print(&mut stage, 0..200);
    stage.show(80, 24);
    stage.keys("g");
    let effects = stage.keys("k");
    let which = Which::Call("e1".into());
    let session = "s".to_owned();
    assert_eq!(effects, [Effect::Read(Request::Page { session, which })]);
    assert!(stage.show(80, 24).contains("Reading session s"));
    stage.key(KeyCode::Esc);
    assert!(stage.app.live.record.is_none());
}

#[test]
fn a_session_of_any_length_is_read_by_pages_and_never_kept_whole() {
    let mut stage = record();
    stage.show(80, 24);
    let mut asked = 0;
    for _ in 0..2000 {
        for effect in stage.key(KeyCode::PageDown) {
            let Effect::Read(Request::Page { which, .. }) = effect else {
                panic!("{effect:?}");
            };
            let Which::After(after) = which else {
                panic!("{which:?}");
            };
            asked += 1;
            let next = page(&stage, after + 1, after + 100, 2000);
            stage.send(read(next, which));
            stage.show(80, 24);
        }
    }
    assert!(asked >= 19, "{asked}");
    let record = stage.app.live.record.as_ref().unwrap();
    assert!(
        record.doc.raw().len() <= 400 * 24,
        "{}",
        record.doc.raw().len()
    );
    let shown = stage.show(80, 24);
    assert!(
        shown.contains("store 2000 row 19") && shown.contains("100%"),
        "{shown}"
    );
    // And all the way back.
    let effects = stage.keys("g");
    assert!(matches!(
        &effects[..],
        [Effect::Read(Request::Page {
            which: Which::First,
            ..
        })]
    ));
    let first = page(&stage, 1, 100, 2000);
    stage.send(read(first, Which::First));
    assert!(stage.show(80, 24).contains("$ curl -s $PD/stores/1"));
}

#[test]
fn going_up_in_a_session_keeps_the_reader_on_their_line() {
    let mut stage = record();
    stage.show(80, 24);
    stage.keys("G");
    let last = page(&stage, 201, 300, 300);
    stage.send(read(last, Which::Last));
    stage.show(80, 24);
    let mut before = Vec::new();
    while before.is_empty() {
        before = stage.key(KeyCode::PageUp);
    }
    let standing = stage
        .app
        .live
        .record
        .as_ref()
        .unwrap()
        .doc
        .current()
        .unwrap()
        .id;
    let earlier = page(&stage, 101, 200, 300);
    stage.send(read(earlier, Which::Before(201)));
    let record = stage.app.live.record.as_ref().unwrap();
    assert_eq!(record.doc.current().unwrap().id, standing);
    assert!(
        record
            .doc
            .raw()
            .iter()
            .any(|l| l.text == "curl -s $PD/stores/101")
    );
}

#[test]
fn a_search_in_a_session_goes_on_in_the_ledger() {
    let mut stage = record();
    stage.show(80, 24);
    let effects = stage.enter("/stores/250");
    let [
        Effect::Read(Request::Find {
            session,
            from,
            forward,
            ..
        }),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((session.as_str(), *from, *forward), ("s-long", 100, true));
    assert!(stage.show(80, 24).contains("searching the ledger"));
    let mut found = page(&stage, 201, 300, 300);
    found.at = found
        .lines
        .iter()
        .find(|l| l.text.ends_with("/250"))
        .map(|l| l.id);
    stage.send(Event::Found(Response::Match {
        session: "s-long".into(),
        forward: true,
        page: Ok(Some(Box::new(found))),
    }));
    let record = stage.app.live.record.as_ref().unwrap();
    assert_eq!(record.doc.current().unwrap().text, "curl -s $PD/stores/250");
    assert_eq!(record.call().as_deref(), Some("c250"));
}

#[test]
fn the_list_of_sessions_is_read_as_far_as_it_is_looked_at() {
    let mut stage = at_work(false);
    assert_eq!(stage.keys("s"), [Effect::Read(Request::Sessions(None))]);
    let first = listed(&stage, 200);
    let oldest = first[199].row;
    stage.send(Event::Found(Response::Sessions(None, Ok(first))));
    stage.show(80, 24);
    assert_eq!(
        stage.keys("G"),
        [Effect::Read(Request::Sessions(Some(oldest)))]
    );
    let rest = listed(&stage, 3)
        .into_iter()
        .map(|mut s| {
            s.row -= 500;
            s
        })
        .collect();
    stage.send(Event::Found(Response::Sessions(Some(oldest), Ok(rest))));
    assert!(stage.show(80, 24).contains("200 of 203"));
    stage.enter("/escalated");
    assert!(stage.show(80, 24).contains("202 of 203"));
}

#[test]
fn a_store_is_chosen_and_its_log_followed() {
    let mut stage = at_work(false);
    stage.app.live.lab = true;
    stage.show(80, 24);
    // The silent one is on top.
    stage.keys("1jj");
    let log = Effect::ReadLog {
        node: "tikv2".into(),
    };
    let log = [log];
    assert_eq!(stage.key(KeyCode::Enter), log);
    // Asked for once, however long the answer takes; then again.
    assert!(stage.send(Event::Tick).is_empty());
    stage.send(Event::Found(Response::Log {
        node: "tikv2".into(),
        text: Ok("store starts".into()),
    }));
    assert_eq!(stage.send(Event::Tick), log);
    assert!(stage.show(80, 24).contains("Store tikv2"));
    stage.key(KeyCode::Esc);
    assert!(stage.send(Event::Tick).is_empty());
    stage.enter(":store tikv0");
    assert!(stage.show(80, 24).contains("Store tikv0"));
}

#[test]
fn typed_commands_are_completed_and_do_what_their_key_does() {
    let mut stage = at_work(false);
    stage.keys(":wr");
    assert!(stage.show(80, 24).contains("wrap long lines"));
    stage.key(KeyCode::Tab);
    stage.key(KeyCode::Enter);
    assert!(stage.app.live.view_options.no_wrap);
    stage.enter(":theme mono");
    assert_eq!(
        stage.app.live.view_options.palette,
        crate::app::model::palette::Palette::Mono
    );
    assert_eq!(
        stage.enter(":ticket #4"),
        [Effect::Read(Request::Ticket(4))]
    );
    stage.key(KeyCode::Esc);
    stage.keys(":ticket ");
    assert!(
        stage
            .show(80, 24)
            .contains("store tikv1 sends no heartbeats")
    );
    stage.key(KeyCode::Esc);
    stage.enter(":no-such-thing");
    assert!(stage.show(80, 24).contains("is no command"));
    stage.enter(":p");
    assert!(stage.show(80, 24).contains("could be several commands"));
    stage.enter(":next-chapter");
    assert!(stage.show(80, 24).contains("is for a demo"));
    // The line before comes back.
    stage.keys(":");
    stage.key(KeyCode::Up);
    assert!(stage.show(80, 24).contains(":next-chapter"));
}

#[test]
fn q_closes_what_is_open_before_it_quits() {
    let mut stage = record();
    stage.keys("?q");
    assert!(stage.app.live.overlays.is_empty() && stage.app.live.record.is_some());
    stage.keys("q");
    assert!(stage.app.live.record.is_none() && stage.app.live.quitting.is_none());
    stage.keys("q");
    assert!(matches!(
        stage.app.live.overlays.last(),
        Some(Overlay::Confirm(_))
    ));
}

fn mouse(kind: MouseEventKind, column: u16, row: u16) -> Event {
    Event::Mouse(MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    })
}

#[test]
fn the_mouse_scrolls_what_it_is_on_and_a_click_focuses_and_opens() {
    let mut stage = busy(50);
    assert_eq!(stage.keys("M"), [Effect::Mouse(true)]);
    stage.send(mouse(MouseEventKind::ScrollUp, 60, 10));
    assert!(stage.show(80, 24).contains("frozen"));
    stage.send(mouse(MouseEventKind::ScrollDown, 60, 10));
    stage.send(mouse(MouseEventKind::ScrollDown, 60, 10));
    assert!(stage.show(80, 24).contains("following"));
    let click = MouseEventKind::Down(MouseButton::Left);
    // The second ticket: once to choose it, once more to open it.
    let row = stage.app.live.geometry.areas.list.y + 1;
    stage.send(mouse(click, 5, row));
    assert_eq!(
        (stage.app.live.focus, stage.app.live.tickets.selected),
        (Pane::Tickets, Some(4))
    );
    stage.show(80, 24);
    let effects = stage.send(mouse(click, 5, row));
    assert_eq!(effects, [Effect::Read(Request::Ticket(4))]);
    // What it does not know it leaves alone.
    stage.send(mouse(MouseEventKind::Moved, 1, 1));
    assert_eq!(stage.keys("M"), [Effect::Mouse(false)]);
}

#[test]
fn wide_text_stays_in_its_columns() {
    let mut stage = at_work(false);
    stage.agent(&[
        r#""type":"tool_output","call":"d","stream":"stdout","text":"宽字符和组合e\u0301字符在一行里面排得很整齐不会超出边框的宽度因为是按列计算的\n""#,
    ]);
    let shown = stage.show(60, 24);
    for line in shown.lines() {
        let width = unicode_width::UnicodeWidthStr::width(line);
        assert!(width <= 60, "{width}: {line}");
    }
    assert!(shown.contains("组合e\u{301}字符"), "{shown}");
}

#[test]
fn a_key_that_is_let_go_does_nothing() {
    let mut stage = at_work(false);
    let mut key = KeyEvent::new(KeyCode::Char('?'), KeyModifiers::NONE);
    key.kind = crossterm::event::KeyEventKind::Release;
    stage.send(Event::Key(key));
    assert!(stage.app.live.overlays.is_empty());
    assert!(
        stage
            .app
            .live
            .agent
            .ring
            .iter()
            .all(|l| l.kind != Kind::Child)
    );
}

#[test]
fn the_help_begins_with_what_is_in_sight_and_says_that_there_is_more() {
    let first = |shown: &str| shown.lines().nth(2).unwrap_or_default().to_owned();
    let mut stage = at_work(false);
    stage.keys("?");
    let shown = stage.show(80, 24);
    assert!(first(&shown).contains("── the agent"), "{shown}");
    assert!(shown.contains("↓ more · Esc closes"), "{shown}");
    stage.keys("G");
    assert!(!stage.show(80, 24).contains("↓ more"));
    stage.keys("q2?");
    let shown = stage.show(80, 24);
    assert!(first(&shown).contains("── tickets"), "{shown}");
    let mut stage = super::fixtures::replay();
    stage.keys("?");
    let shown = stage.show(120, 40);
    assert!(first(&shown).contains("── a replay"), "{shown}");
}

#[test]
fn the_next_match_is_offered_while_something_is_searched_for() {
    let mut stage = at_work(false);
    assert!(!stage.show(120, 40).contains("n next match"));
    stage.enter("/lab");
    stage.wait(6);
    assert!(stage.show(120, 40).contains("n next match"));
    stage.key(KeyCode::Esc);
    assert!(!stage.show(120, 40).contains("n next match"));
}

#[test]
fn more_completions_than_there_is_room_for_are_gone_through() {
    let mut stage = at_work(false);
    stage.keys(":");
    let shown = stage.show(80, 24);
    assert!(
        shown.contains("more: Tab goes through them") && !shown.contains("faster"),
        "{shown}"
    );
    for _ in 0..20 {
        stage.key(KeyCode::Tab);
    }
    let shown = stage.show(80, 24);
    let taken = stage.app.live.prompt.as_ref().unwrap().text().to_owned();
    assert!(shown.contains(&format!(" > {taken}")), "{shown}");
}

#[test]
fn q_closes_what_is_open_whatever_was_searched_for() {
    let mut stage = record();
    stage.show(80, 24);
    stage.enter("/store 1");
    assert!(stage.app.live.needle.is_some() && stage.app.live.record.is_some());
    stage.keys("q");
    assert!(stage.app.live.needle.is_none() && stage.app.live.record.is_none());
}

#[test]
fn escape_and_the_key_after_it_are_two_keys_though_they_come_as_one() {
    let mut stage = at_work(false);
    stage.keys("?");
    let both = KeyEvent::new(KeyCode::Char('2'), KeyModifiers::ALT);
    stage.send(Event::Key(both));
    assert!(stage.app.live.overlays.is_empty());
    assert_eq!(stage.app.live.focus, Pane::Tickets);
}
