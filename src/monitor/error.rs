//! What ends a monitor, or one of its checks.

use operator_ledger::LedgerError;
use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot lock {}: {source}", .path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("another monitor watches this cluster ({})", .0.display())]
    Taken(PathBuf),
}
