//! Which lab it is, the embedded one or the one in Docker Compose, is answered here and nowhere
//! else.
//!
//! `control` is what can be done to any lab, `stand` a lab that is up with how its agent and
//! monitor are started; `compose` is the lab in containers, the embedded one a package of its own.

pub mod compose;
pub mod control;
pub mod stand;
