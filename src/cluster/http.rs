//! One bounded request. Errors name the address and what was wrong, for people to act on.

use super::access::{Access, Whose};
use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, Response};
use std::{
    collections::HashSet,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

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
    #[error("nothing can be asked: {0}")]
    Client(String),
    /// A success that says of itself that it is not all.
    #[error("{url}: the answer is partial: {why}")]
    Partial { url: String, why: String },
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
    shared: Arc<Shared>,
    /// Of one request.
    limit: Duration,
}

#[derive(Debug)]
struct Shared {
    access: Access,
    connect: Duration,
    encrypted: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    client: reqwest::Client,
    /// Of the files that the client was made from.
    stamp: Vec<Option<(SystemTime, u64)>>,
    /// Who answered without TLS: nobody needs to be told that it may speak it.
    plain: HashSet<String>,
}

impl Http {
    /// `encrypted`: some address is `https`.
    pub fn new(limit: Duration, access: Access, encrypted: bool) -> Result<Self, HttpError> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stamp = access.stamp();
        let client = client(&access, limit, encrypted)?;
        Ok(Self {
            shared: Arc::new(Shared {
                access,
                connect: limit,
                encrypted,
                state: Mutex::new(State {
                    client,
                    stamp,
                    plain: HashSet::new(),
                }),
            }),
            limit,
        })
    }

    /// A request to build on, for [`Http::ask`].
    pub fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, HttpError> {
        let Shared { access, .. } = &*self.shared;
        let client = {
            let mut state = self.state();
            let now = access.stamp();
            if now != state.stamp {
                state.client = client(access, self.shared.connect, self.shared.encrypted)?;
                state.stamp = now;
            }
            state.client.clone()
        };
        let request = client.request(method, url).timeout(self.limit);
        Ok(access.dress(request, url)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for who may take twice as long.
    #[must_use]
    pub fn patient(&self) -> Self {
        self.within(self.limit * 2)
    }

    /// The same with another limit of one request.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self {
            shared: self.shared.clone(),
            limit,
        }
    }

    /// The text of a successful answer to a request. `url` is what errors call it.
    pub async fn ask(&self, request: RequestBuilder, url: &str) -> Result<String, HttpError> {
        let response = self.open(request, url).await?;
        let whose = self.shared.access.whose;
        let cut = |e: reqwest::Error| HttpError::Unreachable {
            url: url.to_owned(),
            why: reason(&e, whose),
        };
        body(response, url, cut).await
    }

    /// A successful answer whose body is still to come.
    pub async fn open(&self, request: RequestBuilder, url: &str) -> Result<Response, HttpError> {
        let whose = self.shared.access.whose;
        let origin = origin(url);
        let unreachable = |e: reqwest::Error| {
            let mut why = reason(&e, whose);
            let is_new = origin.is_some_and(|o| !self.state().plain.contains(o));
            if is_new && is_cut(&e) {
                why = format!("{why}; {}", whose.use_tls());
            }
            HttpError::Unreachable {
                url: url.to_owned(),
                why,
            }
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(redirect(&response, url));
        }
        if status.is_success() {
            if let Some(origin) = origin {
                let plain = &mut self.state().plain;
                if !plain.contains(origin) {
                    plain.insert(origin.to_owned());
                }
            }
            return Ok(response);
        }
        let text = body(response, url, unreachable).await?;
        let mut said = error_text(&text);
        if status == 400 && said.contains("HTTP request to an HTTPS server") {
            said = format!("{said}; {}", whose.use_tls());
        }
        Err(HttpError::Status {
            url: url.to_owned(),
            status: status.as_u16(),
            text: said,
        })
    }
}

fn client(access: &Access, limit: Duration, encrypted: bool) -> Result<reqwest::Client, HttpError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(2);
    let builder = access.secure(builder, encrypted)?;
    builder.build().map_err(|e| HttpError::Client(cause(&e)))
}

/// `http://host:port`, for those that are asked without TLS.
fn origin(url: &str) -> Option<&str> {
    let host = url.strip_prefix("http://")?;
    let end = host.find('/').unwrap_or(host.len());
    url.get(.."http://".len() + end)
}

fn redirect(response: &Response, url: &str) -> HttpError {
    let to = response.headers().get(reqwest::header::LOCATION);
    let to = to.map_or("nowhere".into(), |to| {
        String::from_utf8_lossy(to.as_bytes())
    });
    HttpError::Redirect {
        url: url.to_owned(),
        status: response.status().as_u16(),
        to: printable(&to),
    }
}

async fn body(
    response: Response,
    url: &str,
    unreachable: impl Fn(reqwest::Error) -> HttpError,
) -> Result<String, HttpError> {
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(&unreachable)?;
        if body.len() + chunk.len() > MAX_BODY {
            let why = format!("longer than {} MiB", MAX_BODY >> 20);
            return Err(HttpError::Body {
                url: url.to_owned(),
                why,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The text of a successful answer.
pub async fn get(http: &Http, url: &str) -> Result<String, HttpError> {
    http.ask(http.request(Method::GET, url)?, url).await
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

pub(super) fn printable(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

fn reason(e: &reqwest::Error, whose: Whose) -> String {
    if e.is_timeout() {
        return TOO_LATE.into();
    }
    let Some(tls) = find::<rustls::Error>(e) else {
        return cause(e);
    };
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    match tls {
        Tls::AlertReceived(Alert::CertificateRequired) => format!(
            "it asks for a client certificate and none was given: {}",
            whose.give_identity()
        ),
        Tls::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => format!(
            "it refuses our client certificate, or that there is none ({tls}): {}",
            whose.give_identity()
        ),
        // Another authority of the same name signed it.
        Tls::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => format!(
            "its certificate is signed by an authority that is not trusted here: {}",
            whose.give_ca()
        ),
        Tls::InvalidCertificate(_) => format!("its certificate cannot be trusted: {tls}"),
        Tls::InvalidMessage(_) => {
            "it does not speak TLS: then its address begins with http://".into()
        }
        other => other.to_string(),
    }
}

/// The innermost cause: the outer layers only repeat the address.
fn cause(e: &reqwest::Error) -> String {
    let mut cause: &dyn Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// An error of a kind somewhere among the causes; one of input and output may hold it.
fn find<'a, T: Error + 'static>(e: &'a reqwest::Error) -> Option<&'a T> {
    let mut next: Option<&'a (dyn Error + 'static)> = Some(e);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        let held = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => cause.source(),
        };
    }
    None
}

/// Whether it was closed before it said anything, or said what is no HTTP, as whoever expects TLS does.
fn is_cut(e: &reqwest::Error) -> bool {
    let is_other = |e: &hyper::Error| e.is_incomplete_message() || e.is_parse();
    let closed = find::<hyper::Error>(e).is_some_and(is_other);
    let reset = find::<io::Error>(e).is_some_and(|e| {
        matches!(
            e.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::BrokenPipe
        )
    });
    closed || reset
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
        Http::new(Duration::from_secs(5), Access::default(), false).unwrap()
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
        let url = "http://127.0.0.1:1/x";
        let err = get(&http(), url).await.unwrap_err().to_string();
        assert!(
            err.contains(url) && err.to_lowercase().contains("refused"),
            "{err}"
        );
    }
}
