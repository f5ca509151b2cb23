//! The demo: chapters that narrate, and a walkthrough that moves through them by what really
//! happens.
//!
//! `chapters` reads the files, `conditions` says what can be waited for, `walkthrough` is the
//! state of a walk. None of it touches the lab or the ledger: it asks for actions and is told
//! facts. It never repairs anything and never claims a result.

pub mod chapters;
pub mod conditions;
pub mod walkthrough;

pub use chapters::{Chapter, ChapterError, Fault};
pub use conditions::{Condition, Injected, World};
pub use walkthrough::{Action, ChapterView, Options, Pace, Walkthrough};
