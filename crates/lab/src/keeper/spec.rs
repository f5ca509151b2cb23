//! What the keeper is told of a node, and all that it knows of one: any program can be a node.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// One process that the keeper starts, watches and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    pub name: String,
    /// What it is, for people and for those who look for it: any word.
    pub role: String,
    pub program: Program,
    pub args: Vec<OsString>,
    /// Added to the few variables that every program needs to run.
    pub env: BTreeMap<String, String>,
    /// Ports on loopback that the keeper holds for it, that of its clients first. It must bind
    /// them with SO_REUSEPORT, or leave this empty and take its chances.
    pub ports: Vec<u16>,
    pub ready: Ready,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// This very executable. It ends when its standard input ends, whatever becomes of the keeper.
    Own,
    /// Somebody else's, by path or by name. It knows nothing of a keeper: the kernel ends it when
    /// the keeper dies. What it starts itself ends with it as long as it stays in its process
    /// group and the keeper lives.
    Other(PathBuf),
}

/// How it is known that a node is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It is, as soon as it runs.
    Started,
    /// It accepts connections on this port of loopback.
    Listens(u16),
}

impl NodeSpec {
    /// The address of one of its ports.
    pub fn address(&self, index: usize) -> Option<String> {
        let port = self.ports.get(index)?;
        Some(format!("127.0.0.1:{port}"))
    }
}
