use super::*;
use crate::cluster::MemberState;
use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use operator_ledger::SystemId;
use serde_json::json;

/// Serves on a free port of loopback until the test's runtime ends.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A listener that takes connections and never answers, as a paused process does.
async fn frozen() -> (String, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    (
        format!("http://{}", listener.local_addr().unwrap()),
        listener,
    )
}

fn client(pd: &[&str]) -> Client {
    let mut options = Options::new(&pd.join(","));
    options.timeout = Duration::from_millis(700);
    Client::new(options).unwrap()
}

const NO_LEADER: &str = "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader";

fn pd(members: serde_json::Value, stores: serde_json::Value, health: serde_json::Value) -> Router {
    let regions = json!({"count": 2, "regions": [
        {"id": 1, "peers": [{"id": 11, "store_id": 1}, {"id": 12, "store_id": 2}, {"id": 13, "store_id": 3}],
         "leader": {"id": 11, "store_id": 1}},
        {"id": 2, "peers": [{"id": 21, "store_id": 1}, {"id": 22, "store_id": 2}, {"id": 23, "store_id": 3}],
         "leader": {"role_name": ""}, "down_peers": [{"peer": {"id": 23, "store_id": 3}, "down_seconds": 9}]},
    ]});
    let answer = |value: serde_json::Value| get(move || std::future::ready(Json(value.clone())));
    Router::new()
        .route("/pd/api/v1/members", answer(members))
        .route("/pd/api/v1/stores", answer(stores))
        .route("/pd/api/v1/health", answer(health))
        .route("/pd/api/v1/regions", answer(regions))
        .route(
            "/pd/api/v1/regions/count",
            answer(json!({"count": 2, "regions": null})),
        )
        .route(
            "/pd/api/v1/regions/check/miss-peer",
            answer(json!({"count": 0, "regions": []})),
        )
        .route("/pd/api/v1/ping", get(|| async {}))
}

fn stores() -> serde_json::Value {
    json!({"count": 3, "stores": [
        {"store": {"id": 3, "address": "c:1", "state_name": "Up"}, "status": {}},
        {"store": {"id": 2, "address": "b:1", "state_name": "Disconnected"}, "status": {}},
        {"store": {"id": 1, "address": "a:1", "state_name": "Up"}, "status": {"capacity": "1GiB"}},
    ]})
}

#[tokio::test]
async fn a_look_shows_members_stores_and_regions_in_trouble() {
    let gone = nobody().await;
    let members = json!({"header": {"cluster_id": 7_468_201_134_512_345_678_u64},
        "members": [{"name": "pd0", "client_urls": ["http://pd0.invalid:1"]}, {"name": "pd1", "client_urls": [gone]}],
        "leader": {"name": "pd0", "client_urls": ["http://pd0.invalid:1"]}});
    let health = json!([{"name": "pd0", "health": true}, {"name": "pd1", "health": false}]);
    let here = serve(pd(members, stores(), health)).await;
    let mut client = client(&[&here]);
    let s = client.observe().await;
    assert_eq!(s.cluster_id, Some(SystemId::new("7468201134512345678")));
    let states: Vec<_> = s.pd.fresh().unwrap().iter().map(|m| m.state).collect();
    // pd0's own address cannot be reached from here; that it leads and is healthy is known anyway.
    assert_eq!(states, [MemberState::Leader, MemberState::Down]);
    assert_eq!(
        s.stores
            .fresh()
            .unwrap()
            .iter()
            .map(|s| s.id)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let r = s.regions.fresh().unwrap();
    assert_eq!(
        (r.total, r.no_quorum, r.down_peer, r.in_doubt),
        (2, 1, 1, 0)
    );
    assert_eq!(
        r.leaderless, 0,
        "PD's leader may be new: it has not been told who leads"
    );
    assert!(
        s.traffic.fresh().is_none(),
        "no store could be scraped: unknown, not zero"
    );
}

#[tokio::test]
async fn a_member_that_hangs_or_is_gone_does_not_hide_the_others() {
    let gone = nobody().await;
    let (hangs, _listener) = frozen().await;
    let members = json!({"members": [{"name": "pd0", "client_urls": [hangs]}, {"name": "pd1"}],
        "leader": {"name": "pd1"}});
    let health = json!([{"name": "pd0", "health": false}, {"name": "pd1", "health": true}]);
    let here = serve(pd(members, stores(), health)).await;
    let s = client(&[&hangs, &gone, &here]).observe().await;
    assert_eq!(s.stores.fresh().unwrap().len(), 3);
    let states: Vec<_> = s.pd.fresh().unwrap().iter().map(|m| m.state).collect();
    assert_eq!(states, [MemberState::Down, MemberState::Leader]);
}

#[tokio::test]
async fn without_a_leader_pd_is_leaderless_and_the_stores_are_unknown() {
    let refuse = || async { (StatusCode::SERVICE_UNAVAILABLE, NO_LEADER).into_response() };
    let health = json!([{"name": "pd0", "health": true}, {"name": "pd1", "health": false}]);
    let app = Router::new()
        .route("/pd/api/v1/ping", get(|| async {}))
        .route(
            "/pd/api/v1/health",
            get(move || std::future::ready(Json(health.clone()))),
        )
        .fallback(refuse);
    let here = serve(app).await;
    let s = client(&[&here]).observe().await;
    assert_eq!(s.pd_leader.fresh(), Some(&None));
    assert!(s.stores.fresh().is_none() && s.regions.fresh().is_none());
    assert!(s.stores.error.unwrap().as_str().contains("finds no leader"));
    let states: Vec<_> = s.pd.fresh().unwrap().iter().map(|m| m.state).collect();
    assert_eq!(states, [MemberState::Follower, MemberState::Down]);
}

#[tokio::test]
async fn when_pd_cannot_be_asked_nothing_is_down() {
    let gone = nobody().await;
    let (hangs, _listener) = frozen().await;
    let s = client(&[&gone, &hangs]).observe().await;
    assert!(s.pd.fresh().is_none() && s.pd_leader.fresh().is_none() && s.stores.fresh().is_none());
    assert!(s.stores.error.is_some() && s.traffic.error.is_some());
    let none = client(&[]).observe().await;
    assert!(none.pd.error.unwrap().as_str().contains("PD_ENDPOINT"));
}

#[tokio::test]
async fn garbage_is_unknown_with_its_address() {
    let here = serve(Router::new().fallback(|| async { "<html>hello</html>" })).await;
    let s = client(&[&here]).observe().await;
    let why = s.stores.error.unwrap().to_string();
    assert!(why.contains(&here) && why.contains("unreadable"), "{why}");
    assert!(s.pd_leader.fresh().is_none());
}

#[tokio::test]
async fn an_answer_that_names_nothing_is_no_answer() {
    for empty in [
        json!({}),
        json!({"count": 0, "stores": [], "members": [], "regions": []}),
    ] {
        let here =
            serve(Router::new().fallback(move || std::future::ready(Json(empty.clone())))).await;
        let s = client(&[&here]).observe().await;
        assert!(
            s.stores.fresh().is_none(),
            "no store is not a healthy cluster"
        );
        assert!(s.regions.fresh().is_none() && s.pd_leader.fresh().is_none());
    }
}

#[tokio::test]
async fn regions_that_pd_does_not_know_yet_are_unknown() {
    let members = json!({"members": [{"name": "pd0"}], "leader": {"name": "pd0"}});
    let answer = |value: serde_json::Value| get(move || std::future::ready(Json(value.clone())));
    let none = json!({"count": 0, "regions": []});
    let app = Router::new()
        .route("/pd/api/v1/members", answer(members))
        .route("/pd/api/v1/stores", answer(stores()))
        .route("/pd/api/v1/ping", get(|| async {}))
        .fallback(move || std::future::ready(Json(none.clone())));
    let here = serve(app).await;
    let s = client(&[&here]).observe().await;
    assert!(s.stores.fresh().is_some());
    assert!(s.regions.error.unwrap().as_str().contains("no region"));
    // A leader that is named without an address is a leader.
    assert_eq!(s.pd_leader.fresh(), Some(&Some("pd0".to_owned())));
}

/// Forwarded ports: PD and the status ports are on loopback, and no host of the stores' names is known.
#[tokio::test]
async fn what_is_reached_through_this_machine_is_asked_there() {
    let metrics = get(|| async {
        "tikv_grpc_msg_duration_seconds_count{type=\"kv_get\"} 1\n\
         tikv_grpc_msg_duration_seconds_bucket{type=\"kv_get\",le=\"+Inf\"} 1\n"
    });
    let status = serve(Router::new().route("/metrics", metrics)).await;
    let port = status.rsplit(':').next().unwrap().to_owned();
    let store = |id: u64, address: &str| {
        json!({"store": {"id": id, "address": address, "state_name": "Up",
            "status_address": format!("127.0.0.1:{port}"),
            "last_heartbeat": Timestamp::now().as_nanosecond() as i64}, "status": {}})
    };
    let stores = json!({"count": 2, "stores": [
        store(1, "no-such-host.invalid:20160"), store(2, "192.0.2.1:20160")]});
    let member = json!({"name": "pd0", "client_urls": ["http://127.0.0.1:1"]});
    let members = json!({"header": {"cluster_id": 7}, "members": [member], "leader": member});
    let address = serve(pd(members, stores, json!([]))).await;
    let seen = client(&[&address]).observe().await;
    let of: Vec<_> = seen.stores.value.unwrap();
    let status: Vec<_> = of
        .iter()
        .map(|s| s.status_address.clone().unwrap())
        .collect();
    assert_eq!(
        status,
        [format!("127.0.0.1:{port}"), format!("192.0.2.1:{port}")]
    );
}
