//! What the monitor listens for and tells over HTTP: Alertmanager's webhook, its own metrics and
//! its health.
//!
//! | file | what |
//! |---|---|
//! | `alertmanager` | a notification read into alerts |
//! | `counts` | what came in, counted |
//! | `metrics` | `/metrics`: the ledger in numbers |
//! | `serve` | the routes, and who may use them |

mod alertmanager;
mod counts;
mod metrics;
mod serve;

pub use counts::Counts;
pub use serve::{ListenError, Listener, ListenerState, Token};
