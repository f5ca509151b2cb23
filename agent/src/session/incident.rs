//! What becomes of the incident while a session works on it: tickets that join.

use super::{Halt, Session};
use operator_ledger::{
    IncidentState, Status, Ticket,
    event::{Kind, Level},
};

impl Session<'_> {
    /// Tickets that joined the incident since the model was last told.
    pub(super) async fn joined(&mut self) -> Result<Vec<Ticket>, Halt> {
        let all = self.ledger.tickets_of_incident(self.incident).await?;
        let known = &self.known;
        let new: Vec<Ticket> = all
            .into_iter()
            .filter(|t| t.status != Status::Resolved && !known.contains(&t.id))
            .collect();
        if !new.is_empty() {
            self.known.extend(new.iter().map(|t| t.id));
            let numbers: Vec<String> = new.iter().map(|t| format!("#{}", t.id)).collect();
            let text = format!("joined this incident: {}", numbers.join(", "));
            self.record_notice(Level::Info, &text).await?;
            self.tell_incident(IncidentState::Claimed).await?;
        }
        Ok(new)
    }

    /// Tells whoever watches how the incident stands.
    pub(super) async fn tell_incident(&self, state: IncidentState) -> Result<(), Halt> {
        let Some(incident) = self.ledger.incident(self.incident).await? else {
            return Ok(());
        };
        self.emit(Kind::Incident {
            id: self.incident,
            state,
            tickets: self.known.clone(),
            held: !incident.holds.is_empty(),
            paused: self
                .ledger
                .holds()
                .await?
                .iter()
                .any(|h| h.scope == operator_ledger::HoldScope::All),
        });
        Ok(())
    }
}
