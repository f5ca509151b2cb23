//! A server that plays the Messages API from a script, and what it was asked.

use axum::{Router, body::Body, extract::State, http::Request, response::Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

/// One answer of the script.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Chunks of an event stream, then its end.
    Stream(Vec<Vec<u8>>),
    Plain {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
}

/// What was asked: headers, lower case, and body.
#[derive(Debug, Clone)]
pub struct Asked {
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

#[derive(Debug, Clone, Default)]
pub struct Server {
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    pub base: String,
}

impl Server {
    pub async fn start(script: Vec<Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/prefix", listener.local_addr().unwrap());
        let server = Self {
            script: Arc::new(Mutex::new(script.into())),
            asked: Arc::default(),
            base,
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(server): State<Server>, request: Request<Body>) -> Response {
    assert_eq!(request.uri().path(), "/prefix/v1/messages");
    let headers = request
        .headers()
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_string()))
        .collect();
    let body = axum::body::to_bytes(request.into_body(), 64 << 20)
        .await
        .unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    server.asked.lock().unwrap().push(Asked { headers, body });
    let next = server.script.lock().unwrap().pop_front();
    match next {
        None => Response::builder()
            .status(400)
            .body("the script is over".into())
            .unwrap(),
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
        Some(Answer::Stream(chunks)) => Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .header("request-id", "req_1")
            .body(Body::from_stream(stream::iter(
                chunks.into_iter().map(Ok::<_, Infallible>),
            )))
            .unwrap(),
    }
}

/// One server-sent event.
pub fn event(data: &Value) -> Vec<u8> {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap()
    )
    .into_bytes()
}

/// The events of a turn, without the last: the blocks as they would stream, in pieces.
pub fn events(blocks: &[Value], stop: &str) -> Vec<Value> {
    let mut out = vec![
        json!({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",
        "content":[],"usage":{"input_tokens":100,"cache_read_input_tokens":7,"cache_creation_input_tokens":3,"output_tokens":1}}}),
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
    out.push(json!({"type":"message_delta","delta":{"stop_reason":stop,"stop_sequence":null},"usage":{"output_tokens":50}}));
    out
}

/// A whole turn.
pub fn turn(blocks: &[Value], stop: &str) -> Answer {
    let mut chunks: Vec<Vec<u8>> = events(blocks, stop).iter().map(event).collect();
    chunks.insert(1, event(&json!({"type":"ping"})));
    chunks.push(event(&json!({"type":"message_stop"})));
    Answer::Stream(chunks)
}

pub fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

pub fn shell(id: &str, command: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "shell",
        "input": { "command": command, "reasoning": "to see" } })
}

pub fn error(status: u16, kind: &str, message: &str) -> Answer {
    Answer::Plain {
        status,
        headers: vec![("content-type", "application/json".into())],
        body: json!({"type":"error","error":{"type":kind,"message":message}}).to_string(),
    }
}
