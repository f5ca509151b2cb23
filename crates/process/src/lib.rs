//! Processes: how one is started, what the kernel says of it, and how it is ended with everything
//! that it started. Knows nothing of what any of them is for.
//!
//! Linux is what this is made for. Elsewhere `/proc` is missing: nothing is known of a process
//! then, and no descendants are found.

pub mod proc;
pub mod reaper;
pub mod service;
pub mod start;
pub mod stop;
pub mod tree;

use std::path::PathBuf;

/// The running executable. Where there is a `/proc`, that file even if its name now leads to
/// another one, so that a rebuild or an upgrade underneath does not mix versions.
#[expect(
    clippy::disallowed_methods,
    reason = "this is what everybody else is to ask"
)]
pub fn executable() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() {
        return own;
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("operator-tui"))
}
