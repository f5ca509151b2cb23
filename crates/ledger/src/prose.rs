//! What ledgers up to schema 3 say in sentences alone, read back. Nothing that is written today
//! needs it: migration fills the columns of older rows by it, once, and what a hash covers, and so
//! cannot be given new fields, is read by it.

use crate::{Resolution, Status, TicketEventKind, event::VerifyState};
use rusqlite::{Transaction, params};

/// How a notice ended that said that the agent did nothing until it was told to.
const WAITS: &str = "waiting for a message to go on";

/// Fills the columns that schema 4 added. To be followed by the making of triggers: this is no
/// change of a ticket that its `updated_at` should tell of.
pub(crate) fn fill_columns(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch("DROP TRIGGER IF EXISTS tickets_updated_at")?;
    ticket_events(tx)?;
    subject_names(tx)
}

fn ticket_events(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut events = tx.prepare(
        "SELECT id, from_status, to_status, by, why FROM ticket_events WHERE kind IS NULL",
    )?;
    let mut fill =
        tx.prepare("UPDATE ticket_events SET kind = ?2, resolution = ?3 WHERE id = ?1")?;
    let mut rows = events.query([])?;
    while let Some(r) = rows.next()? {
        let id: i64 = r.get("id")?;
        let from: Option<String> = r.get("from_status")?;
        let (to, by, why): (String, String, String) =
            (r.get("to_status")?, r.get("by")?, r.get("why")?);
        if let Some(kind) = event_kind(from.as_deref(), &to, &by, &why) {
            let resolution = (kind == TicketEventKind::Resolved)
                .then(|| resolution(&why))
                .flatten();
            fill.execute(params![id, kind, resolution])?;
        }
    }
    Ok(())
}

/// None: nothing that we wrote.
fn event_kind(from: Option<&str>, to: &str, by: &str, why: &str) -> Option<TicketEventKind> {
    use TicketEventKind as Kind;
    if from == Some(to) {
        return match why {
            "held" => Some(Kind::Held),
            "no longer held" => Some(Kind::Unheld),
            "released to agents" => Some(Kind::Released),
            _ if by == "adoption" => Some(Kind::Adopted),
            _ if to == Status::Acknowledged.as_str() => Some(Kind::Claimed),
            _ => None,
        };
    }
    Some(match (to.parse().ok()?, from) {
        (Status::Open, None) => Kind::Opened,
        (Status::Open, Some("acknowledged")) => Kind::Released,
        (Status::Open, Some(_)) if why == "released to agents" => Kind::Released,
        (Status::Open, Some(_)) => Kind::Reopened,
        (Status::Acknowledged, _) => Kind::Claimed,
        (Status::Escalated, _) => Kind::Escalated,
        (Status::Resolved, _) => Kind::Resolved,
    })
}

fn resolution(why: &str) -> Option<Resolution> {
    why.split(':').next()?.parse().ok()
}

fn subject_names(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut tickets = tx.prepare(
        "SELECT id, store_id, message FROM tickets
         WHERE subject_name IS NULL AND store_id IS NOT NULL",
    )?;
    let mut fill = tx.prepare("UPDATE tickets SET subject_name = ?2 WHERE id = ?1")?;
    let mut rows = tickets.query([])?;
    while let Some(r) = rows.next()? {
        let (id, store, message): (i64, String, String) =
            (r.get("id")?, r.get("store_id")?, r.get("message")?);
        if let Some(name) = subject_name(&store, &message) {
            fill.execute(params![id, name])?;
        }
    }
    Ok(())
}

/// A store's number said little; the monitor's words began with its name.
fn subject_name<'m>(store: &str, message: &'m str) -> Option<&'m str> {
    let number = store.chars().all(|c| c.is_ascii_digit());
    let name = message.split([' ', ':']).next()?;
    (number && !name.is_empty()).then_some(name)
}

/// What a claim's entry says after the word for its state.
pub(crate) fn verify_detail(text: &str) -> Option<&str> {
    let (state, detail) = text.split_once(": ")?;
    state.parse::<VerifyState>().is_ok().then_some(detail)
}

/// Whether a notice says that the agent does nothing until it is told to.
pub(crate) fn waits(text: &str) -> bool {
    text.ends_with(WAITS)
}

#[cfg(test)]
mod tests;
