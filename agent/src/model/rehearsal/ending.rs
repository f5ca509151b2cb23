//! How the rehearsal ends: the fields of its `finish`, each of which says only what it has seen or
//! done itself.

use super::{
    decide::list,
    facts::{Facts, Found, Remedy},
};
use operator_ledger::{Confidence, FinishOutcome};
use serde_json::{Value, json};

/// What it says in its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub outcome: FinishOutcome,
    pub cause: String,
    pub actions: String,
    pub checked: String,
    pub next: String,
    pub confidence: Confidence,
}

impl Ending {
    pub(super) fn input(&self, evidence: &[String]) -> Value {
        json!({
            "outcome": self.outcome,
            "cause": self.cause,
            "evidence": evidence,
            "actions": self.actions,
            "checked": self.checked,
            "next": self.next,
            "confidence": self.confidence,
        })
    }
}

/// What it found broken, of which only what it saw is said to be so.
pub(super) fn cause(facts: &Facts) -> Option<String> {
    let found: Vec<String> = facts.found.iter().map(of_node).collect();
    (!found.is_empty()).then(|| format!("{}.", list(&found)))
}

fn of_node(found: &Found) -> String {
    let node = &found.node;
    if node.state == "paused" {
        return format!(
            "{} did not go on: its process was paused, not ended",
            node.name
        );
    }
    let log = match found.log.as_deref() {
        None => "its log was not read".to_owned(),
        Some("") => "its log says nothing".to_owned(),
        Some(log) => match complaint(log) {
            Some(line) => format!("its log ends with: {line}"),
            None => "the last lines of its log tell of no error".to_owned(),
        },
    };
    format!(
        "{} did not run: its process {}, and {log}",
        node.name,
        node.ending()
    )
}

/// The last line of a log that tells of something wrong.
pub(super) fn complaint(log: &str) -> Option<&str> {
    let words = ["error", "fatal", "panic", "corrupt", "warn", "fail"];
    let complains = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    log.lines().rev().find(complains).map(str::trim)
}

/// What was done, in order, each with the command it was done by.
pub(super) fn actions(facts: &Facts) -> String {
    let done: Vec<String> = facts
        .applied
        .iter()
        .map(|a| {
            let verb = match a.remedy {
                Remedy::Start => "started",
                Remedy::Resume => "resumed",
            };
            let failed = if a.worked { "" } else { ", which failed" };
            format!(
                "{verb} {} (`{}`{failed})",
                a.node,
                a.remedy.command(&a.node)
            )
        })
        .collect();
    if done.is_empty() {
        String::new()
    } else {
        format!("{}.", list(&done))
    }
}
