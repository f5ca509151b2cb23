//! What every node process does alike: one thread, a log on stderr, and an end when its keeper
//! ends.

use std::{
    convert::Infallible,
    io::{self, Read},
    process::ExitCode,
};

/// The data of a node cannot be read or written.
pub(crate) const EXIT_DISK: i32 = 101;
/// A node could not start: ports, files, arguments.
pub(crate) const EXIT_START: i32 = 1;

/// Why a node ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NodeError {
    code: i32,
    message: String,
}

impl NodeError {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            code: EXIT_START,
            message: message.into(),
        }
    }

    /// The node's data cannot be read or written.
    pub fn disk(message: impl Into<String>) -> Self {
        Self {
            code: EXIT_DISK,
            message: message.into(),
        }
    }
}

impl From<io::Error> for NodeError {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Runs a node until it fails or is asked to stop. Its standard input is the lifeline: when the
/// keeper is gone, the node ends.
pub(crate) fn run<F>(name: &str, node: F) -> ExitCode
where
    F: Future<Output = Result<Infallible, NodeError>>,
{
    log_to_stderr();
    if std::thread::Builder::new()
        .name("lifeline".into())
        .spawn(end_with_keeper)
        .is_err()
    {
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("{name} cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(pid = std::process::id(), "{name} starts");
    runtime.block_on(async {
        tokio::select! {
            result = node => {
                let Err(error) = result;
                tracing::error!("{name} ends: {error}");
                ExitCode::from(error.code as u8)
            }
            () = asked_to_stop() => {
                tracing::info!("{name} stops, as asked");
                ExitCode::SUCCESS
            }
        }
    })
}

fn log_to_stderr() {
    // openraft reports every message that does not arrive; `raft::network` says it once.
    let filter = tracing_subscriber::EnvFilter::new("info,openraft=off,hyper=warn,reqwest=warn");
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .with_writer(io::stderr)
        .try_init();
}

fn end_with_keeper() {
    let mut buffer = [0; 64];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Err(e) if e.kind() != io::ErrorKind::Interrupted => break,
            _ => {}
        }
    }
    std::process::exit(0);
}

/// TERM or INT.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// Connections that wait to be accepted. Short: those made to a frozen node wait in vain.
const BACKLOG: u32 = 128;

/// Listens on a port that the keeper holds for this node.
pub(crate) fn listen(address: &str) -> io::Result<tokio::net::TcpListener> {
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("{address}: {e}"));
    let parsed: std::net::SocketAddr = address
        .parse()
        .map_err(|e| io::Error::other(format!("{address}: {e}")))?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(parsed).map_err(explain)?;
    socket.listen(BACKLOG).map_err(explain)
}
