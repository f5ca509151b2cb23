//! The dashboard without its looks: what it knows, what happens to it, what it does.
//!
//! ```text
//!  keys, signals, children, cluster, ledger, stage --Event--> update(State) --Effect--> effects
//!                                      run.rs is the only select loop; a Frontend draws State
//! ```
//!
//! `update` is pure: it changes [`State`] and returns effects, and does no I/O.

mod act;
pub mod agent;
pub mod approvals;
pub mod archive;
pub mod attach;
mod attention;
pub mod browser;
pub mod clerk;
pub mod cluster;
pub mod command_line;
pub mod config;
mod copy;
pub mod demo;
pub mod detail;
mod effects;
pub mod event;
mod follower;
pub mod keys;
mod ledger_file;
mod ledger_watch;
pub mod on_child;
mod on_key;
mod on_mouse;
mod open;
pub mod overlay;
pub mod palette;
pub mod prompt;
mod reading;
pub mod record;
pub mod replay;
pub mod run;
pub mod scope;
mod sources;
mod stage;
pub mod state;
mod steer;
pub mod tickets;
pub mod update;

pub use config::{Config, DemoChildren, DemoConfig, Role};
pub use event::{Child, Effect, Event, Frontend};
pub use palette::Palette;
pub use run::{Outcome, run};
pub use state::State;
pub use update::update;
