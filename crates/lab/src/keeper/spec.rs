//! What the keeper is told of a node, and all that it knows of one: any program can be a node.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// One process that the keeper starts, watches and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    pub name: String,
    /// Any word that says what it is.
    pub role: String,
    pub program: Program,
    pub args: Vec<OsString>,
    /// These are added to the few variables that every program needs to run.
    pub env: BTreeMap<String, String>,
    /// Ports on loopback that nobody else takes, that of its clients first. The keeper holds those
    /// of our own nodes as long as it lives, and those of a foreign program until it is first
    /// started, since that may not know how to bind beside the keeper.
    pub ports: Vec<u16>,
    pub ready: Ready,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// It is this very executable, which ends when its standard input ends, however the keeper died.
    Own,
    /// It is somebody else's, by path or by name, and knows nothing of a keeper: the kernel ends it
    /// when the keeper dies. What it starts itself is ended with it by a keeper that lives, as long
    /// as it stays in its process group; a keeper that is killed ends only the node.
    Other(PathBuf),
}

/// How it is known that a node is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It is ready as soon as it runs.
    Started,
    /// It accepts connections on this port of loopback.
    Listens(u16),
}

impl NodeSpec {
    /// The address of one of its ports, if it has so many.
    pub fn address(&self, index: usize) -> Option<String> {
        let port = self.ports.get(index)?;
        Some(format!("127.0.0.1:{port}"))
    }
}
