//! The dashboard without its looks: what it knows, what happens to it, what it does.
//!
//! ```text
//!  keys, signals, children, cluster, ledger, lab --Event--> update(State) --Effect--> io
//!                                      run.rs is the only select loop; a Frontend draws State
//! ```
//!
//! `model` is what it knows, `keys` which key means what, `update` what an event changes: pure, with
//! effects as its result; `io` carries effects out. `request` is what `model` may ask for. Who may
//! import whom: `run` -> `update`, `io` -> `event` -> `model` -> `request`, and `keys` -> `model`.

pub mod event;
mod io;
pub mod keys;
pub mod model;
pub mod request;
mod run;
pub mod update;

pub use event::{Effect, Event, Frontend};
pub use model::{
    child::Child,
    config::{Config, DemoChildren, DemoConfig, Role},
    palette::Palette,
    state::State,
};
pub use run::{Outcome, run};
pub use update::update;
