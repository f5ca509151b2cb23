//! A store's status server: `/status`, `/metrics`, `/config`, `/region/{id}`, as TiKV's.

use crate::{
    size,
    store::Store,
    timing::{ELECTION_MAX, ELECTION_MIN, RAFT_HEARTBEAT, STORE_HEARTBEAT},
    topology::{TIKV_VERSION, start_key},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) async fn serve(listener: tokio::net::TcpListener, store: Arc<Store>) {
    let router = Router::new()
        .route("/status", get(|| async {}))
        .route("/metrics", get(metrics))
        .route("/config", get(config).post(set_config))
        .route("/region/{id}", get(region))
        .route("/engine_type", get(|| async { "raft-kv" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "path not found") })
        .with_state(store);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "status server ended");
    }
}

async fn metrics(State(store): State<Arc<Store>>) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, store.metrics.text(&store)).into_response()
}

async fn config(State(store): State<Arc<Store>>) -> Json<Value> {
    let go = |d: std::time::Duration| format!("{}ms", d.as_millis());
    let node = &store.node;
    Json(json!({
        "log": { "level": "info" },
        "server": {
            "addr": node.address(),
            "advertise-addr": node.address(),
            "status-addr": node.second_address(),
            "advertise-status-addr": node.second_address(),
            "version": TIKV_VERSION,
        },
        "storage": {
            "data-dir": store.quota.folder(),
            "reserve-space": size::format(store.quota.reserve()),
        },
        "raftstore": {
            "capacity": size::format(store.quota.capacity()),
            "raft-heartbeat-interval": go(RAFT_HEARTBEAT),
            "raft-min-election-timeout": go(ELECTION_MIN),
            "raft-max-election-timeout": go(ELECTION_MAX),
            "pd-store-heartbeat-tick-interval": go(STORE_HEARTBEAT),
        },
    }))
}

/// Whatever the content type says, as TiKV does: `curl -d` says that it sends a form.
async fn set_config(State(store): State<Arc<Store>>, body: Bytes) -> Response {
    let changes: Map<String, Value> = match serde_json::from_slice(&body) {
        Ok(changes) => changes,
        Err(error) => {
            let message = format!("Failed to decode, error: {error}");
            return (StatusCode::INTERNAL_SERVER_ERROR, message).into_response();
        }
    };
    for (name, value) in changes {
        let result = match (name.as_str(), value.as_str().and_then(size::parse)) {
            ("raftstore.capacity", Some(bytes)) if bytes > 0 => {
                store.quota.set_capacity(bytes).map_err(|e| e.to_string())
            }
            ("raftstore.capacity", _) => Err(format!("{value} is not a size such as \"256MiB\"")),
            _ => Err(format!(
                "`{name}` cannot be changed here; `raftstore.capacity` can"
            )),
        };
        if let Err(message) = result {
            return (StatusCode::INTERNAL_SERVER_ERROR, message).into_response();
        }
    }
    StatusCode::OK.into_response()
}

async fn region(State(store): State<Arc<Store>>, Path(id): Path<u64>) -> Response {
    let Some(group) = store.groups.get(&id) else {
        return (StatusCode::NOT_FOUND, format!("region {id} not found")).into_response();
    };
    let applied = group.applied();
    Json(json!({
        "id": id,
        "start_key": start_key(id),
        "end_key": start_key(id + 1).unwrap_or_default(),
        "role": if group.leads() { "Leader" } else { "Follower" },
        "leader_store": group.leader(),
        "term": group.term(),
        "applied_index": applied.map(|log| log.index),
    }))
    .into_response()
}
