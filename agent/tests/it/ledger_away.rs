//! The ledger is taken away in the middle of a command, in every way there is. Whatever runs after
//! that is on record in the file at the ledger's path, or it does not run, and the agent says why.

use crate::common::{
    shell,
    stage::{LONG, Stage, here},
    text, turn, until,
};
use operator_ledger::{NewTicket, PersonLedger, Reader};
use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// What is done to a ledger and the folder it is alone in.
type Deed = fn(&Path);

fn beside(db: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", db.display()))
}

fn overwrite(file: &Path, at: u64, bytes: usize) {
    let file = fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&vec![0x5a; bytes], at).unwrap();
}

/// Another ledger, as a person who puts a backup back has it.
fn another(db: &Path) -> PathBuf {
    let path = db.with_file_name("another.db");
    let ledger = here(PersonLedger::open(&path)).unwrap();
    here(ledger.open_ticket(ticket("of another ledger"))).unwrap();
    here(ledger.close()).unwrap();
    path
}

fn ticket(message: &str) -> NewTicket {
    NewTicket {
        message: message.into(),
        by: "test".into(),
        ..Default::default()
    }
}

const WAYS: &[(&str, Deed)] = &[
    ("moved", |db| {
        fs::rename(db, db.with_file_name("aside")).unwrap();
    }),
    ("deleted", |db| fs::remove_file(db).unwrap()),
    ("deleted with all beside it", |db| {
        for ending in ["", "-wal", "-shm"] {
            fs::remove_file(beside(db, ending)).unwrap();
        }
    }),
    ("replaced by another ledger", |db| {
        fs::rename(another(db), db).unwrap();
    }),
    ("replaced by a copy of itself", |db| {
        fs::copy(db, db.with_file_name("copy")).unwrap();
        fs::rename(db.with_file_name("copy"), db).unwrap();
    }),
    ("another ledger copied over it", |db| {
        let other = another(db);
        fs::copy(other, db).unwrap();
    }),
    ("an earlier copy of it copied over it", |db| {
        fs::copy(db.with_file_name("earlier"), db).unwrap();
    }),
    ("an earlier copy of it put back, its log deleted", |db| {
        fs::rename(db.with_file_name("earlier"), db).unwrap();
        fs::remove_file(beside(db, "-wal")).unwrap();
        fs::remove_file(beside(db, "-shm")).unwrap();
    }),
    ("restored, its log deleted", |db| {
        fs::rename(another(db), db).unwrap();
        fs::remove_file(beside(db, "-wal")).unwrap();
        fs::remove_file(beside(db, "-shm")).unwrap();
    }),
    ("its log deleted", |db| {
        fs::remove_file(beside(db, "-wal")).unwrap();
    }),
    ("its log replaced by nothing", |db| {
        fs::remove_file(beside(db, "-wal")).unwrap();
        fs::write(beside(db, "-wal"), "").unwrap();
    }),
    ("its log emptied", |db| {
        fs::File::create(beside(db, "-wal")).unwrap();
    }),
    ("its log overwritten", |db| {
        overwrite(&beside(db, "-wal"), 0, 40_000);
    }),
    ("its index deleted", |db| {
        fs::remove_file(beside(db, "-shm")).unwrap();
    }),
    ("its folder moved", |db| {
        let folder = db.parent().unwrap();
        fs::rename(folder, folder.with_file_name("moved")).unwrap();
    }),
    ("its folder deleted", |db| {
        fs::remove_dir_all(db.parent().unwrap()).unwrap();
    }),
    ("cut off", |db| {
        fs::File::options()
            .write(true)
            .open(db)
            .unwrap()
            .set_len(8192)
            .unwrap();
    }),
    ("emptied", |db| {
        fs::File::create(db).unwrap();
    }),
    ("its first page overwritten", |db| overwrite(db, 0, 4096)),
    ("a folder in its place", |db| {
        fs::remove_file(db).unwrap();
        fs::create_dir(db).unwrap();
    }),
    ("a link to nowhere in its place", |db| {
        fs::remove_file(db).unwrap();
        symlink("/nowhere/at/all", db).unwrap();
    }),
    ("read-only", |db| {
        fs::set_permissions(db, fs::Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(db.parent().unwrap(), fs::Permissions::from_mode(0o500)).unwrap();
    }),
];

/// How a drill ended: what ran after the deed and is in the ledger, and what is not.
struct Outcome {
    ran: usize,
    lost: usize,
    told: bool,
}

async fn drill(deed: Deed) -> Outcome {
    let scratch = tempfile::tempdir().unwrap();
    let (ran, go) = (scratch.path().join("ran"), scratch.path().join("go"));
    let first = format!(
        "echo mark-0 >> {}; until [ -e {} ]; do sleep 0.02; done",
        ran.display(),
        go.display()
    );
    let mut script = vec![turn(&[text("On."), shell("t0", &first)], "tool_use")];
    script.extend((1..4).map(|n| {
        let command = format!("echo mark-{n} >> {}", ran.display());
        turn(
            &[text("On."), shell(&format!("t{n}"), &command)],
            "tool_use",
        )
    }));
    script.push(turn(&[text("ESCALATE: enough")], "end_turn"));
    let stage = Stage::new(script).await;
    let db = stage.home.path().join("record/tickets.db");
    let ledger = here(PersonLedger::open(&db)).unwrap();
    // What was written before is in the file itself, as after a day's work, and not only in its log.
    for n in 0..40 {
        here(ledger.open_ticket(ticket(&format!("an earlier one {n}")))).unwrap();
    }
    here(ledger.close()).unwrap();
    fs::copy(&db, db.with_file_name("earlier")).unwrap();
    let ledger = here(PersonLedger::open(&db)).unwrap();
    for id in 1..=40 {
        here(ledger.resolve_by_person(id, "test")).unwrap();
    }
    here(ledger.close()).unwrap();
    let ledger = here(PersonLedger::open(&db)).unwrap();
    here(ledger.open_ticket(ticket("look into it"))).unwrap();
    drop(ledger);

    let mut agent = stage
        .agent(&["--lease", "5", "--db", db.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let (heard, mut lines) = (
        said.clone(),
        BufReader::new(agent.stdout.take().unwrap()).lines(),
    );
    let listening = tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            heard.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    let marks = || fs::read_to_string(&ran).unwrap_or_default().lines().count();
    let said_of = |word: &str| said.lock().unwrap().contains(word);
    until("the first command", LONG, || marks() == 1);
    let before = said.lock().unwrap().len();
    deed(&db);
    fs::write(&go, "").unwrap();
    until("the end of the session", LONG, || said_of("session_end"));
    agent.kill().await.unwrap();
    listening.await.unwrap();

    let told = said.lock().unwrap()[before..].lines().any(|line| {
        let tells = line.contains("\"level\":\"error\"") || line.contains("\"session_end\"");
        tells && line.contains("ledger")
    });
    let recorded: Vec<String> = match here(Reader::open(&db)) {
        Ok(ledger) => here(ledger.sessions(10))
            .unwrap_or_default()
            .iter()
            .flat_map(|s| here(ledger.entries(&s.session_id, 0, 1000)).unwrap_or_default())
            .filter_map(|e| Some(e.tool_params?["command"].as_str()?.to_owned()))
            .collect(),
        Err(_) => Vec::new(),
    };
    let after: Vec<String> = (1..marks()).map(|n| format!("echo mark-{n} >>")).collect();
    let lost = after
        .iter()
        .filter(|m| !recorded.iter().any(|c| c.contains(*m)));
    Outcome {
        ran: after.len(),
        lost: lost.count(),
        told,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_taken_away_loses_no_command_and_is_told_of() {
    let (mut survived, mut wrong) = (0, Vec::new());
    for (way, deed) in WAYS {
        let Outcome { ran, lost, told } = drill(*deed).await;
        println!("{way:<48} {ran} commands ran after it, {lost} of them unrecorded, told: {told}");
        if lost == 0 && (told || ran == 3) {
            survived += 1;
        } else {
            wrong.push(*way);
        }
    }
    println!(
        "ledger taken away: tried {}, survived {survived}, lost {}",
        WAYS.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:?}");
}
