//! Rows of the ledger as the screen may have them: whoever wrote them, their texts are one clean line
//! each from here on. What identifies a row stays as it is; it is cleaned where it is shown.

use crate::transcript::clean::clean_text;
use operator_ledger::{SessionRow, Ticket};

pub(crate) fn clean_ticket(ticket: &mut Ticket) {
    clean_text(&mut ticket.message);
    clean_text(&mut ticket.invariant);
    ticket.store_id.as_mut().map(clean_text);
    ticket.subject_name.as_mut().map(clean_text);
}

pub(crate) fn clean_session(session: &mut SessionRow) {
    session.model.as_mut().map(clean_text);
    session.outcome_summary.as_mut().map(clean_text);
}
