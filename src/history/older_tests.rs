//! A ledger of schema version 3 is shown as it was before the schema changed: the snapshot was made
//! by the code that wrote it.

use super::{Follow, Incident, Page, Which};
use crate::transcript::{Composer, Ring};
use agent_lab::session::title;
use operator_ledger::{Reader, event::Event};
use serde_json::Value;
use std::fmt::Write;

const VERSION3: &str = include_str!("../../crates/ledger/tests/ledgers/version3.sql");

fn shown(events: &[Event]) -> String {
    let (mut ring, mut composer) = (Ring::unbounded(), Composer::default());
    for event in events {
        composer.event(&mut ring, event);
    }
    ring.iter().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    {}{}", line.kind.marker(), line.text);
        out
    })
}

/// As the command line prints it, without the fields that are younger.
fn printed(row: impl serde::Serialize, younger: &[&str]) -> String {
    let mut row = serde_json::to_value(row).unwrap();
    for field in younger {
        row.as_object_mut().unwrap().shift_remove(*field);
    }
    sorted(row).to_string()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other,
    }
}

fn everything(ledger: &Reader) -> String {
    let mut out = String::new();
    let mut sessions = ledger.sessions(100).wait().unwrap();
    sessions.reverse();
    for session in &sessions {
        let id = session.session_id.as_str();
        writeln!(out, "session {}", printed(session, &[])).unwrap();
        for entry in ledger.entries(id, 0, 1000).wait().unwrap() {
            writeln!(out, "  entry {}", printed(entry, &[])).unwrap();
        }
        writeln!(out, "  page").unwrap();
        for line in Page::read(ledger, id, &Which::First).unwrap().lines {
            writeln!(out, "    {}{}", line.kind.marker(), line.text).unwrap();
        }
        let followed = Follow::new(id).look(ledger).unwrap().unwrap();
        writeln!(out, "  followed\n{}", shown(&followed.events)).unwrap();
        let incident = Incident::read(ledger, id).unwrap();
        for mark in &incident.marks {
            writeln!(out, "  mark {:?} {}", mark.what, mark.text).unwrap();
        }
        // All of it is near enough in time to be part of each: once will do.
        let moments = incident
            .ticket_changes()
            .filter(|_| id == sessions[0].session_id);
        for at in moments {
            for t in incident.tickets_at(at) {
                writeln!(
                    out,
                    "  at {at} #{} {:?} {:?} {:?} held {} claimed {} attempts {} person {} {:?}",
                    t.id,
                    title(&t),
                    t.status,
                    t.resolution,
                    t.held,
                    t.claimed,
                    t.attempts,
                    t.needs_person,
                    t.diagnosis,
                )
                .unwrap();
            }
        }
    }
    for ticket in ledger.tickets(100).wait().unwrap() {
        writeln!(out, "ticket {}", printed(&ticket, &["subject_name"])).unwrap();
        for event in ledger.ticket_events(ticket.id).wait().unwrap() {
            writeln!(out, "  event {}", printed(event, &["kind", "resolution"])).unwrap();
        }
        for proof in ledger.verifications(ticket.id).wait().unwrap() {
            writeln!(out, "  proof {}", printed(proof, &[])).unwrap();
        }
    }
    out
}

#[test]
fn a_ledger_of_version_3_is_shown_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(VERSION3)
        .unwrap();
    let ledger = Reader::open(&path).wait().unwrap();
    insta::assert_snapshot!(everything(&ledger));
}
