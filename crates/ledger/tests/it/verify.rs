//! What `audit verify` finds in a ledger that somebody else wrote in, and that it finds nothing in
//! one that only our programs did.

use crate::bench::Bench;
use operator_ledger::{
    EntryKind, Finding, NewEntry, NewTicket, Reader, Reading,
    event::{Control, Outcome},
};
use rusqlite::Connection;
use std::{os::unix::fs::FileExt, path::Path, time::Duration};

const LONG: Duration = Duration::from_secs(60);

/// A ledger with one proven ticket and its session, one ticket by hand, and a word of a person.
fn bench() -> Bench {
    let mut b = Bench::new();
    b.check(Reading::Violated);
    let claim = b.claim(LONG).unwrap();
    let session = b.session(&claim);
    let entry = NewEntry::new(EntryKind::Reasoning, "I look first.");
    b.agent.append(&session, entry).wait().unwrap();
    let word = Control::Message {
        text: "mind the gap".into(),
        by: String::new(),
    };
    b.person
        .send_command(&session.id, &word, "ada")
        .wait()
        .unwrap();
    b.agent
        .set_diagnosis(&claim.lease, "repaired")
        .wait()
        .unwrap();
    b.agent
        .request_verification(&claim.lease, &session.id)
        .wait()
        .unwrap();
    for seconds in [1, 9, 2] {
        b.later(seconds).check(Reading::Clear);
    }
    b.agent
        .end_session(&session, Outcome::Resolved, "done")
        .wait()
        .unwrap();
    let by_hand = NewTicket {
        message: "by hand".into(),
        by: "ada".into(),
        ..NewTicket::default()
    };
    b.person.open_ticket(by_hand).wait().unwrap();
    let ticket = b.ledger.ticket(1).wait().unwrap().unwrap();
    assert_eq!(ticket.resolution.unwrap().to_string(), "proven");
    b
}

fn findings(b: &Bench) -> Vec<Finding> {
    b.ledger.verify_ledger().wait().unwrap().findings
}

/// What is found after somebody wrote this into the file.
fn after(sql: &str) -> Vec<Finding> {
    let mut b = bench();
    assert_eq!(findings(&b), []);
    b.tampered = true;
    b.ledger_conn(sql);
    findings(&b)
}

#[test]
fn rows_that_were_deleted_are_missed_whatever_table_they_were_in() {
    let gone = after(
        "DELETE FROM agent_log_entries; DELETE FROM session_output; DELETE FROM agent_sessions;",
    );
    assert!(
        matches!(&gone[..], [Finding::SessionMissing { .. }, rest @ ..] if rest.len() == 2),
        "{gone:?}"
    );
    let last = after("DELETE FROM agent_log_entries WHERE entry_type = 'end'");
    assert!(last.len() >= 2, "{last:?}");
    let ticket = after("DELETE FROM tickets WHERE id = 2");
    assert!(
        matches!(&ticket[..], [Finding::RowsMissing { table, first: 2, last: 2 }] if table == "tickets"),
        "{ticket:?}"
    );
    // Of this table the last row's number is not remembered by the engine, but by the chain.
    let event = after("DELETE FROM ticket_events WHERE id = (SELECT max(id) FROM ticket_events)");
    assert!(
        matches!(&event[..], [Finding::EventMissing { ticket: 2, .. }]),
        "{event:?}"
    );
    let word = after("DELETE FROM commands");
    assert_eq!(word, [Finding::WordMissing { command: 1 }]);
    let chain = after("DELETE FROM ledger_chain WHERE id = (SELECT max(id) FROM ledger_chain)");
    assert!(chain.contains(&Finding::ChainCut), "{chain:?}");
    let chain = after("DELETE FROM ledger_chain WHERE id = 3");
    assert!(
        chain.contains(&Finding::ChainBroken { row: 4 }),
        "{chain:?}"
    );
}

#[test]
fn a_proof_that_no_check_gave_is_none() {
    let forged = after(
        "UPDATE tickets SET status = 'resolved', resolution = 'proven', live_key = NULL WHERE id = 2",
    );
    assert_eq!(
        forged,
        [
            Finding::TicketDiffers { ticket: 2 },
            Finding::Unproven { ticket: 2 }
        ]
    );
    let forged = after(
        "UPDATE tickets SET status = 'resolved', resolution = 'proven', live_key = NULL WHERE id = 2;
         INSERT INTO verifications (ticket_id, session_id, state, detail, boot, since_ms, hold_ms,
           requested_at, decided_at) SELECT 2, session_id, state, detail, boot, since_ms, hold_ms,
           requested_at, decided_at FROM verifications;
         INSERT INTO ticket_events (ticket_id, kind, from_status, to_status, resolution, by, why, at)
           SELECT 2, kind, from_status, to_status, resolution, by, why, at FROM ticket_events
           WHERE kind = 'resolved'",
    );
    assert!(
        forged.contains(&Finding::Unproven { ticket: 2 }),
        "{forged:?}"
    );
    assert!(
        forged
            .iter()
            .any(|f| matches!(f, Finding::EventAdded { ticket: 2, .. })),
        "{forged:?}"
    );
    let taken = after("UPDATE verifications SET state = 'failed'");
    assert_eq!(taken, [Finding::Unproven { ticket: 1 }]);
}

#[test]
fn what_was_changed_or_added_is_named() {
    let changed = after("UPDATE ticket_events SET by = 'another' WHERE id = 1");
    assert_eq!(
        changed,
        [Finding::EventDiffers {
            event: 1,
            ticket: 1
        }]
    );
    let changed = after("UPDATE commands SET by = 'another'");
    assert_eq!(changed, [Finding::WordDiffers { command: 1 }]);
    let changed = after("UPDATE agent_sessions SET head_hash = 'x'");
    assert!(
        changed
            .iter()
            .any(|f| matches!(f, Finding::SessionBroken { .. })),
        "{changed:?}"
    );
    let added = after(
        "INSERT INTO agent_sessions (session_id, ticket_id, status, started_at)
           VALUES ('another', 1, 'failed', '2026-01-30T10:11:12')",
    );
    assert_eq!(
        added,
        [Finding::SessionAdded {
            session: "another".into()
        }]
    );
}

#[test]
fn objects_that_are_not_ours_are_named() {
    let object = |object: &str| Finding::UnknownObject {
        object: object.into(),
    };
    let found = after(
        "CREATE TRIGGER quick AFTER UPDATE OF claimed ON tickets BEGIN
           UPDATE tickets SET resolution = 'proven' WHERE id = NEW.id; END;
         CREATE TABLE notes (a); CREATE INDEX mine ON notes (a); CREATE VIEW all_of AS SELECT 1;",
    );
    assert_eq!(
        found,
        [
            object("index mine"),
            object("table notes"),
            object("trigger quick"),
            object("view all_of")
        ]
    );
    let found = after(
        "DROP TRIGGER tickets_updated_at; CREATE TRIGGER tickets_updated_at AFTER UPDATE ON tickets
           BEGIN UPDATE tickets SET resolution = 'proven' WHERE id = NEW.id; END;",
    );
    assert_eq!(found, [object("trigger tickets_updated_at")]);
}

/// Every page but the first, overwritten at many places.
fn spoil(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in 1..pages {
        for at in [0, 1000, 3000] {
            file.write_all_at(&[0x5a; 200], page * 4096 + at).unwrap();
        }
    }
}

#[test]
fn a_damaged_file_reads_as_damaged() {
    let mut b = bench();
    b.tampered = true;
    let copy = b.dir.path().join("copy.db");
    Connection::open(b.path())
        .unwrap()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    let sound = Reader::open(&copy).wait().unwrap();
    assert_eq!(sound.verify_ledger().wait().unwrap().findings, []);
    spoil(&copy);
    let found = match Reader::open(&copy).wait() {
        Ok(ledger) => ledger.verify_ledger().wait().map(|r| r.findings),
        Err(e) => Err(e),
    };
    match found {
        Ok(findings) => assert!(
            matches!(findings[..], [Finding::Damaged { .. }, ..]),
            "{findings:?}"
        ),
        Err(operator_ledger::LedgerError::Corrupt { .. }) => {}
        Err(e) => panic!("{e:?}"),
    }
}

#[test]
fn a_prune_takes_what_is_over_and_the_ledger_stays_whole() {
    let mut b = bench();
    let before = "2026-01-30T10:00:00Z".parse().unwrap();
    let nothing = b.person.prune(&before, "ada").wait().unwrap();
    assert_eq!((nothing.tickets, nothing.rows), (0, 0));
    let later = jiff::Timestamp::now() + Duration::from_secs(5);
    let gone = b.person.prune(&later, "ada").wait().unwrap();
    assert_eq!((gone.tickets, gone.sessions), (1, 1));
    let left: Vec<i64> = b
        .ledger
        .tickets(10)
        .wait()
        .unwrap()
        .iter()
        .map(|t| t.id)
        .collect();
    assert_eq!(left, [2], "what is not resolved stays");
    assert_eq!(b.ledger.ticket_events(2).wait().unwrap().len(), 1);
    assert!(b.ledger.sessions(10).wait().unwrap().is_empty());
    let report = b.ledger.verify_ledger().wait().unwrap();
    assert_eq!((report.findings.len(), report.pruned), (0, 1));
    // What comes next is numbered on.
    assert_eq!(b.check(Reading::Violated).opened, [3]);
}

#[test]
fn a_prune_that_nobody_wrote_down_is_a_loss() {
    let mut b = bench();
    let later = jiff::Timestamp::now() + Duration::from_secs(5);
    b.person.prune(&later, "ada").wait().unwrap();
    b.tampered = true;
    b.ledger_conn("DELETE FROM tickets");
    let found = findings(&b);
    assert!(
        matches!(&found[..], [Finding::RowsMissing { table, first: 2, last: 2 }] if table == "tickets"),
        "{found:?}"
    );
}

#[test]
fn a_backup_is_one_whole_file_of_a_ledger_in_use() {
    use std::os::unix::fs::PermissionsExt;
    let b = bench();
    let to = b.dir.path().join("backup.db");
    b.ledger.back_up(&to).wait().unwrap();
    assert_eq!(
        std::fs::metadata(&to).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let copy = Reader::open(&to).wait().unwrap();
    let report = copy.verify_ledger().wait().unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.head, b.ledger.chain_head().wait().unwrap());
    assert_eq!(report.sessions.len(), 1);
    drop(copy);
    assert!(!b.dir.path().join("backup.db-wal").exists());
    // Never over a file that is there.
    let again = b.ledger.back_up(&to).wait().unwrap_err();
    assert!(again.to_string().contains("backup.db"), "{again}");
    let nowhere = b.dir.path().join("none/backup.db");
    assert!(b.ledger.back_up(&nowhere).wait().is_err());
}
