//! The Messages API over HTTP, streamed: one turn, retried where that can help.
//!
//! Resending a turn repeats no side effect: tools run only after a turn is whole. What a turn
//! consists of is in [`stream`], what is worth a retry in [`failure`], the body in [`request`].

mod failure;
mod request;
mod stream;

use super::{Conversation, Model, ModelError, Sink, Turn};
use backon::{BackoffBuilder, ExponentialBuilder};
use failure::Failure;
use futures_util::{StreamExt, future::BoxFuture};
use reqwest::{
    Response, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sse_stream::SseByteStream;
use std::{io, str::FromStr, time::Duration};
use stream::Assembly;

const DEFAULT_BASE: &str = "https://api.anthropic.com";
/// Understood by every server that speaks this API.
const DEFAULT_VERSION: &str = "2023-06-01";
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence in a stream. Servers send pings in between.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes of one turn on the wire; more is no turn.
const LONGEST_TURN: usize = 64 * 1024 * 1024;
const LONGEST_ERROR: usize = 64 * 1024;
/// Tries of one turn, the first included.
const TRIES: u32 = 8;
/// Longest wait a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Who asks.
#[derive(Debug, Clone)]
pub enum Credential {
    Key(SecretString),
    Token(SecretString),
    /// For servers that want none.
    None,
}

impl Credential {
    /// ANTHROPIC_API_KEY, else ANTHROPIC_AUTH_TOKEN; empty is unset.
    pub fn from_env() -> Self {
        let var = |name| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
        if let Some(key) = var("ANTHROPIC_API_KEY") {
            return Self::Key(key.trim().into());
        }
        var("ANTHROPIC_AUTH_TOKEN").map_or(Self::None, |token| Self::Token(token.trim().into()))
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// For the redactor: what must never be stored or shown.
    pub fn secret(&self) -> Option<String> {
        match self {
            Self::Key(s) | Self::Token(s) => Some(s.expose_secret().to_string()),
            Self::None => None,
        }
    }

    fn header(&self) -> Option<(HeaderName, String)> {
        match self {
            Self::Key(key) => Some((
                HeaderName::from_static("x-api-key"),
                key.expose_secret().into(),
            )),
            Self::Token(t) => Some((AUTHORIZATION, format!("Bearer {}", t.expose_secret()))),
            Self::None => None,
        }
    }
}

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct Options {
    pub model: String,
    pub credential: Credential,
    /// With a path prefix, if the server has one.
    pub base: String,
    pub version: String,
    pub betas: Option<String>,
    /// `Name: value` lines.
    pub headers: String,
    pub max_tokens: u32,
    /// First wait before a retry; doubles.
    pub first_wait: Duration,
}

impl Options {
    /// From ANTHROPIC_BASE_URL, ANTHROPIC_VERSION, ANTHROPIC_BETAS and ANTHROPIC_CUSTOM_HEADERS.
    pub fn from_env(model: &str, credential: Credential) -> Self {
        let var = |name| {
            std::env::var(name)
                .ok()
                .filter(|v: &String| !v.trim().is_empty())
        };
        Self {
            model: model.to_string(),
            credential,
            base: var("ANTHROPIC_BASE_URL").unwrap_or_else(|| DEFAULT_BASE.into()),
            version: var("ANTHROPIC_VERSION").unwrap_or_else(|| DEFAULT_VERSION.into()),
            betas: var("ANTHROPIC_BETAS"),
            headers: var("ANTHROPIC_CUSTOM_HEADERS").unwrap_or_default(),
            max_tokens: 16_000,
            first_wait: Duration::from_millis(500),
        }
    }
}

/// A model behind the Messages API.
#[derive(Debug)]
pub struct Anthropic {
    client: reqwest::Client,
    url: Url,
    model: String,
    max_tokens: u32,
    first_wait: Duration,
}

impl Anthropic {
    /// Asks nobody anything yet. Errors say which setting is wrong.
    pub fn new(options: &Options) -> Result<Self, String> {
        let base = options.base.trim().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/v1/messages"))
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"))
            .ok_or_else(|| format!("ANTHROPIC_BASE_URL is not an http(s) address: {base}"))?;
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
            url,
            model: options.model.clone(),
            max_tokens: options.max_tokens,
            first_wait: options.first_wait,
        })
    }

    async fn once(&self, body: &[u8], sink: &mut dyn Sink) -> Result<Turn, Failure> {
        let sent = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json");
        let response = sent
            .body(body.to_vec())
            .send()
            .await
            .map_err(Failure::network)?;
        let status = response.status();
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = body_of(response, LONGEST_ERROR).await.unwrap_or_default();
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
            let body = body_of(response, LONGEST_TURN).await?;
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
        turn.request = turn.request.or(request);
        Ok(turn)
    }
}

impl Model for Anthropic {
    fn name(&self) -> &str {
        &self.model
    }

    fn turn<'a>(
        &'a mut self,
        conversation: &'a Conversation,
        sink: &'a mut dyn Sink,
    ) -> BoxFuture<'a, Result<Turn, ModelError>> {
        Box::pin(async move {
            let body = request::body(&self.model, self.max_tokens, conversation);
            let mut waits = ExponentialBuilder::default()
                .with_min_delay(self.first_wait)
                .with_max_delay(Duration::from_secs(30))
                .with_max_times(TRIES as usize - 1)
                .with_jitter()
                .build();
            let mut attempt = 1;
            loop {
                let failure = match self.once(&body, sink).await {
                    Ok(turn) => return Ok(turn),
                    Err(failure) => failure,
                };
                sink.end_of_block();
                if !failure.retry {
                    return Err(failure.into());
                }
                let Some(wait) = waits.next() else {
                    return Err(ModelError::Unavailable(format!(
                        "{} ({attempt} tries)",
                        failure.reason
                    )));
                };
                let wait = failure.wait.unwrap_or(wait).min(LONGEST_WAIT);
                attempt += 1;
                sink.retry(failure.status, (attempt, TRIES), wait, &failure.reason);
                tokio::time::sleep(wait).await;
            }
        })
    }
}

async fn streamed(response: Response, sink: &mut dyn Sink) -> Result<Turn, Failure> {
    let mut received = 0;
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|e| io::Error::other(e.without_url()))?;
        received += chunk.len();
        if received > LONGEST_TURN {
            return Err(io::Error::other(format!(
                "the turn is longer than {LONGEST_TURN} bytes"
            )));
        }
        Ok(chunk)
    });
    let mut events = SseByteStream::new(bytes);
    let mut assembly = Assembly::default();
    while let Some(event) = events.next().await {
        let event =
            event.map_err(|e| Failure::passing(format!("the stream broke off: {}", cause(&e))))?;
        let Some(data) = event.data.filter(|d| !d.trim().is_empty()) else {
            continue;
        };
        let Ok(data) = serde_json::from_str::<Value>(&data) else {
            // Some servers end with `[DONE]`.
            continue;
        };
        if assembly.event(&data, sink)? {
            return Ok(assembly.finish());
        }
    }
    Err(Failure::passing("the stream ended before the turn did"))
}

async fn body_of(mut response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::network)? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            return Err(Failure::passing("the server's answer is too long"));
        }
    }
    Ok(body)
}

/// The innermost cause: the outer ones say only that there is one.
fn cause(e: &dyn std::error::Error) -> String {
    let mut inner = e;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
