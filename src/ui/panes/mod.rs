//! One file a pane.

pub(super) mod agent;
pub(super) mod chapter;
pub(super) mod cluster;
pub(super) mod record;
pub(super) mod tickets;
pub(super) mod traffic;
