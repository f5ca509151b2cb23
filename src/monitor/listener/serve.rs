//! The routes of the listener, and who may use them.
//!
//! A notification is in the ledger before it is acknowledged. Whoever can reach the port may read
//! the metrics; alerts are taken with the token, or without one from this machine alone.

use super::{
    Counts,
    alertmanager::{self, ReadError, Told},
    counts::Taken,
    metrics,
};
use crate::{monitor::config::AlertRules, serving};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::StreamExt;
use hyper_util::service::TowerToHyperService;
use operator_ledger::{Heartbeat, LedgerError, MonitorLedger, Reader, Received, SystemId};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::SpooledTempFile;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
};

/// Bytes of a notification: some 200,000 alerts.
const MAX_BODY: u64 = 256 << 20;
/// Bytes of it that are kept in memory; the rest waits in a file of its own.
const IN_MEMORY: usize = 1 << 20;
/// Until a request is answered, its body read and all.
const REQUEST: Duration = Duration::from_secs(300);
/// A sender that says nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Notifications that are read at once; others wait their turn.
const AT_ONCE: usize = 2;

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
        rules: AlertRules,
        state: Arc<ListenerState>,
    ) -> io::Result<()> {
        let served = Served {
            ledger,
            token,
            rules: Arc::new(rules),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            local: self.address.ip().is_loopback(),
            state,
            writer: Arc::default(),
        };
        let local = served.local;
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(health))
            .route("/webhook/alertmanager", post(webhook))
            .layer(from_fn(move |request: Request, next: Next| async move {
                match serving::stranger(request.uri(), request.headers()) {
                    Some(why) if local => {
                        (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
                    }
                    _ => next.run(request).await,
                }
            }))
            .with_state(served);
        serving::serve(self.socket, TowerToHyperService::new(routes), REQUEST).await
    }
}

#[derive(Clone)]
struct Served {
    ledger: PathBuf,
    token: Option<Token>,
    /// Nobody but this machine reaches it.
    local: bool,
    state: Arc<ListenerState>,
    rules: Arc<AlertRules>,
    turns: Arc<Semaphore>,
    writer: Arc<Mutex<Option<MonitorLedger>>>,
}

type Answer = (StatusCode, String);

impl Served {
    fn writer(&self) -> std::sync::MutexGuard<'_, Option<MonitorLedger>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits: for a thread that may.
    fn open(&self) -> Result<MonitorLedger, LedgerError> {
        let open = self.writer().clone();
        match open {
            Some(ledger) => Ok(ledger),
            None => {
                let opened = MonitorLedger::open_existing(&self.ledger).wait()?;
                Ok(self.writer().insert(opened).clone())
            }
        }
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
    async fn take(self, body: SpooledTempFile) -> Answer {
        let again = |why: String| {
            self.state.counts.taken(Taken::Failed);
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
        };
        // What the monitor cannot record it would never open a ticket for.
        if let Some(why) = self.state.unrecorded() {
            return again(why);
        }
        let Some(cluster) = self.state.cluster() else {
            return again("this monitor waits for another one to end".into());
        };
        let Ok(_turn) = self.turns.acquire().await else {
            return again("this monitor ends".into());
        };
        let served = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let (mut received, rules) = (Received::default(), &served.rules);
            let told = alertmanager::read(body, rules, |alerts| {
                let ledger = served.open()?;
                received += ledger
                    .receive_alerts(&cluster, &alerts, &rules.crowd)
                    .wait()?;
                // What is written wakes the monitor, whatever becomes of the rest.
                served.state.alert_received.notify_one();
                Ok::<_, LedgerError>(())
            });
            (told, received)
        });
        let (told, received) = match read.await {
            Ok(read) => read,
            Err(e) => return again(format!("the notification was not read: {e}")),
        };
        let counts = &self.state.counts;
        match told {
            Ok(told) => {
                counts.taken(Taken::Accepted);
                counts.received(received, &told);
                (StatusCode::OK, answer(&told))
            }
            Err(why @ ReadError::Malformed(_)) => {
                counts.taken(Taken::Malformed);
                (StatusCode::BAD_REQUEST, format!("{why}\n"))
            }
            Err(why @ ReadError::Storage(_)) => again(why.to_string()),
            Err(ReadError::Taking(e)) => {
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

/// What is said of a notification that was taken, to its sender and, where something of it was not,
/// to whoever watches the monitor.
fn answer(told: &Told) -> String {
    if told.set_aside == 0 {
        return "taken\n".into();
    }
    let n = told.set_aside;
    let why = told.why.join("; ");
    tracing::warn!("{n} alerts of a notification could not be used: {why}");
    operator_ledger::clean::complain(format_args!(
        "operator-tui monitor: {n} alerts of a notification could not be used: {why}"
    ));
    format!("taken, but for {n}: {why}\n")
}

async fn webhook(State(served): State<Served>, headers: HeaderMap, body: Body) -> Answer {
    if let Some(refusal) = served.refused(&headers) {
        served.state.counts.taken(Taken::Unauthorized);
        return refusal;
    }
    // A page in somebody's browser can send anything here but this.
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
    if !json {
        served.state.counts.taken(Taken::Malformed);
        let text = "the content type is not application/json\n".to_owned();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    let body = match receive(body).await {
        Ok(body) => body,
        Err((taken, answer)) => {
            served.state.counts.taken(taken);
            return answer;
        }
    };
    // By a task of its own: a sender that hangs up ends this one.
    let counts = served.state.counts.clone();
    match tokio::spawn(served.take(body)).await {
        Ok(answer) => answer,
        Err(e) => {
            counts.taken(Taken::Failed);
            let text = format!("the notification was not taken: {e}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

/// The whole body of a request.
async fn receive(body: Body) -> Result<SpooledTempFile, (Taken, Answer)> {
    let mut stream = body.into_data_stream();
    let mut kept = SpooledTempFile::new(IN_MEMORY);
    let mut length = 0;
    loop {
        let cut = |why: String| {
            let text = format!("cut off: {why}\n");
            (Taken::Malformed, (StatusCode::BAD_REQUEST, text))
        };
        let chunk = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(kept),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(e))) => return Err(cut(e.to_string())),
            Err(_) => return Err(cut(format!("nothing for {} s", SILENCE.as_secs()))),
        };
        length += chunk.len() as u64;
        if length > MAX_BODY {
            let text = format!("more than {} MiB at once\n", MAX_BODY >> 20);
            return Err((Taken::TooLarge, (StatusCode::PAYLOAD_TOO_LARGE, text)));
        }
        kept.write_all(&chunk).map_err(|e| {
            let text = format!("the notification cannot be kept: {e}\n");
            (Taken::Failed, (StatusCode::SERVICE_UNAVAILABLE, text))
        })?;
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
