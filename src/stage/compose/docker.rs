//! The way to the Docker API: found as the Docker CLI finds it (`DOCKER_HOST`), each call bounded
//! in time, and errors in words for whoever has to do something about them.

use bollard::{API_DEFAULT_VERSION, errors::Error};
use operator_ledger::clean::one_line;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::OnceCell;

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long a call that only asks or signals may take.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Seconds a container is given to end by itself: TiKV hands its leaders over first.
pub const GRACE: u64 = 25;

#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error("cannot reach Docker at {host}: {why}; is this the container that has its socket?")]
    Unreachable { host: String, why: String },
    #[error("{what}: Docker did not answer within {} s", .limit.as_secs())]
    Silent { what: String, limit: Duration },
    #[error("{what}: Docker says {status}: {message}")]
    Refused {
        what: String,
        status: u16,
        message: String,
    },
    #[error("{what}: {why}")]
    Broken { what: String, why: String },
    #[error("no {node} in project {project}; there are {known}")]
    NoNode {
        node: String,
        project: String,
        known: String,
    },
    #[error("{0}")]
    Settings(String),
}

/// A connection to the Docker API, for one compose project.
#[derive(Debug, Clone)]
pub struct Docker {
    pub api: bollard::Docker,
    host: String,
    /// Asked for once, if nobody said it.
    project: Arc<OnceCell<String>>,
}

impl Docker {
    /// From DOCKER_HOST and, if it is set, COMPOSE_PROJECT_NAME. Asks nobody anything yet.
    pub fn from_env() -> Result<Self, DockerError> {
        let var = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        let project = var(super::PROJECT_VAR);
        let host = var("DOCKER_HOST").unwrap_or_else(|| DEFAULT_HOST.into());
        Self::at(&host, project.as_deref())
    }

    /// The name of the project.
    pub async fn project(&self) -> Result<&str, DockerError> {
        let find = || super::project::find(self);
        self.project.get_or_try_init(find).await.map(String::as_str)
    }

    /// `host`: `unix:///path` or `tcp://host:port`. Without a project Docker is asked for it.
    pub fn at(host: &str, project: Option<&str>) -> Result<Self, DockerError> {
        // Longer than any call here: each has a limit of its own, and streams have none.
        let timeout = 24 * 3600;
        let api = match host.split_once("://") {
            Some(("unix", _)) => {
                bollard::Docker::connect_with_socket(host, timeout, API_DEFAULT_VERSION)
            }
            Some(("tcp" | "http", _)) => {
                bollard::Docker::connect_with_http(host, timeout, API_DEFAULT_VERSION)
            }
            _ => {
                return Err(DockerError::Settings(format!(
                    "DOCKER_HOST is {host}; it must be unix:///PATH or tcp://HOST:PORT"
                )));
            }
        };
        let api = api.map_err(|e| DockerError::Unreachable {
            host: host.into(),
            why: root_cause(&e),
        })?;
        Ok(Self {
            api,
            host: host.into(),
            project: Arc::new(OnceCell::new_with(project.map(String::from))),
        })
    }

    /// Awaits a call. `what` is done, in words.
    pub async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, DockerError> {
        self.call_within(CALL_LIMIT, what, call).await
    }

    /// Awaits a call that may take its time.
    pub async fn call_within<T>(
        &self,
        limit: Duration,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, DockerError> {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|e| self.explain(what, &e)),
            Err(_) => Err(DockerError::Silent {
                what: what.into(),
                limit,
            }),
        }
    }

    /// What went wrong, in words.
    pub fn explain(&self, what: &str, e: &Error) -> DockerError {
        match e {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => DockerError::Refused {
                what: what.into(),
                status: *status_code,
                message: one_line(message),
            },
            Error::SocketNotFoundError(_)
            | Error::HyperLegacyError { .. }
            | Error::HttpClientError { .. } => DockerError::Unreachable {
                host: self.host.clone(),
                why: root_cause(e),
            },
            e => DockerError::Broken {
                what: what.into(),
                why: root_cause(e),
            },
        }
    }
}

/// The innermost cause; the outer ones say only that there is one.
fn root_cause(e: &Error) -> String {
    let mut inner: &dyn std::error::Error = e;
    while let Some(next) = inner.source() {
        inner = next;
    }
    one_line(&inner.to_string())
}
