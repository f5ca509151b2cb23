//! The Messages API over HTTP, streamed: one turn, retried where that can help.
//!
//! Resending a turn repeats no side effect: tools run only after a turn is whole. What a turn
//! consists of is in [`stream`], what is worth a retry in [`failure`], the body in [`request`].

mod failure;
mod options;
mod request;
mod stream;

use super::{Conversation, Model, ModelError, Sink, Turn};
use crate::http::{self, cause};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use failure::Failure;
use futures_util::{StreamExt, future::BoxFuture};
use reqwest::{
    Response, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde_json::Value;
use sse_stream::SseByteStream;
use std::{io, str::FromStr, time::Duration};
use stream::Assembly;
use tokio::time::{Instant, timeout_at};

pub use options::{Credential, DEFAULT_BASE, Options};
pub use request::RequestOptions;

const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence in a stream. Servers send pings in between.
const IDLE: Duration = Duration::from_secs(300);
/// Longest time without anything but pings. A model may think for a while without a word.
const NO_NEWS: Duration = Duration::from_secs(600);
/// Bytes of one turn on the wire; more is no turn.
const MAX_TURN: usize = 64 * 1024 * 1024;
const MAX_ERROR: usize = 64 * 1024;
/// Longest wait between tries of its own accord.
const MAX_OWN_WAIT: Duration = Duration::from_secs(30);
/// Longest wait a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// A server that speaks the Messages API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    url: Url,
    first_wait: Duration,
}

impl Api {
    /// Asks nobody anything yet. Errors say which setting is wrong.
    pub fn new(options: &Options) -> Result<Self, String> {
        let base = options.base.trim().trim_end_matches('/').to_string();
        let url = Url::parse(&format!("{base}/v1/messages"))
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"))
            .ok_or("ANTHROPIC_BASE_URL is not an http(s) address")?;
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str, secret: bool| -> Result<(), String> {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| format!("the value of the header {name} cannot be sent"))?;
            value.set_sensitive(secret);
            headers.insert(name, value);
            Ok(())
        };
        set(
            HeaderName::from_static("anthropic-version"),
            &options.version,
            false,
        )?;
        if let Some(betas) = &options.betas {
            set(HeaderName::from_static("anthropic-beta"), betas, false)?;
        }
        for line in options.headers.lines().filter(|l| !l.trim().is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or("ANTHROPIC_CUSTOM_HEADERS must be lines of `Name: value`")?;
            let name = HeaderName::from_str(name.trim())
                .map_err(|_| format!("ANTHROPIC_CUSTOM_HEADERS: {name} is no header name"))?;
            set(name, value.trim(), true)?;
        }
        if let Some((name, value)) = options.credential.header() {
            set(name, &value, true)?;
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("agent_lab/", env!("CARGO_PKG_VERSION")))
            // A key header would follow a redirect to another host.
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(IDLE)
            .build()
            .map_err(|e| format!("cannot make an HTTP client: {e}"))?;
        Ok(Self {
            client,
            base,
            url,
            first_wait: options.first_wait,
        })
    }

    /// One turn for a body of [`RequestOptions::body`], tried at most `tries` times.
    pub async fn turn(
        &self,
        body: Vec<u8>,
        tries: u32,
        sink: &mut dyn Sink,
    ) -> Result<Turn, ModelError> {
        // Shared by all tries.
        let body = Bytes::from(body);
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(MAX_OWN_WAIT)
            .with_max_times(tries as usize - 1)
            .with_jitter()
            .build();
        let mut attempt = 1;
        loop {
            let failure = match self.once(body.clone(), sink).await {
                Ok(turn) => return Ok(turn),
                Err(failure) => failure,
            };
            sink.end_of_block();
            if !failure.retry {
                return Err(failure.into());
            }
            if failure.used.tokens() > 0 {
                sink.broken_off(failure.used);
                return Err(ModelError::BrokeOff {
                    reason: failure.reason,
                    wait: failure.wait.map(|wait| wait.min(MAX_WAIT)),
                });
            }
            let Some(wait) = waits.next() else {
                return Err(ModelError::Unavailable(format!(
                    "{} ({attempt} tries)",
                    failure.reason
                )));
            };
            let wait = failure.wait.unwrap_or(wait).min(MAX_WAIT);
            attempt += 1;
            sink.retry(failure.status, (attempt, tries), wait, &failure.reason);
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether the server answers at all: anything but an error of its own will do.
    pub async fn answers(&self) -> bool {
        let asked = self.client.get(format!("{}/v1/models", self.base));
        let answer = asked.timeout(CONNECT).send().await;
        answer.is_ok_and(|a| !a.status().is_server_error() && a.status().as_u16() != 429)
    }

    async fn once(&self, body: Bytes, sink: &mut dyn Sink) -> Result<Turn, Failure> {
        let sent = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json");
        let response = sent.body(body).send().await.map_err(Failure::network)?;
        let status = response.status();
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = body_of(response, MAX_ERROR).await.unwrap_or_default();
            return Err(Failure::status(status, &headers, &body));
        }
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
        };
        let request = Some(header("request-id").to_string()).filter(|id| !id.is_empty());
        let kind = header("content-type").to_ascii_lowercase();
        let mut turn = if kind.contains("json") {
            let body = body_of(response, MAX_TURN).await?;
            let message: Value = serde_json::from_slice(&body)
                .map_err(|_| Failure::passing("the server answered JSON that does not read"))?;
            stream::whole(&message, sink)?
        } else if kind.contains("event-stream") || kind.is_empty() {
            streamed(response, sink).await?
        } else {
            let kind: String = kind.chars().take(60).collect();
            return Err(Failure::passing(format!(
                "the server answered {kind} instead of a stream"
            )));
        };
        turn.request = request.or(turn.request);
        Ok(turn)
    }
}

/// A model behind the Messages API.
#[derive(Debug)]
pub struct Anthropic {
    pub api: Api,
    pub options: RequestOptions,
    pub tries: u32,
}

impl Model for Anthropic {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn turn<'a>(
        &'a mut self,
        conversation: &'a Conversation,
        max_tokens: u32,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<Turn, ModelError>> {
        let body = self.options.body(conversation, max_tokens);
        Box::pin(self.api.turn(body, self.tries, sink))
    }

    fn answers(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(self.api.answers())
    }
}

async fn streamed(response: Response, sink: &mut dyn Sink) -> Result<Turn, Failure> {
    let mut assembly = Assembly::default();
    match assemble(response, &mut assembly, sink).await {
        Ok(()) => Ok(assembly.finish()),
        Err(mut failure) => {
            failure.used = assembly.usage();
            Err(failure)
        }
    }
}

async fn assemble(
    response: Response,
    assembly: &mut Assembly,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let mut received = 0;
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|e| io::Error::other(e.without_url()))?;
        received += chunk.len();
        if received > MAX_TURN {
            return Err(io::Error::other(format!(
                "the turn is longer than {MAX_TURN} bytes"
            )));
        }
        Ok(chunk)
    });
    let mut events = SseByteStream::new(bytes);
    let mut news = Instant::now();
    loop {
        // Pings keep a connection open, but are no news.
        let event = match timeout_at(news + NO_NEWS, events.next()).await {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(_) => {
                let why = format!(
                    "the server sent nothing but pings for {} s",
                    NO_NEWS.as_secs()
                );
                return Err(Failure::passing(why));
            }
        };
        let event =
            event.map_err(|e| Failure::passing(format!("the stream broke off: {}", cause(&e))))?;
        let Some(data) = event.data.filter(|d| !d.trim().is_empty()) else {
            continue;
        };
        let Ok(data) = serde_json::from_str::<Value>(&data) else {
            // Some servers end with `[DONE]`.
            continue;
        };
        if data["type"] != "ping" {
            news = Instant::now();
        }
        if assembly.event(data, sink)? {
            return Ok(());
        }
    }
    Err(Failure::passing("the stream ended before the turn did"))
}

async fn body_of(response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    match http::body(response, limit)
        .await
        .map_err(Failure::network)?
    {
        (body, false) => Ok(body),
        (_, true) => Err(Failure::passing("the server's answer is too long")),
    }
}
