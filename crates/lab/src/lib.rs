//! The embedded lab: real processes on loopback that behave as a TiKV cluster does.
//!
//! Three PD members, three stores and a load, children of a keeper. `up` starts a lab and waits
//! until it is healthy; `Client` asks the keeper of a lab that is up. `keeper` parents the
//! processes; `pd`, `store` and `load` are what they run; `raft` is how they agree. It is a
//! stage, not a database.

pub mod exe;
pub mod frame;
pub mod http;
pub mod keeper;
pub mod load;
pub mod node;
pub mod pd;
pub mod process;
pub mod raft;
pub mod ready;
pub mod size;
pub mod store;
pub mod timing;
pub mod topology;
pub mod up;
pub mod wire;

pub use keeper::{
    client::{Client, ClientError},
    protocol::{NodeState, NodeStatus},
};
pub use topology::{Node, Role};
pub use up::{Lab, LabError, LabInfo, Progress, UpOptions, up};

use operator_ledger::home::{Home, HomeError};

/// The lab's home: `OPERATOR_HOME` itself if that is a lab's home, as in an agent's shell, else
/// the folder `lab` in it.
pub fn home() -> Result<Home, HomeError> {
    let home = Home::from_env()?;
    if topology::Files::new(home.dir()).topology().exists() {
        return Ok(home);
    }
    Ok(home.lab())
}
