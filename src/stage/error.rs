//! Why something cannot be done with a lab, in words for whoever has to do something about it.

use crate::stage::{compose::up::UpError, control::ControlError};
use operator_lab::{LabError, load::verify::VerifyError, topology::TopologyError};
use operator_ledger::home::HomeError;
use std::path::PathBuf;

/// What keeps a lab from coming up, from being reached, or from ending.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Compose(#[from] UpError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(
        "a lab is already up in {}: `operator-tui lab down` ends it; or set OPERATOR_HOME to another folder, and OPERATOR_LAB_DIR to none",
        .0.display()
    )]
    Taken(PathBuf),
    /// It cannot be had there; the text says what can.
    #[error("this lab is in Docker Compose; {0}")]
    InCompose(&'static str),
    #[error(
        "this is not the container of the agent: commands here could reach all of Docker; \
         `--cell docker:agent` runs them there"
    )]
    NotTheAgentsContainer,
}
