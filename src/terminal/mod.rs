//! The terminal: entering and leaving it, what comes in from it, when to draw on it.
//!
//! Nothing here knows what is drawn.

pub mod guard;
pub mod pace;
pub mod signals;

pub use guard::Guard;
pub use pace::Pace;
pub use signals::Signals;
