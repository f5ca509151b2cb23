//! Serves the part of the Docker API that `rules` permits: looks each container up first, and asks
//! the real Docker about its full id only.

use super::rules::{self, Call, Refusal, SUBJECT};
use crate::stage::compose::{PROJECT_LABEL, ROLE_LABEL};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1 as client,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, UnixStream},
    time::timeout,
};

/// Bytes of a request's body.
const MAX_REQUEST: usize = 1 << 20;
/// Bytes of an answer that is read before it is passed on.
const MAX_ANSWER: usize = 32 << 20;
/// Until Docker begins to answer. A stop takes its grace.
const LIMIT: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);

type Body = BoxBody<Bytes, hyper::Error>;

/// What is behind the proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The real Docker's socket.
    pub socket: PathBuf,
    /// The compose project whose containers may be touched.
    pub project: String,
}

/// Why there is no answer of Docker's to pass on.
enum Failure {
    Refused(Refusal),
    /// An answer of Docker's that is none of success.
    Docker(StatusCode, Bytes),
    Broken(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, proxy: Proxy) -> std::io::Result<()> {
    let proxy = Arc::new(proxy);
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                operator_ledger::clean::complain(format_args!("cannot accept: {e}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let proxy = proxy.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let proxy = proxy.clone();
                async move { Ok::<_, Infallible>(proxy.answer(request).await) }
            });
            let connection = server::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // A client that goes away is no news.
            let _ = connection.await;
        });
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let line = format!("{} {}", request.method(), request.uri());
        match self.handle(request).await {
            Ok(response) => response,
            Err(failure) => {
                let (status, message) = match failure {
                    Failure::Refused(Refusal(why)) => {
                        operator_ledger::clean::complain(format_args!("refused: {line}: {why}"));
                        (StatusCode::FORBIDDEN, why)
                    }
                    Failure::Docker(status, body) => return plain(status, body),
                    Failure::Broken(why) => {
                        operator_ledger::clean::complain(format_args!("{line}: {why}"));
                        (StatusCode::BAD_GATEWAY, why)
                    }
                };
                plain(status, json!({ "message": message }).to_string().into())
            }
        }
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let call = rules::read(&method, uri.path(), uri.query())?;
        match call {
            Call::Ping => self.pass(method, "/_ping", None).await,
            Call::Version => self.pass(method, "/version", None).await,
            Call::List => self.list().await,
            Call::Container { id, ask, query } => {
                let id = self.subject(&id).await?;
                let query = if query.is_empty() {
                    query
                } else {
                    format!("?{query}")
                };
                let path = format!("/containers/{id}/{ask}{query}");
                self.pass(method, &path, None).await
            }
            Call::ExecCreate { id } => {
                let id = self.subject(&id).await?;
                let body = rules::exec_body(&read_body(request).await?)?;
                let path = format!("/containers/{id}/exec");
                self.pass(method, &path, Some(body)).await
            }
            Call::ExecStart { exec } => {
                let exec = self.exec_of_subject(&exec).await?;
                self.start(request, &format!("/exec/{exec}/start")).await
            }
            Call::ExecResize { exec, query } => {
                let exec = self.exec_of_subject(&exec).await?;
                let path = format!("/exec/{exec}/resize?{query}");
                self.pass(method, &path, None).await
            }
            Call::ExecInspect { exec } => {
                let exec = self.exec_of_subject(&exec).await?;
                let path = format!("/exec/{exec}/json");
                self.pass(method, &path, None).await
            }
        }
    }

    /// The full id of a container that may be touched.
    async fn subject(&self, id: &str) -> Result<String, Failure> {
        let seen = self.json(&format!("/containers/{id}/json")).await?;
        let labels = &seen["Config"]["Labels"];
        match seen["Id"].as_str() {
            Some(full) if self.permits(labels) => Ok(full.to_string()),
            _ => Err(Refusal(format!("{id} is no container of the cluster")).into()),
        }
    }

    fn permits(&self, labels: &Value) -> bool {
        let role = labels[ROLE_LABEL].as_str().unwrap_or_default();
        labels[PROJECT_LABEL] == self.project.as_str() && SUBJECT.contains(&role)
    }

    /// The full id of a program in a container that may be touched.
    async fn exec_of_subject(&self, exec: &str) -> Result<String, Failure> {
        let seen = self.json(&format!("/exec/{exec}/json")).await?;
        let container = seen["ContainerID"].as_str().unwrap_or_default();
        self.subject(container).await?;
        match seen["ID"].as_str() {
            Some(full) => Ok(full.to_string()),
            None => Err(Failure::Broken("Docker names no such program".into())),
        }
    }

    /// All containers that may be touched, whatever else there is.
    async fn list(&self) -> Result<Response<Body>, Failure> {
        let all = self.json("/containers/json?all=1").await?;
        let list: Vec<&Value> = all
            .as_array()
            .into_iter()
            .flatten()
            .filter(|c| self.permits(&c["Labels"]))
            .collect();
        let body = serde_json::to_vec(&list).unwrap_or_default();
        Ok(plain(StatusCode::OK, body.into()))
    }

    async fn json(&self, path: &str) -> Result<Value, Failure> {
        let response = self.ask(Method::GET, path, None, false).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER);
        let body = timeout(LIMIT, body.collect())
            .await
            .map_err(|_| Failure::Broken("Docker's answer does not end".into()))?
            .map_err(|e| Failure::Broken(format!("Docker's answer broke off: {e}")))?
            .to_bytes();
        if !status.is_success() {
            return Err(Failure::Docker(status, body));
        }
        serde_json::from_slice(&body)
            .map_err(|e| Failure::Broken(format!("Docker's answer does not read: {e}")))
    }

    /// Asks Docker and passes the answer on as it comes.
    async fn pass(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Body>, Failure> {
        let response = self.ask(method, path, body, false).await?;
        Ok(response.map(BodyExt::boxed))
    }

    /// Starts a program. A client that asks to be attached gets the connection itself.
    async fn start(
        &self,
        mut request: Request<Incoming>,
        path: &str,
    ) -> Result<Response<Body>, Failure> {
        let attached = request.headers().contains_key(UPGRADE);
        let theirs = hyper::upgrade::on(&mut request);
        let body = rules::start_body(&read_body(request).await?)?;
        let mut response = self.ask(Method::POST, path, Some(body), attached).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response.map(BodyExt::boxed));
        }
        let ours = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(theirs), Ok(ours)) = tokio::join!(theirs, ours) {
                let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
                let _ = tokio::io::copy_bidirectional(&mut theirs, &mut ours).await;
            }
        });
        let mut answer = Response::new(empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = response.headers().clone();
        Ok(answer)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        upgrade: bool,
    ) -> Result<Response<Incoming>, Failure> {
        let broken =
            |what: &str, e: &dyn std::fmt::Display| Failure::Broken(format!("{what}: {e}"));
        let stream = timeout(CONNECT, UnixStream::connect(&self.socket))
            .await
            .map_err(|e| broken("Docker does not take the connection", &e))?
            .map_err(|e| broken("cannot reach Docker", &e))?;
        let (mut sender, connection) = client::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| broken("cannot speak to Docker", &e))?;
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "docker");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if upgrade {
            request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|e| broken("the request cannot be made", &e))?;
        timeout(LIMIT, sender.send_request(request))
            .await
            .map_err(|_| {
                Failure::Broken(format!("Docker did not answer in {} s", LIMIT.as_secs()))
            })?
            .map_err(|e| broken("Docker did not answer", &e))
    }
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(request.into_body(), MAX_REQUEST);
    let read = timeout(LIMIT, body.collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Refusal("the body is too long, or broke off".into()).into()),
        Err(_) => Err(Refusal("the body does not end".into()).into()),
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response<Body> {
    let full = Full::new(body).map_err(|never| match never {}).boxed();
    let mut response = Response::new(full);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty() -> Body {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed()
}
