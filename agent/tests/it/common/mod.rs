//! A server that plays the Messages API from a script, and what it was asked.

#![allow(dead_code, reason = "the tests and the bench each use some of it")]

pub(crate) mod port;
pub(crate) mod stage;

use axum::{Router, body::Body, extract::State, http::Request, response::Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Barrier;

/// Waits for a condition, never for a time.
#[track_caller]
pub(crate) fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One answer of the script.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Chunks of an event stream, then its end.
    Stream(Vec<Vec<u8>>),
    /// Chunks of an event stream, each after a while, then its end.
    Slow(Duration, Vec<Vec<u8>>),
    /// Chunks of an event stream; then the connection is cut.
    Cut(Vec<Vec<u8>>),
    /// The answer, once as many requests as the barrier asks for have come.
    Together(Arc<Barrier>, Box<Answer>),
    /// Whatever this makes of what was asked.
    To(fn(&Value) -> Answer),
    /// Nothing at all, for ever.
    Hang,
    Plain {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
}

/// What was asked: headers, lower case, and body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    beside: Arc<Mutex<Vec<Asked>>>,
    /// What requests beside the work get when the script has nothing for them.
    small: Arc<Mutex<VecDeque<Answer>>>,
    /// The server is out of order: 503 for everything.
    pub away: Arc<AtomicBool>,
    pub base: String,
}

/// A model for summaries and searches: what is asked of it is no part of the script.
pub(crate) const SMALL: &str = "claude-haiku-5-5";

impl Server {
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/prefix", listener.local_addr().unwrap());
        let server = Self {
            script: Arc::new(Mutex::new(script.into())),
            base,
            ..Self::default()
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    /// What was asked of the model for the work.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked of the small model.
    pub(crate) fn asked_beside(&self) -> Vec<Asked> {
        self.beside.lock().unwrap().clone()
    }

    /// Answers for the small model; then every question gets a turn that says so.
    pub(crate) fn beside(&self, answers: Vec<Answer>) {
        *self.small.lock().unwrap() = answers.into();
    }

    /// More for the script.
    pub(crate) fn then(&self, answers: Vec<Answer>) {
        self.script.lock().unwrap().extend(answers);
    }
}

async fn answer(State(server): State<Server>, request: Request<Body>) -> Response {
    let plain = |status: u16, body: &str| {
        Response::builder()
            .status(status)
            .body(body.to_string().into())
            .unwrap()
    };
    if server.away.load(Ordering::Relaxed) {
        return plain(503, "out of order");
    }
    if request.uri().path() == "/prefix/v1/models" {
        return plain(200, r#"{"data":[]}"#);
    }
    assert_eq!(request.uri().path(), "/prefix/v1/messages");
    let headers = request
        .headers()
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_string()))
        .collect();
    let body = axum::body::to_bytes(request.into_body(), 64 << 20)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let small = body["model"] == SMALL;
    let question = body.clone();
    let asked = Asked { headers, body };
    let next = if small {
        server.beside.lock().unwrap().push(asked);
        let next = server.small.lock().unwrap().pop_front();
        next.or_else(|| Some(turn(&[text("In short: it was so.")], "end_turn")))
    } else {
        server.asked.lock().unwrap().push(asked);
        server.script.lock().unwrap().pop_front()
    };
    let streamed = |body| {
        Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .header("request-id", "req_1")
            .body(body)
            .unwrap()
    };
    let next = match next {
        Some(Answer::Together(barrier, answer)) => {
            barrier.wait().await;
            Some(*answer)
        }
        Some(Answer::To(reply)) => Some(reply(&question)),
        next => next,
    };
    match next {
        // A barrier within a barrier has no use.
        None | Some(Answer::Together(..) | Answer::To(_)) => plain(400, "the script is over"),
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Plain {
            status,
            headers,
            body,
        }) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(body.into()).unwrap()
        }
        Some(Answer::Stream(chunks)) => streamed(Body::from_stream(stream::iter(
            chunks.into_iter().map(Ok::<_, io::Error>),
        ))),
        Some(Answer::Slow(pause, chunks)) => {
            let paced = stream::iter(chunks).then(move |chunk| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, io::Error>(chunk)
            });
            streamed(Body::from_stream(paced))
        }
        Some(Answer::Cut(chunks)) => {
            let cut = stream::iter(chunks.into_iter().map(Ok)).chain(stream::once(async {
                // What was sent before must have left.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(io::Error::other("cut"))
            }));
            streamed(Body::from_stream(cut))
        }
    }
}

/// One server-sent event.
pub(crate) fn event(data: &Value) -> Vec<u8> {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap()
    )
    .into_bytes()
}

/// The events of a turn, without the last: the blocks as they would stream, in pieces.
pub(crate) fn events(blocks: &[Value], stop: &str) -> Vec<Value> {
    counted_events(blocks, stop, 100, 50)
}

fn counted_events(blocks: &[Value], stop: &str, input: u64, output: u64) -> Vec<Value> {
    let mut out = vec![
        json!({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",
        "content":[],"usage":{"input_tokens":input,"cache_read_input_tokens":7,"cache_creation_input_tokens":3,"output_tokens":1}}}),
    ];
    for (index, block) in blocks.iter().enumerate() {
        let mut start = block.clone();
        let mut deltas = Vec::new();
        let halves = |text: &str| {
            let cut = text.floor_char_boundary(text.len() / 2);
            [text[..cut].to_string(), text[cut..].to_string()]
        };
        match block["type"].as_str().unwrap() {
            "text" => {
                start["text"] = "".into();
                for part in halves(block["text"].as_str().unwrap()) {
                    deltas.push(json!({"type":"text_delta","text":part}));
                }
            }
            "thinking" => {
                start["thinking"] = "".into();
                start["signature"] = "".into();
                for part in halves(block["thinking"].as_str().unwrap()) {
                    deltas.push(json!({"type":"thinking_delta","thinking":part}));
                }
                deltas.push(json!({"type":"signature_delta","signature":block["signature"]}));
            }
            "tool_use" => {
                start["input"] = json!({});
                for part in halves(&block["input"].to_string()) {
                    deltas.push(json!({"type":"input_json_delta","partial_json":part}));
                }
            }
            _ => {}
        }
        out.push(json!({"type":"content_block_start","index":index,"content_block":start}));
        for delta in deltas {
            out.push(json!({"type":"content_block_delta","index":index,"delta":delta}));
        }
        out.push(json!({"type":"content_block_stop","index":index}));
    }
    out.push(json!({"type":"message_delta","delta":{"stop_reason":stop,"stop_sequence":null},"usage":{"output_tokens":output}}));
    out
}

/// A whole turn.
pub(crate) fn turn(blocks: &[Value], stop: &str) -> Answer {
    counted(blocks, stop, 100, 50)
}

/// A whole turn of so many tokens of input (uncached) and output.
pub(crate) fn counted(blocks: &[Value], stop: &str, input: u64, output: u64) -> Answer {
    let mut chunks: Vec<Vec<u8>> = counted_events(blocks, stop, input, output)
        .iter()
        .map(event)
        .collect();
    chunks.insert(1, event(&json!({"type":"ping"})));
    chunks.push(event(&json!({"type":"message_stop"})));
    Answer::Stream(chunks)
}

pub(crate) fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

pub(crate) fn shell(id: &str, command: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "shell",
        "input": { "command": command, "reasoning": "to see" } })
}

/// The call that ends the work; its evidence is the first call.
pub(crate) fn finish(id: &str, outcome: &str) -> Value {
    finish_with(
        id,
        json!({ "outcome": outcome, "cause": "the cause", "evidence": ["1"],
            "actions": "what was done", "checked": "what was seen", "next": "what to do",
            "confidence": "medium" }),
    )
}

pub(crate) fn finish_with(id: &str, input: Value) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "finish", "input": input })
}

pub(crate) fn error(status: u16, kind: &str, message: &str) -> Answer {
    Answer::Plain {
        status,
        headers: vec![("content-type", "application/json".into())],
        body: json!({"type":"error","error":{"type":kind,"message":message}}).to_string(),
    }
}
