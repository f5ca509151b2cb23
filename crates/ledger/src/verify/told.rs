//! What the chain of a ledger says there was and happened, without what was pruned since.

use crate::ledger_chain::{Adoption, Link, Pruned};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the chain says there was and happened.
#[derive(Default)]
pub(super) struct Told {
    pub(super) adoption: Adoption,
    /// Sessions, and the head each ended with.
    pub(super) sessions: BTreeMap<String, Option<String>>,
    /// By the row of each, as it was written.
    pub(super) events: BTreeMap<i64, Value>,
    pub(super) verdicts: BTreeMap<i64, Value>,
    pub(super) words: BTreeMap<i64, Value>,
    pub(super) finishes: BTreeMap<i64, Value>,
    /// Of incidents, holds and what people said, by table and row.
    pub(super) rows: BTreeMap<(&'static str, i64), Value>,
    pub(super) pruned: Vec<Pruned>,
}

impl Told {
    pub(super) fn take(&mut self, kind: &str, subject: String, detail: &str) {
        let Ok(kind) = kind.parse::<Link>() else {
            return;
        };
        let words: Value = serde_json::from_str(detail).unwrap_or_default();
        let row = subject.parse().unwrap_or_default();
        match kind {
            Link::Adoption => {
                self.adoption = serde_json::from_value(words).unwrap_or_default();
                self.sessions.extend(self.adoption.sessions.clone());
            }
            Link::SessionStart => {
                self.sessions.insert(subject, None);
            }
            Link::SessionEnd => {
                let head = words["head"].as_str().filter(|h| !h.is_empty());
                self.sessions.insert(subject, head.map(str::to_owned));
            }
            Link::TicketEvent => {
                self.events.insert(row, words);
            }
            Link::Verdict => {
                self.verdicts.insert(row, words);
            }
            Link::Finish => {
                self.finishes.insert(row, words);
            }
            Link::Decision => {
                self.words.insert(row, words);
            }
            Link::IncidentEvent => {
                self.rows.insert(("incident_events", row), words);
            }
            // A row of its own has the end of one; it is told under the same number.
            Link::Hold if words.get("ended").is_none() => {
                self.rows.insert(("holds", row), words);
            }
            Link::Order if words.get("taken_back").is_none() => {
                self.rows.insert(("orders", row), words);
            }
            Link::Hold => {
                self.rows.insert(("hold_ends", row), words);
            }
            Link::Order => {
                self.rows.insert(("order_ends", row), words);
            }
            Link::Prune => {
                let pruned: Pruned = serde_json::from_value(words).unwrap_or_default();
                for session in pruned.sessions.keys() {
                    self.sessions.remove(session);
                }
                self.pruned.push(pruned);
            }
        }
    }

    /// The last row of a table before there was a chain.
    pub(super) fn before(&self, table: &str) -> i64 {
        self.adoption.tables.get(table).map_or(0, |rows| rows.last)
    }

    pub(super) fn ranges<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (i64, i64)> + 'a {
        let of = |pruned: &'a Pruned| pruned.tables.get(table).into_iter().flatten().copied();
        self.pruned.iter().flat_map(of)
    }

    pub(super) fn is_pruned(&self, table: &str, row: i64) -> bool {
        self.ranges(table).any(|(a, b)| (a..=b).contains(&row))
    }

    /// Pruned rows of a table up to one.
    pub(super) fn pruned_of(&self, table: &str, upto: i64) -> i64 {
        self.ranges(table)
            .map(|(a, b)| (b.min(upto) - a + 1).max(0))
            .sum()
    }

    /// What is left of a range of missing rows without those that were pruned.
    pub(super) fn less_pruned(&self, table: &str, first: i64, last: i64) -> Vec<(i64, i64)> {
        let mut left = vec![(first, last)];
        for (a, b) in self.ranges(table) {
            left = left
                .into_iter()
                .flat_map(|(x, y)| [(x, y.min(a - 1)), (x.max(b + 1), y)])
                .filter(|(x, y)| x <= y)
                .collect();
            left.dedup();
        }
        left
    }

    pub(super) fn proves(&self, verification: i64, ticket: i64) -> bool {
        let Some(words) = self.verdicts.get(&verification) else {
            return false;
        };
        let proves = |of: &Value| {
            let ms = |name: &str| of[name].as_i64();
            of["state"] == "proven"
                && of["ticket"] == ticket
                && ms("held_ms")
                    .zip(ms("hold_ms"))
                    .is_some_and(|(held, hold)| held >= hold)
        };
        // A verdict of before there were incidents is about one ticket.
        match words["tickets"].as_array() {
            Some(tickets) => tickets.iter().any(proves),
            None => proves(words),
        }
    }
}
