//! Changes that the monitor observed: in words, and which commands ran meanwhile.
//!
//! That a command ran while something changed is no word that it did it.

use jiff::{SignedDuration, Timestamp};
use operator_ledger::{ChangeKind, EntryKind, EntryMark, ObservedChange, ThingKind};

/// Looks further apart than this are told with both their times.
const APART: SignedDuration = SignedDuration::from_secs(30);

/// What changed, on one line: `tikv1: up → disconnected`.
pub fn words(change: &ObservedChange) -> String {
    let ObservedChange { name, from, to, .. } = change;
    let who = match change.thing_kind.known() {
        Some(ThingKind::PdMember) => format!("PD member {name}"),
        Some(ThingKind::Store | ThingKind::Pd) | None => name.clone(),
    };
    let from = from.as_deref().unwrap_or("none");
    let to = to.as_deref().unwrap_or("none");
    let what = match change.kind.known() {
        Some(ChangeKind::Joined) => format!("joined, at {to}"),
        Some(ChangeKind::Gone) => format!("is gone; it was at {from}"),
        Some(ChangeKind::Started) => format!("was started again, at {to}"),
        Some(ChangeKind::State) => format!("was {from}, is {to}"),
        Some(ChangeKind::Version) => format!("was of version {from}, is of {to}"),
        Some(ChangeKind::Leader) => format!("was led by {from}, is led by {to}"),
        None => format!("{}: was {from}, is {to}", change.kind),
    };
    let between = if change.at.duration_since(change.since) > APART {
        format!(" (between {:.0} and {:.0})", change.since, change.at)
    } else {
        String::new()
    };
    format!("{who} {what}{between}")
}

/// The commands of a session that ran while a change came about, in order: those that overlap the
/// time between the look that saw it as it was and the one that saw it changed.
pub fn during<'a>(change: &ObservedChange, entries: &'a [EntryMark]) -> Vec<&'a EntryMark> {
    let mut ran: Vec<(&EntryMark, Timestamp, Option<Timestamp>)> = Vec::new();
    for entry in entries {
        let Some(at) = entry.at else { continue };
        match entry.kind.known() {
            Some(EntryKind::ToolCall) if entry.command.is_some() => ran.push((entry, at, None)),
            Some(EntryKind::ToolResult) => {
                // Some servers use an id again: the newest call of it is the one that ended.
                let called = |(call, _, end): &&mut (&EntryMark, _, Option<Timestamp>)| {
                    call.call == entry.call && end.is_none()
                };
                if let Some((_, _, end)) = ran.iter_mut().rev().find(called) {
                    *end = Some(at);
                }
            }
            _ => {}
        }
    }
    let overlaps = |began: Timestamp, ended: Option<Timestamp>| {
        began <= change.at && ended.is_none_or(|ended| ended > change.since)
    };
    ran.into_iter()
        .filter(|(_, began, ended)| overlaps(*began, *ended))
        .map(|(call, ..)| call)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::Stored;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    fn change(since: i64, seen: i64) -> ObservedChange {
        ObservedChange {
            since: at(since),
            at: at(seen),
            kind: Stored::Known(ChangeKind::State),
            thing_kind: Stored::Known(ThingKind::Store),
            thing: "2".into(),
            name: "tikv1".into(),
            from: Some("disconnected".into()),
            to: Some("up".into()),
        }
    }

    fn mark(id: i64, second: i64, kind: EntryKind, call: &str) -> EntryMark {
        let command = (kind == EntryKind::ToolCall).then(|| format!("command of {call}"));
        EntryMark {
            id,
            at: Some(at(second)),
            kind: Stored::Known(kind),
            call: Some(call.into()),
            tool: Some("shell".into()),
            command,
            exit_code: None,
            claim: None,
            text: String::new(),
        }
    }

    #[test]
    fn a_change_is_during_the_commands_that_ran_while_it_came_about() {
        use EntryKind::{Reasoning, ToolCall, ToolResult};
        let entries = [
            mark(1, 0, ToolCall, "a"),
            mark(2, 4, ToolResult, "a"),
            mark(3, 6, ToolCall, "b"),
            mark(4, 6, ToolCall, "c"),
            mark(5, 8, ToolResult, "c"),
            mark(6, 9, Reasoning, "x"),
            mark(7, 20, ToolResult, "b"),
            mark(8, 30, ToolCall, "d"),
        ];
        let names = |since, seen| -> Vec<String> {
            let found = during(&change(since, seen), &entries);
            found.into_iter().filter_map(|e| e.call.clone()).collect()
        };
        assert_eq!(names(1, 2), ["a"]);
        assert_eq!(names(4, 5), [] as [&str; 0], "between two commands");
        assert_eq!(names(9, 10), ["b"]);
        assert_eq!(names(5, 9), ["b", "c"], "side by side");
        assert_eq!(names(3, 40), ["a", "b", "c", "d"], "one that still runs");
    }

    #[test]
    fn a_change_is_told_in_words() {
        let mut told = change(0, 5);
        assert_eq!(words(&told), "tikv1 was disconnected, is up");
        told.since = at(-300);
        assert_eq!(
            words(&told),
            "tikv1 was disconnected, is up (between 2026-02-02T02:35:00Z and 2026-02-02T02:40:05Z)"
        );
        let leader = ObservedChange {
            kind: Stored::Known(ChangeKind::Leader),
            thing_kind: Stored::Known(ThingKind::Pd),
            name: "PD".into(),
            from: Some("pd0".into()),
            to: None,
            ..change(0, 5)
        };
        assert_eq!(words(&leader), "PD was led by pd0, is led by none");
        let odd = ObservedChange {
            kind: Stored::read("zone"),
            ..change(0, 5)
        };
        assert_eq!(words(&odd), "tikv1 zone: was disconnected, is up");
    }
}
