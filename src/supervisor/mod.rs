//! The only code that touches the dashboard's children: starting, reading, restarting, ending.
//!
//! ```text
//!  Handle --Order--> child task (child.rs) --Item--> Mailbox --drain--> main loop
//! ```
//!
//! The task owns the process and reads it whatever the screen does; the mailbox keeps the newest
//! lines and every event that carries state. What the lines mean is decided elsewhere.

mod child;
mod droppable;
mod handle;
mod last_words;
mod lifeline;
pub mod mailbox;
pub mod policy;
mod process;
mod spawn;
pub mod splitter;
mod stream;
pub mod warden;

pub use child::start;
pub use handle::Handle;
pub use mailbox::{Fact, Item, Mailbox};
pub use spawn::Spec;
