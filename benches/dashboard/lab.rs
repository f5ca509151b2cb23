//! What an embedded lab costs that serves nothing: keeper and nodes, with the load off.

use crate::process;
use operator_lab::NodeStatus;
use std::{
    path::Path,
    process::{Command, Output},
    thread::sleep,
    time::Duration,
};

/// In cores, what a lab at rest is meant to take at most.
pub(crate) const CORES: f64 = 0.1;
/// In MB.
pub(crate) const MEMORY: f64 = 400.0;

/// Everything that is done once is done by then.
const SETTLED: Duration = Duration::from_secs(3);

pub(crate) struct AtRest {
    pub cores: f64,
    /// MB.
    pub memory: f64,
}

/// A lab of its own, which is taken down at the end.
struct Lab(tempfile::TempDir);

impl Lab {
    fn up() -> Self {
        let lab = Self(tempfile::tempdir().expect("a directory"));
        let up = lab.run(&["up", "--no-load"]);
        assert!(
            up.status.success(),
            "{}",
            String::from_utf8_lossy(&up.stderr)
        );
        lab
    }

    fn run(&self, args: &[&str]) -> Output {
        operator(self.0.path(), args)
    }

    /// Keeper and nodes.
    fn pids(&self) -> Vec<u32> {
        let ps = self.run(&["ps", "--json"]);
        let nodes: Vec<NodeStatus> = serde_json::from_slice(&ps.stdout).expect("nodes");
        let mut pids: Vec<u32> = nodes.iter().filter_map(|node| node.pid).collect();
        let keeper = pids.first().and_then(|node| process::parent(*node));
        pids.extend(keeper);
        pids
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

fn operator(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_operator-tui"))
        .arg("lab")
        .args(args)
        .env("OPERATOR_HOME", home)
        .env_remove("OPERATOR_LAB_DIR")
        .output()
        .expect("the lab's command runs")
}

pub(crate) fn at_rest(while_: Duration) -> AtRest {
    let lab = Lab::up();
    sleep(SETTLED);
    let pids = lab.pids();
    let before = process::cpu(&pids);
    sleep(while_);
    let spent = process::cpu(&pids).saturating_sub(before);
    AtRest {
        cores: spent as f64 / 1e9 / while_.as_secs_f64(),
        memory: process::memory(&pids),
    }
}
