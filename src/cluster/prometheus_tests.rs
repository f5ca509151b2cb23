use super::*;
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
                    {"labels": {"job": "pd"}, "scrapeInterval": "1m"},
                    {"labels": {"job": "tikv"}, "scrapeInterval": "5s"}]}}))
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
            vector(&[("a:1", "0"), ("old:1", "0")])
        } else {
            // Four scrapes of five seconds, though ten seconds are asked for.
            assert!(query.contains("[20s]"), "{query}");
            vector(&[("a:1", "12.5"), ("b:1", "0"), ("old:1", "7")])
        }
    })
    .await;
    let traffic = prometheus.traffic(Duration::from_secs(10)).await.unwrap();
    assert_eq!(
        traffic["a:1"],
        Ok(Traffic {
            ops_per_s: Some(12.5),
            p99_ms: Some(4.0),
            refused_per_s: Some(0.0)
        })
    );
    let quiet = traffic["b:1"].clone().unwrap();
    assert_eq!((quiet.p99_ms, quiet.refused_per_s), (None, None));
    let old = traffic["old:1"].clone().unwrap_err();
    assert!(
        old.contains("90 s old") || old.contains("91 s old"),
        "{old}"
    );
    assert!(!traffic.contains_key("c:1"));
}

#[tokio::test]
async fn a_range_has_holes_where_nothing_is_known() {
    let from = Timestamp::from_second(1_769_767_200).unwrap();
    let mut prometheus = serve(move |query| {
        let values = if query.contains("histogram_quantile") {
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
        .history(from, from + second * 4, second, second)
        .await
        .unwrap();
    let ops: Vec<_> = history["a:1"].iter().map(|t| t.ops_per_s).collect();
    let p99: Vec<_> = history["a:1"].iter().map(|t| t.p99_ms).collect();
    assert_eq!(ops, [None, Some(5.0), None, Some(7.0), None]);
    assert_eq!(p99, [None, None, None, Some(2.0), None]);
}

#[tokio::test]
async fn errors_are_named_and_a_password_is_not() {
    let mut wrong = serve(|_| json!({"status": "error", "error": "parse error at char 3"})).await;
    let why = wrong.traffic(Duration::from_secs(1)).await.unwrap_err();
    assert!(why.to_string().contains("parse error at char 3"), "{why}");

    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let address = format!("http://me:hunter2@127.0.0.1:{port}/x");
    let mut dead = Prometheus::new(&address, Duration::from_secs(1)).unwrap();
    let why = dead.traffic(Duration::from_secs(1)).await.unwrap_err();
    let why = why.to_string();
    assert!(
        why.contains(&format!("127.0.0.1:{port}/x/api/v1/query")),
        "{why}"
    );
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
