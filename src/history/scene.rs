//! Parts of an incident: how it stood at a moment, and what happened in a stretch of time.

use super::{events, incident::Incident};
use crate::cluster::ClusterSnapshot;
use jiff::Timestamp;
use operator_ledger::{EntryKind, EntryRow, OutputChunk, Reader, Result, Sample, event::Event};

/// Entries before a moment that are read: more than the screen shows.
const ENTRIES: usize = 60;
/// Samples before a moment: for its charts.
const SAMPLES: usize = 240;
/// Pieces of output of one command in one part: the newest.
const PIECES: usize = 200;
/// Entries of one stretch.
const MAX_ENTRIES: usize = 2000;

/// How it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    pub at: Timestamp,
    /// Looks at the cluster, the newest last.
    pub samples: Vec<(Timestamp, ClusterSnapshot)>,
    /// What the agent had said last, in order.
    pub events: Vec<Event>,
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub from: Timestamp,
    pub to: Timestamp,
    pub items: Vec<(Timestamp, Item)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Sample(Box<ClusterSnapshot>),
    Said(Box<Event>),
    /// A ticket changed; how it stands is in the incident.
    Tickets,
}

impl Moment {
    pub fn read(ledger: &Reader, incident: &Incident, at: Timestamp) -> Result<Self> {
        let samples = match &incident.session.cluster_id {
            Some(cluster) => ledger.samples_upto(cluster, at, SAMPLES).wait()?,
            None => Vec::new(),
        };
        let session = &incident.session;
        let mut said = Vec::new();
        if session.started_at.is_none_or(|started| started <= at) {
            let ticket = incident.tickets.iter().map(|t| &t.ticket);
            let ticket = ticket.into_iter().find(|t| Some(t.id) == session.ticket_id);
            said.push(events::start(session, ticket));
        }
        let later = incident
            .entries
            .iter()
            .find(|e| e.at.is_some_and(|t| t > at));
        let before = later.map_or(i64::MAX, |e| e.id);
        let rows = ledger
            .entries_before(&session.session_id, before, ENTRIES)
            .wait()?;
        said.extend(tell(ledger, incident, &rows, Timestamp::MIN, at)?);
        Ok(Self {
            at,
            samples: samples.into_iter().filter_map(parse).collect(),
            events: said,
        })
    }
}

impl Stretch {
    pub fn read(
        ledger: &Reader,
        incident: &Incident,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Self> {
        let mut items = Vec::new();
        if let Some(cluster) = &incident.session.cluster_id {
            for sample in ledger.samples(cluster, from, to).wait()? {
                if let Some((at, snapshot)) = parse(sample).filter(|(at, _)| *at > from) {
                    items.push((at, Item::Sample(Box::new(snapshot))));
                }
            }
        }
        let changes = incident
            .ticket_changes()
            .filter(|at| *at > from && *at <= to);
        items.extend(changes.map(|at| (at, Item::Tickets)));
        let session = &incident.session;
        if let Some(started) = session.started_at.filter(|at| *at > from && *at <= to) {
            let ticket = incident.tickets.iter().map(|t| &t.ticket);
            let ticket = ticket.into_iter().find(|t| Some(t.id) == session.ticket_id);
            items.push((
                started,
                Item::Said(Box::new(events::start(session, ticket))),
            ));
        }
        let within = |at: Option<Timestamp>| at.is_some_and(|at| at > from && at <= to);
        let mut ids = incident
            .entries
            .iter()
            .filter(|e| within(e.at))
            .map(|e| e.id);
        let rows = match (ids.next(), ids.next_back()) {
            (Some(first), last) => {
                let mut rows = ledger
                    .entries(&session.session_id, first - 1, MAX_ENTRIES)
                    .wait()?;
                rows.retain(|r| r.id <= last.unwrap_or(first));
                rows
            }
            (None, _) => Vec::new(),
        };
        let said = tell(ledger, incident, &rows, from, to)?;
        items.extend(said.into_iter().map(|e| (e.at, Item::Said(Box::new(e)))));
        // Stable: what was told in order at one time stays in order.
        items.sort_by_key(|(at, _)| *at);
        Ok(Self { from, to, items })
    }
}

/// What entries said, with the output of their commands after one time and up to another.
fn tell(
    ledger: &Reader,
    incident: &Incident,
    rows: &[EntryRow],
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Event>> {
    let session = &incident.session;
    let mut said = Vec::new();
    // The command that was running when this begins.
    let first = rows.first().map_or(i64::MAX, |r| r.id);
    let before = incident
        .entries
        .iter()
        .take_while(|e| e.id < first && e.at.is_none_or(|at| at <= to));
    let mut running = None;
    for entry in before {
        match entry.kind.known() {
            Some(EntryKind::ToolCall) => running.clone_from(&entry.call),
            Some(EntryKind::ToolResult) => running = None,
            _ => {}
        }
    }
    let printed = |call: &Option<String>| -> Result<Vec<OutputChunk>> {
        match call {
            Some(call) => ledger
                .output_between(&session.session_id, call, from, to, PIECES)
                .wait(),
            None => Ok(Vec::new()),
        }
    };
    for row in rows {
        if row.entry_type == EntryKind::ToolResult {
            let chunks = printed(&row.call_id)?;
            let call = row.call_id.as_deref().unwrap_or_default();
            let stored =
                !chunks.is_empty() || ledger.output_size(&session.session_id, call).wait()?.1 > 0;
            said.extend(chunks.into_iter().map(|c| events::output(session, c)));
            if !stored {
                said.extend(events::shown_output(session, row));
            }
            running = None;
        }
        if row.entry_type == EntryKind::ToolCall {
            running.clone_from(&row.call_id);
        }
        said.extend(events::entry(session, row));
    }
    let chunks = printed(&running)?;
    said.extend(chunks.into_iter().map(|c| events::output(session, c)));
    Ok(said)
}

fn parse(sample: Sample) -> Option<(Timestamp, ClusterSnapshot)> {
    let snapshot: ClusterSnapshot = serde_json::from_str(&sample.snapshot).ok()?;
    Some((sample.at.unwrap_or(snapshot.at), snapshot))
}
