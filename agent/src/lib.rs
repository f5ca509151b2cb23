//! `agent_lab`: an autonomous SRE agent. It takes tickets from the ledger, lets a model
//! investigate and repair with a shell, and records every thought, command and result.
//!
//! It knows nothing of the dashboard that may be watching.

pub mod access;
pub mod budget;
pub mod cell;
pub mod cli;
pub mod cluster_id;
pub mod consent;
pub mod control;
pub mod effects;
pub mod emit;
pub mod http;
pub mod keys;
pub mod lease_keeper;
pub mod log;
pub mod model;
pub mod output_log;
pub mod prompt;
mod record_key;
pub mod redact;
pub mod roles;
pub mod runner;
pub mod session;
pub mod settings;
pub mod steering;
pub mod summaries;
pub mod summarize;
pub mod tls_args;
pub mod tools;
pub mod work;

#[cfg(test)]
#[path = "../../tests/fuzz/scribble.rs"]
mod scribble;
