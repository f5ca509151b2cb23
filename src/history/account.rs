//! All that the ledger holds of one incident, for whoever tells of it: the same facts by the same names
//! in `incidents show`, `audit show` and `audit export`. How it looks is theirs.

use super::impact::{self, Impact};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{
    FinishRow, IncidentEventKind, IncidentReport, ObservedChange, Reader, Result, SessionRow,
    VerificationRow, clean::one_line,
};
use serde::Serialize;

/// What changed so long before it was seen may have to do with it.
const BEFORE: SignedDuration = SignedDuration::from_mins(2);

#[derive(Debug, Clone, Serialize)]
pub struct Account {
    #[serde(flatten)]
    pub report: IncidentReport,
    pub sessions: Vec<SessionRow>,
    pub proofs: Vec<VerificationRow>,
    /// How its sessions said that they end, the newest first.
    pub finishes: Vec<FinishRow>,
    /// None: nothing was sampled then.
    pub impact: Option<Impact>,
    /// What the monitor saw change, from just before it to its end, whoever changed it.
    pub observed_changes: Vec<ObservedChange>,
}

impl Account {
    /// None: there is no such incident.
    pub fn read(ledger: &Reader, id: i64) -> Result<Option<Self>> {
        let Some(report) = ledger.incident_report(id).wait()? else {
            return Ok(None);
        };
        let first = report.tickets.first().map_or(id, |t| t.id);
        Ok(Some(Self {
            sessions: ledger.sessions_of_ticket(first).wait()?,
            proofs: ledger.verifications(first).wait()?,
            finishes: ledger.finishes(first).wait()?,
            impact: impact::read::of_incident(ledger, &report.tickets)?,
            observed_changes: changes(ledger, &report)?,
            report,
        }))
    }
}

impl Account {
    /// Who claimed a repair with this request for proof, in words.
    pub fn claimed_by(&self, proof: &VerificationRow) -> String {
        if !proof.session_id.is_empty() {
            return format!("session {}", one_line(&proof.session_id));
        }
        let said = self.report.events.iter().rev().find(|event| {
            event.kind == IncidentEventKind::Finished && event.at <= proof.requested_at
        });
        said.map_or_else(|| "a person".to_owned(), |event| one_line(&event.by))
    }
}

fn changes(ledger: &Reader, report: &IncidentReport) -> Result<Vec<ObservedChange>> {
    let incident = &report.incident;
    let seen = report.tickets.iter().filter_map(|t| t.first_seen_at).min();
    let (Some(system), Some(seen)) = (&incident.cluster_id, seen) else {
        return Ok(Vec::new());
    };
    let to = incident.ended_at.unwrap_or_else(Timestamp::now);
    ledger.observed_changes(system, seen - BEFORE, to).wait()
}
