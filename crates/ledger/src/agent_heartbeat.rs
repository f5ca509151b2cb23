//! When an agent was last there, at work or waiting for it.

use crate::{
    Mono,
    clock::{self, Holder},
    engine::{Engine, Result},
};
use rusqlite::params;
use std::time::Duration;

/// An agent that waits for work says so this often.
pub const EVERY: Duration = Duration::from_secs(10);

/// After so long without a word it is taken to be gone.
const GONE: Duration = Duration::from_secs(30);

impl Engine {
    pub(crate) fn agent_is_there(&mut self, holder: &Holder, model: &str) -> Result<()> {
        self.write(|tx| {
            let now = Mono::now();
            tx.execute(
                "DELETE FROM agents WHERE boot != ?1 OR at_ms < ?2",
                params![now.boot, now.ms - clock::millis(GONE * 10)],
            )?;
            tx.execute(
                "INSERT OR REPLACE INTO agents (holder, boot, at_ms, at, model)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![holder.to_string(), now.boot, now.ms, clock::stamp(), model],
            )?;
            Ok(())
        })
    }

    pub(crate) fn agent_is_gone(&mut self, holder: &Holder) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM agents WHERE holder = ?1", [holder.to_string()])?;
            Ok(())
        })
    }

    pub(crate) fn agents_there(&self) -> Result<u64> {
        let now = Mono::now();
        Ok(self
            .conn
            .prepare_cached(
                "SELECT count(*) FROM (
                   SELECT holder FROM agents WHERE boot = ?1 AND at_ms >= ?2
                   UNION SELECT lease_holder FROM incidents WHERE ended_at IS NULL
                     AND lease_boot = ?1 AND lease_until_ms > ?3)",
            )?
            .query_row(
                params![now.boot, now.ms - clock::millis(GONE), now.ms],
                |r| r.get(0),
            )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_there_until_it_says_otherwise_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Engine::open(&dir.path().join("tickets.db")).unwrap();
        let holder = Holder::this_process();
        assert_eq!(ledger.agents_there().unwrap(), 0);
        ledger.agent_is_there(&holder, "rehearsal").unwrap();
        ledger.agent_is_there(&holder, "rehearsal").unwrap();
        assert_eq!(ledger.agents_there().unwrap(), 1);
        ledger
            .conn
            .execute("UPDATE agents SET at_ms = at_ms - 31000", [])
            .unwrap();
        assert_eq!(ledger.agents_there().unwrap(), 0);
        ledger.agent_is_there(&holder, "rehearsal").unwrap();
        ledger.agent_is_gone(&holder).unwrap();
        assert_eq!(ledger.agents_there().unwrap(), 0);
    }
}
