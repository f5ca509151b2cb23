//! Which lab it is, the embedded one or the one in Docker Compose, is answered here and nowhere
//! else.
//!
//! `which` has the questions that depend on it; `control` is what can be done to any lab,
//! `running_lab` a lab that is up with how its agent and monitor are started; `compose` is the lab
//! in containers, the embedded one a package of its own.

pub mod compose;
pub mod control;
pub mod running_lab;
mod which;

pub use which::{
    check_agent_place, check_can_start_over, check_free, control, down, ledger, patience, pd,
    place, verify_load, watched,
};
