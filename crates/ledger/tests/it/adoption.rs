//! Databases of the reference system are adopted in place, whatever their vintage.

use operator_ledger::{AgentLedger, ClaimRequest, Holder, Reader, SessionStatus, Status, Verdict};
use rusqlite::Connection;
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

/// The youngest reference schema: all three tables.
const REFERENCE: &str = "
CREATE TABLE tickets (id INTEGER PRIMARY KEY AUTOINCREMENT, violation_key TEXT NOT NULL,
  invariant_name TEXT NOT NULL, store_id TEXT, status TEXT NOT NULL DEFAULT 'open',
  held BOOLEAN NOT NULL DEFAULT 0, batch_key TEXT, occurrence_count INTEGER NOT NULL DEFAULT 1,
  first_seen_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, resolved_at TEXT, message TEXT NOT NULL,
  severity TEXT NOT NULL DEFAULT 'warning', diagnosis TEXT, metric_snapshot TEXT,
  subject_context TEXT, variant_model TEXT, variant_system_prompt TEXT, variant_tools_config TEXT,
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX idx_tickets_open_violation ON tickets(violation_key) WHERE status != 'resolved';
CREATE TRIGGER tickets_updated_at AFTER UPDATE ON tickets BEGIN
  UPDATE tickets SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id; END;
CREATE TABLE agent_sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT UNIQUE NOT NULL,
  ticket_id INTEGER REFERENCES tickets(id), status TEXT NOT NULL DEFAULT 'running',
  started_at TEXT NOT NULL, ended_at TEXT, outcome_summary TEXT,
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE agent_log_entries (id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL REFERENCES agent_sessions(session_id), entry_type TEXT NOT NULL,
  content TEXT NOT NULL, raw_content TEXT, tool_name TEXT, tool_params TEXT, exit_code INTEGER,
  timestamp TEXT NOT NULL, created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
";

fn file(sql: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tickets.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (dir, path)
}

fn claim(ledger: &AgentLedger) -> Option<i64> {
    let holder = Holder::this_process();
    let lease = Duration::from_secs(60);
    ledger
        .claim(ClaimRequest {
            holder,
            cluster_id: None,
            ticket: None,
            lease,
        })
        .wait()
        .unwrap()
        .map(|c| c.ticket.id)
}

#[test]
fn every_row_of_a_reference_file_is_kept_and_what_breaks_our_rules_waits_for_a_person() {
    let (_dir, path) = file(&format!(
        "{REFERENCE}
        INSERT INTO tickets (violation_key, invariant_name, status, held, first_seen_at, last_seen_at, message) VALUES
          ('store_down:1', 'store_down', 'open', 0, '2026-01-30T10:11:12.345678', '2026-01-30T10:11:12', 'older twin'),
          ('store_down:1', 'store_down', 'open', 0, '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'younger twin'),
          ('store_down:2', 'store_down', 'acknowledged', 1, '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'nobody works on it'),
          ('high_latency', 'high_latency', 'diagnosed', 1, '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'given up'),
          ('store_down:3', 'store_down', 'resolved', 1, '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'done');
        INSERT INTO agent_sessions (session_id, ticket_id, status, started_at) VALUES
          ('2026-01-30T10-11-12-3fa9c01b', 3, 'running', '2026-01-30T10:11:12');
        INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, timestamp) VALUES
          ('2026-01-30T10-11-12-3fa9c01b', 'reasoning', 'short', 'long', '2026-01-30T10:12:00');"
    ));
    let ledger = AgentLedger::open(&path).wait().unwrap();
    let mut tickets = ledger.tickets(10).wait().unwrap();
    tickets.sort_by_key(|t| t.id);
    let seen: Vec<_> = tickets
        .iter()
        .map(|t| (t.id, t.status, t.needs_person))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Status::Open, true),
            (2, Status::Open, false),
            (3, Status::Acknowledged, true),
            (4, Status::Escalated, true),
            (5, Status::Resolved, false),
        ]
    );
    assert!(
        tickets
            .iter()
            .all(|t| t.first_seen_at.is_some() && t.created_at.is_some())
    );
    assert_eq!(
        claim(&ledger),
        Some(2),
        "only what is plainly open is taken"
    );
    assert_eq!(claim(&ledger), None);

    let session = &ledger.sessions(10).wait().unwrap()[0];
    assert_eq!(session.status, SessionStatus::Failed);
    assert!(session.ended_at.unwrap() > session.started_at.unwrap());
    let entries = ledger.entries(&session.session_id, 0, 10).wait().unwrap();
    assert_eq!(entries[0].raw_content.as_deref(), Some("long"));
    let report = ledger.verify_session(&session.session_id).wait().unwrap();
    assert_eq!(report.verdict, Verdict::Uncovered);
    // A second opening finds nothing left to adopt.
    drop(ledger);
    assert_eq!(
        AgentLedger::open(&path)
            .wait()
            .unwrap()
            .tickets(10)
            .wait()
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn an_old_file_with_the_tickets_table_alone_is_enough() {
    let (_dir, path) = file(
        "CREATE TABLE tickets (id INTEGER PRIMARY KEY AUTOINCREMENT, violation_key TEXT NOT NULL,
           invariant_name TEXT NOT NULL, store_id TEXT, status TEXT NOT NULL DEFAULT 'open',
           first_seen_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, message TEXT NOT NULL);
         INSERT INTO tickets (violation_key, invariant_name, first_seen_at, last_seen_at, message)
           VALUES ('store_down:1', 'store_down', '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'm');",
    );
    let ledger = AgentLedger::open(&path).wait().unwrap();
    assert_eq!(claim(&ledger), Some(1));
    assert!(ledger.sessions(10).wait().unwrap().is_empty());
}

#[test]
fn a_reader_shows_a_reference_file_and_leaves_it_and_its_folder_as_they_are() {
    let (dir, path) = file(&format!(
        "{REFERENCE} INSERT INTO tickets (violation_key, invariant_name, first_seen_at, last_seen_at, message)
           VALUES ('store_down:1', 'store_down', '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'm');"
    ));
    let before = std::fs::read(&path).unwrap();
    let reader = Reader::open(&path).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 1);
    // What the reference writes meanwhile is shown too.
    assert!(reader.changed().wait().unwrap());
    assert!(!reader.changed().wait().unwrap());
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute("UPDATE tickets SET message = 'longer than before'", [])
        .unwrap();
    drop(theirs);
    let after = std::fs::read(&path).unwrap();
    assert_ne!(after, before);
    assert!(reader.changed().wait().unwrap());
    let shown = reader.tickets(10).wait().unwrap();
    assert_eq!(shown[0].message, "longer than before");
    drop(reader);
    assert_eq!(std::fs::read(&path).unwrap(), after);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
