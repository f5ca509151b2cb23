//! Which key and which typed name means what, where it holds, and what is said of it.

pub mod command_line;
pub mod footer;
pub mod help;
pub mod question;
pub mod scope;
pub mod table;
