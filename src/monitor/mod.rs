//! The monitor: observes a cluster, checks invariants, and writes what it finds into the ledger.
//! It alone closes tickets.
//!
//! `invariants` judges a snapshot and `alerts` what Alertmanager told, both pure; `config` holds
//! thresholds, graces and severities; `run` is the loop, `listener` its ear, `notify` its mouth. It
//! repairs nothing and knows nothing of agents.

pub mod alerts;
pub mod config;
pub mod invariants;
pub mod listener;
pub mod lock;
pub mod notify;
mod run;

pub use config::Config;
pub use run::{Monitor, Report, RunOptions, run};
