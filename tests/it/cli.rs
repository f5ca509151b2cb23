//! The command line as scripts and people use it: output, errors, exit codes.

use assert_cmd::Command;
use std::{fs, fs::File, path::Path};
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

/// stderr of a command that must fail.
fn err(home: &Path, args: &[&str]) -> String {
    let done = operator(home).args(args).assert().failure();
    assert!(done.get_output().stdout.is_empty());
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Each variable that is documented, and what the help names besides.
const VARIABLES: &[&str] = &[
    "OPERATOR_HOME",
    "OPERATOR_DB",
    "OPERATOR_LAB_DIR",
    "OPERATOR_LAB",
    "OPERATOR_LAB_PROJECT",
    "OPERATOR_LOG",
    "OPERATOR_NOTIFY_URL",
    "OPERATOR_WEBHOOK_TOKEN",
    "PD_ENDPOINT",
    "OPERATOR_TLS_CA",
    "OPERATOR_TLS_CERT",
    "OPERATOR_TLS_KEY",
    "PROMETHEUS_URL",
    "OPERATOR_PROMETHEUS_MATCH",
    "OPERATOR_PROMETHEUS_TOKEN_FILE",
    "OPERATOR_PROMETHEUS_HEADERS",
    "OPERATOR_PROMETHEUS_CA",
    "OPERATOR_PROMETHEUS_CERT",
    "OPERATOR_PROMETHEUS_KEY",
    "COMPOSE_PROJECT_NAME",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_VERSION",
    "ANTHROPIC_BETAS",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "BRAVE_API_KEY",
];

#[test]
fn the_help_of_no_command_says_what_is_in_a_variable() {
    let home = home();
    let mut left = vec![Vec::<String>::new()];
    let (mut commands, mut named) = (0, Vec::new());
    while let Some(path) = left.pop() {
        let mut command = operator(home.path());
        command.envs(VARIABLES.iter().map(|name| (*name, "http://marker-value")));
        let done = command.args(&path).arg("--help").assert().success();
        let help = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        assert!(!help.contains("marker-value"), "{path:?} --help: {help}");
        commands += 1;
        let shown = help.split("[env: ").skip(1);
        let name = |rest: &str| rest.split([']', ',', '=']).next().unwrap().to_owned();
        named.extend(shown.map(name));
        let below = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in below.take_while(|line| !line.is_empty()) {
            let name = line.strip_prefix("  ").and_then(|l| l.split(' ').next());
            let name = name.filter(|name| !name.is_empty() && *name != "help");
            left.extend(name.map(|name| [path.clone(), vec![name.to_owned()]].concat()));
        }
    }
    assert!(commands > 40, "{commands}");
    for name in named {
        assert!(VARIABLES.contains(&name.as_str()), "{name} is tried too");
    }
}

#[test]
fn a_ticket_opened_by_hand_is_listed_shown_held_and_resolved() {
    let home = home();
    let home = home.path();
    let opened = out(home, &["tickets", "open", "--message", "disk \x1b[31mred"]);
    assert_eq!(opened, "Opened ticket #1\n");
    let list = out(home, &["tickets", "list"]);
    assert!(
        list.starts_with("ID") && list.contains("#1  open"),
        "{list}"
    );
    assert!(!list.contains('\x1b'));
    let shown = out(home, &["tickets", "show", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["status"], "open");
    assert_eq!(json["events"][0]["to"], "open");
    out(home, &["tickets", "hold", "1"]);
    assert!(out(home, &["tickets", "list"]).contains("open, held"));
    out(home, &["tickets", "unhold", "1"]);
    out(home, &["tickets", "resolve", "1"]);
    assert!(out(home, &["tickets", "show", "1"]).contains("human"));
    assert!(out(home, &["tickets", "resolve", "1"]).contains("already"));
    assert!(out(home, &["tickets", "reopen", "1"]).starts_with("Reopened ticket #1"));
    let again: serde_json::Value =
        serde_json::from_str(&out(home, &["tickets", "resolve", "1", "--json"])).unwrap();
    assert_eq!(again["resolution"], "human");
    assert_eq!(
        out(home, &["tickets", "list", "--status", "open"]),
        "No tickets.\n"
    );
}

#[test]
fn the_ledger_of_a_lab_of_an_older_version_is_still_its_ledger() {
    let home = home();
    let home = home.path();
    let older = home.join("lab/tickets.db");
    let open = ["tickets", "open", "--message", "before", "--db"];
    out(home, &[&open[..], &[older.to_str().unwrap()]].concat());
    let list = out(home, &["tickets", "list", "--lab"]);
    assert!(list.contains("before"), "{list}");
    out(home, &["tickets", "open", "--message", "after", "--lab"]);
    let list = out(home, &["tickets", "list", "--db", older.to_str().unwrap()]);
    assert!(list.contains("before") && list.contains("after"), "{list}");
}

#[test]
fn an_agents_shell_cannot_close_tickets() {
    let home = home();
    out(home.path(), &["tickets", "open", "--message", "m"]);
    for verb in ["resolve", "reopen", "hold", "unhold"] {
        let done = operator(home.path())
            .args(["tickets", verb, "1"])
            .env("OPERATOR_SESSION", "s")
            .assert()
            .failure();
        let text = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(text.contains("refused in an agent's shell"), "{text}");
    }
    assert!(out(home.path(), &["tickets", "list"]).contains("open"));
}

#[test]
fn an_agents_shell_finds_no_ledger_by_itself() {
    let home = home();
    for args in [
        &["tickets", "open", "--message", "m"][..],
        &["tickets", "list"],
        &["monitor", "run", "--once"],
    ] {
        let done = operator(home.path())
            .args(args)
            .env("OPERATOR_SESSION", "s")
            .assert()
            .failure();
        let text = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(
            text.contains("refused in an agent's shell"),
            "{args:?}: {text}"
        );
    }
    assert!(!home.path().join("tickets.db").exists());
}

#[test]
fn errors_name_the_thing_and_what_to_do() {
    let home = home();
    let home = home.path();
    let text = err(home, &["tickets", "list"]);
    assert!(
        text.contains("tickets.db") && text.contains("nothing has been recorded"),
        "{text}"
    );
    out(home, &["tickets", "open", "--message", "m"]);
    assert!(err(home, &["tickets", "show", "9"]).contains("#9 not found"));
    assert!(err(home, &["tickets", "list", "--status", "opened"]).contains("escalated"));
    assert!(err(home, &["audit", "show", "nope"]).contains("nope"));

    let broken = home.join("broken.db");
    fs::write(&broken, "not a database at all, but long enough".repeat(50)).unwrap();
    let text = err(home, &["tickets", "list", "--db", broken.to_str().unwrap()]);
    assert!(
        text.contains("broken.db") && text.contains("--db"),
        "{text}"
    );

    fs::write(home.join("config.toml"), "[monitor]\ninterval = soon\n").unwrap();
    let text = err(home, &["monitor", "run", "--once"]);
    assert!(
        text.contains("config.toml") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn what_is_unknown_in_the_config_file_is_refused_with_its_line_and_what_there_is() {
    let home = home();
    let home = home.path();
    let agent = ["agent", "--once", "--model", "rehearsal"];
    let monitor = ["monitor", "run", "--no-cluster", "--listen", ":0"];
    let cluster = ["cluster"];
    let cases: [(&[u8], &[&str], &str); 8] = [
        (
            b"[agnet.budget]\nusd_per_day = 1.0\n",
            &agent,
            "line 1: unknown field `agnet`",
        ),
        (
            b"\n[notfy]\nurl = 'http://127.0.0.1:1'\n",
            &monitor,
            "line 2: unknown field `notfy`, expected one of `name`, `pd`, `prometheus`",
        ),
        (b"pdd = 'http://x'", &cluster, "did you mean `pd`?"),
        (b"pd = 5", &cluster, "line 1: pd: invalid type: integer `5`"),
        (
            b"prometheus = ['http://x']",
            &cluster,
            "line 1: prometheus: invalid type",
        ),
        (
            b"[monitor]\nintervall = '5s'",
            &monitor,
            "line 2: unknown field `intervall`, expected one of `interval`",
        ),
        (b"\xff\xfe", &agent, "line 1: this is not UTF-8"),
        (
            b"[agent.budget]\nusd_per_dya = 1",
            &agent,
            "did you mean `usd_per_day`?",
        ),
    ];
    for (file, args, words) in cases {
        fs::write(home.join("config.toml"), file).unwrap();
        let text = err(home, args);
        assert!(
            text.contains("config.toml, line ") && text.contains(words),
            "{text}"
        );
    }
}

#[test]
fn a_log_for_developers_is_a_file_in_the_record_and_never_on_stderr() {
    let home = home();
    let run = ["monitor", "run", "--once", "--pd", "127.0.0.1:9"];
    let log = home.path().join("log");
    operator(home.path()).args(run).assert().code(1);
    assert!(!log.exists(), "only if it is asked for");
    let mut command = operator(home.path());
    let done = command
        .env("OPERATOR_LOG", "debug")
        .args(run)
        .assert()
        .code(1);
    assert_eq!(String::from_utf8_lossy(&done.get_output().stderr), "");
    let files: Vec<_> = fs::read_dir(&log).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().into_string().unwrap();
    assert!(
        name.starts_with("monitor.20") && name.contains(".log"),
        "{name}"
    );
    let text = fs::read_to_string(files[0].path()).unwrap();
    assert!(
        text.contains("monitor starts") && text.contains("checked"),
        "{text}"
    );

    let mut command = operator(home.path());
    let done = command
        .env("OPERATOR_LOG", "louder")
        .args(run)
        .assert()
        .code(1);
    let why = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(why.contains("OPERATOR_LOG=louder"), "{why}");
}

#[test]
fn without_a_ledger_there_is_a_hint_at_the_demos() {
    let home = home();
    out(home.path(), &["tickets", "open", "--lab", "--message", "m"]);
    assert!(err(home.path(), &["tickets", "list"]).contains("--lab"));
    assert!(out(home.path(), &["tickets", "list", "--lab"]).contains("#1"));
}

#[test]
fn an_empty_record_is_said_to_be_empty() {
    let home = home();
    out(home.path(), &["tickets", "open", "--message", "m"]);
    assert_eq!(out(home.path(), &["audit", "list"]), "No sessions.\n");
    assert_eq!(out(home.path(), &["audit", "show"]), "No sessions.\n");
    assert!(out(home.path(), &["audit", "verify"]).starts_with("0 sessions: nothing is damaged"));
    assert_eq!(out(home.path(), &["audit", "list", "--json"]), "[]\n");
}

#[test]
fn a_cluster_that_cannot_be_asked_is_unknown_not_down() {
    let home = home();
    // Port 9 is reserved for discard; nobody speaks PD there.
    let args = ["cluster", "--json", "--pd", "127.0.0.1:9"];
    let done = operator(home.path()).args(args).assert().code(1);
    let json: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert!(json["stores"]["value"].is_null());
    assert!(
        json["stores"]["error"]
            .as_str()
            .unwrap()
            .contains("127.0.0.1:9")
    );

    let args = ["monitor", "run", "--once", "--json", "--pd", "127.0.0.1:9"];
    let done = operator(home.path()).args(args).assert().code(1);
    let report: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(report["ok"], false);
    let keys: Vec<_> = report["violations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["reading"] == "violated")
        .map(|v| v["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["observation_failed:pd"]);
}

#[test]
fn completions_are_printed_for_every_shell() {
    let home = home();
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(home.path(), &["completions", shell]).contains("tickets"));
    }
}

/// Runs with a reader that takes one line and leaves.
fn first_line(home: &Path, args: &[&str]) -> (String, String) {
    use std::io::{BufRead, BufReader, Read};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_operator-tui"))
        .args(args)
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(16, child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(!child.wait().unwrap().success());
    (line, said)
}

#[test]
fn a_reader_that_leaves_early_is_no_error_to_talk_about() {
    let home = home();
    let long = "x".repeat(100_000);
    out(
        home.path(),
        &["tickets", "open", "--message", "m", "--context", &long],
    );
    for args in [
        ["tickets", "show", "1", "--json"].as_slice(),
        ["tickets", "list", "--json"].as_slice(),
        ["completions", "bash"].as_slice(),
    ] {
        let (line, said) = first_line(home.path(), args);
        assert!(!line.is_empty());
        assert_eq!(said, "", "{args:?}");
    }
}

#[test]
fn what_cannot_be_written_is_said_in_one_line() {
    let home = home();
    out(home.path(), &["tickets", "open", "--message", "m"]);
    for args in [
        ["tickets", "list"].as_slice(),
        ["tickets", "list", "--json"].as_slice(),
        ["tickets", "show", "1"].as_slice(),
        ["audit", "list"].as_slice(),
        ["audit", "verify"].as_slice(),
        ["completions", "bash"].as_slice(),
        ["cluster", "--pd", "127.0.0.1:1"].as_slice(),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_operator-tui"));
        command.args(args).env("OPERATOR_HOME", home.path());
        let done = command.stdout(full).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        let why = "operator-tui: cannot write to stdout: No space left on device";
        assert!(said.starts_with(why), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn nothing_in_a_ledger_can_write_to_the_terminal() {
    let home = home();
    let home = home.path();
    out(home, &["tickets", "open", "--message", "m"]);
    let evil = "\u{1b}]0;x\u{7}\u{9b}31m\u{202e}";
    let db = rusqlite::Connection::open(home.join("tickets.db")).unwrap();
    db.execute_batch(&format!(
        "UPDATE tickets SET violation_key = violation_key || '{evil}', invariant_name = '{evil}',
           severity = '{evil}', message = '{evil}', diagnosis = '{evil}', store_id = '{evil}';
         UPDATE ticket_events SET by = '{evil}', to_status = '{evil}', why = '{evil}';
         INSERT INTO agent_sessions (session_id, ticket_id, status, started_at, outcome_summary, model)
           VALUES ('s{evil}', 1, '{evil}', '2026-01-01T00:00:00Z', '{evil}', '{evil}');
         INSERT INTO agent_log_entries (session_id, entry_type, content, raw_content, timestamp)
           VALUES ('s{evil}', '{evil}', '{evil}', '{evil}', '2026-01-01T00:00:00Z');
         INSERT INTO agent_log_entries (session_id, entry_type, content, tool_params, timestamp)
           VALUES ('s{evil}', 'tool_call', '{evil}', '{{\"command\": \"a\\u001b[1m\"}}', '2026-01-01T00:00:00Z');"
    ))
    .unwrap();
    for args in [
        ["tickets", "list"].as_slice(),
        ["tickets", "show", "1"].as_slice(),
        ["audit", "list"].as_slice(),
        ["audit", "show", "s"].as_slice(),
        ["audit", "show", "s", "--all"].as_slice(),
        ["audit", "verify"].as_slice(),
        ["tickets", "list", "--json"].as_slice(),
        ["tickets", "show", "1", "--json"].as_slice(),
        ["audit", "list", "--json"].as_slice(),
        ["audit", "show", "s", "--json"].as_slice(),
        ["audit", "export", "s"].as_slice(),
    ] {
        let done = operator(home).args(args).output().unwrap();
        let text =
            String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
        let bad = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(bad, None, "{args:?}: {text:?}");
    }
}

#[test]
fn a_folder_is_not_a_ledger() {
    let home = home();
    let path = home.path().to_str().unwrap();
    let said = err(home.path(), &["tickets", "list", "--db", path]);
    assert!(said.contains(path) && said.contains("folder"), "{said}");
}

/// A PD that says who it is, at a free port, and what was asked there.
fn pd_that_writes_down(seen: &std::sync::Arc<std::sync::Mutex<String>>) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = seen.clone();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = socket.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let body = if request.contains("/stores") {
                r#"{"count":1,"stores":[{"store":{"id":1,"address":"a:1","state_name":"Down"},"status":{}}]}"#
            } else {
                r#"{"header":{"cluster_id":7},"members":[{"name":"pd0"}],"leader":{"name":"pd0"}}"#
            };
            seen.lock().unwrap().push_str(&request);
            let _ = write!(
                socket,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
fn a_password_is_sent_as_it_is_and_written_down_nowhere() {
    let home = home();
    let seen = std::sync::Arc::<std::sync::Mutex<String>>::default();
    let address = pd_that_writes_down(&seen);
    let pd = format!("http://op:p%40ss-word@{address}");
    let config = "[prometheus]\nurl = 'http://me:hunter-two@127.0.0.1:1/x'\n\
        headers = { X-Scope-OrgID = 'tenant-nine' }\n";
    fs::write(home.path().join("config.toml"), config).unwrap();
    let run = |args: &[&str]| {
        let done = operator(home.path()).args(args).output().unwrap();
        let text = [done.stdout, done.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    };
    let mut said = run(&["cluster", "--pd", &pd, "--json"]);
    assert!(said.contains("127.0.0.1:1/x"), "{said}");
    said += &run(&["cluster", "--pd", &pd]);
    said += &run(&["monitor", "run", "--once", "--json", "--pd", &pd]);
    said += &run(&["tickets", "show", "1", "--json"]);
    assert!(said.contains(&format!("http://{address}")), "{said}");
    // op:p@ss-word in base64.
    let sent = seen.lock().unwrap().to_lowercase();
    assert!(
        sent.contains("authorization: basic b3a6cebzcy13b3jk"),
        "{sent}"
    );
    let mut files: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().collect();
    files.retain(|f| f.file_name() != "config.toml" && f.path().is_file());
    assert!(files.iter().any(|f| f.file_name() == "tickets.db"));
    for file in files {
        said += &String::from_utf8_lossy(&fs::read(file.path()).unwrap());
    }
    for secret in ["p%40ss", "p@ss-word", "hunter-two", "tenant-nine"] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn what_cannot_be_a_connection_is_said_at_once() {
    let home = home();
    for (args, words) in [
        (
            vec![
                "cluster",
                "--prometheus",
                "http://x",
                "--prometheus-match",
                "cluster=a",
            ],
            "looks like {cluster=\"a\"}",
        ),
        (
            vec!["cluster", "--tls-ca", "/no/such/ca.crt"],
            "/no/such/ca.crt",
        ),
        (
            vec![
                "cluster",
                "--prometheus",
                "http://x",
                "--prometheus-header",
                "secret-token",
            ],
            "X-Scope-OrgID: team-a",
        ),
    ] {
        let why = err(home.path(), &args);
        assert!(
            why.contains(words) && !why.contains("secret-token"),
            "{why}"
        );
    }
}

#[test]
fn what_was_proven_is_reopened_only_by_who_means_it() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    out(home, &["tickets", "open", "--message", "it is slow"]);
    let prove = || {
        out(home, &["tickets", "resolve", "1"]);
        rusqlite::Connection::open(home.join("tickets.db"))
            .unwrap()
            .execute("UPDATE tickets SET resolution = 'proven'", [])
            .unwrap();
    };
    for what in ["tickets", "incidents"] {
        prove();
        let done = operator(home)
            .args([what, "reopen", "1"])
            .assert()
            .failure();
        let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(
            said.contains("This withdraws the proof of ticket #1, which has held for")
                && said.contains("--yes"),
            "{said}"
        );
        let shown = out(home, &["tickets", "show", "1", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(json["resolution"], "proven", "nothing was changed");
        out(home, &[what, "reopen", "1", "--yes"]);
        assert!(out(home, &["incidents", "show", "1"]).contains("proof withdrawn"));
    }
}
