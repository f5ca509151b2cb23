//! The impact of a ticket or an incident: which samples, faults and other outages it is made from.

use super::{Impact, Look, baseline, impact};
use crate::cluster::ClusterSnapshot;
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{Reader, Result, SampleFigures, SystemId, Ticket};

/// So much is read at once: of a monitor that kept no figures, samples are long.
const AT_ONCE: SignedDuration = SignedDuration::from_mins(10);
/// A fault so long before may be what was seen.
const CAUSE: SignedDuration = SignedDuration::from_mins(10);

/// The impact of one ticket. None: nothing was sampled then.
pub fn of_ticket(ledger: &Reader, ticket: &Ticket) -> Result<Option<Impact>> {
    of(ledger, &[ticket])
}

/// The impact of an incident: of all its tickets, the time between two of them included.
pub fn of_incident(ledger: &Reader, tickets: &[Ticket]) -> Result<Option<Impact>> {
    of(ledger, &tickets.iter().collect::<Vec<_>>())
}

/// From their first sight, or the fault that was injected before that, to their end.
fn of(ledger: &Reader, tickets: &[&Ticket]) -> Result<Option<Impact>> {
    let system = tickets.iter().find_map(|t| t.cluster_id.as_ref());
    let seen = tickets.iter().filter_map(|t| t.first_seen_at).min();
    let (Some(system), Some(seen)) = (system, seen) else {
        return Ok(None);
    };
    let now = Timestamp::now();
    let ends = tickets.iter().map(|t| t.resolved_at.unwrap_or(now));
    let faults = ledger.faults(system).wait()?;
    let caused = faults.iter().filter_map(|fault| fault.at);
    let caused = caused.filter(|at| *at <= seen && *at >= seen - CAUSE).max();
    let span = (caused.unwrap_or(seen), ends.max().unwrap_or(now));
    let earlier = span.0 - baseline::LENGTH;
    let others = ledger
        .tickets_between(Some(system), earlier, span.0)
        .wait()?;
    let leave_out: Vec<_> = others
        .iter()
        .filter(|other| tickets.iter().all(|t| t.id != other.id))
        .filter_map(|other| Some((other.first_seen_at?, other.resolved_at.unwrap_or(span.1))))
        .collect();
    let looks = looks(ledger, system, earlier - baseline::LENGTH, span.1)?;
    Ok(impact(looks, span, &leave_out))
}

fn looks(ledger: &Reader, system: &SystemId, from: Timestamp, to: Timestamp) -> Result<Vec<Look>> {
    let mut looks: Vec<Look> = Vec::new();
    let mut begin = from;
    while begin < to {
        let end = (begin + AT_ONCE).min(to);
        for sample in ledger.sample_figures(system, begin, end).wait()? {
            let Some(look) = sample.at.and_then(|at| look(at, &sample)) else {
                continue;
            };
            // Both ends of a stretch are read, and one of them twice.
            if looks.last().is_none_or(|last| last.at < look.at) {
                looks.push(look);
            }
        }
        begin = end;
    }
    Ok(looks)
}

fn look(at: Timestamp, sample: &SampleFigures) -> Option<Look> {
    let short = sample.figures.as_deref();
    if let Some(look) = short.and_then(|text| Look::of_figures(at, text)) {
        return Some(look);
    }
    let snapshot: ClusterSnapshot = serde_json::from_str(sample.snapshot.as_deref()?).ok()?;
    Some(Look::of(at, &snapshot))
}
