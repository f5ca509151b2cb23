//! What the monitor saw last of what a ticket is about: its reading alone, without a verdict.

use crate::{
    Mono, Reading, Stored,
    engine::{Engine, Result},
};
use rusqlite::OptionalExtension;
use std::time::Duration;

/// One look, as far as it concerns a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub reading: Reading,
    /// In the monitor's words.
    pub detail: String,
    /// How old its data is.
    pub age: Duration,
}

impl Engine {
    /// None: nobody looks for it, or nobody has since this machine started.
    pub(crate) fn sighting(&self, ticket: i64) -> Result<Option<Sighting>> {
        let now = Mono::now();
        let row: Option<(Stored<Reading>, String, i64)> = self
            .conn
            .prepare_cached(
                "SELECT s.state, s.detail, s.observed_ms FROM tickets t JOIN invariant_states s
                   ON s.cluster_id = t.cluster_id AND s.violation_key = t.violation_key
                 WHERE t.id = ?1 AND s.boot = ?2",
            )?
            .query_row(rusqlite::params![ticket, now.boot], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .optional()?;
        Ok(row.map(|(reading, detail, observed)| Sighting {
            reading: reading.known().unwrap_or(Reading::Unknown),
            detail,
            age: Duration::from_millis(u64::try_from(now.ms - observed).unwrap_or(0)),
        }))
    }
}
