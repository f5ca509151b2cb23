//! What the dashboard knows. Only data and questions about it: nothing here asks for an effect but
//! by a [`crate::app::request`].

pub mod agent;
pub mod app;
pub mod approvals;
pub mod at_hand;
pub mod attention;
pub mod browser;
pub mod child;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod config;
pub mod demo;
pub mod detail;
pub mod other;
pub mod overlay;
pub mod palette;
pub mod pane;
pub mod process;
pub mod prompt;
pub mod record;
pub mod replay;
mod rows;
pub mod state;
pub mod tickets;
