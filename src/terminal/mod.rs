//! The terminal: entering and leaving it, what comes in from it, when to draw on it.
//!
//! Nothing here knows what is drawn.

pub mod guard;
pub mod mouse;
pub mod pace;
pub mod signals;

pub use guard::Guard;
pub use mouse::Mouse;
pub use pace::Pace;
pub use signals::Signals;
