//! What `update` asks for is done here: the ledger read and written, children and sources started,
//! the lab of a demo held.

pub(super) mod effects;
mod ended;
mod follower;
mod lab;
mod ledger_file;
mod ledger_watch;
mod ledger_writer;
mod lookup_worker;
mod monitor_look;
mod sources;
