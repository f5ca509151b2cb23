//! What the monitor listens for and tells over HTTP: Alertmanager's webhook, its own metrics and
//! its health.
//!
//! | file | what |
//! |---|---|
//! | `alertmanager` | a notification read into alerts |
//! | `counts` | what came in, counted |
//! | `figures` | `/metrics`: the ledger in numbers |
//! | `serve` | the routes, and who may use them |

mod alertmanager;
mod counts;
mod figures;
mod serve;

pub use counts::Counts;
pub use serve::{Door, ListenError, Listener, Token};
