//! Whether a lab that is starting is healthy yet, asked over the same API as everybody uses.

use crate::{
    http,
    topology::{MEMBERS, NodeRole, REGIONS, Topology},
};
use serde_json::Value;
use std::time::Duration;

/// Steps that [`Probe::check`] goes through.
pub(crate) const STEPS: usize = 4;

/// The first step that is not reached, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotReady {
    pub step: usize,
    pub waiting_for: String,
}

#[derive(Debug)]
pub(crate) struct Probe {
    http: reqwest::Client,
    pd: Vec<String>,
    load: Option<String>,
}

impl Probe {
    pub(crate) fn new(topology: &Topology) -> reqwest::Result<Self> {
        Ok(Self {
            http: http::client(Duration::from_secs(2))?,
            pd: topology.pd_endpoints(),
            load: topology
                .of_role(NodeRole::Load)
                .next()
                .filter(|_| topology.rate > 0)
                .map(|node| format!("http://{}/metrics", node.address())),
        })
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}/pd/api/v1/{path}", self.pd.first()?);
        let answer = self
            .http
            .get(url)
            .send()
            .await
            .ok()?
            .error_for_status()
            .ok()?;
        answer.json().await.ok()
    }

    pub(crate) async fn check(&self) -> Result<(), NotReady> {
        let wait = |step, waiting_for: &str| {
            Err(NotReady {
                step,
                waiting_for: waiting_for.into(),
            })
        };
        let leader = self.get("members").await.is_some_and(|m| {
            m["leader"]["name"].is_string()
                && m["members"]
                    .as_array()
                    .is_some_and(|all| all.len() as u64 == MEMBERS)
        });
        if !leader {
            return wait(1, "waiting for PD to elect a leader");
        }
        let stores = self.get("stores").await.unwrap_or_default();
        let stores = stores["stores"].as_array().cloned().unwrap_or_default();
        let up = stores
            .iter()
            .filter(|s| s["store"]["state_name"] == "Up")
            .count() as u64;
        if up < MEMBERS {
            return wait(2, "waiting for the stores to join");
        }
        let share = REGIONS / MEMBERS;
        if !stores.iter().all(|s| s["status"]["leader_count"] == share) {
            return wait(
                3,
                "waiting for the regions' leaders to spread over the stores",
            );
        }
        let Some(url) = &self.load else { return Ok(()) };
        let running = match self.http.get(url).send().await {
            Ok(answer) => answer.text().await.is_ok_and(|text| {
                text.lines().any(|line| {
                    line.starts_with("load_operations_total")
                        && line.contains("result=\"ok\"")
                        && !line.ends_with(" 0")
                })
            }),
            Err(_) => false,
        };
        if running {
            Ok(())
        } else {
            wait(4, "waiting for the load to be answered")
        }
    }
}
