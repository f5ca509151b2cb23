//! What must be so when everybody has gone: from the ledger, and from what a program wrote down each
//! time it ran.

use super::stage::{Stage, forbids_all};
use operator_ledger::{
    EntryKind, EntryRow, HoldScope, IncidentEventKind, IncidentReport, SessionRow, SessionStatus,
    Status, Stored, TicketEventKind,
};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// A command whose row was there before a hold may still begin so long after it, milliseconds: it is
/// ended then.
const BEGUN: i64 = 2_000;

struct Session {
    row: SessionRow,
    calls: Vec<EntryRow>,
}

pub(super) fn judge(stage: &Stage, seed: u64) {
    let reports: Vec<IncidentReport> = stage
        .incidents()
        .iter()
        .map(|id| stage.ledger.incident_report(*id).wait().unwrap().unwrap())
        .collect();
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    for row in stage.ledger.sessions(1000).wait().unwrap() {
        let entries = stage.ledger.entries(&row.session_id, 0, 10_000);
        let mut calls = entries.wait().unwrap();
        calls.retain(|e| e.entry_type == EntryKind::ToolCall);
        sessions.insert(row.session_id.clone(), Session { row, calls });
    }
    let mut holds = 0;
    for report in &reports {
        holds += report.holds.len();
        for session in sessions.values() {
            if session.row.incident_id == Some(report.incident.id) {
                kept_to(report, session, seed);
            }
        }
        explained(stage, report, seed);
    }
    let ran = recorded(stage, &reports, &sessions, seed);
    one_at_a_time(&sessions, seed);
    left_to_people(&reports, &sessions, seed);
    for session in sessions.values() {
        let row = &session.row;
        assert!(row.status != SessionStatus::Running, "seed {seed}: {row:?}");
        let why = row.outcome_summary.as_deref().unwrap_or_default();
        assert!(
            !why.is_empty(),
            "seed {seed}: nobody says why {row:?} ended"
        );
    }
    let verified = stage.says("ada", &["audit", "verify"]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "seed {seed}: {said}");
    let findings = stage.ledger.verify_ledger().wait().unwrap().findings;
    assert_eq!(findings, [], "seed {seed}");
    eprintln!(
        "  {} incidents, {} sessions, {ran} commands, {holds} holds",
        reports.len(),
        sessions.len()
    );
}

/// Milliseconds in which it was in force, by the ledger's own times, both ends left out.
fn in_force(at: Option<jiff::Timestamp>, ended: Option<jiff::Timestamp>) -> RangeInclusive<i64> {
    let at = at.unwrap().as_millisecond();
    let ended = ended.map_or(i64::MAX, |at| at.as_millisecond() - 1);
    at + 1..=ended
}

/// No row of a command was committed while something forbade all work on its incident.
fn kept_to(report: &IncidentReport, session: &Session, seed: u64) {
    for hold in report.holds.iter().filter(|h| forbids_all(&h.scope)) {
        let force = in_force(hold.at, hold.ended_at);
        for call in &session.calls {
            let at = call.at.unwrap().as_millisecond();
            assert!(
                !force.contains(&at),
                "seed {seed}: {call:?}\nunder {hold:?}"
            );
        }
    }
}

/// What ran had its row before, and none of it began under what forbade it. How much ran.
fn recorded(
    stage: &Stage,
    reports: &[IncidentReport],
    sessions: &BTreeMap<String, Session>,
    seed: u64,
) -> usize {
    let ran = stage.ran();
    let mut left: Vec<(&str, &EntryRow)> = sessions
        .iter()
        .flat_map(|(id, s)| s.calls.iter().map(|call| (id.as_str(), call)))
        .collect();
    for (at, session, words) in &ran {
        let typed = format!("mend {words}");
        let row = left
            .iter()
            .position(|(of, call)| of == session && call.input() == typed);
        let row = row.unwrap_or_else(|| panic!("seed {seed}: {typed} of {session} has no row"));
        let (_, call) = left.remove(row);
        let written = call.at.unwrap().as_millisecond();
        assert!(written <= *at, "seed {seed}: {typed} ran before its row");
        let incident = sessions[session].row.incident_id;
        for report in reports {
            for hold in &report.holds {
                let forbidden = match &hold.scope {
                    HoldScope::Thing { thing, .. } => typed.contains(thing),
                    _ => incident == Some(report.incident.id),
                };
                let force = in_force(hold.at, hold.ended_at);
                let late = force.contains(at) && force.contains(&(at - BEGUN));
                assert!(
                    !(forbidden && late),
                    "seed {seed}: {typed} at {at} ran under {hold:?}"
                );
            }
        }
    }
    ran.len()
}

/// One session at a time works on the system: the commands of two never alternate.
fn one_at_a_time(sessions: &BTreeMap<String, Session>, seed: u64) {
    let mut spans: Vec<(i64, i64, &str)> = sessions
        .iter()
        .filter_map(|(id, s)| Some((s.calls.first()?.id, s.calls.last()?.id, id.as_str())))
        .collect();
    spans.sort_unstable();
    for two in spans.windows(2) {
        assert!(
            two[0].1 < two[1].0,
            "seed {seed}: two at work at once: {two:?}"
        );
    }
}

/// While a person has taken an incident no agent works on the system.
fn left_to_people(reports: &[IncidentReport], sessions: &BTreeMap<String, Session>, seed: u64) {
    for report in reports {
        for (n, event) in report.events.iter().enumerate() {
            if event.kind != IncidentEventKind::Taken {
                continue;
            }
            let rest = report.events[n + 1..].iter();
            let stays = |kind| {
                matches!(
                    kind,
                    IncidentEventKind::Joined | IncidentEventKind::Finished
                )
            };
            let end = rest.clone().find(|e| !e.kind.known().is_some_and(stays));
            let force = in_force(event.at, end.and_then(|e| e.at));
            let calls = sessions.values().flat_map(|s| &s.calls);
            for call in calls {
                let at = call.at.unwrap().as_millisecond();
                assert!(
                    !force.contains(&at),
                    "seed {seed}: {call:?}\nwhile {event:?}"
                );
            }
        }
    }
}

/// Each ticket is of an incident, and whatever ended says who ended it, and why.
fn explained(stage: &Stage, report: &IncidentReport, seed: u64) {
    let incident = &report.incident;
    assert!(!report.tickets.is_empty(), "seed {seed}: {incident:?}");
    if incident.ended_at.is_some() {
        let mut events = report.events.iter();
        let end = events.rfind(|e| e.kind == IncidentEventKind::Ended);
        let end = end.unwrap_or_else(|| panic!("seed {seed}: {incident:?} just ended"));
        assert!(
            !end.why.is_empty() && !end.by.is_empty(),
            "seed {seed}: {end:?}"
        );
    }
    for ticket in &report.tickets {
        assert_eq!(ticket.incident_id, Some(incident.id), "seed {seed}");
        if ticket.status != Status::Resolved {
            assert!(
                incident.ended_at.is_none(),
                "seed {seed}: {ticket:?} is not over"
            );
            continue;
        }
        let events = stage.ledger.ticket_events(ticket.id).wait().unwrap();
        let resolved = TicketEventKind::Resolved;
        let mut events = events.iter();
        let end = events.rfind(|e| e.kind.as_ref().is_some_and(|kind| *kind == resolved));
        let end = end.unwrap_or_else(|| panic!("seed {seed}: {ticket:?} just ended"));
        assert!(
            !end.why.is_empty() && !end.by.is_empty(),
            "seed {seed}: {end:?}"
        );
        assert_eq!(
            end.resolution.as_ref().and_then(Stored::known),
            ticket.resolution,
            "seed {seed}"
        );
    }
}
