//! What one look at a large cluster costs: a PD with 200 stores and a million regions, healthy and with
//! two stores lost, and what PD and the stores are asked for it.
//!
//!     cargo bench --bench looks            the table of the README
//!     cargo bench --bench looks -- --test  small, for CI
//!
//! PD and the stores are a process of their own, so that memory is that of whoever looks. It judges
//! nothing.

#![allow(clippy::print_stdout, reason = "a bench prints its tables")]

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    routing::get,
};
use futures_util::stream;
use operator_tui::cluster::{Client, Options};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// Bytes of a real store's metrics.
const METRICS: usize = 1_200_000;
/// Between two looks of a monitor.
const INTERVAL: f64 = 5.0;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if args.get(1).is_some_and(|a| a == "pd") {
        let number = |n: usize| args[n].parse().unwrap();
        return runtime.block_on(serve(number(2), number(3), number(4)));
    }
    let smoke = args.iter().any(|a| a == "--test");
    let (stores, regions, looks) = if smoke {
        (6, 10_000, 2)
    } else {
        (200, 1_000_000, 10)
    };
    println!(
        "\n| {stores} stores, {regions} regions | ms a look | requests/s | MB/s | MB at most |"
    );
    println!("|---|--:|--:|--:|--:|");
    for (what, lost) in [("healthy", 0), ("two stores lost", 2)] {
        let mut pd = Command::new(operator_process::executable())
            .args([
                "pd",
                &stores.to_string(),
                &regions.to_string(),
                &lost.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(pd.stdout.as_mut().unwrap())
            .read_line(&mut address)
            .unwrap();
        runtime.block_on(look(what, address.trim(), looks));
        drop(pd.stdin.take());
        pd.wait().unwrap();
    }
}

async fn look(what: &str, pd: &str, looks: usize) {
    let mut client = Client::new(Options::new(pd)).unwrap();
    // The first two know no rates yet, and one of them counts.
    let started = Instant::now();
    let seen = client.observe().await;
    let first = started.elapsed();
    assert!(seen.stores.fresh().is_some(), "{seen:?}");
    client.observe().await;
    let (requests, bytes) = counts(pd).await;
    let mut took = Vec::new();
    for _ in 0..looks {
        let started = Instant::now();
        client.observe().await;
        took.push(started.elapsed());
    }
    let (now_requests, now_bytes) = counts(pd).await;
    took.sort();
    let per = |n: u64| n as f64 / looks as f64 / INTERVAL;
    println!(
        "| {what} | {:.0} (first {:.0}) | {:.1} | {:.2} | {:.0} |",
        took[looks / 2].as_secs_f64() * 1000.0,
        first.as_secs_f64() * 1000.0,
        per(now_requests - requests),
        per(now_bytes - bytes) / 1e6,
        peak_memory()
    );
}

async fn counts(pd: &str) -> (u64, u64) {
    let text = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap()
        .get(format!("{pd}/counts"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let (requests, bytes) = text.split_once(' ').unwrap();
    (requests.parse().unwrap(), bytes.parse().unwrap())
}

/// MB that this process has had at most.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kb = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kb.unwrap_or_default() / 1024.0
}

#[derive(Default)]
struct Asked {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Asked {
    fn gave(&self, text: Bytes) -> Bytes {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        text
    }
}

/// PD and its stores, until stdin ends. Of `lost` stores nobody has heard for an hour.
async fn serve(stores: u64, regions: u64, lost: u64) {
    let asked = Arc::new(Asked::default());
    let mut listed = Vec::new();
    for id in 1..=stores {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let status = listener.local_addr().unwrap();
        if id > lost {
            let app = Router::new()
                .route("/metrics", get(metrics))
                .route("/status", get(|| async { "{}" }))
                .with_state(asked.clone());
            tokio::spawn(async move { axum::serve(listener, app).await });
        }
        listed.push(store(id, status, id <= lost, regions * 3 / stores));
    }
    let stores_text = Bytes::from(json!({"count": stores, "stores": listed}).to_string());
    let member = |url: &str| json!({"name": "pd0", "member_id": 1, "client_urls": [url]});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let members = json!({"header": {"cluster_id": 7}, "members": [member(&url)],
        "leader": member(&url)});
    let health = json!([{"name": "pd0", "client_urls": [url], "health": true}]);
    let text = |text: Value| Bytes::from(text.to_string());
    let fixed =
        |text: Bytes| get(move |State(asked): State<Arc<Asked>>| async move { asked.gave(text) });
    let none = || text(json!({"count": 0, "regions": null}));
    let app = Router::new()
        .route("/pd/api/v1/members", fixed(text(members)))
        .route("/pd/api/v1/health", fixed(text(health)))
        .route("/pd/api/v1/ping", fixed(Bytes::new()))
        .route("/pd/api/v1/stores", fixed(stores_text))
        .route(
            "/pd/api/v1/regions/count",
            fixed(text(json!({"count": regions, "regions": null}))),
        )
        .route("/pd/api/v1/regions/check/{what}", fixed(none()))
        .route(
            "/pd/api/v1/regions/store/{id}",
            get(
                move |Path(id): Path<u64>, State(asked): State<Arc<Asked>>| async move {
                    of_store(id, stores, regions * 3 / stores, asked)
                },
            ),
        )
        .route(
            "/counts",
            get(|State(asked): State<Arc<Asked>>| async move {
                let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
                format!("{} {}", of(&asked.requests), of(&asked.bytes))
            }),
        )
        .with_state(asked);
    tokio::spawn(async move { axum::serve(listener, app).await });
    println!("{url}");
    std::io::stdout().flush().unwrap();
    let wait = || std::io::stdin().read(&mut [0]);
    let _ = tokio::task::spawn_blocking(wait).await;
}

fn store(id: u64, status: SocketAddr, lost: bool, regions: u64) -> Value {
    let now = jiff::Timestamp::now();
    let heard = if lost {
        now - Duration::from_secs(3600)
    } else {
        now + Duration::from_secs(600)
    };
    let state = if lost { "Down" } else { "Up" };
    json!({
        "store": {"id": id, "address": format!("127.0.0.1:{}", 40_000 + id),
            "status_address": status.to_string(), "state_name": state,
            "start_timestamp": now.as_second() - 90_000,
            "last_heartbeat": i64::try_from(heard.as_nanosecond()).unwrap()},
        "status": {"capacity": "2TiB", "available": "1TiB", "leader_count": regions / 3,
            "region_count": regions, "start_ts": (now - Duration::from_secs(90_000)).to_string(),
            "last_heartbeat_ts": heard.to_string()}
    })
}

async fn metrics(State(asked): State<Arc<Asked>>) -> Bytes {
    let mut text = String::from(
        "tikv_grpc_msg_duration_seconds_bucket{type=\"kv_get\",le=\"0.001\"} 900\n\
         tikv_grpc_msg_duration_seconds_bucket{type=\"kv_get\",le=\"+Inf\"} 1000\n\
         tikv_grpc_msg_duration_seconds_sum{type=\"kv_get\"} 1\n\
         tikv_grpc_msg_duration_seconds_count{type=\"kv_get\"} 1000\n\
         tikv_raftstore_region_count{type=\"leader\"} 5000\n",
    );
    let mut n = 0;
    while text.len() < METRICS {
        n += 1;
        text.push_str(&format!(
            "tikv_other_seconds_bucket{{type=\"a\",name=\"b{n}\",le=\"0.0005\"}} {n}\n"
        ));
    }
    asked.gave(text.into())
}

/// A store's regions in parts, as PD sends them, about 0.9 kB each.
fn of_store(id: u64, stores: u64, regions: u64, asked: Arc<Asked>) -> Body {
    asked.gave(Bytes::new());
    let region = move |n: u64| {
        let on = |k: u64| (id - 1 + k * 7) % stores + 1;
        let peers: Vec<_> = (0..3)
            .map(|k| json!({"role_name": "Voter", "id": n * 10 + k, "store_id": on(k)}))
            .collect();
        json!({"id": id * 1_000_000 + n, "start_key": "7480".repeat(60), "end_key": "7480".repeat(60),
            "epoch": {"conf_ver": 5, "version": 59}, "peers": peers,
            "leader": {"role_name": "Voter", "id": n * 10 + 1, "store_id": on(1)},
            "written_bytes": 0, "read_bytes": 0, "approximate_size": 96, "approximate_keys": 1})
    };
    let parts = (0..=regions).map(move |n| {
        let text = match n {
            0 => format!("{{\"count\": {regions}, \"regions\": ["),
            n if n == regions => format!("{}]}}", region(n)),
            n => format!("{},", region(n)),
        };
        let text = Bytes::from(text);
        asked.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok::<_, Infallible>(text)
    });
    Body::from_stream(stream::iter(parts))
}
