use super::*;
use crate::{EntryKind, Severity, Stored, Verdict, engine::Engine};
use TicketEventKind as Kind;
use rusqlite::Connection;
use std::path::PathBuf;

const VERSION3: &str = include_str!("../../tests/ledgers/version3.sql");

/// What versions 1 and 2 did not have yet.
const YOUNGER: [&str; 2] = [
    "DROP TABLE agents; DROP TABLE told; DROP TABLE alerts;
     ALTER TABLE agent_sessions DROP COLUMN side_usd;
     ALTER TABLE agent_sessions DROP COLUMN worked_ms;
     PRAGMA user_version = 2",
    "DROP TABLE commands; DROP TABLE spending;
     ALTER TABLE tickets DROP COLUMN budget_from;
     ALTER TABLE agent_sessions DROP COLUMN turns;
     PRAGMA user_version = 1",
];

/// The ledger that version 3 wrote, as `version` would have.
fn older(version: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets.db");
    let file = Connection::open(&path).unwrap();
    file.execute_batch(VERSION3).unwrap();
    for step in YOUNGER.iter().take(3 - version) {
        file.execute_batch(step).unwrap();
    }
    (folder, path)
}

#[test]
fn what_happened_to_a_ticket_is_read_from_rows_as_they_were_written() {
    for (from, to, by, why, kind) in [
        (None, "open", "monitor", "tikv2 is down", Kind::Opened),
        (None, "open", "kim", "opened by hand", Kind::Opened),
        (None, "open", "monitor", "held", Kind::Opened),
        (
            Some("open"),
            "acknowledged",
            "agent pid 4",
            "it took the ticket",
            Kind::Claimed,
        ),
        (
            Some("acknowledged"),
            "acknowledged",
            "agent pid 4",
            "claimed after session s lost its lease",
            Kind::Claimed,
        ),
        (
            Some("acknowledged"),
            "open",
            "agent",
            "interrupted: SIGTERM",
            Kind::Released,
        ),
        (
            Some("acknowledged"),
            "escalated",
            "agent",
            "gave up",
            Kind::Escalated,
        ),
        (Some("open"), "open", "kim", "held", Kind::Held),
        (Some("open"), "open", "kim", "no longer held", Kind::Unheld),
        (
            Some("escalated"),
            "open",
            "kim",
            "released to agents",
            Kind::Released,
        ),
        (
            Some("open"),
            "open",
            "kim",
            "released to agents",
            Kind::Released,
        ),
        (
            Some("escalated"),
            "open",
            "kim",
            "a person reopened it",
            Kind::Reopened,
        ),
        (
            Some("resolved"),
            "open",
            "monitor",
            "came back: tikv2 is down",
            Kind::Reopened,
        ),
        (
            Some("acknowledged"),
            "resolved",
            "monitor",
            "proven: not violated for 1.0 s",
            Kind::Resolved,
        ),
        (
            Some("diagnosed"),
            "diagnosed",
            "adoption",
            "held, with nobody working on it: waits for a person",
            Kind::Adopted,
        ),
    ] {
        assert_eq!(event_kind(from, to, by, why), Some(kind), "{why}");
    }
    assert_eq!(event_kind(Some("open"), "melted", "x", "y"), None);
}

#[test]
fn how_a_ticket_ended_is_the_first_word_of_why() {
    assert_eq!(
        resolution("proven: not violated for 1.0 s: tikv2 is up"),
        Some(Resolution::Proven)
    );
    assert_eq!(
        resolution("human: a person resolved it"),
        Some(Resolution::Human)
    );
    assert_eq!(resolution("magic: it went away"), None);
}

#[test]
fn a_store_is_named_by_what_was_seen_of_it() {
    let down = "tikv2 (127.0.0.1:20161) is down: last heartbeat 9 s ago";
    assert_eq!(subject_name("2", down), Some("tikv2"));
    assert_eq!(subject_name("2", "tikv2: not up"), Some("tikv2"));
    assert_eq!(subject_name("pd1", "PD member pd1 does not answer"), None);
    assert_eq!(subject_name("2", ""), None);
}

#[test]
fn entries_say_it_at_their_beginning_or_end() {
    let failed = "failed: tikv2 is down: last heartbeat 9 s ago";
    assert_eq!(
        verify_detail(failed),
        Some("tikv2 is down: last heartbeat 9 s ago")
    );
    assert_eq!(verify_detail("odd: word"), None);
    assert!(waits("interrupted by kim; waiting for a message to go on"));
    assert!(!waits("message of kim: go on"));
}

#[test]
fn what_older_versions_wrote_is_in_columns_after_the_first_opening() {
    use Kind::{Adopted, Claimed, Escalated, Held, Opened, Released, Reopened, Resolved, Unheld};
    for version in 1..=3 {
        let (_folder, path) = older(version);
        let updated = |path| -> Vec<String> {
            let file = Connection::open(path).unwrap();
            let mut rows = file.prepare("SELECT updated_at FROM tickets").unwrap();
            let rows = rows.query_map([], |r| r.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let before = updated(&path);
        let ledger = Engine::open(&path).unwrap();
        let kinds = |ticket| -> Vec<Kind> {
            let events = ledger.ticket_events(ticket).unwrap();
            let kinds = events.into_iter().map(|e| e.kind.unwrap().known().unwrap());
            kinds.collect()
        };
        assert_eq!(kinds(1), [Opened, Claimed, Resolved]);
        assert_eq!(
            kinds(2),
            [
                Opened, Held, Unheld, Claimed, Released, Claimed, Escalated, Held, Unheld,
                Released, Resolved, Reopened, Claimed, Escalated, Reopened, Resolved
            ]
        );
        assert_eq!(kinds(3), [Opened, Resolved, Reopened]);
        assert_eq!(kinds(6), [Adopted]);
        let resolutions = |ticket| -> Vec<Resolution> {
            let events = ledger.ticket_events(ticket).unwrap();
            let ends = events.into_iter().filter_map(|e| e.resolution?.known());
            ends.collect()
        };
        assert_eq!(resolutions(1), [Resolution::Proven]);
        assert_eq!(resolutions(2), [Resolution::Human, Resolution::Cleared]);
        let named = |id| ledger.ticket(id).unwrap().unwrap().subject_name;
        assert_eq!(named(1).as_deref(), Some("tikv2"));
        assert_eq!(named(2), None, "a member's name is its id");
        assert_eq!(updated(&path), before, "nothing happened to any ticket");
        drop(ledger);
        assert_eq!(
            Engine::open(&path).unwrap().ticket_counts().unwrap(),
            (3, 3)
        );
    }
}

#[test]
fn words_and_chains_of_older_files_stay_as_they_are() {
    let (_folder, path) = older(3);
    let ledger = Engine::open(&path).unwrap();
    let sessions = ledger.sessions(100).unwrap();
    for session in &sessions {
        let report = ledger.verify_session(&session.session_id).unwrap();
        assert!(
            !matches!(
                report.verdict,
                Verdict::Broken { .. } | Verdict::Truncated { .. }
            ) && report.session_differs.is_empty()
                && report.outputs_differ.is_empty(),
            "{report:?}"
        );
    }
    let odd = sessions
        .iter()
        .find(|s| s.session_id.ends_with("3fa9c01b"))
        .unwrap();
    assert_eq!(odd.mode, Some(Stored::Other("careful".into())));
    assert_eq!(odd.resolution, Some(Stored::Other("magic".into())));
    let ticket = ledger.ticket(6).unwrap().unwrap();
    assert_eq!(ticket.status, Status::Escalated);
    assert_eq!(ticket.severity, Stored::<Severity>::Other("page".into()));
    let entries = ledger.entries(&odd.session_id, 0, 10).unwrap();
    assert_eq!(entries[0].entry_type, Stored::Other("weather".into()));
    assert_eq!(entries[1].entry_type, EntryKind::ToolResult);
    // The reference writes no line of how a command ended above what it printed.
    assert_eq!(entries[1].printed(), "fine");
    let first = &sessions.last().unwrap().session_id;
    let waiting = ledger.entries(first, 0, 100).unwrap();
    let waiting: Vec<_> = waiting.iter().filter(|e| e.waits()).collect();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].content.starts_with("interrupted by kim"));
}
