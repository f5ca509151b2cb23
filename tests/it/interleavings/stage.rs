//! The players: a system of three stores that are files, a monitor that looks at them, a model that
//! repairs them with a program that writes down each time it ran, agents that are killed.

use axum::{Json, Router, extract::State, http::Uri, response::IntoResponse};
use operator_ledger::{
    Check, HoldScope, MonitorLedger, Observation, PersonLedger, Reader, Reading, SessionStatus,
    Severity, SystemId,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(super) const STORES: u64 = 3;
const LOOK: Duration = Duration::from_millis(60);

pub(super) fn system() -> SystemId {
    SystemId::new("7001")
}

pub(super) struct Stage {
    home: TempDir,
    pub ledger: Reader,
    person: PersonLedger,
    base: String,
    over: Arc<AtomicBool>,
    monitor: Option<thread::JoinHandle<()>>,
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(super) fn set(seed: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let db = home.path().join("tickets.db");
        let person = PersonLedger::open(&db).wait().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let (world, log) = (home.path().display(), home.path().join("ran"));
        let log = log.display();
        let script = format!(
            "#!/bin/bash\necho \"$(date +%s%3N) $OPERATOR_SESSION $*\" >> {log}\n\
             sleep 0.$((RANDOM % 4 + 1))\nrm -f {world}/down-\"${{1#store}}\"\n"
        );
        fs::write(bin.join("mend"), script).unwrap();
        fs::set_permissions(bin.join("mend"), fs::Permissions::from_mode(0o755)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let model = Model {
            chance: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            world: home.path().into(),
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(model);
        runtime.spawn(async move { axum::serve(listener, router).await });
        let over = Arc::new(AtomicBool::new(false));
        let monitor = MonitorLedger::open(&db).wait().unwrap();
        let (folder, stop) = (home.path().to_owned(), over.clone());
        let monitor = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                look(&monitor, &folder);
                thread::sleep(LOOK);
            }
        });
        Self {
            ledger: Reader::open(&db).wait().unwrap(),
            person,
            base,
            over,
            monitor: Some(monitor),
            _runtime: runtime,
            home,
        }
    }

    pub(super) fn break_store(&self, store: u64) {
        fs::write(self.home.path().join(format!("down-{store}")), "").unwrap();
    }

    pub(super) fn incidents(&self) -> Vec<i64> {
        let all = self.ledger.incidents(100).wait().unwrap();
        all.iter().map(|incident| incident.id).collect()
    }

    fn operator(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-tui"));
        let bin = self.home.path().join("bin");
        let path = std::env::var("PATH").unwrap();
        command
            .env("OPERATOR_HOME", self.home.path())
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("ANTHROPIC_BASE_URL", &self.base)
            .env("ANTHROPIC_API_KEY", "no-key-at-all")
            .env_remove("ANTHROPIC_AUTH_TOKEN")
            .env_remove("ANTHROPIC_MODEL")
            .env_remove("OPERATOR_LAB_DIR")
            .env_remove("OPERATOR_SESSION")
            .env_remove("PD_ENDPOINT")
            .stdin(Stdio::null());
        command
    }

    pub(super) fn says(&self, who: &str, words: &[&str]) -> Output {
        self.operator()
            .args(words)
            .env("USER", who)
            .output()
            .unwrap()
    }

    /// An agent that is killed and started again, at random moments.
    pub(super) fn agent(&self, seed: u64, until: Instant) {
        let mut chance = StdRng::seed_from_u64(seed ^ 0xa9e27);
        let mut last = false;
        while !last {
            let mut agent = self
                .operator()
                .args(["agent", "--json", "--host-shell", "--lease", "3"])
                .args(["--cluster-id", system().as_str()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let lives = Instant::now() + Duration::from_millis(chance.random_range(2000..7000));
            last = lives > until;
            thread::sleep(lives.min(until).saturating_duration_since(Instant::now()));
            let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
            let signal = if chance.random_bool(0.7) {
                Signal::KILL
            } else {
                Signal::TERM
            };
            let _ = kill_process(pid, signal);
            agent.wait().unwrap();
        }
    }

    /// What people began is ended, what was at work is over, and the monitor stops.
    pub(super) fn at_rest(&self, limit: Duration) {
        for hold in self.ledger.holds().wait().unwrap() {
            assert!(self.person.end_hold(hold.id, "the end").wait().unwrap());
        }
        let began = Instant::now();
        let at_work = || {
            let all = self.ledger.sessions(1000).wait().unwrap();
            all.iter().any(|s| s.status == SessionStatus::Running)
        };
        while at_work() {
            assert!(began.elapsed() < limit, "a session has no end");
            thread::sleep(LOOK);
        }
        self.over.store(true, Ordering::Relaxed);
    }

    /// What ran: when, in which session, and with which words.
    pub(super) fn ran(&self) -> Vec<(i64, String, String)> {
        let log = fs::read_to_string(self.home.path().join("ran")).unwrap_or_default();
        let line = |line: &str| {
            let mut parts = line.splitn(3, ' ').map(str::to_owned);
            let at = parts.next()?.parse().ok()?;
            Some((at, parts.next()?, parts.next()?))
        };
        log.lines().map(|text| line(text).unwrap()).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(monitor) = self.monitor.take() {
            let _ = monitor.join();
        }
    }
}

/// One look of the monitor.
fn look(monitor: &MonitorLedger, folder: &std::path::Path) {
    let down = |store: u64| folder.join(format!("down-{store}")).exists();
    let observation = |store: u64| Observation {
        key: format!("store_down:{store}"),
        invariant: "store_down".into(),
        subject: Some(store.to_string()),
        subject_name: Some(format!("store{store}")),
        reading: if down(store) {
            Reading::Violated
        } else {
            Reading::Clear
        },
        message: format!(
            "store{store} is {}",
            if down(store) { "down" } else { "up" }
        ),
        extent: None,
        severity: Severity::Critical,
        grace: Duration::ZERO,
        hold: Duration::from_millis(300),
        outside: None,
    };
    let check = Check {
        cluster_id: system(),
        age: Duration::ZERO,
        observations: (1..=STORES).map(observation).collect(),
        metric_snapshot: None,
        subject_context: None,
        sample: None,
        changes: Vec::new(),
        place: "http://127.0.0.1:1".into(),
        interval: LOOK,
        ok: true,
        detail: String::new(),
    };
    monitor.record_check(check).wait().unwrap();
}

#[derive(Clone)]
struct Model {
    chance: Arc<Mutex<StdRng>>,
    world: PathBuf,
}

async fn answer(
    State(model): State<Model>,
    uri: Uri,
    body: Option<Json<Value>>,
) -> axum::response::Response {
    let Some(Json(body)) = body.filter(|_| uri.path() == "/v1/messages") else {
        return Json(json!({ "data": [] })).into_response();
    };
    let small = body["model"].as_str().is_some_and(|m| m.contains("haiku"));
    let block = if small {
        json!({ "type": "text", "text": "In short." })
    } else {
        model.next(&body)
    };
    let events = stream(&block);
    ([("content-type", "text/event-stream")], events).into_response()
}

impl Model {
    /// Looks first, then mends what is down or what is not, and says that it is done.
    fn next(&self, body: &Value) -> Value {
        let messages = body["messages"].as_array().unwrap();
        let turns = messages.iter().filter(|m| m["role"] == "assistant").count();
        let mut chance = self.chance.lock().unwrap();
        let call = |name: &str, input: Value| json!({ "type": "tool_use", "id": format!("t{}", turns % 3), "name": name, "input": input });
        let shell = |command: String| {
            call(
                "shell",
                json!({ "command": command, "reasoning": "to see" }),
            )
        };
        let finish = |outcome: &str| {
            call(
                "finish",
                json!({ "outcome": outcome, "cause": "it was down", "evidence": ["1"],
                    "actions": "mended it", "checked": "it is up", "next": "look", "confidence": "low" }),
            )
        };
        let down = (1..=STORES).find(|n| self.world.join(format!("down-{n}")).exists());
        match (turns, chance.random_range(0..10)) {
            (0, _) => shell(format!("ls {}", self.world.display())),
            (12.., _) => finish("escalate"),
            (2.., 0..4) => finish("repaired"),
            (_, n) => {
                let any = chance.random_range(1..=STORES);
                shell(format!(
                    "mend store{}",
                    down.filter(|_| n != 5).unwrap_or(any)
                ))
            }
        }
    }
}

/// A turn of one block, as it streams.
fn stream(block: &Value) -> String {
    let mut start = block.clone();
    let (delta, stop) = if block["type"] == "text" {
        start["text"] = "".into();
        (
            json!({ "type": "text_delta", "text": block["text"] }),
            "end_turn",
        )
    } else {
        start["input"] = json!({});
        let input = block["input"].to_string();
        (
            json!({ "type": "input_json_delta", "partial_json": input }),
            "tool_use",
        )
    };
    let usage = json!({ "input_tokens": 10, "output_tokens": 1 });
    let events = [
        json!({ "type": "message_start", "message": { "id": "m", "type": "message",
            "role": "assistant", "content": [], "usage": usage } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": start }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null },
            "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ];
    let event = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

/// Whether a hold forbids all work on an incident, and not only commands that name a thing.
pub(super) fn forbids_all(scope: &HoldScope) -> bool {
    !matches!(scope, HoldScope::Thing { .. })
}
