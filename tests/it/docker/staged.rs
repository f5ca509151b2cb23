//! A Docker API before the embedded lab: its containers are that lab's nodes, what is done to them
//! is done to real processes, and a program in the container of the agent really runs. What the
//! whole of Operator does in Docker Compose can be seen with it, but for Docker and TiKV.

use super::scripted::{error, frame, json_answer, wanted};
use assert_cmd::cargo::cargo_bin;
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

const PROJECT: &str = "staged";

/// A lab, the Docker before it, and a home for the ledger.
#[derive(Clone)]
pub(super) struct Staged {
    dir: Arc<TempDir>,
    /// Of the agent's container.
    agent_env: Vec<(String, String)>,
    execs: Arc<Mutex<BTreeMap<String, Exec>>>,
}

#[derive(Clone, Default)]
struct Exec {
    argv: Vec<String>,
    env: Vec<String>,
    code: Option<i32>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if Arc::strong_count(&self.dir) > 1 {
            return;
        }
        let _ = std::process::Command::new(cargo_bin("operator-tui"))
            .args(["lab", "down"])
            .env("OPERATOR_HOME", self.dir.path().join("stage"))
            .env_remove("OPERATOR_LAB_DIR")
            .output();
    }
}

impl Staged {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let staged = Self {
            dir: Arc::new(dir),
            agent_env: Vec::new(),
            execs: Arc::default(),
        };
        let up = staged.lab(&["lab", "up", "--rate", "50"]).await;
        assert_eq!(up.0, Some(0), "{}", up.1);
        // The agent's program has the name it has in its container.
        let bin = staged.path("bin");
        std::fs::create_dir(&bin).unwrap();
        let operator = cargo_bin("operator-tui");
        std::fs::write(
            bin.join("agent_lab"),
            format!("#!/bin/sh\nexec {} agent \"$@\"\n", operator.display()),
        )
        .unwrap();
        std::fs::set_permissions(
            bin.join("agent_lab"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        std::os::unix::fs::symlink(&operator, bin.join("operator-tui")).unwrap();
        staged
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Serves the API; `door` is what the agent reaches Docker by.
    pub(super) fn serve(mut self, door: &str, pd: &str) -> Self {
        let path = std::env::var("PATH").unwrap();
        self.agent_env = [
            ("PATH", format!("{}:{path}", self.path("bin").display())),
            ("HOME", self.path("agent").display().to_string()),
            ("OPERATOR_HOME", self.path("ledger").display().to_string()),
            ("OPERATOR_LAB", "compose".into()),
            ("COMPOSE_PROJECT_NAME", PROJECT.into()),
            ("DOCKER_HOST", door.into()),
            ("PD_ENDPOINT", pd.into()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec();
        let listener = tokio::net::UnixListener::bind(self.socket()).unwrap();
        // Not a clone of the folder's owner: that would keep the lab up for ever.
        let served = Served {
            stage: self.path("stage"),
            agent_env: self.agent_env.clone(),
            execs: self.execs.clone(),
        };
        let router = Router::new().fallback(answer).with_state(served);
        tokio::spawn(async move { axum::serve(listener, router).await });
        self
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    pub(super) fn project() -> &'static str {
        PROJECT
    }

    /// Runs Operator on the stage itself: exit code and what it printed.
    pub(super) async fn lab(&self, args: &[&str]) -> (Option<i32>, String) {
        lab(&self.path("stage"), args).await
    }
}

async fn lab(stage: &Path, args: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(cargo_bin("operator-tui"))
        .args(args)
        .env("OPERATOR_HOME", stage)
        .env_remove("OPERATOR_LAB_DIR")
        .env_remove("OPERATOR_LAB")
        .output()
        .await
        .unwrap();
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[derive(Clone)]
struct Served {
    stage: PathBuf,
    agent_env: Vec<(String, String)>,
    execs: Arc<Mutex<BTreeMap<String, Exec>>>,
}

/// Containers as Docker lists and inspects them, then the agent's and the monitor's.
async fn containers(stage: &Path) -> Vec<Value> {
    let (code, text) = lab(stage, &["lab", "ps", "--json"]).await;
    assert_eq!(code, Some(0), "{text}");
    let nodes: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut all: Vec<Value> = nodes
        .iter()
        .map(|n| {
            let exit = n["signal"]
                .as_i64()
                .map_or(n["exit_code"].as_i64(), |s| Some(128 + s));
            container(
                n["node"].as_str().unwrap(),
                n["role"].as_str().unwrap(),
                n["state"].as_str().unwrap(),
                exit.unwrap_or(0),
                n["since"].as_str().unwrap(),
            )
        })
        .collect();
    for name in ["agent", "monitor"] {
        all.push(container(name, name, "running", 0, ""));
    }
    all
}

fn container(name: &str, role: &str, state: &str, exit: i64, since: &str) -> Value {
    let labels = json!({
        "com.docker.compose.project": PROJECT,
        "com.docker.compose.service": name,
        "operator.role": role,
    });
    json!({
        "Id": format!("{:0<64}", format!("c{name}")),
        "Names": [format!("/{PROJECT}-{name}-1")],
        "Name": format!("/{PROJECT}-{name}-1"),
        "Labels": labels,
        "Config": { "Labels": labels },
        "State": {
            "Status": state, "Pid": 1, "ExitCode": exit,
            "StartedAt": since, "FinishedAt": since,
        },
    })
}

async fn answer(State(served): State<Served>, mut request: Request<Body>) -> Response {
    let full = request.uri().path().to_string();
    let path = match full.strip_prefix("/v1.") {
        Some(rest) => rest[rest.find('/').unwrap()..].to_string(),
        None => full,
    };
    let query = request.uri().query().map(|q| format!("?{q}"));
    let method = request.method().clone();
    let connection = hyper::upgrade::on(&mut request);
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if let ["containers", "json"] = parts.as_slice() {
        let mut all = containers(&served.stage).await;
        all.retain(|c| wanted(&c["Labels"], query.as_deref().unwrap_or_default()));
        for c in &mut all {
            c["State"] = c["State"]["Status"].take();
        }
        return json_answer(200, &json!(all));
    }
    match (&method, parts.as_slice()) {
        (_, ["_ping"]) => "OK".into_response(),
        (&Method::GET, ["version"]) => json_answer(200, &json!({ "ApiVersion": "1.47" })),
        (&Method::GET, ["exec", exec, "json"]) => {
            let execs = served.execs.lock().unwrap();
            let code = execs[*exec].code;
            json_answer(
                200,
                &json!({ "ID": exec, "Running": code.is_none(), "ExitCode": code }),
            )
        }
        (&Method::POST, ["exec", exec, "start"]) => {
            let exec = (*exec).to_string();
            tokio::spawn(async move { run(&served, &exec, connection).await });
            Response::builder()
                .status(101)
                .header("connection", "Upgrade")
                .header("upgrade", "tcp")
                .body(Body::empty())
                .unwrap()
        }
        (_, ["containers", id, verb]) => {
            let all = containers(&served.stage).await;
            let Some(found) = all.iter().find(|c| c["Id"] == **id) else {
                return error(404, &format!("No such container: {id}"));
            };
            let node = found["Labels"]["com.docker.compose.service"]
                .as_str()
                .unwrap();
            let verb = match *verb {
                "json" => return json_answer(200, found),
                "exec" => {
                    assert_eq!(node, "agent");
                    let asked: Value = serde_json::from_slice(&body).unwrap();
                    let words = |name: &str| {
                        serde_json::from_value(asked[name].clone()).unwrap_or_default()
                    };
                    let mut execs = served.execs.lock().unwrap();
                    let id = format!("e{}", execs.len());
                    let exec = Exec {
                        argv: words("Cmd"),
                        env: words("Env"),
                        code: None,
                    };
                    execs.insert(id.clone(), exec);
                    return json_answer(201, &json!({ "Id": id }));
                }
                "unpause" => "resume",
                other => other,
            };
            match lab(&served.stage, &["lab", verb, node]).await {
                (Some(0), _) => StatusCode::NO_CONTENT.into_response(),
                (_, why) => error(409, &why),
            }
        }
        _ => error(404, "page not found"),
    }
}

/// The program in the agent's container, with the connection as its stdin, stdout and stderr.
async fn run(served: &Served, id: &str, connection: hyper::upgrade::OnUpgrade) {
    let io = TokioIo::new(connection.await.unwrap());
    let (mut from, mut to) = tokio::io::split(io);
    let exec = served.execs.lock().unwrap()[id].clone();
    let mut command = Command::new("/usr/bin/env");
    command.args(&exec.argv).env_clear();
    command.envs(served.agent_env.iter().cloned());
    command.envs(exec.env.iter().filter_map(|e| e.split_once('=')));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from, &mut stdin).await;
    });
    let mut stdout = child.stdout.take().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let mut buffers = (vec![0; 8192], vec![0; 8192]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        let piece = tokio::select! {
            n = stdout.read(&mut buffers.0), if out_open => {
                let n = n.unwrap();
                out_open = n > 0;
                frame(1, &buffers.0[..n])
            }
            n = errors.read(&mut buffers.1), if err_open => {
                let n = n.unwrap();
                err_open = n > 0;
                frame(2, &buffers.1[..n])
            }
        };
        // Whoever asked is gone: the program goes on, as in Docker, but with its stdin at an end.
        let _ = to.write_all(&piece).await;
    }
    let code = child.wait().await.unwrap().code().unwrap_or(137);
    served.execs.lock().unwrap().get_mut(id).unwrap().code = Some(code);
    let _ = to.shutdown().await;
    feeding.abort();
}
