//! Tables, versioned migrations, and adoption of a file made by the reference system.
//!
//! Columns and tables are only ever added. Adoption works by probing which columns are there, so
//! every vintage of reference file takes the same path as an empty one.

use crate::{
    IncidentEventKind, LedgerError, clock,
    engine::{Result, explain},
    incident::{
        hold,
        place::{self, Happened},
    },
    ledger_chain, prose,
};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::{collections::HashSet, path::Path};

/// `PRAGMA user_version` of a ledger this code writes. Reference files have 0.
pub(crate) const VERSION: i64 = 4;

/// The reference's tables, as it declares them, then ours.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    violation_key TEXT NOT NULL,
    invariant_name TEXT NOT NULL,
    store_id TEXT,
    status TEXT NOT NULL DEFAULT 'open',
    held BOOLEAN NOT NULL DEFAULT 0,
    batch_key TEXT,
    occurrence_count INTEGER NOT NULL DEFAULT 1,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    resolved_at TEXT,
    message TEXT NOT NULL,
    severity TEXT NOT NULL DEFAULT 'warning',
    diagnosis TEXT,
    metric_snapshot TEXT,
    subject_context TEXT,
    variant_model TEXT,
    variant_system_prompt TEXT,
    variant_tools_config TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS agent_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT UNIQUE NOT NULL,
    ticket_id INTEGER REFERENCES tickets(id),
    status TEXT NOT NULL DEFAULT 'running',
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome_summary TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS agent_log_entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES agent_sessions(session_id),
    entry_type TEXT NOT NULL,
    content TEXT NOT NULL,
    raw_content TEXT,
    tool_name TEXT,
    tool_params TEXT,
    exit_code INTEGER,
    timestamp TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS ticket_events (
    id INTEGER PRIMARY KEY,
    ticket_id INTEGER NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS session_output (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    stream TEXT NOT NULL,
    text TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS invariant_states (
    cluster_id TEXT NOT NULL,
    violation_key TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    boot TEXT NOT NULL,
    observed_ms INTEGER NOT NULL,
    clear_since_ms INTEGER,
    violated_since_ms INTEGER,
    violated_since TEXT,
    PRIMARY KEY (cluster_id, violation_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verifications (
    id INTEGER PRIMARY KEY,
    ticket_id INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    detail TEXT NOT NULL DEFAULT '',
    boot TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    hold_ms INTEGER,
    deadline_ms INTEGER,
    requested_at TEXT NOT NULL,
    decided_at TEXT
);
CREATE TABLE IF NOT EXISTS finishes (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    ticket_id INTEGER NOT NULL,
    call_id TEXT,
    outcome TEXT NOT NULL,
    cause TEXT NOT NULL,
    evidence TEXT NOT NULL,
    actions TEXT NOT NULL,
    checked TEXT NOT NULL,
    next TEXT NOT NULL,
    confidence TEXT,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS monitor_heartbeats (
    cluster_id TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    boot TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    at TEXT NOT NULL,
    interval_ms INTEGER NOT NULL,
    checks INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    detail TEXT NOT NULL,
    place TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS samples (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    at TEXT NOT NULL,
    snapshot TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sample_upkeep (
    cluster_id TEXT PRIMARY KEY NOT NULL,
    decided_id INTEGER NOT NULL,
    minute TEXT NOT NULL,
    dropped_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS observed_changes (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    since TEXT NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    thing_kind TEXT NOT NULL,
    thing TEXT NOT NULL,
    name TEXT NOT NULL,
    from_value TEXT,
    to_value TEXT
);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    by TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS commands (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    command TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    taken_at TEXT
);
CREATE TABLE IF NOT EXISTS services (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    host TEXT NOT NULL,
    place TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    began_at TEXT,
    command TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS service_ends (
    id INTEGER PRIMARY KEY,
    service_id INTEGER NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS spending (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    session_id TEXT NOT NULL,
    usd REAL NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    what TEXT NOT NULL DEFAULT 'turn',
    model TEXT,
    tokens INTEGER
);
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    ends_at TEXT,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    severity TEXT NOT NULL,
    summary TEXT NOT NULL,
    group_key TEXT NOT NULL,
    labels TEXT NOT NULL,
    context TEXT NOT NULL,
    notified INTEGER NOT NULL DEFAULT 1,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    boot TEXT NOT NULL,
    resolved_ms INTEGER,
    UNIQUE (cluster_id, fingerprint, starts_at)
);
CREATE TABLE IF NOT EXISTS agents (
    holder TEXT PRIMARY KEY NOT NULL,
    boot TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    at TEXT NOT NULL,
    model TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger_writes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS ledger_chain (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ledger_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uuid TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS incidents (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT,
    scope TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    ended_at TEXT,
    resolution TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at TEXT,
    needs_person INTEGER NOT NULL DEFAULT 0,
    budget_from INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_holder TEXT,
    lease_boot TEXT,
    lease_until_ms INTEGER
);
CREATE TABLE IF NOT EXISTS incident_events (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    ticket_id INTEGER,
    session_id TEXT,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    lasted_ms INTEGER,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY,
    verification_id INTEGER NOT NULL,
    incident_id INTEGER NOT NULL,
    ticket_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    held_ms INTEGER,
    hold_ms INTEGER,
    detail TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS holds (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER,
    cluster_id TEXT,
    thing TEXT,
    names TEXT NOT NULL DEFAULT '[]',
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS hold_ends (
    id INTEGER PRIMARY KEY,
    hold_id INTEGER NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL,
    session_id TEXT,
    text TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS order_ends (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS told (
    cluster_id TEXT PRIMARY KEY NOT NULL,
    event_id INTEGER NOT NULL,
    entry_id INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Columns a table may lack, with their declarations: the reference's younger ones, then ours.
const COLUMNS: &[(&str, &[(&str, &str)])] = &[
    (
        "tickets",
        &[
            ("held", "BOOLEAN NOT NULL DEFAULT 0"),
            ("batch_key", "TEXT"),
            ("occurrence_count", "INTEGER NOT NULL DEFAULT 1"),
            ("resolved_at", "TEXT"),
            ("severity", "TEXT NOT NULL DEFAULT 'warning'"),
            ("diagnosis", "TEXT"),
            ("metric_snapshot", "TEXT"),
            ("subject_context", "TEXT"),
            ("variant_model", "TEXT"),
            ("variant_system_prompt", "TEXT"),
            ("variant_tools_config", "TEXT"),
            // ALTER TABLE takes no CURRENT_TIMESTAMP default.
            ("created_at", "TEXT NOT NULL DEFAULT ''"),
            ("updated_at", "TEXT NOT NULL DEFAULT ''"),
            ("live_key", "TEXT"),
            ("cluster_id", "TEXT"),
            ("resolution", "TEXT"),
            ("claimed", "INTEGER NOT NULL DEFAULT 0"),
            ("flaps", "INTEGER NOT NULL DEFAULT 0"),
            ("attempts", "INTEGER NOT NULL DEFAULT 0"),
            ("retry_at", "TEXT"),
            ("needs_person", "INTEGER NOT NULL DEFAULT 0"),
            ("by_hand", "INTEGER NOT NULL DEFAULT 0"),
            ("fence", "INTEGER NOT NULL DEFAULT 0"),
            ("lease_holder", "TEXT"),
            ("lease_boot", "TEXT"),
            ("lease_until_ms", "INTEGER"),
            // Sessions up to this row of agent_sessions no longer count against its budget.
            ("budget_from", "INTEGER NOT NULL DEFAULT 0"),
            ("subject_name", "TEXT"),
            // JSON of what an alert came with.
            ("alert", "TEXT"),
            ("incident_id", "INTEGER"),
            // The look that was the worst, for checks that count how bad it is.
            ("worst_extent", "REAL"),
            ("worst_message", "TEXT"),
            ("worst_at", "TEXT"),
        ],
    ),
    (
        "alerts",
        &[
            ("ticket_key", "TEXT NOT NULL DEFAULT ''"),
            ("detail", "TEXT"),
            ("heartbeat", "INTEGER NOT NULL DEFAULT 0"),
            ("heard_ms", "INTEGER"),
            ("silence_ms", "INTEGER"),
            ("unseen_ms", "INTEGER"),
            ("matched", "INTEGER NOT NULL DEFAULT 0"),
            ("contested", "INTEGER NOT NULL DEFAULT 0"),
        ],
    ),
    ("ticket_events", &[("kind", "TEXT"), ("resolution", "TEXT")]),
    ("samples", &[("figures", "TEXT")]),
    ("verifications", &[("incident_id", "INTEGER")]),
    (
        "agent_sessions",
        &[
            ("ended_at", "TEXT"),
            ("outcome_summary", "TEXT"),
            ("created_at", "TEXT NOT NULL DEFAULT ''"),
            ("model", "TEXT"),
            ("mode", "TEXT"),
            ("cluster_id", "TEXT"),
            ("fence", "INTEGER"),
            ("holder", "TEXT"),
            ("resolution", "TEXT"),
            ("head_hash", "TEXT"),
            ("input_tokens", "INTEGER"),
            ("output_tokens", "INTEGER"),
            ("cache_read_tokens", "INTEGER"),
            ("cache_write_tokens", "INTEGER"),
            ("cost_usd", "REAL"),
            ("turns", "INTEGER"),
            // Part of cost_usd that was no turn's: summaries, searches.
            ("side_usd", "REAL NOT NULL DEFAULT 0"),
            // How long it was at work, on a clock that does not jump, as of its newest row.
            ("worked_ms", "INTEGER NOT NULL DEFAULT 0"),
            ("incident_id", "INTEGER"),
        ],
    ),
    (
        "agent_log_entries",
        &[
            ("raw_content", "TEXT"),
            ("tool_name", "TEXT"),
            ("tool_params", "TEXT"),
            ("exit_code", "INTEGER"),
            ("created_at", "TEXT NOT NULL DEFAULT ''"),
            ("call_id", "TEXT"),
            ("duration_ms", "INTEGER"),
            ("timed_out", "INTEGER"),
            ("omitted_bytes", "INTEGER"),
            ("meta", "TEXT"),
            ("hash", "TEXT"),
            ("effect", "TEXT"),
            ("original_hash", "TEXT"),
        ],
    ),
];

const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS idx_ledger_chain_subject ON ledger_chain(kind, subject);
CREATE INDEX IF NOT EXISTS idx_tickets_open_violation ON tickets(violation_key) WHERE status != 'resolved';
CREATE INDEX IF NOT EXISTS idx_tickets_violation_time ON tickets(violation_key, resolved_at);
CREATE UNIQUE INDEX IF NOT EXISTS idx_tickets_live ON tickets(live_key) WHERE live_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_tickets_batch ON tickets(batch_key) WHERE batch_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_agent_sessions_ticket ON agent_sessions(ticket_id);
CREATE INDEX IF NOT EXISTS idx_agent_sessions_status ON agent_sessions(status);
CREATE INDEX IF NOT EXISTS idx_agent_log_entries_session ON agent_log_entries(session_id);
CREATE INDEX IF NOT EXISTS idx_agent_log_entries_hashed ON agent_log_entries(id) WHERE original_hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_ticket_events_ticket ON ticket_events(ticket_id);
CREATE INDEX IF NOT EXISTS idx_session_output_call ON session_output(session_id, call_id);
CREATE INDEX IF NOT EXISTS idx_verifications_waiting ON verifications(ticket_id) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS idx_finishes_ticket ON finishes(ticket_id);
CREATE INDEX IF NOT EXISTS idx_finishes_session ON finishes(session_id);
CREATE INDEX IF NOT EXISTS idx_tickets_incident ON tickets(incident_id);
CREATE INDEX IF NOT EXISTS idx_tickets_key ON tickets(violation_key, incident_id);
CREATE INDEX IF NOT EXISTS idx_sessions_incident ON agent_sessions(incident_id);
CREATE INDEX IF NOT EXISTS idx_verifications_incident ON verifications(incident_id);
CREATE INDEX IF NOT EXISTS idx_incidents_live ON incidents(scope) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_incidents_ended ON incidents(scope, ended_at);
CREATE INDEX IF NOT EXISTS idx_incident_events_incident ON incident_events(incident_id);
CREATE INDEX IF NOT EXISTS idx_verdicts_incident ON verdicts(incident_id);
CREATE INDEX IF NOT EXISTS idx_orders_incident ON orders(incident_id);
CREATE INDEX IF NOT EXISTS idx_hold_ends_hold ON hold_ends(hold_id);
CREATE INDEX IF NOT EXISTS idx_order_ends_order ON order_ends(order_id);
CREATE INDEX IF NOT EXISTS idx_samples_cluster ON samples(cluster_id, id);
DROP INDEX IF EXISTS idx_samples_at;
CREATE INDEX IF NOT EXISTS idx_samples_figures ON samples(cluster_id, at, id, figures);
CREATE INDEX IF NOT EXISTS idx_observed_changes ON observed_changes(cluster_id, at);
CREATE INDEX IF NOT EXISTS idx_tickets_resolved ON tickets(cluster_id, resolved_at);
CREATE INDEX IF NOT EXISTS idx_agent_sessions_ended ON agent_sessions(cluster_id, ended_at);
CREATE INDEX IF NOT EXISTS idx_commands_waiting ON commands(session_id) WHERE taken_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_spending_day ON spending(day);
CREATE INDEX IF NOT EXISTS idx_spending_session ON spending(session_id);
CREATE INDEX IF NOT EXISTS idx_alerts_firing ON alerts(cluster_id) WHERE state = 'firing';
CREATE INDEX IF NOT EXISTS idx_alerts_ticket ON alerts(cluster_id, ticket_key, state);
CREATE INDEX IF NOT EXISTS idx_alerts_first ON alerts(cluster_id, first_at);
UPDATE alerts SET ticket_key = 'alert:' || fingerprint WHERE ticket_key = '';
CREATE TRIGGER IF NOT EXISTS tickets_updated_at AFTER UPDATE ON tickets BEGIN
    UPDATE tickets SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
END;
";

/// Brings the file to [`VERSION`] in one transaction.
pub(crate) fn migrate(conn: &mut Connection, path: &Path) -> Result<()> {
    let found = version(conn, path)?;
    if found == VERSION && is_whole(conn).map_err(|e| explain(path, e))? {
        return Ok(());
    }
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|e| explain(path, e))?;
    // Somebody else may have done it while this waited for the lock.
    let found = version(&tx, path)?;
    if found < VERSION || !is_whole(&tx).map_err(|e| explain(path, e))? {
        let failed = |e| explain(path, e);
        tx.execute_batch(TABLES).map_err(failed)?;
        add_columns(&tx).map_err(failed)?;
        prose::fill_columns(&tx).map_err(failed)?;
        tx.execute_batch(INDEXES).map_err(failed)?;
        tx.execute(
            "INSERT OR IGNORE INTO ledger_identity (id, uuid) VALUES (1, ?1)",
            [uuid::Uuid::now_v7().to_string()],
        )
        .map_err(failed)?;
        if found == 0 {
            adopt(&tx).map_err(failed)?;
        }
        let objects = unknown_objects(&tx).map_err(failed)?;
        ledger_chain::adopt(&tx, found, objects).map_err(failed)?;
        adopt_incidents(&tx).map_err(failed)?;
        tx.pragma_update(None, "user_version", VERSION)
            .map_err(failed)?;
    }
    tx.commit().map_err(|e| explain(path, e))
}

/// Columns of `tickets` that every vintage of reference file and every ledger of ours has, and no
/// table of another program that happens to be called so.
pub(crate) const EVER: [&str; 5] = [
    "violation_key",
    "invariant_name",
    "status",
    "first_seen_at",
    "message",
];

/// Whether all tables and columns are there. A file of the last version may still lack some that came
/// to it since.
pub(crate) fn is_whole(conn: &Connection) -> rusqlite::Result<bool> {
    let have: HashSet<String> = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?
        .query_map([], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(tables().all(|table| have.contains(table)) && !lacks_columns(conn)?)
}

fn tables() -> impl Iterator<Item = &'static str> {
    const BEGIN: &str = "CREATE TABLE IF NOT EXISTS ";
    let names = TABLES.lines().filter_map(|line| line.strip_prefix(BEGIN));
    names.filter_map(|rest| rest.split_whitespace().next())
}

/// What the database holds besides rows, and is not as this code makes it: tables, indexes and views
/// of other names, and triggers of another name or another text.
pub(crate) fn unknown_objects(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let listed = |conn: &Connection| -> rusqlite::Result<Vec<(String, String, String)>> {
        conn.prepare(
            "SELECT type, name, coalesce(sql, '') FROM sqlite_master
             WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name",
        )?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect()
    };
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(TABLES)?;
    for (table, columns) in COLUMNS {
        for (name, declaration) in *columns {
            // Some are in the table's own declaration already.
            let _ = ours.execute_batch(&format!(
                "ALTER TABLE {table} ADD COLUMN {name} {declaration}"
            ));
        }
    }
    ours.execute_batch(INDEXES)?;
    let ours = listed(&ours)?;
    let plain = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = |(kind, name, sql): &(String, String, String)| {
        ours.iter().any(|(k, n, s)| {
            (k, n) == (kind, name) && (kind != "trigger" || plain(s) == plain(sql))
        })
    };
    let unknown = listed(conn)?.into_iter().filter(|object| !known(object));
    Ok(unknown
        .map(|(kind, name, _)| format!("{kind} {name}"))
        .collect())
}

/// Which ledger this is, copies of it included.
pub(crate) fn identity(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT uuid FROM ledger_identity", [], |r| r.get(0))
}

/// How many transactions the ledger has had since this was counted.
pub(crate) fn writes(conn: &Connection) -> rusqlite::Result<i64> {
    let count = "SELECT coalesce(max(count), 0) FROM ledger_writes";
    conn.prepare_cached(count)?.query_row([], |r| r.get(0))
}

/// Counts this transaction, and says which it is.
pub(crate) fn count_write(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.prepare_cached(
        "INSERT INTO ledger_writes (id, count) VALUES (1, 1)
         ON CONFLICT (id) DO UPDATE SET count = count + 1 RETURNING count",
    )?
    .query_row([], |r| r.get(0))
}

/// The schema of the file; an error if it is newer than this code, or not a database.
pub(crate) fn version(conn: &Connection, path: &Path) -> Result<i64> {
    let found: i64 = conn
        .query_row("PRAGMA user_version", [], |r| r.get(0))
        .map_err(|e| explain(path, e))?;
    if found > VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        }
        .into());
    }
    Ok(found)
}

fn columns_of(conn: &Connection, table: &str) -> rusqlite::Result<HashSet<String>> {
    conn.prepare_cached("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |r| r.get(0))?
        .collect()
}

/// Whether a file of this version is of before one of its columns.
fn lacks_columns(conn: &Connection) -> rusqlite::Result<bool> {
    for (table, columns) in COLUMNS {
        let have = columns_of(conn, table)?;
        if columns.iter().any(|(name, _)| !have.contains(*name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn add_columns(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (table, columns) in COLUMNS {
        let have = columns_of(tx, table)?;
        for (name, declaration) in *columns {
            if !have.contains(*name) {
                tx.execute_batch(&format!(
                    "ALTER TABLE {table} ADD COLUMN {name} {declaration}"
                ))?;
            }
        }
    }
    Ok(())
}

/// Makes rows of the reference obey our rules without losing any: what cannot be settled by rule
/// waits for a person.
fn adopt(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let now = clock::stamp();
    // The newest unresolved row of a key is the live one.
    tx.execute_batch(
        "UPDATE tickets SET live_key = '/' || violation_key WHERE id IN
           (SELECT max(id) FROM tickets WHERE status != 'resolved' GROUP BY violation_key)",
    )?;
    let waiting = "status != 'resolved' AND (live_key IS NULL OR held != 0 OR status != 'open')";
    tx.execute(
        &format!(
            "INSERT INTO ticket_events (ticket_id, kind, from_status, to_status, by, why, at)
             SELECT id, 'adopted', status, status, 'adoption',
               CASE WHEN live_key IS NULL THEN 'a newer ticket has the same key'
                    ELSE 'held, with nobody working on it' END || ': waits for a person', ?1
             FROM tickets WHERE {waiting}"
        ),
        params![now],
    )?;
    tx.execute_batch(&format!(
        "UPDATE tickets SET needs_person = 1 WHERE {waiting}"
    ))?;
    // Nobody can still be working on these: the reference writes no lease to tell by.
    tx.execute(
        "UPDATE agent_sessions SET status = 'failed', ended_at = coalesce(
             (SELECT max(timestamp) FROM agent_log_entries e
              WHERE e.session_id = agent_sessions.session_id), started_at),
           outcome_summary = coalesce(outcome_summary, 'left running by an agent that ended without a word')
         WHERE status = 'running' AND ended_at IS NULL",
        [],
    )?;
    Ok(())
}

/// Each ticket of a ledger that knew no incidents is one of its own, with its sessions and its claims;
/// one that was held still is.
fn adopt_incidents(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let old: Vec<(i64, bool)> = tx
        .prepare(
            "SELECT id, held != 0 AND status != 'resolved' FROM tickets WHERE incident_id IS NULL
             ORDER BY id",
        )?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if old.is_empty() {
        return Ok(());
    }
    // Nothing happens to any ticket by this.
    tx.execute_batch("DROP TRIGGER IF EXISTS tickets_updated_at")?;
    tx.execute_batch(
        "INSERT INTO incidents (id, cluster_id, scope, opened_at, ended_at, resolution, attempts,
           retry_at, needs_person, budget_from, fence)
         SELECT id, cluster_id, coalesce(cluster_id, 'ticket:' || id), first_seen_at,
           CASE WHEN status = 'resolved' THEN coalesce(resolved_at, last_seen_at) END,
           CASE WHEN status = 'resolved' THEN resolution END,
           attempts, retry_at, needs_person, budget_from, fence
         FROM tickets WHERE incident_id IS NULL;
         UPDATE agent_sessions SET incident_id = ticket_id WHERE incident_id IS NULL;
         UPDATE verifications SET incident_id = ticket_id WHERE incident_id IS NULL;
         UPDATE tickets SET incident_id = id WHERE incident_id IS NULL;",
    )?;
    for (id, held) in old {
        let event = Happened {
            ticket: Some(id),
            ..Happened::new(
                IncidentEventKind::Adopted,
                "adoption",
                "a ticket of an older ledger",
            )
        };
        place::log(tx, id, &event)?;
        if held {
            hold::adopt(tx, id)?;
        }
    }
    tx.execute_batch(INDEXES)
}
