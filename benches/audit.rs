//! Reading a ledger with a million entries: the real commands, as whole processes.
//!
//! `cargo bench --bench audit`; `--test` is a quick check on a small ledger.

#![allow(clippy::print_stdout, reason = "a bench prints its tables")]

use operator_ledger::PersonLedger;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Sessions, of which one is long.
const SESSIONS: u64 = 10_000;

fn main() {
    let smoke = std::env::args().any(|a| a == "--test");
    let (entries, runs) = if smoke { (20_000, 1) } else { (1_000_000, 7) };
    let home = tempfile::tempdir().unwrap();
    let db = home.path().join("tickets.db");
    fill(&db, entries);
    let size = fs::metadata(&db).unwrap().len() >> 20;
    println!("{entries} entries, {SESSIONS} sessions and tickets, {size} MiB; median of {runs}");
    for (name, args) in [
        ("tickets list", &["tickets", "list"][..]),
        ("tickets show", &["tickets", "show", "5000"]),
        ("audit list", &["audit", "list"]),
        ("audit show, the newest", &["audit", "show"]),
        (
            "audit show, by a prefix",
            &["audit", "show", "session-005000"],
        ),
        (
            "audit show --json, a fifth of all",
            &["audit", "show", "session-000001", "--json"],
        ),
        ("audit verify, one", &["audit", "verify", "session-005000"]),
    ] {
        let mut times: Vec<Duration> = Vec::new();
        let mut bytes = 0;
        for _ in 0..=runs {
            let began = Instant::now();
            let done = Command::new(env!("CARGO_BIN_EXE_operator-tui"))
                .args(args)
                .env("OPERATOR_HOME", home.path())
                .env_remove("OPERATOR_LAB_DIR")
                .stderr(Stdio::null())
                .output()
                .unwrap();
            times.push(began.elapsed());
            bytes = done.stdout.len();
            assert!(bytes > 0, "{name} printed nothing");
        }
        // The first warms the page cache.
        times.remove(0);
        times.sort();
        let ms = times[times.len() / 2].as_secs_f64() * 1000.0;
        println!("{name:<36}{ms:>10.1} ms{bytes:>14} bytes");
    }
}

fn fill(db: &Path, entries: u64) {
    drop(PersonLedger::open(db).wait().unwrap());
    let long = entries / 5;
    let each = (entries - long) / (SESSIONS - 1);
    let sql = format!(
        "PRAGMA synchronous = OFF;
         BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SESSIONS})
         INSERT INTO tickets (violation_key, invariant_name, status, first_seen_at, last_seen_at, message, resolved_at, resolution)
           SELECT 'store_down:' || i, 'store_down', 'resolved', '2026-01-30T10:11:12.000Z',
             '2026-01-30T10:11:12.000Z', 'tikv is down', '2026-01-30T10:12:12.000Z', 'proven' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SESSIONS})
         INSERT INTO agent_sessions (session_id, ticket_id, status, started_at, ended_at, outcome_summary, model)
           SELECT printf('session-%06d', i), i, 'resolved', '2026-01-30T10:11:12.000Z',
             '2026-01-30T10:12:12.000Z', 'It was down and is up again.', 'claude-test' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {entries} - 1)
         INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, timestamp, hash)
           SELECT printf('session-%06d', CASE WHEN i < {long} THEN 1 ELSE 2 + min((i - {long}) / {each}, {SESSIONS} - 2) END),
             'reasoning', 'PD says that tikv' || (i % 3) || ' is down.',
             'PD says that tikv' || (i % 3) || ' is down, and has said so for a while; I look at its log before I touch anything.',
             '2026-01-30T10:11:12.000Z', 'x' FROM n;
         COMMIT;"
    );
    rusqlite::Connection::open(db)
        .unwrap()
        .execute_batch(&sql)
        .unwrap();
}
