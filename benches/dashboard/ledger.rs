//! A ledger with much in it: 10,000 tickets, and a million entries of a thousand sessions.

use operator_ledger::PersonLedger;
use std::path::PathBuf;
use tempfile::TempDir;

pub(crate) struct Full {
    pub path: PathBuf,
    pub tickets: usize,
    _folder: TempDir,
}

/// Rows that only fill the file, put there as no program of ours would: all at once.
pub(crate) fn full(tickets: usize, entries: usize) -> Full {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickets.db");
    drop(PersonLedger::open(&path).wait().expect("a ledger"));
    let conn = rusqlite::Connection::open(&path).expect("a database");
    let sessions = (tickets / 10).max(1);
    let numbers = |count: usize| {
        format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})")
    };
    conn.execute_batch(&format!(
        "BEGIN;
         {} INSERT INTO tickets (violation_key, invariant_name, status, resolution, message,
             severity, first_seen_at, last_seen_at, resolved_at)
           SELECT 'store_down:' || n, 'store_down', 'resolved', 'proven',
             'tikv' || n || ' is down', 'critical', '2026-01-30T10:00:00Z',
             '2026-01-30T10:00:00Z', '2026-01-30T10:05:00Z' FROM n;
         {} INSERT INTO agent_sessions (session_id, ticket_id, status, started_at, ended_at)
           SELECT 'session-' || n, n * 10, 'resolved', '2026-01-30T10:00:00Z',
             '2026-01-30T10:05:00Z' FROM n;
         {} INSERT INTO agent_log_entries (session_id, entry_type, content, timestamp)
           SELECT 'session-' || (n % {sessions} + 1), 'reasoning',
             'Entry ' || n || ': the store does not answer, so I look at its log next.',
             '2026-01-30T10:00:00Z' FROM n;
         COMMIT;",
        numbers(tickets),
        numbers(sessions),
        numbers(entries)
    ))
    .expect("rows");
    Full {
        path,
        tickets,
        _folder: folder,
    }
}
