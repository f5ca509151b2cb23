//! An incident played back in the panes it was watched in, from the ledger alone.
//!
//! What happened comes to the stage through the same doors as what happens live. `keys` is what a
//! person does to its time, `play` feeds it.

mod keys;
mod play;

pub(super) use keys::{act_in, act_on, is_about_time, on_stage};
pub(super) use play::{found, open, step};
