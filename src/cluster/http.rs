//! One bounded request. Errors name the address and what was wrong, for people to act on.

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder};
use std::time::Duration;

/// The longest body that is read, bytes.
const MAX_BODY: usize = 32 << 20;

/// An answer that is not a success, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nobody answered: refused, timed out, cut.
    #[error("{url}: {why}")]
    Unreachable { url: String, why: String },
    /// Somebody answered with an error.
    #[error("{url}: {status} {text}")]
    Status {
        url: String,
        status: u16,
        text: String,
    },
    /// A redirect, which is not followed: PD would send us past what people named.
    #[error("{url}: {status} redirect to {to}")]
    Redirect {
        url: String,
        status: u16,
        to: String,
    },
    /// PD answers that it has no leader to ask.
    #[error("{url}: {status} {text}")]
    NoLeader {
        url: String,
        status: u16,
        text: String,
    },
    /// A success that says too little so far.
    #[error("{url}: {why}")]
    NotYet { url: String, why: &'static str },
    /// Nothing can be asked at all.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
    /// A success that cannot be read.
    #[error("{url}: unreadable answer: {why}")]
    Body { url: String, why: String },
}

/// Why a request that ran into its limit failed.
const TOO_LATE: &str = "no answer in time";

impl HttpError {
    /// Whether the answer may only have been late.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Unreachable { why, .. } if why == TOO_LATE)
    }

    /// Whether somebody answered, if only with an error.
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Status { .. } | Self::Redirect { .. } | Self::NoLeader { .. }
        )
    }
}

/// Asks; follows no redirect and uses no proxy.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    /// Of one request.
    limit: Duration,
}

impl Http {
    /// `encrypted`: some address is `https`. Else no certificates are read, which takes longer
    /// than everything else a dashboard does before its first frame.
    pub fn new(limit: Duration, encrypted: bool) -> Result<Self, HttpError> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(limit)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(2);
        if !encrypted {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| HttpError::Client(reason(&e)))?;
        Ok(Self { client, limit })
    }

    /// A request to build on, for [`ask`].
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url).timeout(self.limit)
    }

    /// The same, for who may take twice as long.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self {
            client: self.client.clone(),
            limit: self.limit * 2,
        }
    }
}

/// The text of a successful answer.
pub async fn get(http: &Http, url: &str) -> Result<String, HttpError> {
    ask(http.request(Method::GET, url), url).await
}

/// The text of a successful answer to a request. `url` is what errors call it.
pub async fn ask(request: RequestBuilder, url: &str) -> Result<String, HttpError> {
    let unreachable = |e: reqwest::Error| HttpError::Unreachable {
        url: url.to_owned(),
        why: reason(&e),
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(reqwest::header::LOCATION);
        let to = to.map_or("nowhere".into(), |to| {
            String::from_utf8_lossy(to.as_bytes())
        });
        return Err(HttpError::Redirect {
            url: url.to_owned(),
            status: status.as_u16(),
            to: printable(&to),
        });
    }
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(unreachable)?;
        if body.len() + chunk.len() > MAX_BODY {
            let why = format!("longer than {} MiB", MAX_BODY >> 20);
            return Err(HttpError::Body {
                url: url.to_owned(),
                why,
            });
        }
        body.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() {
        return Ok(text);
    }
    Err(HttpError::Status {
        url: url.to_owned(),
        status: status.as_u16(),
        text: error_text(&text),
    })
}

/// A successful answer read as JSON.
pub async fn get_json<T: serde::de::DeserializeOwned>(
    http: &Http,
    url: &str,
) -> Result<T, HttpError> {
    let text = get(http, url).await?;
    serde_json::from_str(&text).map_err(|e| HttpError::Body {
        url: url.to_owned(),
        why: e.to_string(),
    })
}

/// PD answers errors as an object with `msg`, Prometheus with `error`, or a JSON string, or text.
fn error_text(body: &str) -> String {
    let text = match serde_json::from_str::<serde_json::Value>(body) {
        Ok(serde_json::Value::String(s)) => s,
        Ok(serde_json::Value::Object(o)) => o
            .get("msg")
            .or_else(|| o.get("error"))
            .and_then(|m| m.as_str())
            .map_or_else(|| body.to_owned(), str::to_owned),
        _ => body.to_owned(),
    };
    printable(&text)
}

fn printable(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

fn reason(e: &reqwest::Error) -> String {
    if e.is_timeout() {
        return TOO_LATE.into();
    }
    // The outer layers only repeat the address; the innermost cause is the one to act on.
    let mut cause: &dyn std::error::Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pd_errors_are_read_in_all_three_shapes() {
        let text = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader";
        assert_eq!(error_text(text), text);
        assert_eq!(
            error_text("\"[PD:core]store 9 not found\""),
            "[PD:core]store 9 not found"
        );
        assert_eq!(
            error_text(r#"{"code":1,"msg":"bad id","data":null}"#),
            "bad id"
        );
        assert_eq!(error_text(&"x".repeat(1000)).len(), 200);
    }

    fn http() -> Http {
        Http::new(Duration::from_secs(5), false).unwrap()
    }

    #[tokio::test]
    async fn a_redirect_is_an_error_of_its_own_that_says_where_it_points() {
        let app = axum::Router::new()
            .fallback(|| async { axum::response::Redirect::temporary("http://elsewhere:1/x") });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let error = get(&http(), &url).await.unwrap_err();
        assert!(matches!(error, HttpError::Redirect { status: 307, .. }));
        assert_eq!(
            error.to_string(),
            format!("{url}: 307 redirect to http://elsewhere:1/x")
        );
    }

    #[tokio::test]
    async fn a_refused_connection_names_the_address() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let url = format!("http://127.0.0.1:{port}/x");
        let err = get(&http(), &url).await.unwrap_err().to_string();
        assert!(
            err.contains(&url) && err.to_lowercase().contains("refused"),
            "{err}"
        );
    }
}
