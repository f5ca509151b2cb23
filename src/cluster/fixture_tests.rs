//! Answers as PD and TiKV give them at v8.5, good and bad, and what is made of each.

use super::{Client, MemberState, Options, StoreState};
use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use operator_ledger::SystemId;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Status, content type and body.
type Answer = (u16, &'static str, &'static str);

/// Where the leader of the fixtures is: nobody is there.
const LEADER: &str = "http://127.0.0.1:1";
const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// What `/regions` and its checks are sent as.
const BINARY: &str = "application/octet-stream";

const NO_LEADER: Answer = (
    503,
    TEXT,
    "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader\n",
);
const NOT_BOOTSTRAPPED: &str =
    "\"[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first\"\n";

/// A PD that is well.
fn well() -> HashMap<&'static str, Answer> {
    HashMap::from([
        (
            "/members",
            (200, JSON, include_str!("fixtures/members.json")),
        ),
        ("/stores", (200, JSON, include_str!("fixtures/stores.json"))),
        ("/health", (200, JSON, include_str!("fixtures/health.json"))),
        (
            "/regions",
            (200, BINARY, include_str!("fixtures/regions.json")),
        ),
        (
            "/regions/count",
            (200, JSON, "{\n  \"count\": 2,\n  \"regions\": null\n}\n"),
        ),
        (
            "/regions/check/miss-peer",
            (200, BINARY, "{\"count\":0,\"regions\":[]}"),
        ),
        ("/ping", (200, TEXT, "")),
    ])
}

/// Plays a PD and looks at it once.
async fn look(answers: HashMap<&'static str, Answer>) -> super::ClusterSnapshot {
    let answers = Arc::new(answers);
    let app = Router::new().fallback(move |request: Request<Body>| {
        let path = request.uri().path();
        let path = path.strip_prefix("/pd/api/v1").unwrap_or(path);
        let (status, kind, body) =
            answers
                .get(path)
                .copied()
                .unwrap_or((404, TEXT, "404 page not found\n"));
        let answer = Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        std::future::ready(answer)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pd = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut options = Options::new(&pd);
    options.timeout = Duration::from_secs(2);
    Client::new(options).unwrap().observe().await
}

fn but(path: &'static str, answer: Answer) -> HashMap<&'static str, Answer> {
    let mut answers = well();
    answers.insert(path, answer);
    answers
}

/// The same error from everything that only the leader can answer.
fn nothing_but(answer: Answer) -> HashMap<&'static str, Answer> {
    let mut answers = well();
    for path in [
        "/members",
        "/stores",
        "/regions",
        "/regions/count",
        "/regions/check/miss-peer",
    ] {
        answers.insert(path, answer);
    }
    answers
}

#[tokio::test]
async fn a_cluster_is_read_as_pd_writes_it() {
    let seen = look(well()).await;
    assert_eq!(seen.cluster_id, Some(SystemId::new("7468201134512345678")));
    assert_eq!(seen.pd_leader.fresh(), Some(&Some(LEADER.to_owned())));
    let members: Vec<_> = seen.pd.fresh().unwrap().iter().map(|m| m.state).collect();
    assert_eq!(members, [MemberState::Leader, MemberState::Down]);

    let stores = seen.stores.fresh().unwrap();
    let told: Vec<_> = stores
        .iter()
        .map(|s| (s.id, s.name.as_str(), s.state))
        .collect();
    assert_eq!(
        told,
        [
            (1, "tikv0", StoreState::Up),
            (5, "tikv2", StoreState::Down),
            (18_446_744_073_709_551_557, "tikv1", StoreState::Offline),
        ]
    );
    assert_eq!(stores[0].status_address.as_deref(), Some("tikv0:20180"));
    assert_eq!((stores[0].leaders, stores[0].regions), (Some(7), Some(21)));
    // Never came, and no size of zero: unknown.
    assert_eq!((stores[1].last_heartbeat, stores[1].capacity), (None, None));
    assert_eq!(stores[1].status_address, None);

    let regions = seen.regions.fresh().unwrap();
    assert_eq!(
        (regions.total, regions.no_quorum, regions.down_peer),
        (2, 1, 1),
        "of two voters one is down; the learner has no vote"
    );
}

#[tokio::test]
async fn null_or_odd_elements_lose_themselves_alone() {
    let mut answers = well();
    let members = r#"{"header":{"cluster_id":7},"members":[null,
        {"name":"pd0","member_id":11,"client_urls":["http://127.0.0.1:1"],"peer_urls":null},
        {"name":"pd2","member_id":12,"client_urls":["http://127.0.0.1:2"]},
        {"name":"","member_id":13,"client_urls":null}, {"member_id":14}, "pd9"],
        "leader":{"name":"pd0","member_id":11,"client_urls":null}}"#;
    let health = r#"[{"name":"","member_id":13,"client_urls":null,"health":false}, null, 3,
        {"name":"","member_id":14,"client_urls":null,"health":false},
        {"name":"pd0","member_id":11,"client_urls":["http://127.0.0.1:1"],"health":true},
        {"name":"pd2","member_id":12,"client_urls":null,"health":false}]"#;
    let stores = r#"{"count":3,"stores":[null,{"store":null},
        {"store":{"id":1,"address":"a:1","state_name":"Up","labels":null},"status":null},
        {"store":{"id":2,"address":null,"state_name":"Up","labels":[null,{"key":"host","value":"kv-2"}]},
         "status":{"capacity":null,"leader_count":"many","region_count":4}}]}"#;
    let regions = r#"{"count":2,"regions":[{"id":1,"peers":[{"id":11,"store_id":1},{"id":12,"store_id":2}],
        "leader":{"id":11,"store_id":1},"down_peers":null,"pending_peers":[null]}, null]}"#;
    answers.insert("/members", (200, JSON, members));
    answers.insert("/health", (200, JSON, health));
    answers.insert("/stores", (200, JSON, stores));
    answers.insert("/regions", (200, BINARY, regions));
    let seen = look(answers).await;
    let told: Vec<_> = seen.pd.fresh().unwrap().iter().collect();
    let told: Vec<_> = told.iter().map(|m| (m.name.as_str(), m.state)).collect();
    assert_eq!(
        told,
        [
            ("pd0", MemberState::Leader),
            ("pd2", MemberState::Down),
            ("unnamed 13", MemberState::NeverStarted),
            ("unnamed 14", MemberState::NeverStarted),
        ]
    );
    assert_eq!(seen.pd_leader.fresh(), Some(&Some("pd0".to_owned())));
    let stores = seen.stores.fresh().unwrap();
    let told: Vec<_> = stores.iter().map(|s| (s.id, s.state, s.regions)).collect();
    assert_eq!(
        told,
        [(1, StoreState::Up, Some(0)), (2, StoreState::Up, Some(4))]
    );
    assert_eq!(stores[1].name, "kv-2");
    assert_eq!(seen.odd_stores, 2);
    let regions = seen.regions.fresh().unwrap();
    assert_eq!(
        (regions.total, regions.unserved(), regions.in_doubt),
        (2, 0, 1)
    );
}

#[tokio::test]
async fn a_page_that_speaks_of_redirects_is_no_word_of_pd() {
    for page in [
        (
            503,
            "text/html",
            "<h1>503 Temporary Redirect unavailable</h1>",
        ),
        (404, "text/html", "Permanent Redirect"),
        (500, TEXT, "redirection is not configured"),
    ] {
        let seen = look(nothing_but(page)).await;
        assert_eq!(seen.pd_leader.fresh(), None, "{page:?}");
        let why = seen.stores.error.unwrap().to_string();
        assert!(why.contains(page.2), "{why}");
    }
}

#[tokio::test]
async fn errors_of_every_shape_are_unknown_with_pds_own_words() {
    for (answer, words) in [
        (NO_LEADER, "redirect finds no leader"),
        (
            (500, TEXT, "[PD:apiutil:ErrRedirect]redirect failed\n"),
            "redirect failed",
        ),
        (
            (
                500,
                TEXT,
                "[PD:apiutil:ErrRedirectToNotLeader]redirect to not leader\n",
            ),
            "redirect to not leader",
        ),
        ((429, TEXT, "Too Many Requests\n"), "Too Many Requests"),
        (
            (
                400,
                JSON,
                "{\"code\":1,\"msg\":\"bad state\",\"data\":null}",
            ),
            "bad state",
        ),
        ((200, JSON, ""), "unreadable"),
        ((200, TEXT, "OK"), "unreadable"),
        ((200, JSON, "{\"count\":0,\"stores\":[]}"), "names none"),
    ] {
        let seen = look(but("/stores", answer)).await;
        assert!(seen.stores.fresh().is_none(), "{answer:?}");
        let why = seen.stores.error.unwrap().to_string();
        assert!(why.contains(words), "{answer:?}: {why}");
        assert!(why.contains("/stores"), "it names who said so: {why}");
        // What depends on the stores is as unknown; what does not is as known.
        assert!(seen.traffic.fresh().is_none() && seen.regions.fresh().is_none());
        assert_eq!(seen.pd_leader.fresh(), Some(&Some(LEADER.to_owned())));
    }
}

#[tokio::test]
async fn a_pd_that_nobody_leads_is_known_to_be_so_and_one_that_refuses_is_not() {
    for leaderless in [
        NO_LEADER,
        (500, TEXT, "[PD:apiutil:ErrRedirect]redirect failed\n"),
        (
            500,
            TEXT,
            "[PD:apiutil:ErrRedirectToNotLeader]redirect to not leader\n",
        ),
    ] {
        let seen = look(nothing_but(leaderless)).await;
        assert_eq!(seen.pd_leader.fresh(), Some(&None), "{leaderless:?}");
        assert!(seen.stores.fresh().is_none() && seen.regions.fresh().is_none());
    }
    let seen = look(nothing_but((429, TEXT, "Too Many Requests\n"))).await;
    assert_eq!(seen.pd_leader.fresh(), None);
    assert!(seen.stores.fresh().is_none() && seen.regions.fresh().is_none());
}

#[tokio::test]
async fn before_the_first_store_joins_there_is_a_leader_and_nothing_else() {
    let mut answers = well();
    for path in [
        "/stores",
        "/regions",
        "/regions/count",
        "/regions/check/miss-peer",
    ] {
        answers.insert(path, (500, JSON, NOT_BOOTSTRAPPED));
    }
    let seen = look(answers).await;
    assert_eq!(seen.pd_leader.fresh(), Some(&Some(LEADER.to_owned())));
    assert!(seen.stores.fresh().is_none() && seen.regions.fresh().is_none());
    assert!(seen.not_bootstrapped());
    assert_eq!(seen.traffic.error, seen.stores.error);
}

#[tokio::test]
async fn regions_in_an_error_are_unknown_and_the_stores_are_not() {
    for (path, answer) in [
        (
            "/regions",
            (500, JSON, "\"[PD:core:ErrRegionNotFound]no regions\"\n"),
        ),
        ("/regions/count", NO_LEADER),
        (
            "/regions/check/miss-peer",
            (429, TEXT, "Too Many Requests\n"),
        ),
    ] {
        let seen = look(but(path, answer)).await;
        assert!(seen.stores.fresh().is_some(), "{path}");
        assert!(seen.regions.fresh().is_none(), "{path}");
    }
}
