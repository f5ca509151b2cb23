//! Sessions of the ledger turned back into what their agent said at the time: events. Whoever shows
//! a live agent shows an earlier session, or somebody else's, in the same way.
//!
//! Reads the ledger, knows events and transcripts, nothing of the dashboard.

pub mod account;
pub mod changes;
pub mod events;
pub mod follow;
pub mod impact;
pub mod incident;
pub mod output;
pub mod page;
pub mod scene;

pub use follow::{Follow, SessionUpdate};
pub use incident::Incident;
pub use page::{Page, Which};

#[cfg(test)]
mod older_tests;
#[cfg(test)]
mod tests;
