//! What goes away under a running dashboard, or was never there: the terminal, those who read it,
//! stdin, the ledger, PD, the time.

use super::harness::{Dashboard, limit, processes_of, wait_until};
use operator_ledger::{NewTicket, PersonLedger};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};
use tempfile::TempDir;

const QUIET: &str = "echo $$ >up; cat";
const FLOOD: &str = "echo $$ >up; sleep 1000 & yes a line of the flood";

/// In a terminal that nobody reads.
struct Unread {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    home: TempDir,
}

impl Unread {
    fn new(agent: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args([
            "--no-monitor",
            "--pd",
            "http://127.0.0.1:1",
            "--agent-cmd",
            agent,
        ]);
        command.env("OPERATOR_HOME", home.path());
        command.env_remove("OPERATOR_LAB_DIR");
        command.env("TERM", "xterm-256color");
        command.cwd(home.path());
        let size = PtySize {
            rows: 40,
            cols: 160,
            ..PtySize::default()
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        let up = home.path().join("up");
        wait_until("its child is up", || up.exists());
        Self {
            master: pair.master,
            child,
            home,
        }
    }

    #[track_caller]
    fn ends(mut child: Box<dyn Child + Send + Sync>, home: &Path, code: u32) {
        let deadline = Instant::now() + limit();
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::yield_now();
        }
        assert_eq!(child.try_wait().unwrap().unwrap().exit_code(), code);
        wait_until("no process is left", || processes_of(home).is_empty());
    }
}

#[test]
fn a_terminal_that_is_closed_ends_it_with_all_it_started() {
    for agent in [QUIET, FLOOD] {
        let Unread {
            master,
            child,
            home,
        } = Unread::new(agent);
        drop(master);
        Unread::ends(child, home.path(), 129);
    }
}

#[test]
fn a_terminal_that_nobody_reads_keeps_neither_it_nor_its_end() {
    for (agent, signal, code) in [(QUIET, Signal::TERM, 143), (FLOOD, Signal::INT, 130)] {
        let Unread {
            master,
            child,
            home,
        } = Unread::new(agent);
        let pid = Pid::from_raw(child.process_id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
        Unread::ends(child, home.path(), code);
        drop(master);
    }
}

#[test]
fn without_stdin_or_stdout_it_says_so_and_changes_nothing() {
    for (closed, name) in [("<&-", "stdin"), ("</dev/null", "stdin"), (">&-", "stdout")] {
        let mut command = CommandBuilder::new("sh");
        let program = env!("CARGO_BIN_EXE_operator-tui");
        command.args(["-c", &format!("{program} --no-monitor --no-agent {closed}")]);
        let mut dash = Dashboard::run(80, 24, command);
        assert_eq!(dash.exit_code(), 2, "{closed}");
        dash.until(|s| s.contains(&format!("{name} is not a terminal")));
        assert!(!dash.raw().contains('\x1b'));
        dash.assert_terminal_as_found();
    }
}

#[test]
fn on_a_terminal_without_a_cursor_it_says_so_and_writes_no_escape() {
    for term in ["dumb", "unknown"] {
        let mut command = CommandBuilder::new("sh");
        let program = env!("CARGO_BIN_EXE_operator-tui");
        command.args([
            "-c",
            &format!("TERM={term} exec {program} --no-monitor --no-agent"),
        ]);
        let mut dash = Dashboard::run(200, 24, command);
        assert_eq!(dash.exit_code(), 2, "{term}");
        dash.until(|s| s.contains(&format!("TERM is {term}")) && s.contains("demo --headless"));
        assert!(!dash.raw().contains('\x1b'));
        dash.assert_terminal_as_found();
    }
}

#[test]
fn a_locale_without_utf8_is_written_to_in_ascii() {
    let program = env!("CARGO_BIN_EXE_operator-tui");
    for locale in ["C", "de_DE.ISO-8859-1"] {
        let mut command = CommandBuilder::new("sh");
        let line = format!("LC_ALL={locale} exec \"$0\" \"$@\"");
        command.args(["-c", &line, program, "--no-monitor"]);
        command.args(["--pd", "http://127.0.0.1:1", "--agent-cmd"]);
        command.arg("printf 'h\\303\\266ren\\n'; cat");
        let mut dash = Dashboard::run(80, 24, command);
        dash.until(|s| s.contains("h?ren") && s.contains("+ Cluster -") && s.contains("| "));
        dash.send("?");
        dash.until(|s| s.contains("Esc closes"));
        dash.send("\x1b");
        dash.until(|s| !s.contains("Esc closes"));
        dash.send("q");
        assert_eq!(dash.exit_code(), 0);
        assert!(dash.raw().is_ascii(), "{locale}: {:?}", dash.raw());
    }
    // Tables and errors too, on a terminal; what a program reads stays as it is.
    let home = tempfile::tempdir().unwrap();
    let db = home.path().join("tickets.db");
    ledger(&db, &"hören ".repeat(30));
    let list = |more: &str| {
        let mut command = CommandBuilder::new("sh");
        command.args([
            "-c",
            &format!(
                "LC_ALL=C {program} tickets list --db {} {more}",
                db.display()
            ),
        ]);
        let mut shown = Dashboard::run(80, 24, command);
        assert_eq!(shown.exit_code(), 0);
        shown.until(|s| s.contains("open"));
        shown.raw()
    };
    let table = list("");
    assert!(table.is_ascii() && table.contains("h?ren"), "{table:?}");
    assert!(list("| cat").contains("hören"));
}

/// Starts a dashboard on a terminal that claims to be this large, and quits it. What it wrote, and
/// the memory it took at most, in KiB.
fn quit_at(cols: u16, rows: u16) -> (Vec<u8>, u64) {
    let home = tempfile::tempdir().unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
    command.args(["--no-monitor", "--no-agent", "--pd", "http://127.0.0.1:1"]);
    command.env("OPERATOR_HOME", home.path());
    command.env("TERM", "xterm-256color");
    let size = PtySize {
        rows,
        cols,
        ..PtySize::default()
    };
    let pair = native_pty_system().openpty(size).unwrap();
    let child = pair.slave.spawn_command(command).unwrap();
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            let _ = tell.send(buffer[..read].to_vec());
        }
    });
    let mut written = Vec::new();
    // A frame, or where there is no room for one, the terminal taken.
    let frame: &[u8] = if cols < 2 {
        b"\x1b[?25l"
    } else {
        b"\x1b[?2026l"
    };
    wait_until("it draws", || {
        written.extend(told.try_iter().flatten());
        memchr::memmem::find(&written, frame).is_some()
    });
    let status = fs::read_to_string(format!("/proc/{}/status", child.process_id().unwrap()));
    let status = status.unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let peak = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    pair.master.take_writer().unwrap().write_all(b"q").unwrap();
    Unread::ends(child, home.path(), 0);
    (written, peak)
}

#[test]
fn a_terminal_of_any_size_is_drawn_on_with_little_memory() {
    for (cols, rows) in [
        (0, 0),
        (1, 1),
        (1, 500),
        (500, 1),
        (65535, 65535),
        (65535, 1),
    ] {
        let (written, peak) = quit_at(cols, rows);
        let text = String::from_utf8_lossy(&written).into_owned();
        assert!(!text.contains("panicked"), "{cols}x{rows}: {text}");
        assert!(peak < 200 * 1024, "{cols}x{rows}: {peak} KiB");
    }
}

/// A ledger with one ticket.
fn ledger(path: &Path, message: &str) {
    let ledger = PersonLedger::open(path).wait().unwrap();
    let ticket = NewTicket {
        message: message.into(),
        ..NewTicket::default()
    };
    ledger.open_ticket(ticket).wait().unwrap();
}

fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let _ = fs::remove_file(PathBuf::from(name));
    }
}

#[test]
fn a_ledger_that_is_deleted_or_replaced_is_never_shown_as_if_it_were_there() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("place");
    let path = folder.join("tickets.db");
    ledger(&path, "the first one");
    let args = ["--no-monitor", "--no-agent", "--db", path.to_str().unwrap()];
    let mut dash = Dashboard::new(120, 40, &args);
    dash.until(|s| s.contains("the first one"));
    remove(&path);
    dash.until(|s| s.contains("LEDGER GONE") && !s.contains("the first one"));
    ledger(&path, "the second one");
    dash.until(|s| s.contains("the second one"));
    // By another, as a backup is put back: without the log of the one before.
    let other = folder.join("other.db");
    ledger(&other, "the third one");
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.join(format!("tickets.db{end}")));
    }
    fs::rename(&other, &path).unwrap();
    dash.until(|s| s.contains("the third one") && !s.contains("the second one"));
    dash.until(|s| s.contains("LEDGER REPLACED"));
    remove(&path);
    fs::write(
        &path,
        "no database at all, and long enough to be looked at as one".repeat(99),
    )
    .unwrap();
    dash.until(|s| s.contains("? unreadable") && !s.contains("the third one"));
    // With its folder.
    fs::remove_dir_all(&folder).unwrap();
    dash.until(|s| s.contains("LEDGER GONE"));
    ledger(&path, "the fourth one");
    dash.until(|s| s.contains("the fourth one"));
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
}

/// What is done to a ledger.
type Deed = fn(&Path);

fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

#[test]
fn what_became_of_a_ledgers_log_is_said_in_the_first_line() {
    let ways: [(&str, Deed); 5] = [
        ("LEDGER'S LOG GONE", |path| {
            fs::remove_file(beside(path, "-wal")).unwrap();
        }),
        ("LEDGER'S LOG REPLACED", |path| {
            let wal = beside(path, "-wal");
            fs::copy(&wal, beside(path, "-new")).unwrap();
            fs::rename(beside(path, "-new"), &wal).unwrap();
        }),
        ("LEDGER'S LOG DAMAGED", |path| {
            let wal = fs::File::options().write(true).open(beside(path, "-wal"));
            wal.unwrap().write_all(&[0x5a; 4096]).unwrap();
        }),
        ("LEDGER'S INDEX GONE", |path| {
            fs::remove_file(beside(path, "-shm")).unwrap();
        }),
        ("LEDGER DAMAGED", |path| {
            let mut file = fs::File::options().write(true).open(path).unwrap();
            let size = usize::try_from(file.metadata().unwrap().len()).unwrap();
            file.write_all(&vec![0x5a; size]).unwrap();
        }),
    ];
    for (words, deed) in ways {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tickets.db");
        ledger(&path, "there is one");
        // Somebody has it open all the time, as a monitor or an agent has.
        let other = PersonLedger::open(&path).wait().unwrap();
        let written = other.open_ticket(NewTicket {
            message: "only in its log".into(),
            ..NewTicket::default()
        });
        written.wait().unwrap();
        let args = ["--no-monitor", "--no-agent", "--db", path.to_str().unwrap()];
        let mut dash = Dashboard::new(120, 40, &args);
        dash.until(|s| s.contains("only in its log"));
        assert!(!dash.screen().contains("LEDGER"), "{}", dash.screen());
        deed(&path);
        dash.until(|s| s.lines().next().is_some_and(|line| line.contains(words)));
        dash.send("q");
        assert_eq!(dash.exit_code(), 0, "{words}");
        drop(other);
    }
}

#[test]
fn what_is_left_when_it_is_quit_is_one_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("tickets.db");
    ledger(&path, "written before");
    let mut dash = Dashboard::new(120, 40, &["--no-agent", "--db", path.to_str().unwrap()]);
    let wal = home.path().join("tickets.db-wal");
    dash.until(|s| s.contains("written before"));
    wait_until("the monitor writes", || {
        fs::metadata(&wal).is_ok_and(|file| file.len() > 0)
    });
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    let left = fs::metadata(&wal).is_ok_and(|file| file.len() > 0);
    assert!(!left, "a copy of the file alone would miss something");
}

#[test]
fn a_pd_that_answers_garbage_or_nothing_is_unknown_and_keeps_nobody() {
    let answers: [&[u8]; 4] = [
        b"\x1b]0;PWN\x07\x1b[2J\xff\xfe\x00 HTTP/1.1",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{\"stores\":[",
        b"HTTP/1.1 200 \x1b]0;PWN\x07\r\nContent-Length: 34\r\n\r\n{\"stores\":[{\"store\":{\"id\":\"PWN\x1b[2J",
        // Nothing: the connection is kept, and nobody speaks.
        b"",
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pd = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(answer);
                if answer.is_empty() {
                    kept.push(stream);
                }
            }
        });
        let mut dash = Dashboard::of_pd(120, 40, &pd, &["--no-monitor", "--no-agent"]);
        dash.until(|s| s.contains("? UNKNOWN") && s.contains("Unknown. PD at"));
        dash.send("?");
        dash.until(|s| s.contains("Esc closes"));
        dash.send("qq");
        assert_eq!(dash.exit_code(), 0);
        dash.assert_terminal_as_found();
        assert!(!dash.raw().contains("PWN\x07"));
    }
}

#[test]
fn a_clock_that_jumps_changes_nothing_that_matters() {
    let library = ["x86_64", "aarch64"]
        .map(|arch| format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|p| Path::new(p).exists());
    let Some(library) = library else {
        // The gate installs it, and skips nothing.
        assert!(
            std::env::var_os("OPERATOR_TEST_ALL").is_none(),
            "faketime is not installed"
        );
        eprintln!("skipped: the library faketime is not installed");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let offset = scratch.path().join("offset");
    // In one step: it is read at every look at the clock.
    let jump = |to: &str| {
        let new = offset.with_extension("new");
        fs::write(&new, format!("{to}\n")).unwrap();
        fs::rename(new, &offset).unwrap();
    };
    jump("+0");
    let env = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let path = scratch.path().join("tickets.db");
    ledger(&path, "the first one");
    let args = [
        "--no-monitor",
        "--db",
        path.to_str().unwrap(),
        "--agent-cmd",
        "echo up; while read x; do echo heard $x; done",
    ];
    let mut dash = Dashboard::with_env(120, 40, &args, &env);
    dash.until(|s| s.contains("agent RUNNING") && s.contains("the first one"));
    for (n, to) in ["+1d", "-2d", "+3650d", "-2d"].into_iter().enumerate() {
        dash.send("M");
        dash.until(|s| s.contains("Mouse o"));
        jump(to);
        dash.send(&format!("mword {n}\r"));
        dash.until(|s| s.contains(&format!("\"word {n}\"")));
        // What is read again is believed again.
        dash.until(|s| s.contains("the first one") && !s.contains("? read"));
    }
    // What is said to a person goes away by itself.
    dash.send("M");
    dash.until(|s| s.contains("Mouse o"));
    jump("-20d");
    dash.until(|s| !s.contains("Mouse o"));
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
}
