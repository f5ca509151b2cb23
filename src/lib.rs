//! Operator: a control room for an autonomous SRE agent, in a terminal.
//!
//! `cli` reads arguments, one file a subcommand. `app` holds the state of the dashboard, `ui`
//! draws it, `terminal` owns the terminal, `supervisor` the children and `transcript` their last
//! hundred lines; `history` reads what the ledger kept of earlier ones. `cluster` observes,
//! `monitor` judges, `demo` narrates, `lab` is the stage, or `compose` is; `proxy` is the door to
//! Docker for the agent.
//! The agent is a package of its own, `agent_lab`, and knows nothing of this one.

pub mod app;
pub mod cli;
pub mod cluster;
pub mod demo;
pub mod headless;
pub mod history;
pub mod monitor;
pub mod proxy;
pub mod span;
pub mod stage;
pub mod supervisor;
pub mod terminal;
pub mod transcript;
pub mod ui;

#[cfg(test)]
#[path = "../tests/fuzz/scribble.rs"]
mod scribble;
