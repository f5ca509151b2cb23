//! Reading the record: show, export and verify, and steering an agent through the ledger.

use assert_cmd::Command;
use operator_ledger::{
    AgentLedger, ClaimRequest, Confidence, Effect, EntryKind, EntryMeta, Finish, FinishCall,
    FinishOutcome, HoldScope, Holder, NewEntry, NewHold, NewService, NewSession, NewTicket,
    OutputChunk, PersonLedger, SessionWriter, Stored,
    event::{Mode, Outcome, Stream},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

struct Stage {
    home: TempDir,
    agent: AgentLedger,
    session: SessionWriter,
}

const OUTPUT: &str = "<script>alert(1)</script> | [x](javascript:y)\n```\nline 2\n";

impl Stage {
    /// A session that runs: one thought, one command with a long output.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tickets.db");
        let person = PersonLedger::open(&path).wait().unwrap();
        let ledger = AgentLedger::open(&path).wait().unwrap();
        person
            .open_ticket(NewTicket {
                message: "p99 doubled | since <noon>".into(),
                by: "ada".into(),
                ..Default::default()
            })
            .wait()
            .unwrap();
        let holder = Holder::this_process();
        let claim = ledger
            .claim(ClaimRequest {
                holder: holder.clone(),
                cluster_id: None,
                ticket: None,
                lease: Duration::from_secs(600),
            })
            .wait()
            .unwrap()
            .unwrap();
        let session = ledger
            .begin_session(NewSession {
                ticket: claim.ticket.id,
                lease: claim.lease.clone(),
                model: "claude-test".into(),
                mode: Mode::Autonomous,
                cluster_id: None,
                holder,
            })
            .wait()
            .unwrap();
        let mut stage = Self {
            home,
            agent: ledger,
            session,
        };
        stage.append(NewEntry::new(EntryKind::Reasoning, "I look *first*."));
        let params = json!({ "command": "cat page", "reasoning": "to see" });
        stage.append(NewEntry {
            tool: Some("shell".into()),
            params: Some(params),
            call: Some("c1".into()),
            effect: Some(Effect::Changes),
            ..NewEntry::new(EntryKind::ToolCall, "shell: cat page")
        });
        let chunk = OutputChunk {
            call: "c1".into(),
            seq: 0,
            stream: Stream::Stdout,
            text: OUTPUT.into(),
            at: jiff::Timestamp::now(),
        };
        stage
            .agent
            .append_output(&stage.session.id, &[chunk])
            .wait()
            .unwrap();
        let meta = EntryMeta {
            not_shown_to_model: Some(9),
            output_from: Some(0),
            output_to: Some(1),
            output_sha256: Some(hex::encode(Sha256::digest(OUTPUT))),
            ..EntryMeta::default()
        };
        stage.append(NewEntry {
            tool: Some("shell".into()),
            call: Some("c1".into()),
            exit_code: Some(3),
            duration_ms: Some(1500),
            meta: Some(meta),
            ..NewEntry::new(EntryKind::ToolResult, "exit 3\n[... omitted ...]")
        });
        stage
    }

    fn append(&mut self, entry: NewEntry) {
        self.agent.append(&self.session, entry).wait().unwrap();
    }

    fn end(&mut self) {
        self.agent
            .end_session(&self.session, Outcome::Escalated, "a person must go on")
            .wait()
            .unwrap();
    }

    fn operator(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-tui"));
        command
            .args(args)
            .env("OPERATOR_HOME", self.home.path())
            .env_remove("OPERATOR_LAB_DIR")
            .env("USER", "grace")
            .env_remove("OPERATOR_SESSION");
        command
    }

    fn out(&self, args: &[&str]) -> String {
        let done = self.operator(args).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    fn err(&self, args: &[&str]) -> String {
        let done = self.operator(args).assert().failure();
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    }

    fn sql(&self, sql: &str) {
        let path: PathBuf = self.home.path().join("tickets.db");
        rusqlite::Connection::open(path)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}

#[test]
fn show_is_short_and_all_of_it_when_asked() {
    let mut stage = Stage::new();
    stage.end();
    let short = stage.out(&["audit", "show"]);
    assert!(
        short.contains("$ cat page\n          CHANGES\n          why: to see"),
        "{short}"
    );
    assert!(
        short.contains("exit 3, 1.5 s, 9 bytes not shown to the model"),
        "{short}"
    );
    assert!(!short.contains("line 2"));
    assert!(stage.out(&["audit", "show", "--all"]).contains("line 2"));
    let json: Value = serde_json::from_str(&stage.out(&["audit", "show", "--json"])).unwrap();
    assert_eq!(json["status"], "escalated");
    assert_eq!(json["entries"][1]["effect"], "changes");
    assert_eq!(json["entries"][0]["effect"], Value::Null);
    assert_eq!(json["entries"].as_array().unwrap().len(), 4);
    let list: Value = serde_json::from_str(&stage.out(&["audit", "list", "--json"])).unwrap();
    assert_eq!(list[0]["session_id"], json["session_id"]);
}

#[test]
fn what_a_session_said_at_its_end_is_shown_everywhere_with_whose_word_it_is() {
    let mut stage = Stage::new();
    let said = Finish {
        outcome: Stored::Known(FinishOutcome::Escalate),
        cause: "killed by <signal 9> | twice".into(),
        evidence: vec!["c1".into()],
        actions: "started \x1b[2Jtikv1".into(),
        checked: "all stores are up".into(),
        next: "find out *who*".into(),
        confidence: Some(Stored::Known(Confidence::Low)),
    };
    let call = FinishCall {
        id: "c2".into(),
        server_call: "toolu_1".into(),
    };
    let finish = stage.agent.finish(&stage.session, &said, Some(&call));
    finish.wait().unwrap();
    stage.end();
    stage
        .agent
        .escalate(&stage.session.lease, "the same in short", "no", true)
        .wait()
        .unwrap();
    let id = stage.session.id.clone();

    let shown = stage.out(&["tickets", "show", "1"]);
    for words in [
        &format!("Said by session {id}"),
        "hands it to a person",
        "  cause: killed by <signal 9> | twice",
        "  actions: started tikv1",
        "  checked: all stores are up",
        "  next: find out *who*",
        "  evidence: c1",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("the same in short"), "said once: {shown}");
    let json: Value =
        serde_json::from_str(&stage.out(&["tickets", "show", "1", "--json"])).unwrap();
    assert_eq!(json["finishes"][0]["session_id"], *id);
    assert_eq!(json["finishes"][0]["outcome"], "escalate");
    assert_eq!(json["finishes"][0]["evidence"], json!(["c1"]));

    let audit = stage.out(&["audit", "show"]);
    assert!(
        audit.contains("[finish]") && audit.contains("next: find out *who*"),
        "{audit}"
    );
    let lines = stage.out(&["audit", "export"]);
    let records = lines.lines().map(|l| serde_json::from_str(l).unwrap());
    let finish: Vec<Value> = records
        .filter(|r: &Value| r["record"] == "finish")
        .collect();
    assert_eq!(finish.len(), 1);
    assert_eq!(finish[0]["cause"], "killed by <signal 9> | twice");
    let markdown = stage.out(&["audit", "export", "--format", "markdown"]);
    assert!(
        markdown.contains(&format!("## Session {id} hands it to a person")),
        "{markdown}"
    );
    assert!(
        markdown.contains(r"| cause | killed by \<signal 9\> \| twice |"),
        "{markdown}"
    );
    let html = stage.out(&["audit", "export", "--format", "html"]);
    assert!(
        html.contains(&format!("Session {id} hands it to a person")),
        "{html}"
    );
    assert!(
        html.contains("killed by &lt;signal 9&gt; | twice"),
        "{html}"
    );
    assert!(!html.contains('\x1b') && !html.contains("the same in short"));
    stage.out(&["audit", "verify"]);
}

#[test]
fn every_export_holds_everything_and_nothing_in_it_is_markup() {
    let mut stage = Stage::new();
    stage.end();
    let lines = stage.out(&["audit", "export"]);
    let records: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let kinds: Vec<&str> = records
        .iter()
        .map(|r| r["record"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "export",
            "session",
            "ticket",
            "ticket_event",
            "ticket_event",
            "incident",
            "incident_event",
            "incident_event",
            "entry",
            "entry",
            "entry",
            "output",
            "entry",
            "chain",
            "chain_means"
        ]
    );
    assert_eq!(records[11]["text"], OUTPUT);
    assert_eq!(records[13]["verdict"]["verdict"], "intact");

    let file = stage.home.path().join("report.html");
    stage.out(&["audit", "export", "--out", file.to_str().unwrap()]);
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(
        html.contains("&lt;script&gt;alert(1)") && !html.contains("<script"),
        "{html}"
    );
    assert!(html.contains("since &lt;noon&gt;") && html.contains("What this does not say"));
    for outside in ["src=", "href=", "http://", "https://", "@import", "url("] {
        assert!(
            !html.contains(outside),
            "{outside}: the page needs nothing else"
        );
    }

    let markdown = stage.out(&["audit", "export", "--format", "markdown"]);
    for text in [
        r"| What was seen | p99 doubled \| since \<noon\> |",
        "not resolved: acknowledged; no repair was claimed, none was proven",
        r"I look \*first\*.",
        "$ cat page",
        "## What this does not say",
        "is not proven by the monitor",
    ] {
        assert!(markdown.contains(text), "{text} in {markdown}");
    }
}

#[test]
fn what_was_left_running_is_in_every_export_with_who_ended_it() {
    let mut stage = Stage::new();
    let service = |pid, command: &str| NewService {
        pid,
        start_ticks: 7,
        began: None,
        command: command.into(),
    };
    let left = [
        service(71, "redis-server *:6379 <x>"),
        service(72, "nginx: master\x1b[2J"),
    ];
    let written = stage.agent.record_services(&stage.session, "c1", &left);
    written.wait().unwrap();
    let person = PersonLedger::open(&stage.home.path().join("tickets.db"))
        .wait()
        .unwrap();
    person.end_service(1, "grace").wait().unwrap();
    stage.end();

    let lines = stage.out(&["audit", "export"]);
    let services: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .filter(|r: &Value| r["record"] == "service")
        .collect();
    let said: Vec<_> = services
        .iter()
        .map(|s| {
            (
                s["pid"].as_i64(),
                s["call_id"].as_str(),
                s["ended_by"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (Some(71), Some("c1"), Some("grace")),
            (Some(72), Some("c1"), None)
        ]
    );
    let markdown = stage.out(&["audit", "export", "--format", "markdown"]);
    let html = stage.out(&["audit", "export", "--format", "html"]);
    for (text, redis) in [
        (&markdown, r"redis-server \*:6379 \<x\> (ended by grace"),
        (&html, "redis-server *:6379 &lt;x&gt; (ended by grace"),
    ] {
        assert!(text.contains("What it left running"), "{text}");
        assert!(
            text.contains("pid 71 on ") && text.contains(redis),
            "{text}"
        );
        assert!(text.contains("nginx: master (nobody ended it"), "{text}");
        assert!(text.contains("still runs is not recorded"), "{text}");
    }
}

#[test]
fn the_hash_of_a_command_with_a_secret_is_shown_and_covered_and_a_reader_makes_no_key() {
    let mut stage = Stage::new();
    let hash = "hmac-sha256:00000000:11";
    stage.append(NewEntry {
        tool: Some("shell".into()),
        params: Some(json!({ "command": "mysql -p[redacted]", "reasoning": "" })),
        call: Some("c2".into()),
        effect: Some(Effect::Unknown),
        original_hash: Some(hash.into()),
        ..NewEntry::new(EntryKind::ToolCall, "shell: mysql")
    });
    stage.end();
    let shown = stage.out(&["audit", "show"]);
    assert!(
        shown.contains(&format!("a secret was taken out; the whole: {hash}")),
        "{shown}"
    );
    let json: Value = serde_json::from_str(&stage.out(&["audit", "show", "--json"])).unwrap();
    assert_eq!(json["entries"][1]["original_hash"], Value::Null);
    assert_eq!(json["entries"][3]["original_hash"], hash);
    assert!(stage.out(&["audit", "export"]).contains(hash));
    stage.out(&["audit", "verify"]);
    stage
        .sql("UPDATE agent_log_entries SET original_hash = 'hmac-sha256:00000000:12' WHERE id = 4");
    let done = stage.operator(&["audit", "verify"]).assert().failure();
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(text.contains("BROKEN at row 4"), "{text}");
    assert!(!stage.home.path().join("record.key").exists());
}

#[test]
fn verify_names_the_first_bad_row_and_outputs_that_differ() {
    let mut stage = Stage::new();
    stage.end();
    let good = stage.out(&["audit", "verify"]);
    assert!(
        good.contains("intact") && good.contains("cannot show"),
        "{good}"
    );
    stage.sql("UPDATE session_output SET text = replace(text, 'line 2', 'line 3')");
    let done = stage
        .operator(&["audit", "verify", "--json"])
        .assert()
        .failure();
    let report: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(report["sessions"][0]["outputs_differ"], json!([3]));
    assert_eq!(report["sessions"][0]["verdict"]["verdict"], "intact");
    stage.sql(
        "UPDATE agent_log_entries SET tool_params = replace(tool_params, 'cat', 'rm') WHERE id = 2",
    );
    let done = stage.operator(&["audit", "verify"]).assert().failure();
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(text.contains("BROKEN at row 2"), "{text}");
}

#[test]
fn verify_sees_an_end_that_was_rewritten_and_names_what_it_does_not_cover() {
    let mut stage = Stage::new();
    stage.end();
    stage.sql("UPDATE agent_sessions SET status = 'resolved', resolution = 'proven', outcome_summary = 'all well'");
    let done = stage.operator(&["audit", "verify"]).assert().failure();
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(
        text.contains("status, outcome_summary, resolution is not what"),
        "{text}"
    );
    assert!(text.contains("Not covered are"), "{text}");
}

#[test]
fn what_a_command_had_printed_when_its_agent_died_is_shown_and_exported() {
    let mut stage = Stage::new();
    let params = json!({ "command": "cat again", "reasoning": "" });
    stage.append(NewEntry {
        tool: Some("shell".into()),
        params: Some(params),
        call: Some("c2".into()),
        ..NewEntry::new(EntryKind::ToolCall, "shell: cat again")
    });
    let chunk = OutputChunk {
        call: "c2".into(),
        seq: 1,
        stream: Stream::Stdout,
        text: "half of it\n".into(),
        at: jiff::Timestamp::now(),
    };
    stage
        .agent
        .append_output(&stage.session.id, &[chunk])
        .wait()
        .unwrap();
    let shown = stage.out(&["audit", "show"]);
    assert!(
        shown.contains("half of it") && shown.contains("its end was never recorded"),
        "{shown}"
    );
    for format in ["jsonl", "markdown", "html"] {
        let text = stage.out(&["audit", "export", "--format", format]);
        assert!(text.contains("half of it"), "{format}");
    }
}

#[test]
fn a_diagnosis_is_no_markup_either() {
    let stage = Stage::new();
    let lease = stage.session.lease.clone();
    let found = "<img src=http://evil/x> ![a](http://evil/y)";
    stage.agent.set_diagnosis(&lease, found).wait().unwrap();
    let markdown = stage.out(&["audit", "export", "--format", "markdown"]);
    assert!(
        markdown.contains(r"\<img src") && markdown.contains(r"\!\[a\]"),
        "{markdown}"
    );
}

#[test]
fn an_agents_shell_neither_exports_nor_steers() {
    let stage = Stage::new();
    for args in [&["audit", "export"][..], &["steer", "interrupt"]] {
        let done = stage
            .operator(args)
            .env("OPERATOR_SESSION", "s")
            .assert()
            .failure();
        let text = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(text.contains("refused in an agent's shell"), "{text}");
    }
}

#[test]
fn a_command_waits_for_the_agent_of_a_session_that_runs() {
    let mut stage = Stage::new();
    let id = stage.session.id.clone();
    let lease = stage.session.lease.clone();
    let path = stage.home.path().join("tickets.db");
    // Plays the agent: takes what comes.
    let agent = std::thread::spawn({
        let id = id.clone();
        move || {
            let ledger = AgentLedger::open(&path).wait().unwrap();
            loop {
                let taken = ledger.take_commands(&lease, &id).wait().unwrap();
                if !taken.is_empty() {
                    return taken;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let said = stage.out(&["steer", "message", "look at tikv1"]);
    assert_eq!(said, format!("The agent of session {id} has it.\n"));
    assert_eq!(
        agent.join().unwrap(),
        [operator_ledger::event::Control::Message {
            text: "look at tikv1".into(),
            by: format!(
                "grace@{}",
                rustix::system::uname().nodename().to_str().unwrap()
            )
        }]
    );
    stage.end();
    assert!(
        stage
            .err(&["steer", "interrupt"])
            .contains("no session runs")
    );
    assert!(
        stage
            .err(&["steer", "interrupt", "--session", &id])
            .contains("has ended")
    );
}

#[test]
fn what_people_said_and_what_was_seen_stands_by_the_same_names_wherever_an_incident_is_told() {
    let mut stage = Stage::new();
    stage.end();
    let person = PersonLedger::open(&stage.home.path().join("tickets.db"));
    let person = person.wait().unwrap();
    let id = stage.session.id.clone();
    let order = "leave <tikv0> alone";
    let hear = stage.agent.hear(&stage.session, order, order, "ada");
    hear.wait().unwrap();
    let hold = person.hold(NewHold {
        scope: HoldScope::Incident(1),
        names: Vec::new(),
        by: "ada".into(),
        why: "I look".into(),
    });
    let hold = hold.wait().unwrap();
    assert!(person.end_hold(hold, "bob").wait().unwrap());
    let shown: Value =
        serde_json::from_str(&stage.out(&["incidents", "show", "1", "--json"])).unwrap();
    let audit: Value = serde_json::from_str(&stage.out(&["audit", "show", "--json"])).unwrap();
    for name in [
        "holds",
        "orders",
        "finishes",
        "proofs",
        "impact",
        "observed_changes",
    ] {
        assert!(shown.get(name).is_some(), "{name}: {shown}");
        assert_eq!(audit["of_incident"][name], shown[name], "{name}");
    }
    assert_eq!(shown["holds"][0]["ended_by"], "bob");
    assert_eq!(shown["orders"][0]["text"], "leave <tikv0> alone");
    let lines = stage.out(&["audit", "export", &id]);
    let of = |kind: &str| -> Vec<Value> {
        let records = lines.lines().map(|l| serde_json::from_str(l).unwrap());
        records.filter(|r: &Value| r["record"] == kind).collect()
    };
    assert_eq!(of("hold")[0]["why"], "I look");
    assert_eq!(of("order")[0]["by"], "ada");
    for text in [
        stage.out(&["incidents", "show", "1"]),
        stage.out(&["audit", "show"]),
    ] {
        for words in [
            "incident #1 by ada: I look  (let go by bob",
            "ada: leave <tikv0> alone",
            "unknown: nothing was sampled then",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let markdown = stage.out(&["audit", "export", &id, "--format", "markdown"]);
    for words in [
        r"ada told agents: leave \<tikv0\> alone",
        r"ada held incident \#1: I look",
        r"bob let go of incident \#1",
    ] {
        assert!(markdown.contains(words), "{words}: {markdown}");
    }
}
