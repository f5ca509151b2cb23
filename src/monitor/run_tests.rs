use super::*;
use crate::cluster::Options;
use axum::{Json, Router, routing::get};
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;

/// A PD of cluster `id` at a free port.
async fn pd(id: u64) -> String {
    let answer = |value: serde_json::Value| get(move || std::future::ready(Json(value.clone())));
    let app = Router::new()
        .route(
            "/pd/api/v1/members",
            answer(json!({"header": {"cluster_id": id},
            "members": [{"name": "pd0"}], "leader": {"name": "pd0"}})),
        )
        .route(
            "/pd/api/v1/stores",
            answer(json!({"count": 1, "stores": [
            {"store": {"id": 1, "address": "a:1", "state_name": "Down"}, "status": {}}]})),
        )
        .route("/pd/api/v1/ping", get(|| async {}));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn monitor(folder: &Path, pd: &str, cluster_id: Option<&str>) -> Monitor {
    let options = RunOptions {
        ledger: folder.join("tickets.db"),
        config: Config::default(),
        cluster_id: cluster_id.map(SystemId::new),
        once: false,
        listener: Arc::default(),
    };
    let mut look = Options::new(pd);
    look.timeout = Duration::from_millis(700);
    Monitor::new(Client::new(look).unwrap(), &options)
        .await
        .unwrap()
}

#[tokio::test]
async fn another_cluster_than_the_one_asked_for_is_not_looked_at() {
    let tmp = tempfile::tempdir().unwrap();
    let here = pd(9).await;
    let report = monitor(tmp.path(), &here, Some("7"))
        .await
        .check()
        .await
        .unwrap();
    assert!(
        !report.ok && report.detail.contains("cluster 9, not 7"),
        "{}",
        report.detail
    );
    assert_eq!(report.cluster_id.as_str(), "7");
    assert!(
        report.outcome.opened.is_empty(),
        "its dead store is none of 7's"
    );
}

#[tokio::test]
async fn one_cluster_under_two_addresses_has_one_monitor() {
    let tmp = tempfile::tempdir().unwrap();
    let (a, b) = (pd(7).await, pd(7).await);
    let mut first = monitor(tmp.path(), &a, None).await;
    first.check().await.unwrap();
    let mut second = monitor(tmp.path(), &b, None).await;
    assert!(matches!(second.check().await, Err(MonitorError::Taken(_))));
    drop(first);
    second.check().await.unwrap();
}

/// A PD whose one store began when `started` says, in seconds.
async fn pd_with_a_store(started: Arc<std::sync::atomic::AtomicI64>) -> String {
    let members = json!({"header": {"cluster_id": 7},
        "members": [{"name": "pd0"}], "leader": {"name": "pd0"}});
    let stores = move || {
        let began = started.load(std::sync::atomic::Ordering::Relaxed);
        std::future::ready(Json(json!({"count": 1, "stores": [{"store":
            {"id": 1, "address": "a:1", "state_name": "Up", "start_timestamp": began,
             "last_heartbeat": Timestamp::now().as_nanosecond() as i64}, "status": {}}]})))
    };
    let app = Router::new()
        .route(
            "/pd/api/v1/members",
            get(move || std::future::ready(Json(members.clone()))),
        )
        .route("/pd/api/v1/stores", get(stores))
        .route("/pd/api/v1/ping", get(|| async {}));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_monitor_that_starts_again_sees_what_changed_meanwhile() {
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    let tmp = tempfile::tempdir().unwrap();
    let began = Arc::new(AtomicI64::new(1_770_000_000));
    let here = pd_with_a_store(began.clone()).await;
    let mut first = monitor(tmp.path(), &here, None).await;
    for _ in 0..2 {
        assert_eq!(first.check().await.unwrap().changes, []);
    }
    let last = first.known.at;
    drop(first);
    began.store(1_770_000_100, Relaxed);
    let mut second = monitor(tmp.path(), &here, None).await;
    let changes = second.check().await.unwrap().changes;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].to.as_deref(), Some("2026-02-02T02:41:40Z"));
    assert_eq!((changes[0].since, changes[0].at), (last, second.known.at));
    assert_eq!(second.check().await.unwrap().changes, []);
    let all = (Timestamp::MIN, Timestamp::MAX);
    let system = second.watched.id().clone();
    let stored = second.ledger.observed_changes(&system, all.0, all.1);
    assert_eq!(stored.await.unwrap().len(), 1);
}

#[tokio::test]
async fn while_pd_is_away_the_cluster_that_was_at_its_address_is_meant() {
    let tmp = tempfile::tempdir().unwrap();
    let here = pd(7).await;
    monitor(tmp.path(), &here, None)
        .await
        .check()
        .await
        .unwrap();
    let again = monitor(tmp.path(), &here, None).await;
    assert_eq!(again.watched.id().as_str(), "7");
    // Another address is another cluster until it says otherwise.
    let gone = nobody().await;
    let report = monitor(tmp.path(), &gone, None)
        .await
        .check()
        .await
        .unwrap();
    assert_eq!(report.cluster_id.as_str(), gone);
}

#[tokio::test]
async fn a_cluster_made_anew_at_the_same_address_is_watched_under_its_own_id() {
    let tmp = tempfile::tempdir().unwrap();
    let (old, new) = (pd(7).await, pd(9).await);
    let mut m = monitor(tmp.path(), &old, None).await;
    m.check().await.unwrap();
    let mut look = Options::new(&new);
    look.timeout = Duration::from_millis(700);
    m.client = Client::new(look).unwrap();
    let report = m.check().await.unwrap();
    assert_eq!(
        (report.cluster_id.as_str(), report.outcome.opened.as_slice()),
        ("9", [2].as_slice())
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_alerts_makes_looks_sooner_but_no_checks_and_none_without_a_pause() {
    let tmp = tempfile::tempdir().unwrap();
    let interval = Duration::from_secs(8);
    let mut config = Config::default();
    config.interval = interval;
    let options = RunOptions {
        ledger: tmp.path().join("tickets.db"),
        config,
        cluster_id: None,
        once: false,
        listener: Arc::default(),
    };
    let (listener, stop) = (options.listener.clone(), CancellationToken::new());
    let client = Client::new(Options::new("")).unwrap();
    let (mut checks, mut looks) = (Vec::new(), Vec::new());
    run(client, options, stop.clone(), |happened| {
        match happened {
            Happened::Checked(_) => checks.push(Instant::now()),
            Happened::Alerted(_) => looks.push(Instant::now()),
            other => panic!("{other:?}"),
        }
        listener.alert_received.notify_one();
        if checks.len() == 4 {
            stop.cancel();
        }
    })
    .await
    .unwrap();
    for pair in checks.windows(2) {
        assert!(pair[1] - pair[0] >= interval, "{:?}", pair[1] - pair[0]);
    }
    assert!(looks.len() >= 3, "{looks:?}");
    for pair in looks.windows(2) {
        assert!(
            pair[1] - pair[0] >= interval / MAX_LOOKS,
            "{:?}",
            pair[1] - pair[0]
        );
    }
}

#[tokio::test]
async fn a_store_that_nobody_asks_anything_is_idle_and_not_unknown() {
    let metrics = "tikv_raftstore_region_count{type=\"leader\"} 4\n";
    let app = Router::new().route("/metrics", get(move || std::future::ready(metrics)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let stores = json!({"count": 1, "stores": [{"store":
        {"id": 1, "address": "127.0.0.1:1", "status_address": store, "state_name": "Up",
         "last_heartbeat": Timestamp::now().as_nanosecond() as i64},
        "status": {"leader_count": 4, "capacity": "9GiB", "available": "9GiB"}}]});
    let members = json!({"header": {"cluster_id": 7},
        "members": [{"name": "pd0"}], "leader": {"name": "pd0"}});
    let app = Router::new()
        .route(
            "/pd/api/v1/members",
            get(move || std::future::ready(Json(members.clone()))),
        )
        .route(
            "/pd/api/v1/stores",
            get(move || std::future::ready(Json(stores.clone()))),
        )
        .route("/pd/api/v1/ping", get(|| async {}));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pd = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let tmp = tempfile::tempdir().unwrap();
    let mut monitor = monitor(tmp.path(), &pd, None).await;
    monitor.check().await.unwrap();
    // Long enough for a rate.
    tokio::time::sleep(Duration::from_millis(250)).await;
    for _ in 0..2 {
        let report = monitor.check().await.unwrap();
        let about_it = |v: &&Observation| v.key.ends_with(":1");
        let seen: Vec<_> = report.violations.iter().filter(about_it).collect();
        assert!(seen.is_empty(), "{seen:?}");
    }
}
