//! The terminal: entering and leaving it, what comes in from it, when to draw on it.
//!
//! Nothing here knows what is drawn.

pub mod backend;
mod frames;
pub mod guard;
pub mod input;
mod meaning;
pub mod mouse;
pub mod output;
pub mod pace;
pub mod signals;
mod tty;

pub use backend::Backend;
pub use guard::Guard;
pub use input::Input;
pub use mouse::Mouse;
pub use output::Output;
pub use pace::Pace;
pub use signals::Signals;
