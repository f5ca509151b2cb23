//! How a session ends: its last entry, then its ticket, then the event. After a lost lease nothing
//! is written at all.

use super::{Halt, Session, Verdict};
use crate::{model::ModelError, summarize};
use operator_ledger::{
    IncidentState, LedgerError, Resolution, Stored,
    event::{Kind, Level, Outcome},
};
use std::time::Duration;

/// What the work loop has to know about a session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Take the next ticket.
    Continue,
    /// The ledger cannot be written: wait before the next one.
    Rest(String),
    /// The model cannot be reached: no next one until it answers.
    Away(String),
    /// No session can work with this model: a rejected key, for instance.
    Hopeless(String),
    Stopped,
}

impl Session<'_> {
    pub(super) async fn end(mut self, verdict: Result<Verdict, Halt>) -> (Outcome, Ended) {
        self.output.flush(Duration::from_millis(800)).await;
        let outcome = outcome_of(&verdict);
        let summary = match &verdict {
            Ok(Verdict::Proven { claim, detail }) => {
                format!("{} Proven: {detail}", summarize::extract(claim))
            }
            Ok(Verdict::External { claim, detail }) => {
                format!("{} External: {detail}", summarize::extract(claim))
            }
            Ok(Verdict::Released { said, detail }) => {
                let said = summarize::extract(said);
                format!("{said} Left to the monitor, which sees nothing wrong: {detail}")
            }
            Ok(Verdict::Escalate { diagnosis, why, .. }) => {
                format!("{why}: {}", summarize::extract(diagnosis))
            }
            Err(Halt::Lost(loss)) if loss.by_person => loss.why.clone(),
            Err(Halt::Lost(loss)) => format!("the lease on the incident is lost: {}", loss.why),
            Err(Halt::Stopped(why)) => format!("interrupted: {why}"),
            Err(Halt::Ledger(e)) => format!("the ledger cannot be written: {e}"),
            Err(Halt::Model(e)) => format!("the model cannot go on: {e}"),
        };
        let summary = self.context.redactor.apply(&summary);
        if let Err(Halt::Lost(loss)) = &verdict {
            self.notice(
                if loss.by_person {
                    Level::Warn
                } else {
                    Level::Error
                },
                &format!("{summary}; I stop and write nothing more"),
            );
            self.session_end(outcome, summary, String::new(), None);
            return (outcome, Ended::Continue);
        }
        let written = self.write_end(&verdict, outcome, &summary).await;
        let head = match written {
            Ok(head) => head,
            Err(e) => {
                self.notice(
                    Level::Error,
                    &format!("the end of the session is not in the ledger: {e}"),
                );
                String::new()
            }
        };
        let resolution = match &verdict {
            Ok(Verdict::Proven { .. }) => Some(Resolution::Proven),
            Ok(Verdict::External { .. }) => Some(Resolution::External),
            _ => None,
        };
        self.session_end(outcome, summary.clone(), head, resolution);
        let ended = match verdict {
            Ok(_) | Err(Halt::Lost(_)) => Ended::Continue,
            Err(Halt::Stopped(_)) => Ended::Stopped,
            Err(Halt::Model(ModelError::Hopeless(why))) => {
                Ended::Hopeless(self.context.redactor.apply(&why))
            }
            Err(Halt::Ledger(_)) => Ended::Rest(summary),
            Err(Halt::Model(_)) => Ended::Away(summary),
        };
        (outcome, ended)
    }

    /// The session first, then its ticket: the reverse order would leave a session without a lease.
    async fn write_end(
        &mut self,
        verdict: &Result<Verdict, Halt>,
        outcome: Outcome,
        summary: &str,
    ) -> Result<String, LedgerError> {
        let head = self
            .write(|ledger, session| ledger.end_session(session, outcome, summary))
            .await?;
        let (found, why, final_) = match verdict {
            Ok(Verdict::Proven { .. } | Verdict::External { .. }) => return Ok(head),
            // No agent takes what reads clear, and the monitor closes it when that has held.
            Ok(Verdict::Released { .. }) => {
                self.write(|ledger, session| ledger.release(&session.lease, summary))
                    .await?;
                return Ok(head);
            }
            Ok(Verdict::Escalate {
                diagnosis,
                why,
                final_,
            }) => (self.context.redactor.apply(diagnosis), why, *final_),
            Err(Halt::Model(ModelError::Hopeless(why))) => (summary.to_string(), why, false),
            Err(_) => {
                let incident = self.ledger.incident(self.incident).await?;
                if incident.is_some_and(|i| i.state == IncidentState::Resolved) {
                    return Ok(head);
                }
                self.write(|ledger, session| ledger.release(&session.lease, summary))
                    .await?;
                return Ok(head);
            }
        };
        let why = self.context.redactor.apply(why);
        self.write(|ledger, session| ledger.escalate(&session.lease, &found, &why, final_))
            .await?;
        Ok(head)
    }

    fn session_end(
        &self,
        outcome: Outcome,
        summary: String,
        head_hash: String,
        resolution: Option<Resolution>,
    ) {
        let duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.emit(Kind::SessionEnd {
            outcome,
            resolution: resolution.map(Stored::Known),
            summary,
            duration_ms,
            head_hash,
        });
    }
}

/// The word for the end of a session on the wire and in the ledger.
fn outcome_of(verdict: &Result<Verdict, Halt>) -> Outcome {
    match verdict {
        Ok(Verdict::Proven { .. } | Verdict::External { .. }) => Outcome::Resolved,
        Ok(Verdict::Released { .. }) => Outcome::Released,
        Ok(Verdict::Escalate { .. }) | Err(Halt::Model(ModelError::Hopeless(_))) => {
            Outcome::Escalated
        }
        Err(Halt::Stopped(_)) => Outcome::Interrupted,
        Err(Halt::Lost(loss)) if loss.by_person => Outcome::Interrupted,
        Err(Halt::Lost(_) | Halt::Ledger(_) | Halt::Model(_)) => Outcome::Failed,
    }
}
