//! Which lab this process is about, and every question whose answer depends on that.

use crate::stage::{
    compose::Compose,
    control::{Control, ControlError},
    error::StageError,
};
use agent_lab::runner::environment::LAB as LAB_VAR;
use operator_lab::{
    Client, LabDir,
    load::verify::{Verified, verify},
    topology::Topology,
};
use operator_ledger::home::Home;
use std::{path::PathBuf, sync::Arc};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Embedded,
    Compose,
}

pub(super) fn which() -> Result<Which, ControlError> {
    match std::env::var(LAB_VAR).unwrap_or_default().as_str() {
        "" | "embedded" => Ok(Which::Embedded),
        "compose" => Ok(Which::Compose),
        other => Err(ControlError::Unknown(other.into())),
    }
}

fn is_compose() -> bool {
    which().is_ok_and(|lab| lab == Which::Compose)
}

/// How many times as long as in the embedded lab things may take: TiKV's own times are longer.
pub fn patience() -> u32 {
    if is_compose() { 5 } else { 1 }
}

/// What the lab is called, for headers.
pub fn place() -> &'static str {
    if is_compose() {
        "TiKV in compose"
    } else {
        "embedded lab"
    }
}

/// The ledger of the lab.
pub fn ledger() -> Result<PathBuf, StageError> {
    let home = Home::from_env()?;
    Ok(match which()? {
        Which::Embedded => home.lab_ledger(),
        // The containers have a record of their own, and no other.
        Which::Compose => home.ledger(),
    })
}

/// Where the lab's PD is.
pub fn pd() -> Result<Vec<String>, StageError> {
    match which()? {
        Which::Embedded => Ok(Topology::load(&LabDir::from_env()?)?.pd_endpoints()),
        Which::Compose => {
            let pd = std::env::var("PD_ENDPOINT").unwrap_or_default();
            Ok(pd.split(',').map(|e| e.trim().to_string()).collect())
        }
    }
}

/// Control of the lab, whether it is up or not.
pub fn control() -> Result<Box<dyn Control>, ControlError> {
    Ok(match which()? {
        Which::Embedded => Box::new(Client::new(LabDir::from_env()?)),
        Which::Compose => Box::new(Compose::from_env()?),
    })
}

/// Control of the lab, if its PD is among these addresses.
pub fn watched(addresses: &str) -> Result<Option<Arc<dyn Control>>, StageError> {
    let Ok(ours) = pd() else { return Ok(None) };
    let watched = addresses.split(',').any(|a| ours.iter().any(|o| o == a));
    Ok(watched.then(control).transpose()?.map(Arc::from))
}

/// Ends the lab and waits until all of it is gone.
pub async fn down() -> Result<(), StageError> {
    match which()? {
        Which::Embedded => {
            let client = Client::new(LabDir::from_env()?);
            Ok(client.down().await.map_err(ControlError::from)?)
        }
        Which::Compose => Err(StageError::InCompose("`docker compose down -v` ends it")),
    }
}

/// Reads every write back that the load was told is done.
pub async fn verify_load() -> Result<Verified, StageError> {
    match which()? {
        Which::Embedded => Ok(verify(&Topology::load(&LabDir::from_env()?)?).await?),
        Which::Compose => Err(StageError::InCompose(
            "only the embedded lab's load can be verified",
        )),
    }
}

/// Whether a demo may make the lab its own: one that somebody else brought up is not broken on
/// purpose, that in Compose is there for it. Returns whether nothing of it runs yet, not even its
/// monitor.
pub fn check_free() -> Result<bool, StageError> {
    if which()? == Which::Compose {
        return Ok(false);
    }
    let dir = LabDir::from_env()?;
    if Client::new(dir.clone()).is_held() {
        return Err(StageError::Taken(dir.path().into()));
    }
    Ok(true)
}

/// Whether what an earlier lab stored can be removed from here.
pub fn check_can_start_over() -> Result<(), StageError> {
    match which()? {
        Which::Embedded => Ok(()),
        Which::Compose => Err(StageError::InCompose(
            "`docker compose down -v` removes its data",
        )),
    }
}

/// Whether an agent may run in this very process; `here`: with its commands too. In Compose those run
/// only in the container that is made for them, whose Docker is a proxy.
pub fn check_agent_place(here: bool) -> Result<(), StageError> {
    let behind_proxy = || std::env::var("DOCKER_HOST").is_ok_and(|host| host.starts_with("tcp:"));
    if here && which()? == Which::Compose && !behind_proxy() {
        return Err(StageError::NotTheAgentsContainer);
    }
    Ok(())
}
