//! One file a pane.

pub mod agent;
pub mod chapter;
pub mod cluster;
pub mod record;
pub mod tickets;
mod traffic;
