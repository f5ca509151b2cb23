//! The embedded lab: real processes on loopback that behave as a TiKV cluster does.
//!
//! Three PD members, three stores and a load, children of a keeper. `up` starts a lab and waits
//! until it is healthy; `Client` asks the keeper of a lab that is up. `keeper` parents processes of
//! any kind, `tikv` tells it of ours; `pd`, `store` and `load` are what those run; `raft` is how
//! they agree. It is a stage, not a database.

#![allow(clippy::print_stderr, reason = "what the keeper says goes to its log")]

mod dir;
mod exe;
mod frame;
pub mod http;
pub mod keeper;
pub mod load;
mod node;
mod pd;
mod process;
mod raft;
mod ready;
mod size;
mod store;
pub mod tikv;
pub mod timing;
pub mod topology;
pub mod up;
mod wire;

pub use dir::LabDir;
pub use keeper::{
    client::{Client, ClientError},
    logs::Follower,
    protocol::{NodeState, NodeStatus},
};
pub use topology::{Node, NodeRole};
pub use up::{Lab, LabError, LabInfo, Progress, UpOptions, up};
