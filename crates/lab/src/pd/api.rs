//! The HTTP API under `/pd/api/v1/`: which path is answered how. What changes something is in
//! `change`.
//!
//! Errors of handlers are JSON strings, as PD's are.

use crate::{
    pd::{
        Pd,
        balance::describe,
        change,
        cluster::StoreState,
        shape::{self, GIT_HASH},
    },
    topology::{REGIONS, TIKV_VERSION},
};
use axum::{
    Json,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::time::Instant;

pub(super) struct Call<'a> {
    pub method: &'a Method,
    /// Behind the prefix, without a slash at either end.
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
}

impl Call<'_> {
    /// The values of a query parameter, which may be repeated.
    fn query(&self, name: &str) -> Vec<&str> {
        let pairs = self
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .collect()
    }
}

/// PD indents its JSON.
pub(super) fn pretty(value: &Value) -> Response {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    (
        [(header::CONTENT_TYPE, "application/json; charset=UTF-8")],
        text,
    )
        .into_response()
}

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!(message))).into_response()
}

/// What every member answers by itself; `None` for what is the leader's.
pub(super) async fn local(pd: &Pd, call: &Call<'_>) -> Option<Response> {
    if call.method != Method::GET {
        return None;
    }
    Some(match call.path {
        "ping" => StatusCode::OK.into_response(),
        "version" => pretty(&json!({
            "version": format!("v{TIKV_VERSION}"), "build_time": "", "hash": "", "branch": "",
        })),
        "status" => pretty(&json!({
            "build_ts": "", "version": format!("v{TIKV_VERSION}"), "git_hash": GIT_HASH,
            "start_timestamp": pd.started,
        })),
        "health" => pretty(&health(pd).await),
        _ => return None,
    })
}

async fn health(pd: &Pd) -> Value {
    let pings = pd.members.iter().map(|member| async {
        json!({
            "name": member.name,
            "member_id": shape::member_id(member, pd.cluster_id),
            "client_urls": [format!("http://{}", member.address())],
            "health": pd.is_healthy(member.id).await,
        })
    });
    futures_util::future::join_all(pings).await.into()
}

/// What the leader answers.
pub(super) async fn leader(pd: &Pd, call: &Call<'_>) -> Response {
    let segments: Vec<&str> = call.path.split('/').collect();
    match *call.method {
        Method::GET => read(pd, call, &segments),
        Method::POST => change::post(pd, call, &segments).await,
        Method::DELETE => change::delete(pd, &segments).await,
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn read(pd: &Pd, call: &Call<'_>, segments: &[&str]) -> Response {
    let config = pd.config();
    match segments {
        ["members"] => return pretty(&shape::members(pd)),
        ["leader"] => return pretty(&shape::members(pd)["leader"]),
        ["config"] => {
            return pretty(&json!({
                "client-urls": format!("http://{}", pd.node.address()),
                "peer-urls": format!("http://{}", pd.node.raft_address()),
                "name": pd.node.name,
                "data-dir": pd.deploy_path,
                "lease": 5,
                "cluster-version": TIKV_VERSION,
                "schedule": config.schedule(),
                "replication": super::config::Config::replication(),
                "log": { "level": "info" },
            }));
        }
        ["config", "schedule"] => return pretty(&config.schedule()),
        ["config", "replicate"] => return pretty(&super::config::Config::replication()),
        ["schedulers"] => {
            let names = if call.query("status").is_empty() {
                config.schedulers()
            } else {
                vec![]
            };
            return pretty(&json!(names));
        }
        ["cluster", "status"] => {
            return pretty(&json!({
                "raft_bootstrap_time": pd.bootstrapped(),
                "is_initialized": pd.bootstrapped().is_some(),
                "replication_status": "",
            }));
        }
        _ => {}
    }
    let records = pd.records();
    if records.is_empty() {
        return error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped, please start TiKV first",
        );
    }
    let now = Instant::now();
    let cluster = pd.cluster();
    let store = |id: u64| {
        let mut record = records.get(&id)?.clone();
        if let Some(heard) = cluster.records().remove(&id) {
            record = heard;
        }
        Some(shape::store(id, &record, &cluster, &config, now))
    };
    let list = |keep: &dyn Fn(StoreState) -> bool| {
        let ids = records
            .keys()
            .filter(|id| keep(cluster.state(**id, &config, now)));
        let stores: Vec<Value> = ids.filter_map(|id| store(*id)).collect();
        json!({ "count": stores.len(), "stores": stores })
    };
    let region = |id: u64| shape::region(id, &cluster, &config, now);
    let regions = |keep: &dyn Fn(&Value) -> bool| {
        let regions: Vec<Value> = (1..=REGIONS).map(region).filter(|r| keep(r)).collect();
        Json(json!({ "count": regions.len(), "regions": regions })).into_response()
    };
    match segments {
        ["stores"] => {
            let wanted = call.query("state");
            // Tombstone and Offline do not exist here; the others are "Up" to this filter.
            pretty(&list(&|_| wanted.is_empty() || wanted.contains(&"0")))
        }
        ["stores", "check"] => {
            let wanted: Vec<String> = call
                .query("state")
                .iter()
                .map(|s| s.to_ascii_lowercase())
                .collect();
            let known = ["up", "disconnected", "down", "offline", "tombstone"];
            match wanted.iter().find(|name| !known.contains(&name.as_str())) {
                Some(name) => error(StatusCode::BAD_REQUEST, &format!("unknown state: {name}")),
                None => pretty(&list(&|state| {
                    wanted.is_empty() || wanted.contains(&state.name().to_ascii_lowercase())
                })),
            }
        }
        ["stores", "limit"] => {
            let limit = json!({ "add-peer": 15, "remove-peer": 15 });
            pretty(
                &records
                    .keys()
                    .map(|id| (id.to_string(), limit.clone()))
                    .collect(),
            )
        }
        ["store", id] => match id.parse::<u64>().ok().map(store) {
            None => bad_id(id),
            Some(None) => error(
                StatusCode::NOT_FOUND,
                &format!("[PD:core:ErrStoreNotFound]store {id} not found"),
            ),
            Some(Some(store)) => pretty(&store),
        },
        ["cluster"] => pretty(&json!({ "id": pd.cluster_id, "max_peer_count": 3 })),
        ["regions"] => regions(&|_| true),
        ["regions", "count"] => pretty(&json!({ "count": REGIONS, "regions": null })),
        ["regions", "store", id] => match id.parse::<u64>() {
            Ok(id) if records.contains_key(&id) => regions(&|_| true),
            _ => bad_id(id),
        },
        ["regions", "check", "down-peer"] => regions(&|r| r.get("down_peers").is_some()),
        ["regions", "check", "pending-peer"] => regions(&|r| r.get("pending_peers").is_some()),
        ["regions", "check", "empty-region"] => regions(&|r| r["approximate_keys"] == 0),
        // Regions here always have three voters on three stores.
        [
            "regions",
            "check",
            "miss-peer" | "extra-peer" | "offline-peer" | "learner-peer",
        ] => regions(&|_| false),
        ["region", "id", id] => match id.parse::<u64>() {
            Ok(id @ 1..=REGIONS) => Json(region(id)).into_response(),
            Ok(_) => Json(Value::Null).into_response(),
            Err(_) => bad_id(id),
        },
        ["stats", "region"] => pretty(&shape::region_stats(
            &cluster,
            now,
            !call.query("count").is_empty(),
        )),
        ["operators"] => {
            let all = cluster
                .operators
                .iter()
                .map(|(id, op)| describe(*id, op, "started"));
            pretty(&all.collect::<Vec<_>>().into())
        }
        ["operators", "records"] => {
            let from = call
                .query("from")
                .first()
                .and_then(|s| s.parse().ok())
                .unwrap_or(0);
            let newer = cluster.records.iter().filter(|(at, _)| *at >= from);
            let texts: Vec<&String> = newer.map(|(_, text)| text).collect();
            if texts.is_empty() {
                let text = "[PD:schedule:ErrOperatorNotFound]operator not found";
                return error(StatusCode::INTERNAL_SERVER_ERROR, text);
            }
            pretty(&json!(texts))
        }
        ["hotspot", "stores"] => {
            let mut rates = serde_json::Map::new();
            for (name, flow) in [
                ("bytes-write-rate", 0usize),
                ("bytes-read-rate", 1),
                ("keys-write-rate", 2),
                ("keys-read-rate", 3),
            ] {
                let per_store = cluster.stores.iter().map(|(id, view)| {
                    let sum = |f: fn(&crate::wire::RegionReport) -> u64| {
                        view.report.leads.iter().map(f).sum::<u64>() as f64
                    };
                    let value = match flow {
                        0 => sum(|r| r.written_bytes),
                        1 => sum(|r| r.read_bytes),
                        2 => sum(|r| r.written_keys),
                        _ => sum(|r| r.read_keys),
                    };
                    (id.to_string(), json!(value))
                });
                rates.insert(name.into(), per_store.collect());
            }
            pretty(&Value::Object(rates))
        }
        _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

fn bad_id(id: &str) -> Response {
    let body = json!({ "code": "input", "msg": format!("`{id}` is not an id"), "data": null });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
