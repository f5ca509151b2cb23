//! What the model can do: one file a tool, and what they share.

pub mod capture;
pub mod environment;
pub mod process_tree;
pub mod read_only;
pub mod runner;
pub mod shell;
