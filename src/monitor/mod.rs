//! The monitor: observes a cluster, checks invariants, and writes what it finds into the ledger.
//! It alone closes tickets.
//!
//! `invariants` says what there is to judge and how, `evaluate` does so for a snapshot, `alerts` for
//! what Alertmanager told, `standing` what changed since earlier looks, all pure; `config` holds thresholds, graces and severities; `run` is the
//! loop, `listener` takes alerts in, `notify` tells people. It repairs nothing and knows nothing of
//! agents.

pub mod alerts;
pub mod config;
mod desk;
mod error;
mod evaluate;
mod extent;
pub mod invariants;
pub mod listener;
pub mod lock;
pub mod notify;
mod report;
mod run;
mod sources;
mod standing;

pub use config::Config;
pub use error::MonitorError;
pub use invariants::{Invariant, ViolationKey};
pub use report::{Happened, Report};
pub use run::{Monitor, RunOptions, run};
