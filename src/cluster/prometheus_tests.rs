use super::*;
use crate::cluster::{Store, Traffic};
use axum::{Json, Router, extract::Query, routing::get};
use serde_json::{Value, json};

/// A Prometheus that answers a query with what `answer` makes of it.
async fn serve(answer: impl Fn(&str) -> Value + Clone + Send + Sync + 'static) -> Prometheus {
    let asked = answer.clone();
    let query = move |Query(q): Query<HashMap<String, String>>| {
        std::future::ready(Json(asked(&q["query"])))
    };
    let app = Router::new()
        .route("/prefix/api/v1/query", get(query.clone()))
        .route("/prefix/api/v1/query_range", get(query))
        .route(
            "/prefix/api/v1/targets",
            get(|| async {
                Json(json!({"status": "success", "data": {"activeTargets": [
                    {"labels": {"job": "pd", "instance": "pd:1"}, "scrapeInterval": "1m"},
                    {"labels": {"job": "old-tikv", "instance": "z:1"}, "scrapeInterval": "5m"},
                    {"labels": {"instance": "b:1"}, "scrapeInterval": "4s"},
                    {"labels": {"instance": "a:1"}, "scrapeInterval": "5s"}]}}))
            }),
        )
        .route(
            "/prefix/api/v1/rules",
            get(move || std::future::ready(Json(answer("rules")))),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("{}/prefix/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Prometheus::new(&address, Duration::from_millis(700)).unwrap()
}

fn vector(values: &[(&str, &str)]) -> Value {
    let result: Vec<Value> = values
        .iter()
        .map(|(instance, value)| json!({"metric": {"instance": instance}, "value": [1.5, value]}))
        .collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": result}})
}

fn stores(addresses: &[&str]) -> Vec<Store> {
    let store = |(id, address): (u64, &&str)| Store {
        id,
        status_address: Some((*address).to_owned()),
        ..Store::default()
    };
    (1..).zip(addresses).map(store).collect()
}

fn seconds_ago(seconds: i64) -> String {
    (Timestamp::now().as_second() - seconds).to_string()
}

#[tokio::test]
async fn what_is_no_number_or_not_there_or_old_is_unknown() {
    let mut prometheus = serve(|query| {
        if query.contains("timestamp") {
            vector(&[
                ("a:1", &seconds_ago(3)),
                ("b:1", &seconds_ago(3)),
                ("old:1", &seconds_ago(90)),
            ])
        } else if query.contains("histogram_quantile") {
            vector(&[("a:1", "0.004"), ("b:1", "NaN"), ("old:1", "0.1")])
        } else if query.contains("fail") {
            vector(&[("a:1", "0.5"), ("old:1", "0")])
        } else {
            // Four scrapes of five seconds, though ten seconds are asked for.
            assert!(query.contains("[20s]"), "{query}");
            vector(&[("a:1", "12.5"), ("b:1", "0"), ("old:1", "7")])
        }
    })
    .await;
    let asked = stores(&["a:1", "b:1", "old:1", "c:1"]);
    let traffic = prometheus
        .traffic(&asked, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(
        traffic[0],
        Ok(Traffic {
            ops_per_s: Some(12.0),
            p99_ms: Some(4.0),
            refused_per_s: Some(0.5)
        })
    );
    let quiet = traffic[1].clone().unwrap();
    assert_eq!((quiet.p99_ms, quiet.refused_per_s), (None, None));
    let old = traffic[2].clone().unwrap_err();
    assert!(
        old.contains("90 s old") || old.contains("91 s old"),
        "{old}"
    );
    let gone = traffic[3].clone().unwrap_err();
    assert!(gone.contains("no instance there is c:1"), "{gone}");
}

#[tokio::test]
async fn a_store_that_was_never_asked_is_idle_and_one_that_was_has_no_rate_yet() {
    let mut prometheus = serve(|query| {
        if query.contains("timestamp") {
            let at = seconds_ago(1);
            let one = |labels| json!({"metric": labels, "value": [1.5, at]});
            json!({"status": "success", "data": {"resultType": "vector", "result": [
                one(json!({"instance": "a:1"})),
                one(json!({"instance": "b:1"})),
                one(json!({"instance": "b:1", "operator_counted": "1"}))]}})
        } else {
            vector(&[])
        }
    })
    .await;
    let asked = stores(&["a:1", "b:1"]);
    let traffic = prometheus
        .traffic(&asked, Duration::from_secs(10))
        .await
        .unwrap();
    let idle = traffic[0].clone().unwrap();
    assert_eq!((idle.ops_per_s, idle.refused_per_s), (Some(0.0), Some(0.0)));
    assert_eq!(
        traffic[1],
        Err("too few samples there for a rate".to_owned())
    );
}

#[tokio::test]
async fn an_answer_that_is_not_all_is_unknown_and_says_why() {
    for (warning, is_partial) in [
        ("No StoreAPIs matched for this query", true),
        ("PromQL info: metric might not be a counter", false),
    ] {
        let mut prometheus = serve(move |query| {
            let mut answer = if query.contains("timestamp") {
                vector(&[("a:1", &seconds_ago(1))])
            } else {
                vector(&[("a:1", "1")])
            };
            answer["warnings"] = json!([warning]);
            answer
        })
        .await;
        let asked = stores(&["a:1"]);
        let traffic = prometheus.traffic(&asked, Duration::from_secs(1)).await;
        match traffic {
            Err(why) => {
                let why = why.to_string();
                assert!(is_partial && why.contains(warning), "{why}");
                assert!(why.contains("partial"), "{why}");
            }
            Ok(_) => assert!(!is_partial),
        }
    }
}

#[tokio::test]
async fn the_filter_is_in_every_query() {
    let mut prometheus = serve(|query| {
        let selectors = query.matches('{').count();
        assert!(selectors > 0);
        assert_eq!(
            query.matches(",cluster=\"a\"}").count(),
            selectors,
            "{query}"
        );
        if query.contains("timestamp") {
            vector(&[("a:1", &seconds_ago(1))])
        } else {
            vector(&[("a:1", "1")])
        }
    })
    .await;
    prometheus.filter = Some("{cluster=\"a\"}".parse().unwrap());
    let asked = stores(&["a:1"]);
    let traffic = prometheus.traffic(&asked, Duration::from_secs(1)).await;
    assert!(traffic.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_range_has_holes_where_nothing_is_known() {
    let from = Timestamp::from_second(1_769_767_200).unwrap();
    let mut prometheus = serve(move |query| {
        if query.contains("timestamp") {
            return vector(&[("a:1", &seconds_ago(1))]);
        }
        let values = if query.contains("fail") {
            json!([[1_769_767_201, "1"], [1_769_767_203, "0"]])
        } else if query.contains("histogram_quantile") {
            json!([[1_769_767_202, "NaN"], [1_769_767_203, "0.002"]])
        } else {
            json!([
                [1_769_767_201, "5"],
                [1_769_767_203.0, "7"],
                [1_769_767_999, "9"]
            ])
        };
        json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {"instance": "a:1"}, "values": values}]}})
    })
    .await;
    let second = Duration::from_secs(1);
    let history = prometheus
        .history(&stores(&["a:1"]), from, from + second * 4, second, second)
        .await
        .unwrap();
    let ops: Vec<_> = history[&1].iter().map(|t| t.ops_per_s).collect();
    let p99: Vec<_> = history[&1].iter().map(|t| t.p99_ms).collect();
    assert_eq!(ops, [None, Some(4.0), None, Some(7.0), None]);
    assert_eq!(p99, [None, None, None, Some(2.0), None]);
}

#[tokio::test]
async fn errors_are_named_and_a_password_is_not() {
    let mut wrong = serve(|_| json!({"status": "error", "error": "parse error at char 3"})).await;
    let why = wrong
        .traffic(&stores(&["a:1"]), Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(why.to_string().contains("parse error at char 3"), "{why}");

    let address = "http://me:hunter2@127.0.0.1:1/x";
    let mut dead = Prometheus::new(address, Duration::from_secs(1)).unwrap();
    let why = dead.traffic(&[], Duration::from_secs(1)).await.unwrap_err();
    let why = why.to_string();
    assert!(why.contains("127.0.0.1:1/x/api/v1/query"), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
    for bad in ["", "ftp://x", "http://", "me:hunter2@"] {
        let why = Prometheus::new(bad, Duration::from_secs(1))
            .unwrap_err()
            .to_string();
        assert!(
            why.contains("Prometheus") && !why.contains("hunter2"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn rules_are_read_with_what_they_see() {
    let prometheus = serve(|_| {
        json!({"status": "success", "data": {"groups": [{"name": "tikv", "interval": 5, "rules": [
            {"name": "StoreDown", "type": "alerting", "health": "ok", "state": "firing",
             "lastEvaluation": "2026-01-30T10:00:00.123Z",
             "alerts": [{"labels": {"alertname": "StoreDown", "instance": "a:1"}, "state": "firing"}]},
            {"name": "Never", "health": "unknown", "lastEvaluation": "0001-01-01T00:00:00Z"}]}]}})
    })
    .await;
    let rules = prometheus.rules().await.unwrap();
    assert_eq!(rules[0].active[0]["instance"], "a:1");
    assert!(rules[0].healthy && rules[0].evaluated.is_some());
    assert!(!rules[1].healthy && rules[1].evaluated.is_none());
}
