//! One text that a terminal would obey, through every source there is; and every way out, looked at
//! byte by byte. What a child of the dashboard says is tried in `pty::hostile`, sequence by sequence.
//!
//! Each source says a word of its own, which must have come out somewhere: nothing passes here
//! because it was never shown.

use crate::{pty::Dashboard, wait::until};
use axum::{Router, body::Body, http::Request};
use operator_ledger::{
    AgentLedger, ClaimRequest, EntryKind, EntryMeta, Holder, NewEntry, NewSession, OutputChunk,
    clean::is_invisible,
    event::{Mode, Outcome, Stream},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);

/// The word, and after it: the clipboard, a mode, a link, a title, C1 in UTF-8 that erases and names,
/// text that is turned round, a bell.
fn hostile(word: &str) -> String {
    format!(
        "{word}\x1b]52;c;UFdO\x07\x1b[?1337h\x1b]8;;http://pwn/\x1b\\\x1b]0;PWN\x07\u{9b}2J\u{9d}0;PWN\u{9c}\u{202e}\u{2066}\x07"
    )
}

/// What is printed has no such character at all.
#[track_caller]
fn assert_harmless(what: &str, said: &[u8]) {
    let text = String::from_utf8_lossy(said);
    let bad = |c: &char| (c.is_control() && !matches!(c, '\n' | '\t')) || is_invisible(*c);
    if let Some(c) = text.chars().find(bad) {
        panic!("{what} prints {c:?}: {text:?}");
    }
}

/// A screen is drawn with sequences: none of them is one of these.
#[track_caller]
fn assert_only_ours(what: &str, raw: &str) {
    for bad in [
        "\x1b]52",
        "\x1b[?1337h",
        "\x1b]8",
        "\x1b]0;PWN",
        "\u{9b}",
        "\u{9d}",
        "\u{9c}",
        "\u{202e}",
        "\u{2066}",
    ] {
        let at = raw.find(bad);
        let around = at.map(|at| raw[..at].chars().rev().take(60).collect::<String>());
        let around = around.map(|text| text.chars().rev().collect::<String>());
        assert!(at.is_none(), "{what} writes {bad:?} after {around:?}");
    }
}

struct Stage {
    home: tempfile::TempDir,
    pd: String,
    /// All that was printed.
    said: String,
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let pd = runtime.block_on(played_pd());
        Self {
            home: tempfile::tempdir().unwrap(),
            pd,
            said: String::new(),
            _runtime: runtime,
        }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-tui"));
        command
            .args(args)
            .current_dir(self.home())
            .env("OPERATOR_HOME", self.home())
            .env("PD_ENDPOINT", &self.pd)
            .env("ANTHROPIC_MODEL", "rehearsal")
            .env_remove("OPERATOR_LAB_DIR")
            .env_remove("OPERATOR_SESSION")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command, whose end may be either; what it printed is looked at and kept.
    fn run(&mut self, args: &[&str]) {
        let done = self.command(args).output().unwrap();
        assert_harmless(&args.join(" "), &done.stdout);
        assert_harmless(&args.join(" "), &done.stderr);
        for part in [done.stdout, done.stderr] {
            self.said.push_str(&String::from_utf8_lossy(&part));
        }
    }

    fn seen(&self, word: &str) {
        assert!(
            self.said.contains(word),
            "{word} was shown nowhere: {}",
            self.said
        );
    }
}

/// A PD whose names and addresses are hostile.
async fn played_pd() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut members: Value =
        serde_json::from_str(include_str!("../../src/cluster/fixtures/members.json")).unwrap();
    let mut stores: Value =
        serde_json::from_str(include_str!("../../src/cluster/fixtures/stores.json")).unwrap();
    members["members"][0]["name"] = hostile("memberword").into();
    members["members"][1]["binary_version"] = hostile("v8").into();
    members["leader"]["name"] = hostile("memberword").into();
    stores["stores"][0]["store"]["address"] = hostile("storeword:20160").into();
    stores["stores"][0]["store"]["state_name"] = hostile("Down").into();
    stores["stores"][1]["store"]["version"] = hostile("8.5").into();
    let app = Router::new().fallback(move |request: Request<Body>| {
        let body = match request.uri().path().rsplit('/').next() {
            Some("members") => members.to_string(),
            Some("stores") => stores.to_string(),
            Some("health") => include_str!("../../src/cluster/fixtures/health.json").into(),
            Some("regions") => include_str!("../../src/cluster/fixtures/regions.json").into(),
            Some("cluster") => r#"{"id":7468201134512345678}"#.into(),
            _ => hostile("errorword"),
        };
        std::future::ready(body)
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A session in which everything that can be text is hostile, as somebody who writes past the
/// cleaning would leave it.
fn record(db: &Path) {
    let ledger = AgentLedger::open(db).wait().unwrap();
    let holder = Holder::this_process();
    let request = ClaimRequest {
        holder: holder.clone(),
        cluster_id: None,
        ticket: None,
        lease: Duration::from_secs(600),
    };
    let claim = ledger.claim(request).wait().unwrap().unwrap();
    let new = NewSession {
        ticket: claim.ticket.id,
        lease: claim.lease.clone(),
        model: hostile("modelword"),
        mode: Mode::Autonomous,
        cluster_id: None,
        holder,
    };
    let session = ledger.begin_session(new).wait().unwrap();
    let append = |entry| ledger.append(&session, entry).wait().unwrap();
    append(NewEntry::new(EntryKind::Thinking, hostile("thinkword")));
    append(NewEntry::new(EntryKind::Reasoning, hostile("textword")));
    append(NewEntry {
        tool: Some("shell".into()),
        params: Some(json!({"command": hostile("commandword"), "reasoning": hostile("whyword")})),
        call: Some("c1".into()),
        ..NewEntry::new(EntryKind::ToolCall, hostile("shell: commandword"))
    });
    let chunk = OutputChunk {
        call: "c1".into(),
        seq: 0,
        stream: Stream::Stdout,
        text: hostile("outputword"),
        at: jiff::Timestamp::now(),
    };
    ledger.append_output(&session.id, &[chunk]).wait().unwrap();
    append(NewEntry {
        tool: Some("shell".into()),
        call: Some("c1".into()),
        exit_code: Some(0),
        duration_ms: Some(1),
        meta: Some(EntryMeta {
            output_from: Some(0),
            output_to: Some(1),
            ..EntryMeta::default()
        }),
        ..NewEntry::new(EntryKind::ToolResult, hostile("exit 0\nresultword"))
    });
    ledger
        .end_session(&session, Outcome::Escalated, &hostile("summaryword"))
        .wait()
        .unwrap();
    ledger
        .escalate(
            &claim.lease,
            &hostile("diagnosisword"),
            &hostile("reasonword"),
            true,
        )
        .wait()
        .unwrap();
    ledger.close().wait().unwrap();
}

/// An alert through the webhook of a monitor, which prints what it does.
fn alert(stage: &mut Stage) {
    let args = [
        "monitor",
        "run",
        "--no-cluster",
        "--listen",
        "127.0.0.1:0",
        "--interval",
        "1s",
    ];
    let mut monitor = stage
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(monitor.stderr.take().unwrap());
    let mut first = String::new();
    told.read_line(&mut first).unwrap();
    let url = first.rsplit(' ').next().unwrap().trim();
    let body = json!({
        "version": "4", "status": "firing", "receiver": hostile("r"), "groupKey": hostile("g"),
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": hostile("http://x/"),
        "alerts": [{
            "status": "firing", "startsAt": "2026-01-30T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "f1", "generatorURL": hostile("http://y/"),
            "labels": {"alertname": hostile("Labelword"), "instance": hostile("instanceword"),
                "severity": hostile("critical")},
            "annotations": {"summary": hostile("noteword"), "description": hostile("longword")},
        }],
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = operator_lab::http::client(Duration::from_secs(10)).unwrap();
    // It takes none before it holds the lock of its ledger.
    until("the alert is taken", LIMIT, || {
        let request = client
            .post(format!("{url}/webhook/alertmanager"))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = runtime.block_on(async { request.send().await.unwrap() });
        answer.status() == 200
    });
    let db = stage.home().join("tickets.db");
    until("the alert is a ticket", LIMIT, || {
        let ledger = operator_ledger::Reader::open(&db).wait().unwrap();
        ledger.newest_ticket().wait().unwrap() >= 2
    });
    let pid = Pid::from_raw(monitor.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let mut said = first.into_bytes();
    told.read_to_end(&mut said).unwrap();
    let done = monitor.wait_with_output().unwrap();
    for (what, said) in [("monitor", done.stdout), ("monitor's stderr", said)] {
        assert_harmless(what, &said);
        stage.said.push_str(&String::from_utf8_lossy(&said));
    }
}

#[test]
fn a_text_that_a_terminal_would_obey_gets_through_no_source() {
    let mut stage = Stage::new();
    stage.run(&["tickets", "open", "--message", &hostile("handword")]);
    let db = stage.home().join("tickets.db");
    record(&db);
    alert(&mut stage);
    for args in [
        &["tickets", "list"][..],
        &["tickets", "list", "--json"],
        &["tickets", "show", "1"],
        &["tickets", "show", "1", "--json"],
        &["tickets", "show", "2"],
        &["tickets", "hold", "1"],
        &["tickets", "hold", &hostile("argumentword")],
        &["audit", "list"],
        &["audit", "list", "--json"],
        &["audit", "show"],
        &["audit", "show", "--json"],
        &["audit", "show", &hostile("idword")],
        &["audit", "verify"],
        &["audit", "verify", "--json"],
        &["audit", "export"],
        &["audit", "export", "--out", "x.html"],
        &["ledger", "verify"],
        &["ledger", "backup", &hostile("/nowhere/fileword")],
        &["cluster"],
        &["cluster", "--json"],
        &["cluster", "--pd", &hostile("http://hostword")],
        &["monitor", "run", "--once"],
        &["monitor", "run", "--once", "--json"],
        &["tickets", "list", "--json"],
        &["steer", "services"],
        &["steer", "waiting"],
        &["agent", "--ticket", "1", "--json"],
        &["agent", "--ticket", "2"],
        &["agent", "--ticket", "2", "--json"],
        &["demo", "--chapters", &hostile("/nowhere/folderword")],
    ] {
        stage.run(args);
    }
    for word in [
        "handword",
        "Labelword",
        "noteword",
        "memberword",
        "storeword",
        "thinkword",
        "textword",
        "commandword",
        "whyword",
        "outputword",
        "summaryword",
        "diagnosisword",
        "modelword",
        "argumentword",
        "idword",
        "fileword",
        "folderword",
    ] {
        stage.seen(word);
    }
    let page = fs::read(stage.home().join("x.html")).unwrap();
    assert_harmless("the page", &page);
    shown(&stage);
}

/// The same on the screen: tickets, cluster, sessions, an entry and its output, a replay, and what an
/// agent says.
fn shown(stage: &Stage) {
    let notice = |text: String| {
        json!({"v": 1, "seq": 1, "at": "2026-01-30T10:00:00Z", "type": "notice", "level": "warn",
            "text": text})
    };
    let events = stage.home().join("events");
    let lines = format!(
        "{}\n{}\n",
        notice(hostile("noticeword")),
        hostile("plainword")
    );
    fs::write(&events, lines).unwrap();
    let agent = format!("cat {}; cat", events.display());
    let db = stage.home().join("tickets.db");
    let args = [
        "--no-monitor",
        "--agent-cmd",
        &agent,
        "--db",
        db.to_str().unwrap(),
    ];
    let mut dash = Dashboard::of_pd(160, 50, &stage.pd, &args);
    let all = [
        "handword",
        "noticeword",
        "plainword",
        "memberwo",
        "storeword",
    ];
    dash.until(|s| all.iter().all(|word| s.contains(word)));
    dash.send("s");
    dash.until(|s| s.contains("┏ Sessions") && s.contains("modelword"));
    dash.send("j\r");
    dash.until(|s| s.contains("textword") && s.contains("commandword"));
    dash.send("/commandword\r\r");
    dash.until(|s| s.contains("outputword"));
    dash.send("qp");
    dash.until(|s| s.contains("Replay"));
    dash.send("$");
    dash.until(|s| s.contains("Replay ‖"));
    dash.send("qqq");
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    assert_only_ours("the dashboard", &dash.raw());
    dash.assert_terminal_as_found();
}

#[test]
fn nor_through_chapters_logs_and_configuration() {
    let mut stage = Stage::new();
    let home = stage.home().to_path_buf();
    // A configuration that cannot be read is quoted by every command.
    let broken = [
        format!(
            "{} = 1\n",
            serde_json::to_string(&hostile("keyword")).unwrap()
        ),
        format!(
            "theme = {}\n",
            serde_json::to_string(&hostile("themeword")).unwrap()
        ),
        format!("[agent]\nmodell = {}\n", hostile("rawword")),
    ];
    for text in broken {
        fs::write(home.join("config.toml"), text).unwrap();
        for args in [
            &["tickets", "list"][..],
            &["cluster"],
            &["monitor", "run", "--once"],
            &["agent", "--once"],
            &["watch", "--no-agent", "--no-monitor"],
        ] {
            stage.run(args);
        }
    }
    fs::remove_file(home.join("config.toml")).unwrap();
    let chapters = home.join("chapters");
    fs::create_dir(&chapters).unwrap();
    let folder = chapters.to_str().unwrap().to_owned();
    let write = |text: String| fs::write(chapters.join("01-a.md"), text).unwrap();
    write(format!(
        "+++\ntitle = \"A\"\nadvance = {}\n+++\nx\n",
        json!(hostile("advanceword"))
    ));
    let demo = ["demo", "--headless", "--auto", "--chapters", &folder];
    stage.run(&demo);
    // What is read: title and text, in the demo's lines and on its page.
    write(format!(
        "+++\ntitle = {}\nadvance = \"entered\"\n+++\n# {}\n\n{}\n",
        json!(hostile("titleword")),
        hostile("headword"),
        hostile("bodyword")
    ));
    stage.run(&demo);
    let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_operator-tui"));
    command.args(["demo", "--chapters", &folder]);
    let mut dash = Dashboard::run(160, 50, command);
    dash.until(|s| s.contains("titleword") && s.contains("bodyword"));
    dash.send("qy");
    dash.exit_code();
    assert_only_ours("the demo", &dash.raw());
    let logs = home.join("lab/logs");
    fs::create_dir_all(&logs).unwrap();
    for node in ["pd0", "tikv0", "keeper"] {
        fs::write(logs.join(format!("{node}.log")), hostile("logword") + "\n").unwrap();
        stage.run(&["lab", "logs", node]);
    }
    stage.run(&["lab", "logs", &hostile("nodeword")]);
    stage.run(&["lab", "start", &hostile("nodeword")]);
    for word in [
        "keyword",
        "themeword",
        "advanceword",
        "titleword",
        "logword",
        "nodeword",
    ] {
        stage.seen(word);
    }
}
