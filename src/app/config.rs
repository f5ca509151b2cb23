//! What a dashboard is started with.

use crate::supervisor::Spec;
use std::path::PathBuf;

/// One of the dashboard's children.
#[derive(Debug, Clone)]
pub enum Role {
    Run(Spec),
    /// Not started; for people, why.
    Off(String),
}

#[derive(Debug, Clone)]
pub struct Config {
    /// What is watched, for the header: `tikv`.
    pub subject: String,
    /// Where it is, for the header: `embedded lab`, or PD's address.
    pub place: String,
    /// PD endpoints as people write them.
    pub pd: String,
    pub ledger: PathBuf,
    pub agent: Role,
    pub monitor: Role,
}
