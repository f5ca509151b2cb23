//! The Docker API for the agent's container, and only as much of it as a repair needs: look at,
//! start, stop, kill, freeze and enter the containers of the cluster of one compose project.
//!
//! `rules` says what may be asked, `serve` asks it of the real Docker. Everything that is not
//! permitted is refused: to create, to mount, to be privileged, and every other container.

mod rules;
mod serve;

pub use serve::{Proxy, serve};
