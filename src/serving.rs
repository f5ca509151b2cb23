//! HTTP for whoever connects: how many at once, how long each may take, and who is no guest on a port
//! that only this machine reaches.
//!
//! What is served is the caller's.

use bytes::Bytes;
use hyper::{
    HeaderMap, Request, Response, Uri,
    body::{Body, Incoming},
    header::{HOST, ORIGIN},
    server::conn::http1::Builder,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use std::{error::Error, io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Connections at once; who comes later waits.
const CONNECTIONS: u64 = 256;
/// Until a request's head is there.
const HEAD: Duration = Duration::from_secs(5);
/// After a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped. A request that is not answered within `limit`, its body read and all,
/// is hung up on.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limit: Duration,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(places()));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return Ok(());
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                operator_ledger::clean::complain(format_args!("cannot take a connection: {e}"));
                sleep(PAUSE).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = service.call(request);
                async move {
                    match timeout(limit, answer).await {
                        Ok(answered) => answered.map_err(io::Error::other),
                        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
                    }
                }
            });
            let connection = Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // A client that goes away is no news.
            let _ = connection.await;
            drop(place);
        });
    }
}

/// No more than a quarter of the files that this process may open.
fn places() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (files / 4).clamp(8, CONNECTIONS) as usize
}

/// Why a request to a port on loopback is not one of this machine's own programs: a page in
/// somebody's browser says where it is from, or came by a name of its own that led here.
pub(crate) fn stranger(uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    if headers.contains_key(ORIGIN) {
        return Some("a page in a browser may not ask this port");
    }
    let named = headers.get(HOST).map(|host| host.to_str().unwrap_or(""));
    let named = uri.host().or(named);
    let own = named.is_none_or(is_loopback);
    (!own).then_some("this port is asked for as localhost or 127.0.0.1, by no other name")
}

/// `host` may have a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use hyper::header::HeaderValue;
    use std::{convert::Infallible, net::SocketAddr};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    #[test]
    fn loopback_goes_by_its_own_names_alone() {
        for (host, own) in [
            ("localhost", true),
            ("LOCALHOST:9105", true),
            ("127.0.0.1:80", true),
            ("127.8.9.1", true),
            ("[::1]:9105", true),
            ("[::1]", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:80", false),
            ("10.0.0.1", false),
            ("", false),
            ("localhost:x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            let path = Uri::from_static("/metrics");
            assert_eq!(stranger(&path, &headers).is_none(), own, "{host}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(stranger(&Uri::from_static("/"), &headers), None);
        assert!(stranger(&Uri::from_static("http://evil.example/"), &headers).is_some());
        headers.insert(ORIGIN, HeaderValue::from_static("http://localhost"));
        assert!(stranger(&Uri::from_static("/"), &headers).is_some());
    }

    async fn server(limit: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = service_fn(|request: Request<Incoming>| async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            let bytes = body
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            Ok::<_, Infallible>(Response::new(Full::new(bytes)))
        });
        tokio::spawn(serve(listener, answer, limit));
        address
    }

    #[tokio::test]
    async fn half_requests_are_hung_up_on_and_keep_nobody_out() {
        let address = server(Duration::from_millis(300)).await;
        // One without a head, one whose body never ends.
        for half in [
            "POST / HTTP/1.1\r\nHost: x",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(half.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let ended = timeout(6 * HEAD, stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{half}");
        }
        let mut held = Vec::new();
        for _ in 0..places() {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HT").await.unwrap();
            held.push(stream);
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        let whole =
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        stream.write_all(whole).await.unwrap();
        let mut answer = String::new();
        let read = timeout(6 * HEAD, stream.read_to_string(&mut answer)).await;
        read.expect("half requests give up their places").unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
    }
}
