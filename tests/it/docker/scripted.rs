//! A Docker API on a Unix socket, played from a list of containers: answers, errors, silence and
//! streams as the real one has them.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub id: String,
    pub name: String,
    pub labels: Value,
    pub status: &'static str,
    pub exit_code: i64,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub containers: Vec<Container>,
    /// Requests, without the version: method, path and query.
    pub asked: Vec<String>,
    /// Bodies of requests, as they came.
    pub bodies: Vec<String>,
    /// Programs: id and container.
    pub execs: BTreeMap<String, String>,
    /// What is answered instead, by the beginning of a request: status and body.
    pub instead: Vec<(String, u16, String)>,
    /// Requests that begin so are never answered.
    pub hangs: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Docker {
    pub inner: Arc<Mutex<Inner>>,
    pub socket: PathBuf,
    _dir: Arc<TempDir>,
}

pub(super) fn container(
    project: &str,
    service: &str,
    role: &str,
    status: &'static str,
) -> Container {
    Container {
        id: format!(
            "{:0<64}",
            format!("{project}{service}").replace(['-', '_'], "0")
        ),
        name: format!("{project}-{service}-1"),
        labels: json!({
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
            "operator.role": role,
        }),
        status,
        exit_code: 0,
    }
}

impl Docker {
    pub(super) fn start(containers: Vec<Container>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let docker = Self {
            inner: Arc::new(Mutex::new(Inner {
                containers,
                ..Inner::default()
            })),
            socket: socket.clone(),
            _dir: Arc::new(dir),
        };
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let router = Router::new().fallback(answer).with_state(docker.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        docker
    }

    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Requests that change something.
    pub(super) fn changes(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let changes = inner.asked.iter().filter(|a| !a.starts_with("GET"));
        changes.cloned().collect()
    }
}

impl Inner {
    fn find(&mut self, id: &str) -> Option<&mut Container> {
        self.containers
            .iter_mut()
            .find(|c| c.id == id || c.name == id || (id.len() >= 12 && c.id.starts_with(id)))
    }
}

pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    (
        StatusCode::from_u16(status).unwrap(),
        [("content-type", "application/json")],
        body.to_string(),
    )
        .into_response()
}

pub(super) fn error(status: u16, message: &str) -> Response {
    json_answer(status, &json!({ "message": message }))
}

/// A frame of a multiplexed stream: 1 is stdout, 2 stderr.
pub(super) fn frame(stream: u8, text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend(text);
    frame
}

async fn answer(State(docker): State<Docker>, mut request: Request<Body>) -> Response {
    let method = request.method().clone();
    let full = request.uri().path().to_string();
    let path = match full.strip_prefix("/v1.") {
        Some(rest) => rest[rest.find('/').unwrap()..].to_string(),
        None => full,
    };
    let query = request
        .uri()
        .query()
        .map(|q| format!("?{q}"))
        .unwrap_or_default();
    let line = format!("{method} {path}{query}");
    let upgrade = request.headers().contains_key("upgrade");
    let connection = hyper::upgrade::on(&mut request);
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    let hangs = {
        let mut inner = docker.inner.lock().unwrap();
        inner.asked.push(line.clone());
        inner.bodies.push(body.clone());
        if let Some((_, status, body)) = inner.instead.iter().find(|(l, ..)| line.starts_with(l)) {
            return (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response();
        }
        inner.hangs.iter().any(|l| line.starts_with(l))
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let mut inner = docker.inner.lock().unwrap();
    match (&method, parts.as_slice()) {
        (_, ["_ping"]) => "OK".into_response(),
        (&Method::GET, ["version"]) => json_answer(200, &json!({ "ApiVersion": "1.47" })),
        (&Method::GET, ["containers", "json"]) => {
            let all: Vec<Value> = inner
                .containers
                .iter()
                .filter(|c| wanted(&c.labels, &query))
                .map(|c| json!({ "Id": c.id, "Names": [format!("/{}", c.name)], "Labels": c.labels, "State": c.status }))
                .collect();
            json_answer(200, &json!(all))
        }
        (&Method::GET, ["containers", id, "json"]) => match inner.find(id) {
            None => error(404, &format!("No such container: {id}")),
            Some(c) => json_answer(
                200,
                &json!({
                    "Id": c.id,
                    "Name": format!("/{}", c.name),
                    "Config": { "Labels": c.labels },
                    "State": {
                        "Status": c.status, "Pid": if c.status == "exited" { 0 } else { 4711 },
                        "ExitCode": c.exit_code,
                        "StartedAt": "2026-11-22T10:00:00.123456789Z",
                        "FinishedAt": "2026-11-22T10:01:00.5Z",
                    },
                }),
            ),
        },
        (&Method::GET, ["containers", id, "logs"]) => {
            if inner.find(id).is_none() {
                return error(404, "No such container");
            }
            let pieces = [frame(1, "one\n"), frame(2, "two\n"), frame(1, "three\n")];
            let follow = query.contains("follow=true");
            let stream = stream::unfold(0, move |n| {
                let piece = pieces.get(n).cloned();
                async move {
                    match piece {
                        Some(piece) => Some((Ok::<_, Infallible>(piece), n + 1)),
                        None if follow => std::future::pending().await,
                        None => None,
                    }
                }
            });
            (
                [("content-type", "application/vnd.docker.multiplexed-stream")],
                Body::from_stream(stream),
            )
                .into_response()
        }
        (&Method::POST, ["containers", id, "exec"]) => {
            let Some(found) = inner.find(id).map(|c| c.id.clone()) else {
                return error(404, "No such container");
            };
            let exec = format!("exec{}", inner.execs.len());
            inner.execs.insert(exec.clone(), found);
            json_answer(201, &json!({ "Id": exec }))
        }
        (&Method::GET, ["exec", exec, "json"]) => match inner.execs.get(*exec) {
            None => error(404, "No such exec instance"),
            Some(container) => json_answer(
                200,
                &json!({ "ID": exec, "ContainerID": container, "Running": false, "ExitCode": 7 }),
            ),
        },
        (&Method::POST, ["exec", _, "start"]) if upgrade => {
            tokio::spawn(async move {
                let mut io = TokioIo::new(connection.await.unwrap());
                // Plays a program that says hello, repeats its input in capitals and ends with it.
                io.write_all(&frame(1, "hello\n")).await.unwrap();
                let mut buffer = [0; 1024];
                while let Ok(n) = io.read(&mut buffer).await {
                    if n == 0 {
                        break;
                    }
                    let text = String::from_utf8_lossy(&buffer[..n]).to_uppercase();
                    io.write_all(&frame(1, &text)).await.unwrap();
                }
                io.write_all(&frame(2, "bye\n")).await.unwrap();
                let _ = io.shutdown().await;
            });
            Response::builder()
                .status(101)
                .header("connection", "Upgrade")
                .header("upgrade", "tcp")
                .body(Body::empty())
                .unwrap()
        }
        (&Method::POST, ["exec", _, "start"]) => StatusCode::OK.into_response(),
        (&Method::POST, ["containers", id, verb]) => {
            let Some(c) = inner.find(id) else {
                return error(404, &format!("No such container: {id}"));
            };
            let (now, next) = (c.status, *verb);
            match (now, next) {
                ("running", "start") | ("exited", "stop") => {
                    return StatusCode::NOT_MODIFIED.into_response();
                }
                ("exited" | "paused", "kill" | "pause") if next == "pause" || now == "exited" => {
                    return error(409, &format!("Container {} is not running", c.id));
                }
                (_, "start" | "restart" | "unpause") => c.status = "running",
                (_, "pause") => c.status = "paused",
                (_, "stop" | "kill") => {
                    c.status = "exited";
                    c.exit_code = if next == "kill" { 137 } else { 0 };
                }
                _ => return error(404, "page not found"),
            }
            StatusCode::NO_CONTENT.into_response()
        }
        _ => error(404, "page not found"),
    }
}

/// Docker's own filter by labels, as far as it is used here.
pub(super) fn wanted(labels: &Value, query: &str) -> bool {
    let Some(filters) = query
        .split(['?', '&'])
        .find_map(|p| p.strip_prefix("filters="))
    else {
        return true;
    };
    let decoded = decode(filters);
    let filters: Value = serde_json::from_str(&decoded).unwrap();
    filters["label"]
        .as_array()
        .into_iter()
        .flatten()
        .all(|label| {
            let (name, value) = match label.as_str().unwrap().split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (label.as_str().unwrap(), None),
            };
            let has = labels[name].as_str();
            has.is_some() && value.is_none_or(|v| has == Some(v))
        })
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex: String = bytes.by_ref().take(2).map(char::from).collect();
            out.push(u8::from_str_radix(&hex, 16).unwrap());
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).unwrap()
}
