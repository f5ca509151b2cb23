//! The monitor: observes a cluster, checks invariants, and writes what it finds into the ledger.
//! It alone closes tickets.
//!
//! `invariants` judges a snapshot and is pure; `config` holds thresholds, graces and severities;
//! `run` is the loop. It repairs nothing and knows nothing of agents.

pub mod config;
pub mod invariants;
pub mod lock;
mod run;

pub use config::Config;
pub use run::{Monitor, Report, RunOptions, run};
