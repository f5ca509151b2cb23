//! Files that are other people's, and files that go away.

use operator_ledger::{LedgerError, MonitorLedger, NewTicket, PersonLedger, Reader};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Everything in a folder: names, modes, contents.
fn all(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|e| {
            let mode = fs::metadata(e.path()).unwrap().permissions().mode();
            (e.path(), (mode, fs::read(e.path()).unwrap_or_default()))
        })
        .collect()
}

fn new(message: &str) -> NewTicket {
    NewTicket {
        message: message.into(),
        by: "ada".into(),
        ..NewTicket::default()
    }
}

fn open_ticket(path: &Path, message: &str) -> i64 {
    let ledger = PersonLedger::open(path).wait().unwrap();
    ledger.open_ticket(new(message)).wait().unwrap()
}

#[test]
fn a_database_of_another_program_is_refused_and_nothing_of_it_changes() {
    let table = "CREATE TABLE users (a); INSERT INTO users VALUES (1);";
    let cases = [
        table.to_owned(),
        format!("PRAGMA journal_mode = WAL; {table}"),
        format!("PRAGMA user_version = 3; {table}"),
        format!("PRAGMA user_version = 20260131; {table}"),
        format!("PRAGMA application_id = 1196444487; PRAGMA user_version = 1; {table}"),
        "PRAGMA application_id = 252006674".to_owned(),
        "PRAGMA user_version = 7".to_owned(),
        "CREATE TABLE tickets (id INTEGER PRIMARY KEY, seat TEXT, message TEXT, status TEXT)"
            .to_owned(),
        "CREATE TABLE campaigns (id INTEGER PRIMARY KEY, subject_name TEXT)".to_owned(),
    ];
    for sql in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch(&sql)
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2775)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        let before = all(dir.path());
        let written = PersonLedger::open(&path).wait().map(|_| ());
        let read = Reader::open(&path).wait().map(|_| ());
        for answer in [written, read] {
            let Err(LedgerError::Foreign { .. }) = answer else {
                panic!("{sql}: {answer:?}");
            };
        }
        assert_eq!(all(dir.path()), before, "{sql}");
        let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2775, "{sql}");
    }
}

#[test]
fn a_database_that_another_program_has_open_is_refused_and_stays_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE users (a);")
        .unwrap();
    assert!(matches!(
        PersonLedger::open(&path).wait(),
        Err(LedgerError::Foreign { .. })
    ));
    theirs.execute("INSERT INTO users VALUES (1)", []).unwrap();
    let tables: i64 = theirs
        .query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for path in [fifo.as_path(), dir.path()] {
        assert!(matches!(
            Reader::open(path).wait(),
            Err(LedgerError::Foreign { .. })
        ));
        assert!(matches!(
            PersonLedger::open(path).wait(),
            Err(LedgerError::Foreign { .. })
        ));
    }
}

#[test]
fn a_ledger_is_the_named_file_whatever_is_in_its_name() {
    let names = [
        "a b",
        "it's",
        "$(touch x)",
        "q?h#p%20",
        "-dash",
        "tab\tnew\nline",
        "ümläut",
    ];
    for name in names {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(name);
        let path = folder.join(format!("{name}.db"));
        assert_eq!(open_ticket(&path, "one"), 1, "{name}");
        let reader = Reader::open(&path).wait().unwrap();
        assert_eq!(reader.tickets(10).wait().unwrap().len(), 1, "{name}");
        drop(reader);
        let names: Vec<_> = all(&folder).into_keys().collect();
        assert_eq!(names, [path], "{name}");
    }
}

#[test]
fn a_link_leads_to_the_ledger_and_its_log_is_beside_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("real/tickets.db");
    let link = dir.path().join("link.db");
    open_ticket(&path, "one");
    symlink(&path, &link).unwrap();
    let writer = PersonLedger::open(&link).wait().unwrap();
    writer.open_ticket(new("two")).wait().unwrap();
    let reader = Reader::open(&link).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 2);
    // Turned to another file, it is no longer what was opened.
    let other = dir.path().join("other/tickets.db");
    open_ticket(&other, "another");
    fs::remove_file(&link).unwrap();
    symlink(&other, &link).unwrap();
    let answer = writer.open_ticket(new("three")).wait();
    assert!(
        matches!(answer, Err(LedgerError::Lost { .. })),
        "{answer:?}"
    );
    assert_eq!(reader.tickets(10).wait().unwrap()[0].message, "another");
    // One that leads nowhere is an error, and makes nothing.
    let nowhere = dir.path().join("nowhere.db");
    symlink(dir.path().join("none/tickets.db"), &nowhere).unwrap();
    assert!(PersonLedger::open(&nowhere).wait().is_err());
    assert!(!dir.path().join("none").exists());
}

#[test]
fn a_reader_of_a_closed_ledger_leaves_nothing_beside_it_and_sees_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tickets.db");
    open_ticket(&path, "one");
    let before = all(dir.path());
    let reader = Reader::open(&path).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 1);
    assert_eq!(all(dir.path()), before);
    let writer = PersonLedger::open(&path).wait().unwrap();
    writer.open_ticket(new("two")).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 2);
    writer.open_ticket(new("three")).wait().unwrap();
    assert!(reader.changed().wait().unwrap());
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 3);
}

/// A ledger of an earlier version with one ticket.
fn older(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("tickets.db");
    open_ticket(&path, "one");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("DROP TABLE ledger_writes; PRAGMA user_version = 2;")
        .unwrap();
    drop(conn);
    path
}

#[test]
fn an_older_ledger_is_read_as_it_is_and_brought_up_to_date_by_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = older(&dir);
    let before = all(dir.path());
    let reader = Reader::open(&path).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 1);
    drop(reader);
    assert_eq!(all(dir.path()), before);
    assert_eq!(open_ticket(&path, "two"), 2);
    let reader = Reader::open(&path).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 2);
}

#[test]
fn a_copy_with_its_log_is_read_where_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tickets.db");
    let writer = PersonLedger::open(&path).wait().unwrap();
    writer.open_ticket(new("only in the log")).wait().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("tickets.db");
    for ending in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
        fs::copy(name(&path), name(&copy)).unwrap();
    }
    // To make a file of this name is what cannot be done there, whoever asks.
    fs::create_dir(copies.path().join("tickets.db-shm")).unwrap();
    let before = all(copies.path());
    let reader = Reader::open(&copy).wait().unwrap();
    assert_eq!(reader.tickets(10).wait().unwrap().len(), 1);
    assert_eq!(all(copies.path()), before);
}

#[test]
fn a_monitor_stores_no_alert_in_a_ledger_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tickets.db");
    let ledger = MonitorLedger::open(&path).wait().unwrap();
    let system = operator_ledger::SystemId::new("alerts");
    ledger.receive_alerts(&system, &[]).wait().unwrap();
    fs::rename(&path, dir.path().join("aside")).unwrap();
    let answer = ledger.receive_alerts(&system, &[]).wait();
    assert!(
        matches!(answer, Err(LedgerError::Lost { .. })),
        "{answer:?}"
    );
    // Back where it was, it is the same as ever.
    fs::rename(dir.path().join("aside"), &path).unwrap();
    ledger.receive_alerts(&system, &[]).wait().unwrap();
}

#[test]
fn what_tools_of_sqlite_do_to_an_open_ledger_takes_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tickets.db");
    let ledger = PersonLedger::open(&path).wait().unwrap();
    for n in 0..200 {
        ledger.open_ticket(new(&format!("{n}"))).wait().unwrap();
    }
    let tool = Connection::open(&path).unwrap();
    for sql in [
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA wal_checkpoint(RESTART)",
        "VACUUM",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        let mut done = tool.prepare(sql).unwrap();
        let _ = done.query([]).unwrap().next().unwrap();
        ledger.still_there().wait().unwrap();
        ledger.open_ticket(new(sql)).wait().unwrap();
        ledger.still_there().wait().unwrap();
    }
    let fresh = Reader::open(&path).wait().unwrap();
    assert_eq!(fresh.tickets(1000).wait().unwrap().len(), 204);
    assert_eq!(fresh.verify_ledger().wait().unwrap().findings, []);
}
