//! The ledger's file on the command line: backed up, pruned, adopted, verified; other people's files;
//! what the dashboard leaves behind.

use assert_cmd::Command;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

fn operator(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator-tui"));
    command
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .env_remove("PD_ENDPOINT")
        .env_remove("OPERATOR_SESSION")
        .env_remove("ANTHROPIC_API_KEY");
    command
}

fn out(home: &Path, args: &[&str]) -> String {
    let done = operator(home).args(args).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

fn err(home: &Path, args: &[&str]) -> String {
    let done = operator(home).args(args).assert().failure();
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    out(home.path(), &["tickets", "open", "--message", "one"]);
    home
}

/// Names, modes and contents of what is in a folder.
fn all(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .filter(|e| e.path().is_file())
        .map(|e| {
            let mode = e.metadata().unwrap().permissions().mode();
            (e.path(), (mode, fs::read(e.path()).unwrap()))
        })
        .collect()
}

#[test]
fn a_ledger_is_backed_up_pruned_and_verified() {
    let home = home();
    let backup = home.path().join("back up.db");
    let to = backup.to_str().unwrap();
    assert!(out(home.path(), &["ledger", "backup", to]).contains("back up.db"));
    assert!(err(home.path(), &["ledger", "backup", to]).contains("back up.db"));
    assert!(out(home.path(), &["tickets", "list", "--db", to]).contains("one"));

    let verified = out(home.path(), &["ledger", "verify"]);
    for said in [
        "nothing is damaged",
        "Head of the ledger: row ",
        "cannot show",
    ] {
        assert!(verified.contains(said), "{verified}");
    }
    // What is not resolved stays, however old.
    let kept = out(home.path(), &["ledger", "prune", "--before", "0s"]);
    assert!(kept.contains("Took away 0 resolved tickets"), "{kept}");
    out(home.path(), &["tickets", "resolve", "1"]);
    let gone = out(home.path(), &["ledger", "prune", "--before", "0s"]);
    assert!(gone.contains("Took away 1 resolved tickets"), "{gone}");
    assert!(!out(home.path(), &["tickets", "list"]).contains("one"));
    out(home.path(), &["audit", "verify"]);
    let report: serde_json::Value =
        serde_json::from_str(&out(home.path(), &["audit", "verify", "--json"])).unwrap();
    assert_eq!(report["findings"], serde_json::json!([]));
    let future = err(home.path(), &["ledger", "prune", "--before", "2999-01-01"]);
    assert!(future.contains("future"), "{future}");
}

#[test]
fn verify_names_what_somebody_else_did_and_its_exit_code_says_so() {
    let home = home();
    let raw = rusqlite::Connection::open(home.path().join("tickets.db")).unwrap();
    raw.execute_batch(
        "UPDATE tickets SET status = 'resolved', resolution = 'proven';
         CREATE TRIGGER quick AFTER INSERT ON tickets BEGIN SELECT 1; END;",
    )
    .unwrap();
    drop(raw);
    let done = operator(home.path())
        .args(["audit", "verify"])
        .assert()
        .failure();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    for finding in [
        "ticket #1 is said to be proven, and no check of the monitor proved it",
        "trigger quick",
        "3 things are not as they were written",
    ] {
        assert!(said.contains(finding), "{said}");
    }
}

#[test]
fn a_damaged_ledger_reads_as_damaged() {
    let home = home();
    let path = home.path().join("tickets.db");
    let file = fs::File::options().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in 1..pages {
        file.write_all_at(&[0x5a; 300], page * 4096).unwrap();
    }
    let done = operator(home.path())
        .args(["audit", "verify"])
        .assert()
        .failure();
    let output = done.get_output();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn reading_changes_no_file_and_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let (app, old) = (shared.join("app.db"), shared.join("old.db"));
    let make = |path: &Path, sql: &str| {
        rusqlite::Connection::open(path)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    };
    make(&app, "CREATE TABLE users (a)");
    make(
        &old,
        "CREATE TABLE tickets (id INTEGER PRIMARY KEY AUTOINCREMENT, violation_key TEXT NOT NULL,
           invariant_name TEXT NOT NULL, store_id TEXT, status TEXT NOT NULL DEFAULT 'open',
           first_seen_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, message TEXT NOT NULL);
         INSERT INTO tickets (violation_key, invariant_name, first_seen_at, last_seen_at, message)
           VALUES ('store_down:1', 'store_down', '2026-01-30T10:11:12', '2026-01-30T10:11:12', 'an old one');",
    );
    let before = all(&shared);
    let (home, old) = (folder.path(), old.to_str().unwrap());
    assert!(out(home, &["tickets", "list", "--db", old]).contains("an old one"));
    for reads in [["audit", "list"], ["audit", "verify"], ["tickets", "list"]] {
        let _ = operator(home)
            .args(reads)
            .args(["--db", old])
            .output()
            .unwrap();
        let said = err(home, &[reads[0], reads[1], "--db", app.to_str().unwrap()]);
        assert!(said.contains("is not a ledger"), "{said}");
    }
    let said = err(
        home,
        &[
            "tickets",
            "open",
            "--message",
            "x",
            "--db",
            app.to_str().unwrap(),
        ],
    );
    assert!(said.contains("is not a ledger"), "{said}");
    assert_eq!(all(&shared), before);
    // Writing beside them changes them as little.
    let new = shared.join("new.db");
    out(
        home,
        &[
            "tickets",
            "open",
            "--message",
            "x",
            "--db",
            new.to_str().unwrap(),
        ],
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&shared), mode(&new)), (0o1777, 0o600));

    let adopted = out(home, &["ledger", "adopt", old]);
    assert!(adopted.contains("1 tickets"), "{adopted}");
    assert_eq!(mode(Path::new(old)), 0o644, "its own mode stays");
    out(home, &["audit", "verify", "--db", old]);
    let said = err(home, &["ledger", "adopt", "/nowhere/at/all.db"]);
    assert!(said.contains("/nowhere/at/all.db"), "{said}");
}
