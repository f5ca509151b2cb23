//! A ledger whose every text is hostile, on the screen: escape sequences go whole, what turns text round
//! goes or is named, and what had lines of its own has one.

use super::{
    fixtures::{detail, incident, listed, moment, page},
    stage::{Stage, text},
};
use crate::{
    app::event::{Event, Response},
    history::Which,
};
use crossterm::event::KeyCode;
use operator_ledger::{InGrace, SessionRow, Stored, Ticket, clean::is_invisible};

/// A word, and what somebody wrote after it who writes past all cleaning.
fn hostile(word: &str) -> String {
    format!("{word}\u{202e}\u{9b}31m\x1b]52;c;UFdO\x07\n{word}\x1b[2J\u{2066}")
}

fn hostile_session(session: &mut SessionRow) {
    session.model = Some(hostile("mo"));
    session.outcome_summary = Some(hostile("su"));
    session.status = Stored::Other(hostile("st"));
}

fn hostile_ticket(ticket: &mut Ticket) {
    ticket.message = hostile("me");
    ticket.invariant = hostile("in");
    ticket.subject_name = Some(hostile("na"));
    ticket.diagnosis = Some(hostile("di"));
    ticket.violation_key = hostile("ke");
}

/// The words are there, and nothing that came with them.
#[track_caller]
fn harmless(stage: &mut Stage, words: &[&str]) {
    let buffer = stage.draw(200, 60);
    for cell in buffer.content() {
        let bad = |c: char| c.is_control() || is_invisible(c);
        assert!(!cell.symbol().contains(bad), "{:?}", cell.symbol());
    }
    let shown = text(&buffer);
    // C1 is named, and what follows it is text then.
    for rest in ["52;c", "UFdO", "[2J"] {
        assert!(
            !shown.contains(rest),
            "{rest:?} is left of a sequence: {shown}"
        );
    }
    for word in words {
        assert!(shown.contains(word), "{word} is shown: {shown}");
        let glued = format!("{word}{word}");
        assert!(!shown.contains(&glued), "two lines are one word: {shown}");
    }
}

#[test]
fn sessions_one_of_them_and_a_ticket() {
    let mut stage = Stage::new(false);
    let mut sessions = listed(&stage, 3);
    for listed in &mut sessions {
        hostile_session(&mut listed.session);
        listed.ticket.as_mut().map(hostile_ticket);
    }
    stage.ledger(Vec::new());
    stage.show(200, 60);
    stage.keys("s");
    stage.send(Event::Found(Response::Sessions(None, Ok(sessions))));
    harmless(&mut stage, &["mo", "su", "in"]);
    stage.keys("j");
    stage.key(KeyCode::Enter);
    let id = stage.app.live.record.as_ref().unwrap().session.clone();
    let mut page = page(&stage, 1, 3, 3);
    page.session.session_id = id;
    hostile_session(&mut page.session);
    stage.send(Event::Found(Response::Page(
        Which::First,
        Ok(Box::new(page)),
    )));
    harmless(&mut stage, &["mo", "st"]);

    let mut stage = Stage::new(false);
    let mut found = detail(&stage);
    found.ticket.as_mut().map(hostile_ticket);
    found.sessions.iter_mut().for_each(hostile_session);
    for event in &mut found.events {
        (event.by, event.why) = (hostile("by"), hostile("wh"));
    }
    let mut ticket = found.ticket.clone().unwrap();
    ticket.diagnosis = None;
    stage.ledger(vec![ticket]);
    stage.show(200, 60);
    stage.keys("2");
    stage.key(KeyCode::Enter);
    stage.send(Event::Found(Response::Ticket(Box::new(found))));
    harmless(&mut stage, &["me", "di", "ke", "mo", "su", "by", "wh"]);
}

#[test]
fn what_the_last_check_saw_and_why_a_ledger_cannot_be_read() {
    let mut stage = Stage::new(false);
    let seen = InGrace {
        key: hostile("ke"),
        message: hostile("gr"),
        since: stage.at(3),
    };
    stage.ledger_in_grace(vec![seen]);
    harmless(&mut stage, &["gr"]);
    stage.ledger_in_trouble(hostile("er"));
    harmless(&mut stage, &["er"]);
}

#[test]
fn an_incident_played_back() {
    let mut stage = Stage::new(false);
    stage.ledger(Vec::new());
    stage.enter(":replay s-4");
    let mut incident = incident(&stage);
    hostile_session(&mut incident.session);
    for history in &mut incident.tickets {
        hostile_ticket(&mut history.ticket);
    }
    let found = Response::Incident("s-4".into(), Ok(Box::new(incident)));
    stage.send(Event::Found(found));
    moment(&mut stage);
    stage.keys("$");
    moment(&mut stage);
    harmless(&mut stage, &["mo", "in"]);
}
