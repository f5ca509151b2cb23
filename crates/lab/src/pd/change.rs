//! The part of the HTTP API that changes something: PD's leader, configuration, schedulers,
//! operators. Stores cannot be removed: none can be spared.

use crate::{
    pd::{
        Pd,
        api::{Call, error, pretty},
        cluster::Operator,
    },
    wire::{Instruction, Refusal},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::time::Instant;

fn refused(refusal: &Refusal) -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, &refusal.to_string())
}

pub(super) async fn post(pd: &Pd, call: &Call<'_>, segments: &[&str]) -> Response {
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
    cluster.instruct(from, Instruction::HandOver { region, to });
    pretty(&json!("The operator is created."))
}

pub(super) async fn delete(pd: &Pd, segments: &[&str]) -> Response {
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
