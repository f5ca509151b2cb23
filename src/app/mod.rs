//! The dashboard without its looks: what it knows, what happens to it, what it does.
//!
//! ```text
//!  keys, signals, children, cluster, ledger, stage --Event--> update(State) --Effect--> effects
//!                                      run.rs is the only select loop; a Frontend draws State
//! ```
//!
//! `update` is pure: it changes [`State`] and returns effects, and does no I/O.

pub mod agent;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod detail;
mod effects;
pub mod event;
pub mod keys;
mod on_child;
mod on_key;
pub mod run;
mod sources;
mod stage;
pub mod state;
pub mod tickets;
mod update;

pub use config::{Config, DemoChildren, DemoConfig, Role};
pub use event::{Child, Effect, Event, Frontend};
pub use run::{Outcome, run};
pub use state::State;
pub use update::update;
