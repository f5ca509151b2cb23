//! The HTTP API under `/pd/api/v1/`: which path is answered how.
//!
//! Errors of handlers are JSON strings, as PD's are.

use super::{
    Pd,
    balance::describe,
    cluster::{Operator, StoreState},
    shape::{self, GIT_HASH},
};
use crate::lab::{
    store::VERSION,
    topology::REGIONS,
    wire::{Order, Refusal},
};
use axum::{
    Json,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::time::Instant;

pub struct Call<'a> {
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
fn pretty(value: &Value) -> Response {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    (
        [(header::CONTENT_TYPE, "application/json; charset=UTF-8")],
        text,
    )
        .into_response()
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!(message))).into_response()
}

fn refused(refusal: &Refusal) -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, &refusal.to_string())
}

/// What every member answers by itself; `None` for what is the leader's.
pub async fn local(pd: &Pd, call: &Call<'_>) -> Option<Response> {
    if call.method != Method::GET {
        return None;
    }
    Some(match call.path {
        "ping" => StatusCode::OK.into_response(),
        "version" => pretty(&json!({
            "version": format!("v{VERSION}"), "build_time": "", "hash": "", "branch": "",
        })),
        "status" => pretty(&json!({
            "build_ts": "", "version": format!("v{VERSION}"), "git_hash": GIT_HASH,
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
pub async fn leader(pd: &Pd, call: &Call<'_>) -> Response {
    let segments: Vec<&str> = call.path.split('/').collect();
    match *call.method {
        Method::GET => read(pd, call, &segments),
        Method::POST => post(pd, call, &segments).await,
        Method::DELETE => delete(pd, &segments).await,
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
                "cluster-version": VERSION,
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
                    let sum = |f: fn(&crate::lab::wire::RegionReport) -> u64| {
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

async fn post(pd: &Pd, call: &Call<'_>, segments: &[&str]) -> Response {
    let body = if call.body.is_empty() {
        b"{}"
    } else {
        call.body
    };
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        let text = json!({ "code": "input", "msg": "the body is not JSON", "data": null });
        return (StatusCode::BAD_REQUEST, Json(text)).into_response();
    };
    match segments {
        ["leader", "resign"] => match pd.members.iter().find(|m| m.id != pd.node.id) {
            Some(member) => hand_over(pd, &member.name.clone()).await,
            None => error(StatusCode::INTERNAL_SERVER_ERROR, "no other member"),
        },
        ["leader", "transfer", name] => hand_over(pd, name).await,
        ["config"] => {
            let mut config = pd.config();
            let Some(changes) = body.as_object() else {
                return error(
                    StatusCode::BAD_REQUEST,
                    "an object of names and values is expected",
                );
            };
            if let Err(message) = config.change(changes) {
                return error(StatusCode::BAD_REQUEST, &message);
            }
            match pd.set_config(&config).await {
                Ok(()) => pretty(&json!("The config is updated.")),
                Err(refusal) => refused(&refusal),
            }
        }
        ["schedulers"] => {
            let (name, store) = (body["name"].as_str(), body["store_id"].as_u64());
            let (Some("evict-leader-scheduler"), Some(store)) = (name, store) else {
                return error(
                    StatusCode::BAD_REQUEST,
                    "only evict-leader-scheduler, with a store_id, can be added",
                );
            };
            let mut config = pd.config();
            config.evict_leaders.insert(store);
            match pd.set_config(&config).await {
                Ok(()) => pretty(&json!("The scheduler is created.")),
                Err(refusal) => refused(&refusal),
            }
        }
        ["operators"] => add_operator(pd, &body),
        _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

fn add_operator(pd: &Pd, body: &Value) -> Response {
    let numbers = (body["region_id"].as_u64(), body["to_store_id"].as_u64());
    let (Some("transfer-leader"), (Some(region), Some(to))) = (body["name"].as_str(), numbers)
    else {
        let text = "transfer-leader with region_id and to_store_id is expected";
        return error(StatusCode::BAD_REQUEST, text);
    };
    let now = Instant::now();
    let mut cluster = pd.cluster();
    let Some(from) = cluster.leader(region, now) else {
        return error(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("region {region} has no leader"),
        );
    };
    cluster.operators.insert(
        region,
        Operator {
            from,
            to,
            asked: now,
            manual: true,
        },
    );
    cluster.order(from, Order::HandOver { region, to });
    pretty(&json!("The operator is created."))
}

async fn delete(pd: &Pd, segments: &[&str]) -> Response {
    match segments {
        ["schedulers", name] => {
            let mut config = pd.config();
            let store = name.strip_prefix("evict-leader-scheduler");
            let removed = match store.map(|s| s.trim_start_matches('-')) {
                Some("") => !std::mem::take(&mut config.evict_leaders).is_empty(),
                Some(id) => id.parse().is_ok_and(|id| config.evict_leaders.remove(&id)),
                None => false,
            };
            if !removed {
                let text = format!("[PD:scheduler:ErrSchedulerNotFound]scheduler {name} not found");
                return error(StatusCode::NOT_FOUND, &text);
            }
            match pd.set_config(&config).await {
                Ok(()) => pretty(&json!("The scheduler is removed.")),
                Err(refusal) => refused(&refusal),
            }
        }
        ["store", id] => {
            let known = id
                .parse::<u64>()
                .is_ok_and(|id| pd.records().contains_key(&id));
            if !known {
                let text = format!("[PD:core:ErrStoreNotFound]store {id} not found");
                return error(StatusCode::NOT_FOUND, &text);
            }
            // Three replicas on three stores: none can be spared, as in PD.
            let text = "[PD:core:ErrStoresNotEnough]can not remove store since the number of up stores would be less than max-replicas";
            error(StatusCode::BAD_REQUEST, text)
        }
        _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

async fn hand_over(pd: &Pd, name: &str) -> Response {
    let Some(member) = pd.members.iter().find(|member| member.name == name) else {
        return error(StatusCode::NOT_FOUND, &format!("not found, pd: {name}"));
    };
    if member.id == pd.node.id {
        return pretty(&json!("The transfer command is submitted."));
    }
    match pd.group.hand_over(member.id).await {
        Ok(()) => pretty(&json!("The transfer command is submitted.")),
        Err(refusal) => refused(&refusal),
    }
}
