//! `--cell` and `--runner`: where the commands of an agent run.

use agent_lab::cell::Cell;
use std::{ffi::OsString, path::PathBuf};

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct CellArgs {
    /// Where the agent's commands run: host, host:USER, docker:CONTAINER, or a program that leads
    /// there, as in 'cmd:ssh HOST' or 'cmd:kubectl exec -i POD --' [default: host]
    #[arg(long, value_name = "CELL")]
    cell: Option<Cell>,
    /// What the runner is called in the cell [default: this program on this host, else operator-tui]
    #[arg(long, value_name = "PATH")]
    runner: Option<PathBuf>,
}

impl CellArgs {
    /// The one that was asked for, or `usual`.
    pub(super) fn cell(&self, usual: &Cell) -> Cell {
        self.cell.clone().unwrap_or_else(|| usual.clone())
    }

    /// As an agent is told.
    pub(super) fn arguments(&self, usual: &Cell) -> Vec<OsString> {
        let mut told: Vec<OsString> = vec!["--cell".into(), self.cell(usual).to_string().into()];
        if let Some(runner) = &self.runner {
            told.extend(["--runner".into(), runner.into()]);
        }
        told
    }
}
