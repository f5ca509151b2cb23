//! Where alerts of others are looked at: reads what the ledger holds of them, asks Prometheus for
//! their rules, and keeps its word for the looks between two checks.
//!
//! What an alert reads is said in `alerts`; nothing is recorded here but which members of crowds
//! Prometheus sees.

use super::{
    Config, MonitorError,
    alerts::{self, Look, NoRules, RuleState},
};
use crate::cluster::{Client, http::HttpError, prometheus::Prometheus};
use jiff::Timestamp;
use operator_ledger::{LiveTicket, MonitorLedger, Observation, Standing, SystemId};
use std::time::Duration;
use tokio::time::Instant;

/// Members of crowds are gone through so often, at most.
const MEMBERS: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Desk {
    since: Instant,
    rules: Option<Result<RuleState, NoRules>>,
    members_at: Option<Instant>,
}

/// When alerts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// With a check: Prometheus is asked.
    Check,
    /// Because something was told: what Prometheus said at the last check must do.
    Told,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            rules: None,
            members_at: None,
        }
    }

    pub(super) async fn look(
        &mut self,
        when: When,
        (client, config): (&Client, &Config),
        (ledger, system): (&MonitorLedger, &SystemId),
        live: &[LiveTicket],
    ) -> Result<Vec<Observation>, MonitorError> {
        let mut standing = ledger.standing_alerts(system).await?;
        if standing.unreadable > 0 {
            let rows = standing.unreadable;
            tracing::warn!("{rows} alerts in the ledger cannot be read, and are left aside");
        }
        let asked = standing.alerts.iter().any(|a| !a.notice.heartbeat)
            || standing.crowds.iter().any(|crowd| crowd.firing > 0);
        match &client.options().prometheus {
            Some(prometheus) if asked => {
                if when == When::Check || self.rules.is_none() {
                    self.rules = Some(ask(prometheus).await);
                    if self.members(&standing, ledger, system).await? {
                        standing = ledger.standing_alerts(system).await?;
                    }
                }
            }
            _ => self.rules = None,
        }
        let look = Look {
            rules: self.rules.as_ref(),
            patience: config.alert_patience,
            settings: &config.alerts,
            listening: self.since.elapsed(),
        };
        Ok(alerts::evaluate(&standing, look, live))
    }

    /// Goes through members of crowds, a page at a time. Whether anything was written.
    async fn members(
        &mut self,
        standing: &Standing,
        ledger: &MonitorLedger,
        system: &SystemId,
    ) -> Result<bool, MonitorError> {
        let lately = self.members_at.is_some_and(|at| at.elapsed() < MEMBERS);
        let none = standing.crowds.iter().all(|crowd| crowd.firing == 0);
        let Some(state @ Ok(_)) = &self.rules else {
            return Ok(false);
        };
        if lately || none {
            return Ok(false);
        }
        self.members_at = Some(Instant::now());
        let (mut after, mut wrote) = (0, false);
        loop {
            let page = ledger.crowd_members(system, after).await?;
            let Some(last) = page.last() else {
                return Ok(wrote);
            };
            after = last.id;
            let found = alerts::members(&page, state);
            if !found.seen.is_empty() || !found.unseen.is_empty() {
                ledger.note_members(&found.seen, &found.unseen).await?;
                wrote = true;
            }
        }
    }
}

/// Asks for rules. All else may be missing: only some say when they began, and what they add.
async fn ask(prometheus: &Prometheus) -> Result<RuleState, NoRules> {
    let rules = prometheus.rules().await.map_err(|e| match &e {
        // It answers, and knows no such question.
        HttpError::Status {
            status: 400 | 404 | 405 | 410 | 501,
            ..
        } => NoRules::Unsupported(e.to_string()),
        _ => NoRules::Away(e.to_string()),
    })?;
    let (started, external) = tokio::join!(prometheus.started(), prometheus.external_labels());
    Ok(RuleState {
        rules,
        started: started.ok(),
        external: external.unwrap_or_default(),
        at: Timestamp::now(),
    })
}
