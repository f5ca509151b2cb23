//! PD's members: what they say of each other, and which of them answers us.

use super::Client;
use crate::cluster::{
    http::{self, HttpError},
    lenient::Lenient,
    pd::{HealthAnswer, MemberAnswer, MembersAnswer, StatusAnswer},
    snapshot::{MemberState, Observed, PdMember},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::collections::HashMap;

impl Client {
    /// What the members that answer say of each other, by name.
    pub(super) async fn health(&self, endpoints: &[String]) -> Health {
        let (told, pings, processes) = tokio::join!(
            join_all(endpoints.iter().map(|e| async move {
                let url = format!("{e}/pd/api/v1/health");
                http::get_json::<Lenient<HealthAnswer>>(&self.patient, &url)
                    .await
                    .ok()
            })),
            join_all(endpoints.iter().map(|e| async move {
                http::get(&self.http, &format!("{e}/pd/api/v1/ping"))
                    .await
                    .is_ok()
            })),
            join_all(endpoints.iter().map(|e| async move {
                let url = format!("{e}/pd/api/v1/status");
                http::get_json::<StatusAnswer>(&self.http, &url).await.ok()
            }))
        );
        let mut health = Health::default();
        for (endpoint, ok) in endpoints.iter().zip(pings) {
            health.ping.insert(endpoint.clone(), ok);
        }
        for (endpoint, process) in endpoints.iter().zip(processes) {
            if let Some(process) = process {
                health.process.insert(endpoint.clone(), process);
            }
        }
        for entry in told.into_iter().flatten().flat_map(|all| all.read) {
            // One witness who says "alive" is enough: two that cannot see each other are not dead.
            match health.told.iter_mut().find(|(m, _)| m.same(&entry.member)) {
                Some((_, alive)) => *alive |= entry.health,
                None => health.told.push((entry.member, entry.health)),
            }
        }
        health
    }

    pub(super) fn pd_members(
        &self,
        members: &Result<(String, MembersAnswer), HttpError>,
        health: Health,
        now: Timestamp,
    ) -> Observed<Vec<PdMember>> {
        let leader = members.as_ref().ok().and_then(|(_, m)| m.leader.as_ref());
        let mut known = self.members.clone();
        if known.is_empty() {
            known = health
                .told
                .iter()
                .map(|(member, _)| member.clone())
                .collect();
            known.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let answered = health.ping.values().any(|ok| *ok);
        if known.is_empty() || !answered {
            return Observed::unknown(match members {
                Err(e) => e.to_string(),
                Ok(_) => "PD names no members".to_owned(),
            });
        }
        let list = known
            .iter()
            .map(|m| {
                let address = m.address();
                let told = health.told.iter().find(|(other, _)| other.same(m));
                let told = told.map(|(_, alive)| *alive);
                let ping = health.ping.get(&address).copied().unwrap_or(false);
                let leads = leader.is_some_and(|l| l.same(m));
                let state = match (told, ping) {
                    (_, true) | (Some(true), _) if leads => MemberState::Leader,
                    (_, true) | (Some(true), _) => MemberState::Follower,
                    // It tells its name when it runs for the first time.
                    (_, false) if m.name.is_empty() && address.is_empty() => {
                        MemberState::NeverStarted
                    }
                    (Some(false), false) => MemberState::Down,
                    (None, false) => MemberState::Unknown,
                };
                let process = health.process.get(&address);
                let began = process.and_then(|p| Timestamp::from_second(p.start_timestamp).ok());
                PdMember {
                    name: name_of(m, &known),
                    address,
                    state,
                    started: began.filter(|at| at.as_second() > 0),
                    version: Some(m.binary_version.clone()).filter(|v| !v.is_empty()),
                }
            })
            .collect();
        Observed::known(list, now)
    }
}

/// What people and tickets call a member: its name, if it has one of its own.
fn name_of(member: &MemberAnswer, all: &[MemberAnswer]) -> String {
    let MemberAnswer {
        name, member_id, ..
    } = member;
    let alike = all.iter().filter(|m| m.name == *name).count();
    match (name.as_str(), member_id) {
        ("", id) => format!("unnamed {id}"),
        (name, id) if alike > 1 => format!("{name} {id}"),
        (name, _) => name.to_owned(),
    }
}

/// What members say of each other, and who answers us.
#[derive(Default)]
pub(super) struct Health {
    told: Vec<(MemberAnswer, bool)>,
    ping: HashMap<String, bool>,
    /// What those that answer us say of their process, by address.
    process: HashMap<String, StatusAnswer>,
}
