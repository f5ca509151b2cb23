//! Request and answer over TCP: length-prefixed frames, many calls at once on one connection.
//!
//! A frame is a call number (u64, big endian) and a body. Knows nothing of what
//! the bodies mean. Every call has a time limit. A call that runs out of time without any answer
//! having come meanwhile drops the connection: a frozen peer would otherwise collect requests that
//! nobody waits for.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// A snapshot chunk is 3 MiB and grows in JSON.
const MAX_BODY: usize = 32 << 20;
/// Calls of one connection that are worked on at the same time.
const MAX_CONCURRENT: usize = 256;

/// A call's number and its body.
type Frame = (u64, Bytes);

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(MAX_BODY + size_of::<u64>())
        .new_codec()
}

/// The next frame; `None` at the end of the stream, and when what comes is none.
async fn read_frame(from: &mut FramedRead<OwnedReadHalf, LengthDelimitedCodec>) -> Option<Frame> {
    let mut frame = from.next().await?.ok()?;
    let call = frame.try_get_u64().ok()?;
    Some((call, frame.freeze()))
}

async fn write_frames(to: OwnedWriteHalf, mut queue: mpsc::Receiver<(u64, Vec<u8>)>) {
    let mut to = FramedWrite::new(to, codec());
    while let Some((call, body)) = queue.recv().await {
        let mut frame = BytesMut::with_capacity(size_of::<u64>() + body.len());
        frame.put_u64(call);
        frame.extend_from_slice(&body);
        if let Err(e) = to.feed(frame.freeze()).await
            // Too long: whoever waits for its answer runs out of time.
            && e.kind() != io::ErrorKind::InvalidInput
        {
            return;
        }
        // What waits goes in one write: with no delay on the socket, two writes are two packets.
        if queue.is_empty() && SinkExt::<Bytes>::flush(&mut to).await.is_err() {
            return;
        }
    }
}

/// Serves calls until the listener fails. `handle` answers one body with another.
pub(crate) async fn serve<H, F>(listener: TcpListener, handle: H)
where
    H: Fn(Bytes) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<u8>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, handle.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve_connection<H, F>(stream: TcpStream, handle: H)
where
    H: Fn(Bytes) -> F + Clone + Send + 'static,
    F: Future<Output = Vec<u8>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let (answers, queue) = mpsc::channel(MAX_CONCURRENT);
    tokio::spawn(write_frames(write, queue));
    let mut read = FramedRead::new(read, codec());
    let slots = Arc::new(Semaphore::new(MAX_CONCURRENT));
    while let Some((call, body)) = read_frame(&mut read).await {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let (handle, answers) = (handle.clone(), answers.clone());
        tokio::spawn(async move {
            let answer = handle(body).await;
            let _ = answers.send((call, answer)).await;
            drop(slot);
        });
    }
}

type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Bytes>>>>;

struct Connection {
    requests: mpsc::Sender<(u64, Vec<u8>)>,
    pending: Pending,
    answered: Arc<AtomicU64>,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// The client's side: one connection to one address, made when needed and again after failure.
pub(crate) struct Channel {
    address: String,
    connect_limit: Duration,
    calls: AtomicU64,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

impl Channel {
    pub(crate) fn new(address: String, connect_limit: Duration) -> Self {
        Self {
            address,
            connect_limit,
            calls: AtomicU64::new(1),
            connection: None.into(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a body and waits for its answer, `limit` at most, connecting included.
    pub(crate) async fn call(&self, body: Vec<u8>, limit: Duration) -> io::Result<Bytes> {
        let before = self.answers();
        if let Ok(result) = timeout(limit, self.call_unlimited(body)).await {
            return result;
        }
        if self.answers() == before
            && let Ok(mut connection) = self.connection.try_lock()
        {
            connection.take();
        }
        let text = format!("{} did not answer within {limit:?}", self.address);
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// Answers that have come over the present connection.
    fn answers(&self) -> u64 {
        let Ok(connection) = self.connection.try_lock() else {
            return 0;
        };
        connection
            .as_ref()
            .map_or(0, |c| c.answered.load(Ordering::Relaxed))
    }

    async fn call_unlimited(&self, body: Vec<u8>) -> io::Result<Bytes> {
        let connection = self.connect().await?;
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (answer, waiting) = oneshot::channel();
        connection
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(call, answer);
        // Forget the call if the caller stops waiting for it.
        let _entry = Entry {
            call,
            pending: &connection.pending,
        };
        let gone = || {
            io::Error::new(
                io::ErrorKind::ConnectionReset,
                format!("{} closed the connection", self.address),
            )
        };
        connection
            .requests
            .send((call, body))
            .await
            .map_err(|_| gone())?;
        waiting.await.map_err(|_| gone())
    }

    async fn connect(&self) -> io::Result<Arc<Connection>> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot
            && !connection.reader.is_finished()
            && !connection.requests.is_closed()
        {
            return Ok(connection.clone());
        }
        *slot = None;
        let stream = timeout(self.connect_limit, TcpStream::connect(&self.address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
            .flatten()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.address)))?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let (requests, queue) = mpsc::channel(MAX_CONCURRENT);
        tokio::spawn(write_frames(write, queue));
        let pending = Pending::default();
        let answered = Arc::new(AtomicU64::new(0));
        let reading = read_answers(
            FramedRead::new(read, codec()),
            pending.clone(),
            answered.clone(),
        );
        let reader = tokio::spawn(reading);
        let connection = Arc::new(Connection {
            requests,
            pending,
            answered,
            reader,
        });
        *slot = Some(connection.clone());
        Ok(connection)
    }
}

struct Entry<'a> {
    call: u64,
    pending: &'a Pending,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.call);
    }
}

async fn read_answers(
    mut read: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
    pending: Pending,
    answered: Arc<AtomicU64>,
) {
    while let Some((call, body)) = read_frame(&mut read).await {
        answered.fetch_add(1, Ordering::Relaxed);
        let waiting = pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&call);
        if let Some(waiting) = waiting {
            let _ = waiting.send(body);
        }
    }
    pending
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, |body| async move {
            if &body[..] == b"never" {
                std::future::pending::<()>().await;
            }
            body.to_vec()
        }));
        address
    }

    #[tokio::test]
    async fn a_call_that_is_never_answered_holds_nobody_else_up() {
        let channel = Arc::new(Channel::new(echo().await, Duration::from_secs(1)));
        let other = channel.clone();
        let stuck = tokio::spawn(async move {
            other
                .call(b"never".to_vec(), Duration::from_millis(300))
                .await
        });
        assert_eq!(
            channel
                .call(b"a".to_vec(), Duration::from_secs(5))
                .await
                .unwrap(),
            b"a"[..]
        );
        let error = stuck.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            channel
                .call(b"b".to_vec(), Duration::from_secs(5))
                .await
                .unwrap(),
            b"b"[..]
        );
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error_at_once() {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().to_string()
        };
        let channel = Channel::new(address.clone(), Duration::from_secs(5));
        let error = channel
            .call(vec![], Duration::from_secs(5))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&address));
    }
}
