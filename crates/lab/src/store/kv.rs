//! Answers what arrives on a store's address: Raft messages, reads and writes.

use crate::{
    node::unix_millis,
    store::Store,
    topology::region_of,
    wire::{Answer, Call, Refusal, decode, encode},
};
use std::time::Instant;

pub(super) async fn answer(store: &Store, body: &[u8]) -> Vec<u8> {
    let answer = match decode::<Call>(body) {
        Ok(call) => dispatch(store, call).await,
        Err(error) => Answer::Refused(Refusal::Other(error.to_string())),
    };
    encode(&answer)
}

async fn dispatch(store: &Store, call: Call) -> Answer {
    match call {
        Call::Read { key, deadline } => {
            let started = Instant::now();
            let result = read(store, &key, deadline);
            store
                .metrics
                .observe("raw_get", started.elapsed(), result.as_ref().err());
            result.map_or_else(Answer::Refused, Answer::Value)
        }
        Call::Write {
            key,
            value,
            deadline,
        } => {
            let started = Instant::now();
            let result = write(store, key, value, deadline).await;
            store
                .metrics
                .observe("raw_put", started.elapsed(), result.as_ref().err());
            result.map_or_else(Answer::Refused, |()| Answer::Done)
        }
        Call::Ping => Answer::Done,
        Call::Heartbeat(_) => Answer::Refused(Refusal::NoGroup),
        Call::Append { group, .. }
        | Call::Vote { group, .. }
        | Call::Snapshot { group, .. }
        | Call::Campaign { group } => match store.groups.get(&group) {
            Some(group) => group.answer(call).await,
            None => Answer::Refused(Refusal::NoGroup),
        },
    }
}

fn in_time(deadline: u64) -> Result<(), Refusal> {
    if unix_millis() > deadline {
        Err(Refusal::Expired)
    } else {
        Ok(())
    }
}

fn read(store: &Store, key: &str, deadline: u64) -> Result<Option<String>, Refusal> {
    in_time(deadline)?;
    store
        .groups
        .get(&region_of(key))
        .ok_or(Refusal::NoGroup)?
        .get(key)
}

async fn write(store: &Store, key: String, value: String, deadline: u64) -> Result<(), Refusal> {
    in_time(deadline)?;
    if store.quota.is_full() {
        return Err(Refusal::DiskFull);
    }
    store
        .groups
        .get(&region_of(&key))
        .ok_or(Refusal::NoGroup)?
        .put(key, value)
        .await
}
