//! Counts over the whole ledger, as metrics want them. Of one cluster's monitor nothing is asked
//! here (see `heartbeat`).

use crate::{
    IncidentState, Resolution, SessionStatus, Status, Stored,
    engine::{Engine, Result},
    event::VerifyState,
    incident,
    stored::Word,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts by word. What there is none of is not in them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Tickets that are not resolved, by status.
    pub tickets: BTreeMap<Stored<Status>, u64>,
    /// Tickets that are, by resolution.
    pub resolved: BTreeMap<Stored<Resolution>, u64>,
    /// Incidents that are not over, by state.
    pub incidents: BTreeMap<Stored<IncidentState>, u64>,
    /// Incidents that are, by resolution.
    pub ended: BTreeMap<Stored<Resolution>, u64>,
    /// Claims of a repair, by what became of them.
    pub claims: BTreeMap<Stored<VerifyState>, u64>,
    /// Sessions by status.
    pub sessions: BTreeMap<Stored<SessionStatus>, u64>,
    pub turns: u64,
    /// Tokens by kind: `input`, `output`, `cache_read`, `cache_write`.
    pub tokens: BTreeMap<&'static str, u64>,
    /// US dollars of all sessions whose model has a price.
    pub usd: f64,
    /// US dollars of the day, UTC, what is set aside included.
    pub usd_today: f64,
    /// Calls that wait for a person.
    pub waiting: u64,
    pub agents: u64,
}

impl Engine {
    pub(crate) fn figures(&self) -> Result<Statistics> {
        let mut out = Statistics {
            tickets: self.count(
                "SELECT CASE status WHEN 'diagnosed' THEN 'escalated' ELSE status END, count(*)
                 FROM tickets WHERE status != 'resolved' GROUP BY 1",
            )?,
            resolved: self.count(
                "SELECT coalesce(resolution, 'unknown'), count(*) FROM tickets
                 WHERE status = 'resolved' GROUP BY 1",
            )?,
            incidents: self.incident_states()?,
            ended: self.count(
                "SELECT coalesce(resolution, 'unknown'), count(*) FROM incidents
                 WHERE ended_at IS NOT NULL GROUP BY 1",
            )?,
            claims: self.count("SELECT state, count(*) FROM verifications GROUP BY 1")?,
            sessions: self.count("SELECT status, count(*) FROM agent_sessions GROUP BY 1")?,
            usd_today: self.spent_today()?,
            agents: self.agents_there()?,
            ..Statistics::default()
        };
        let sums: [u64; 5] = self
            .conn
            .prepare_cached(
                "SELECT coalesce(sum(turns), 0), coalesce(sum(input_tokens), 0),
                   coalesce(sum(output_tokens), 0), coalesce(sum(cache_read_tokens), 0),
                   coalesce(sum(cache_write_tokens), 0), coalesce(sum(cost_usd), 0.0)
                 FROM agent_sessions",
            )?
            .query_row([], |r| {
                out.usd = r.get(5)?;
                Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?])
            })?;
        out.turns = sums[0];
        let kinds = ["input", "output", "cache_read", "cache_write"];
        out.tokens = kinds.into_iter().zip(sums[1..].iter().copied()).collect();
        for running in self.running_sessions(None)? {
            out.waiting += u64::from(running.proposal.is_some());
        }
        Ok(out)
    }

    fn incident_states(&self) -> Result<BTreeMap<Stored<IncidentState>, u64>> {
        let mut states = BTreeMap::new();
        for state in incident::live_states(&self.conn)? {
            *states.entry(Stored::Known(state)).or_default() += 1;
        }
        Ok(states)
    }

    fn count<T: Word + Eq>(&self, sql: &str) -> Result<BTreeMap<Stored<T>, u64>> {
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?)
    }
}
