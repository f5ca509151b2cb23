//! The routes of the listener, and who may use them.
//!
//! A notification is in the ledger before it is acknowledged. Whoever can reach the port may read
//! the metrics; alerts are taken with the token, or without one from this machine alone.

use super::{Counts, alertmanager, counts::Taken, metrics};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use operator_ledger::{
    AlertNotice, Heartbeat, LedgerError, MonitorLedger, Reader, Received, SystemId,
};
use sha2::{Digest, Sha256};
use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, sync::Notify};

/// Bytes of a notification.
const MAX_BODY: usize = 1024 * 1024;

/// What the listener and the monitor's loop share.
#[derive(Debug, Default)]
pub struct ListenerState {
    /// The cluster that is watched; none while another monitor has it.
    cluster: Mutex<Option<SystemId>>,
    /// Why the last check is not on record.
    unrecorded: Mutex<Option<String>>,
    /// Something came in that the monitor should look at.
    pub alert_received: Notify,
    pub counts: Counts,
}

impl ListenerState {
    pub fn watches(&self, cluster: Option<&SystemId>) {
        *self.lock() = cluster.cloned();
    }

    pub fn cluster(&self) -> Option<SystemId> {
        self.lock().clone()
    }

    /// What became of a check.
    pub fn records(&self, done: Result<(), &LedgerError>) {
        let why = done.err().map(ToString::to_string);
        *self
            .unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn unrecorded(&self) -> Option<String> {
        let why = self.unrecorded.lock();
        why.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SystemId>> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an Alertmanager must show. Only its digest is kept.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text.trim().as_bytes()).into())
    }

    fn is(&self, shown: &str) -> bool {
        // Digests tell nothing by the time that comparing them takes.
        self.0 == Self::new(shown).0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: String, source: io::Error },
    #[error("{0} is no address to listen on: give HOST:PORT, or :PORT for loopback")]
    Address(String),
}

/// A port that is taken.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// `address`: `host:port`, or `:port` on loopback.
    pub async fn bind(address: &str) -> Result<Self, ListenError> {
        let full = match address.strip_prefix(':') {
            Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
            None => address.to_owned(),
        };
        let wrong = || ListenError::Address(address.to_owned());
        let found = tokio::net::lookup_host(&full).await.map_err(|_| wrong())?;
        let at = found.into_iter().next().ok_or_else(wrong)?;
        let bound = |source| ListenError::Bind {
            address: full.clone(),
            source,
        };
        let socket = TcpListener::bind(at).await.map_err(bound)?;
        let address = socket.local_addr().map_err(bound)?;
        Ok(Self { socket, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped.
    pub async fn serve(
        self,
        ledger: PathBuf,
        token: Option<Token>,
        state: Arc<ListenerState>,
    ) -> io::Result<()> {
        let served = Served {
            ledger,
            token,
            local: self.address.ip().is_loopback(),
            state,
            writer: Arc::default(),
        };
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(health))
            .route("/webhook/alertmanager", post(webhook))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(served);
        axum::serve(self.socket, routes).await
    }
}

#[derive(Clone)]
struct Served {
    ledger: PathBuf,
    token: Option<Token>,
    /// Nobody but this machine reaches it.
    local: bool,
    state: Arc<ListenerState>,
    writer: Arc<Mutex<Option<MonitorLedger>>>,
}

type Answer = (StatusCode, String);

impl Served {
    fn writer(&self) -> std::sync::MutexGuard<'_, Option<MonitorLedger>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(
        &self,
        cluster: &SystemId,
        alerts: &[AlertNotice],
    ) -> Result<Received, LedgerError> {
        let open = self.writer().clone();
        let ledger = match open {
            Some(ledger) => ledger,
            None => {
                let opened = MonitorLedger::open_existing(&self.ledger).await?;
                self.writer().insert(opened).clone()
            }
        };
        ledger.receive_alerts(cluster, alerts).await
    }

    /// Why a request may not bring alerts.
    fn refused(&self, headers: &HeaderMap) -> Option<Answer> {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "));
        match (&self.token, shown) {
            (Some(token), Some(shown)) if token.is(shown) => None,
            (Some(_), _) => Some((
                StatusCode::UNAUTHORIZED,
                "the bearer token is missing or wrong\n".into(),
            )),
            (None, _) if self.local => None,
            (None, _) => Some((
                StatusCode::FORBIDDEN,
                "alerts are taken from other machines only with a token: set OPERATOR_WEBHOOK_TOKEN, or --token-file\n".into(),
            )),
        }
    }

    /// Writes a notification down.
    async fn take(&self, body: &[u8]) -> Answer {
        let counts = &self.state.counts;
        let told = match alertmanager::read(body) {
            Ok(told) => told,
            Err(why) => {
                counts.taken(Taken::Malformed);
                return (StatusCode::BAD_REQUEST, format!("{why}\n"));
            }
        };
        let again = |why: String| {
            counts.taken(Taken::Failed);
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
        };
        // What the monitor cannot record it would never open a ticket for.
        if let Some(why) = self.state.unrecorded() {
            return again(why);
        }
        let Some(cluster) = self.state.cluster() else {
            return again("this monitor waits for another one to end".into());
        };
        match self.write(&cluster, &told.alerts).await {
            Ok(received) => {
                counts.taken(Taken::Accepted);
                counts.received(received, told.left_out);
                self.state.alert_received.notify_one();
                (StatusCode::OK, "taken\n".into())
            }
            Err(e) => {
                // One that was taken away stays so until the monitor is started again, as for its
                // checks. In other trouble it is opened anew.
                if !matches!(e, LedgerError::Lost { .. }) {
                    *self.writer() = None;
                }
                again(format!("the ledger cannot be written: {e}"))
            }
        }
    }
}

async fn webhook(
    State(served): State<Served>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    if let Some(refusal) = served.refused(&headers) {
        served.state.counts.taken(Taken::Unauthorized);
        return refusal;
    }
    // A page in somebody's browser can send anything here but this.
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !json {
        served.state.counts.taken(Taken::Malformed);
        let text = "the content type is not application/json\n".to_owned();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    match body {
        Ok(body) => served.take(&body).await,
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            served.state.counts.taken(Taken::TooLarge);
            let text = format!("more than {MAX_BODY} bytes; set max_alerts in Alertmanager\n");
            (StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        Err(e) => {
            served.state.counts.taken(Taken::Malformed);
            (StatusCode::BAD_REQUEST, format!("cut off: {e}\n"))
        }
    }
}

async fn metrics(State(served): State<Served>) -> Response {
    let read = async {
        let ledger = Reader::open(&served.ledger).await?;
        let beat = beat(&ledger, &served.state).await?;
        Ok::<_, LedgerError>((ledger.figures().await?, beat))
    };
    let (status, text) = match read.await {
        Ok((counted, beat)) => {
            let register = |r: &_| served.state.counts.register(r);
            match metrics::text(&counted, beat.as_ref(), register) {
                Ok(text) => (StatusCode::OK, text),
                Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")),
            }
        }
        Err(e) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")),
    };
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (status, kind, text).into_response()
}

/// Well only if somebody looks, and what is seen is recorded.
async fn health(State(served): State<Served>) -> Answer {
    if let Some(why) = served.state.unrecorded() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    }
    let read = async { beat(&Reader::open(&served.ledger).await?, &served.state).await };
    match read.await {
        Ok(Some(beat)) if beat.is_silent() => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("no look for {} s\n", beat.age.as_secs()),
        ),
        Ok(Some(beat)) if !beat.ok => (
            StatusCode::OK,
            format!("looking, but not everything is seen: {}\n", beat.detail),
        ),
        Ok(Some(_)) => (StatusCode::OK, "ok\n".into()),
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "no look yet\n".into()),
        Err(e) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")),
    }
}

async fn beat(ledger: &Reader, state: &ListenerState) -> Result<Option<Heartbeat>, LedgerError> {
    match state.cluster() {
        Some(cluster) => ledger.heartbeat(Some(&cluster)).await,
        None => Ok(None),
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
