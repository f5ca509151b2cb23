//! What `update` asks for is done here: the ledger read and written, children and sources started,
//! the lab of a demo held.

mod archive;
mod clerk;
pub mod effects;
mod follower;
mod ledger_file;
mod ledger_watch;
mod sources;
mod stage;
