//! Reading a ledger with a million entries, and an incident of three hours in one with a hundred
//! thousand: the real commands, as whole processes.
//!
//! `cargo bench --bench audit`; `--test` is a quick check on a small ledger.

#![allow(clippy::print_stdout, reason = "a bench prints its tables")]

use jiff::{SignedDuration, Timestamp};
use operator_ledger::{PersonLedger, SystemId};
use operator_tui::{
    cluster::{
        ClusterSnapshot, MemberState, Observed, PdMember, Regions, Store, StoreState, Traffic,
    },
    history::impact::Look,
};
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
        measure(home.path(), name, args, runs);
    }
    let entries = if smoke { 20_000 } else { 100_000 };
    let home = tempfile::tempdir().unwrap();
    let db = home.path().join("tickets.db");
    fill(&db, entries);
    let samples = outage(&db, if smoke { 60 } else { 3 * 60 * 60 });
    let size = fs::metadata(&db).unwrap().len() >> 20;
    println!("{entries} entries, an incident with {samples} samples, one a second, {size} MiB");
    for (name, args) in [
        ("incidents show", &["incidents", "show", "20001"][..]),
        (
            "incidents show --json",
            &["incidents", "show", "20001", "--json"],
        ),
        ("incidents list", &["incidents", "list"]),
    ] {
        measure(home.path(), name, args, runs);
    }
}

fn measure(home: &Path, name: &str, args: &[&str], runs: usize) {
    let mut times: Vec<Duration> = Vec::new();
    let mut bytes = 0;
    for _ in 0..=runs {
        let began = Instant::now();
        let done = Command::new(env!("CARGO_BIN_EXE_operator-tui"))
            .args(args)
            .env("OPERATOR_HOME", home)
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

/// When the incident began.
const BEGAN: &str = "2026-02-02T10:00:00Z";

/// An incident that lasted so many seconds, with a look each second from twenty minutes before: three
/// tickets, as many sessions with a thousand entries each. How many looks.
fn outage(db: &Path, seconds: i64) -> i64 {
    let began: Timestamp = BEGAN.parse().unwrap();
    let time = |second: i64| format!("{:.3}", began + SignedDuration::from_secs(second));
    let ended = time(seconds);
    let mut conn = rusqlite::Connection::open(db).unwrap();
    let tx = conn.transaction().unwrap();
    let began = time(0);
    tx.execute_batch(&format!(
        "INSERT INTO incidents (id, cluster_id, scope, opened_at, ended_at, resolution, attempts)
           VALUES (20001, '7', '7', '{began}', '{ended}', 'proven', 3);
         WITH RECURSIVE n(i) AS (SELECT 20001 UNION ALL SELECT i + 1 FROM n WHERE i < 20003)
         INSERT INTO tickets (id, violation_key, invariant_name, status, first_seen_at, last_seen_at,
           message, resolved_at, resolution, cluster_id, incident_id)
           SELECT i, 'store_down:' || i, 'store_down', 'resolved', '{began}', '{ended}',
             'tikv is down', '{ended}', 'proven', '7', 20001 FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3)
         INSERT INTO agent_sessions (session_id, ticket_id, incident_id, status, started_at, ended_at,
           outcome_summary, model, cluster_id)
           SELECT 'outage-' || i, 20001, 20001, 'resolved', '{began}', '{ended}', 'It is up again.',
             'claude-test', '7' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)
         INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, timestamp, hash)
           SELECT 'outage-' || (1 + i % 3), 'reasoning', 'PD says that it is down.',
             'PD says that it is down, and I look at its log.', '{began}', 'x' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19)
         INSERT INTO incident_events (incident_id, kind, by, why, at)
           SELECT 20001, 'joined', 'monitor', 'tikv is down', '{began}' FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49)
         INSERT INTO observed_changes (cluster_id, since, at, kind, thing_kind, thing, name, from_value,
           to_value)
           SELECT '7', '{began}', '{began}', 'state', 'store', '1', 'tikv0', 'up', 'down' FROM n;"
    ))
    .unwrap();
    let mut insert = tx
        .prepare("INSERT INTO samples (cluster_id, at, snapshot, figures) VALUES ('7', ?1, ?2, ?3)")
        .unwrap();
    for second in -1200..seconds {
        let at = time(second);
        let look = look(at.parse().unwrap(), second);
        let figures = Look::of(look.at, &look).figures();
        let snapshot = serde_json::to_string(&look).unwrap();
        insert.execute((&at, snapshot, figures)).unwrap();
    }
    drop(insert);
    tx.commit().unwrap();
    seconds + 1200
}

/// A look at three stores, of which one is down during the incident.
fn look(at: Timestamp, second: i64) -> ClusterSnapshot {
    let traffic = |ops: f64| {
        let seen = Traffic {
            ops_per_s: Some(ops + (second % 7) as f64 / 3.0),
            p99_ms: Some(12.0 + (second % 11) as f64 / 7.0),
            refused_per_s: Some(0.0),
        };
        Observed::known(seen, at)
    };
    let store = |id: u64| {
        let down = second >= 0 && id == 1;
        Store {
            id,
            name: format!("tikv{}", id - 1),
            address: format!("127.0.0.1:2016{id}"),
            status_address: Some(format!("127.0.0.1:2018{id}")),
            state: if down {
                StoreState::Down
            } else {
                StoreState::Up
            },
            last_heartbeat: Some(at),
            started: Some(at),
            version: Some("8.5.1".into()),
            leaders: Some(2),
            regions: Some(6),
            capacity: Some(1 << 40),
            available: Some(1 << 39),
            traffic: if down {
                Observed::unknown("connection refused")
            } else {
                traffic(133.0)
            },
            ..Store::default()
        }
    };
    let member = |n: usize| PdMember {
        name: format!("pd{n}"),
        address: format!("http://127.0.0.1:237{n}"),
        state: MemberState::Follower,
        started: Some(at),
        version: Some("8.5.1".into()),
    };
    ClusterSnapshot {
        at,
        cluster_id: Some(SystemId::new("7")),
        pd: Observed::known((0..3).map(member).collect(), at),
        pd_leader: Observed::known(Some("http://127.0.0.1:2370".into()), at),
        stores: Observed::known((1..=3).map(store).collect(), at),
        regions: Observed::known(Regions::default(), at),
        traffic: traffic(if second < 0 { 400.0 } else { 266.0 }),
        rate_window_ms: Some(5_000),
        p99_limit_ms: Some(100.0),
        ..ClusterSnapshot::default()
    }
}
