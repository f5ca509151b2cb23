use super::*;
use crate::cluster::{
    access::Access,
    snapshot::{Evidence, Life, Store},
};
use axum::{Router, extract::Path, routing::get};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

fn ground(lost: &[u64]) -> Ground {
    let stores: Vec<Store> = (1..=5)
        .map(|id| Store {
            id,
            evidence: Evidence {
                life: Some(if lost.contains(&id) {
                    Life::Silent
                } else {
                    Life::Alive
                }),
                ..Evidence::default()
            },
            ..Store::default()
        })
        .collect();
    Ground::new(&stores, true, true)
}

/// A PD with a thousand regions on stores `n`, `n + 1` and `n + 2` of five, led by the first.
async fn pd(asked: Arc<AtomicUsize>) -> String {
    let region = |id: u64| {
        let on = |n: u64| (id + n) % 5 + 1;
        let peers: Vec<_> = (0..3)
            .map(|n| json!({"id": id * 10 + n, "store_id": on(n), "role_name": "Voter"}))
            .collect();
        json!({"id": id, "peers": peers, "leader": {"id": id * 10, "store_id": on(0)}})
    };
    let answer = move |Path(store): Path<u64>| {
        asked.fetch_add(1, Ordering::Relaxed);
        let of = (0..1000).map(region).filter(move |r| {
            let peers = r["peers"].as_array().unwrap();
            peers.iter().any(|p| p["store_id"] == store)
        });
        let list: Vec<_> = of.collect();
        std::future::ready(json!({"count": list.len(), "regions": list}).to_string())
    };
    let app = Router::new().route("/pd/api/v1/regions/store/{id}", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn http() -> Http {
    Http::new(Duration::from_secs(5), Access::default(), false).unwrap()
}

#[tokio::test]
async fn regions_of_lost_stores_are_counted_once_each_and_not_at_each_look() {
    let asked = Arc::new(AtomicUsize::new(0));
    let pd = pd(asked.clone()).await;
    let (http, mut counter) = (http(), Counter::default());
    let counted = counter.count(&http, &pd, 90_000, ground(&[1, 2])).await;
    let counted = counted.unwrap();
    // Of five kinds of regions two have two peers on stores 1 and 2, two one, and one none.
    assert_eq!((counted.total, counted.no_quorum), (90_000, 400));
    assert_eq!(counted.leaderless, 400);
    assert_eq!(counted.unserved, 600);
    assert_eq!(counted.on_lost[&1], 600);
    assert!(!counted.uncounted && counted.counted_at.is_some());
    // The same stores: the count stands for a while; one more lost: it says nothing any more.
    let again = counter.count(&http, &pd, 90_001, ground(&[1, 2])).await;
    assert_eq!(again.unwrap().no_quorum, 400);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let others = counter.count(&http, &pd, 90_000, ground(&[1, 2, 3])).await;
    assert_eq!(others, None);
    // Who waits for proof does not wait for that.
    counter.want();
    let wanted = counter.count(&http, &pd, 90_000, ground(&[1, 2, 3])).await;
    assert_eq!(wanted.unwrap().no_quorum, 1000 / 5 * 3);
    assert_eq!(asked.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn what_could_not_be_counted_is_not_zero() {
    let (http, mut counter) = (http(), Counter::default());
    let nobody = "http://127.0.0.1:1";
    let counted = counter.count(&http, nobody, 90_000, ground(&[1])).await;
    assert_eq!(counted, None);
}

#[test]
fn regions_are_read_one_by_one_and_odd_ones_are_told() {
    let read = |text: &str| {
        let mut ids = Vec::new();
        each(text.as_bytes(), |region| ids.push(region.map(|r| r.id))).map(|()| ids)
    };
    assert_eq!(read(r#"{"count": 0, "regions": null}"#).unwrap(), []);
    assert_eq!(
        read(r#"{"regions": [{"id": 1}, null, 7, {"id": 2}], "count": 4}"#).unwrap(),
        [Some(1), None, None, Some(2)]
    );
    assert!(read(r#"{"regions": [{"id": 1}, "#).is_err());
    assert!(read("<html>").is_err());
}
