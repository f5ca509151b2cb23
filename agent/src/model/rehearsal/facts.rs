//! What the rehearsal knows: the conversation so far, read back into facts. It keeps no memory of
//! its own, so what it does next depends on nothing but what a model would have been shown.

use super::read::{self, Look, Node};
use crate::{
    model::{Block, Conversation, Role},
    prompt,
};
use operator_ledger::FINISH;
use std::collections::BTreeMap;

pub(super) const CLUSTER: &str = "operator-tui cluster";
pub(super) const CLUSTER_AGAIN: &str = "sleep 2; operator-tui cluster";
pub(super) const NODES: &str = "operator-tui lab ps";
const LOGS: &str = "operator-tui lab logs ";
const LOGS_END: &str = " -n 20";

/// Calls that are named as evidence.
const MAX_EVIDENCE: usize = 32;

/// After so many looks at a cluster that is not well, the processes are looked at again.
const LOOKS_BEFORE_DOUBT: usize = 3;

pub(super) fn logs(node: &str) -> String {
    format!("{LOGS}{node}{LOGS_END}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Start,
    Resume,
}

impl Remedy {
    pub(super) fn command(self, node: &str) -> String {
        match self {
            Self::Start => format!("operator-tui lab start {node}"),
            Self::Resume => format!("operator-tui lab resume {node}"),
        }
    }
}

/// A node that did not run when it was looked at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub node: Node,
    /// The last lines of its log, if they were read before it was touched.
    pub log: Option<String>,
    /// The calls that showed it.
    calls: Vec<String>,
}

/// A command of ours that a person, or the mode, did not let run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    pub command: String,
    pub by: String,
    pub why: String,
}

/// A remedy that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub remedy: Remedy,
    pub node: String,
    pub worked: bool,
    pub output: String,
    /// In which round.
    pub round: usize,
    call: String,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub invariant: String,
    pub message: String,
    /// Times the monitor said that it is still violated.
    pub round: usize,
    /// Calls already made, for ids.
    pub calls: usize,
    /// The newest look of this round.
    pub look: Option<Result<Look, String>>,
    /// Looks since the newest remedy, or since the round began.
    pub looks: usize,
    /// The nodes, unless a remedy has been applied since.
    pub nodes: Option<Result<Vec<Node>, String>>,
    /// The last lines of logs read in this round and since the node was last touched.
    pub logs: BTreeMap<String, String>,
    pub applied: Vec<Applied>,
    /// Nodes that did not run, as they were found, in order.
    pub found: Vec<Found>,
    /// Calls that looked last: at the cluster, and at the nodes.
    looked: [Option<String>; 2],
    /// The newest session that worked on this ticket before, as the ticket tells of it.
    pub earlier: Option<String>,
    /// Who wrote to it last.
    pub person: Option<String>,
    /// What they wrote has no answer yet.
    pub unanswered: bool,
    pub rejected: Option<Rejected>,
    /// A command that a person interrupted.
    pub interrupted: Option<String>,
    /// A command that did not come to its end otherwise, and how that was said.
    pub ended: Option<String>,
}

impl Facts {
    pub(super) fn read(conversation: &Conversation) -> Self {
        let mut facts = Self::default();
        let mut pending: BTreeMap<&str, &str> = BTreeMap::new();
        let mut first = true;
        for (role, block) in conversation.blocks() {
            match (role, block) {
                (Role::User, Block::Text(text)) if first => {
                    first = false;
                    facts.ticket(text);
                }
                (Role::User, Block::Text(text)) => facts.told(text),
                (Role::Assistant, Block::Text(_)) => facts.unanswered = false,
                (_, Block::ToolUse { id, name, input }) => {
                    facts.calls += 1;
                    let command = input.get("command").and_then(|c| c.as_str());
                    let command = if name == FINISH {
                        FINISH
                    } else {
                        command.unwrap_or_default()
                    };
                    pending.insert(id, command);
                }
                (_, Block::ToolResult { id, text }) => match pending.remove(id) {
                    Some(FINISH) => facts.told(text),
                    Some(command) => facts.result(id, command, text),
                    None => {}
                },
                _ => {}
            }
        }
        facts
    }

    /// Remedies of this round.
    pub(super) fn applied_now(&self) -> impl Iterator<Item = &Applied> {
        self.applied.iter().filter(|a| a.round == self.round)
    }

    pub(super) fn tried(&self, remedy: Remedy, node: &str) -> bool {
        self.applied
            .iter()
            .any(|a| a.remedy == remedy && a.node == node)
    }

    /// Whether the newest look found nothing to complain about.
    fn is_well(&self) -> bool {
        let look = self.look.as_ref().and_then(|look| look.as_ref().ok());
        look.is_some_and(|look| look.complaints(&self.invariant).is_empty())
    }

    fn ticket(&mut self, text: &str) {
        let field = |name: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(name))
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        self.invariant = field("invariant:");
        self.message = field("message:");
        let earlier = text.split(prompt::EARLIER).nth(1).unwrap_or_default();
        let newest = earlier
            .lines()
            .filter_map(|l| l.strip_prefix("## "))
            .next_back();
        self.earlier = newest.map(|l| l.chars().take(300).collect());
    }

    /// Words that are no result: a person's, the monitor's, or only how to go on.
    fn told(&mut self, text: &str) {
        if let Some(from) = text.strip_prefix(prompt::FROM_A_PERSON) {
            let by = from.split(", a person]").next().unwrap_or_default();
            self.person = Some(by.to_owned());
            self.unanswered = true;
        } else if text.starts_with(prompt::REFUTED) {
            self.next_round();
        }
    }

    /// The calls that show what was wrong, what was done, and how it is now.
    pub(super) fn evidence(&self) -> Vec<String> {
        let found = self.found.iter().flat_map(|found| found.calls.iter());
        let done = self.applied.iter().map(|applied| &applied.call);
        let now = self.looked.iter().flatten();
        let mut calls = Vec::new();
        for call in found.chain(done).chain(now) {
            if !calls.contains(call) {
                calls.push(call.clone());
            }
        }
        // In the order in which they were made: their ids end with their numbers.
        calls.sort_by_key(|call| (call.len(), call.clone()));
        calls.truncate(MAX_EVIDENCE);
        calls
    }

    /// A node that does not run is remembered as it was found first in this round.
    fn find(&mut self, nodes: &[Node], call: &str) {
        for node in nodes.iter().filter(|node| node.state != "running") {
            let touched = self.applied.iter().any(|a| a.node == node.name);
            if !touched && !self.found.iter().any(|f| f.node.name == node.name) {
                self.found.push(Found {
                    node: node.clone(),
                    log: None,
                    calls: vec![call.to_owned()],
                });
            }
        }
    }

    fn next_round(&mut self) {
        self.round += 1;
        self.look = None;
        self.looks = 0;
        self.nodes = None;
        self.logs.clear();
    }

    fn result(&mut self, call: &str, command: &str, text: &str) {
        let (status, output) = text.split_once('\n').unwrap_or((text, ""));
        // Its number stands after how it ended.
        let status = status.split(" [call ").next().unwrap_or_default();
        let code = status
            .strip_prefix("exit ")
            .and_then(|c| c.trim().parse::<i32>().ok());
        let Some(code) = code else {
            self.not_done(command, status);
            return;
        };
        let failed = |what: &str| format!("`{what}` failed (exit {code}): {}", last_line(output));
        let unread = |what: &str, why: String| format!("`{what}`: {why}");
        match command {
            CLUSTER | CLUSTER_AGAIN => {
                self.looks += 1;
                self.looked[0] = Some(call.to_owned());
                // It fails when nothing can be observed, and says what it tried: that reads too.
                self.look = Some(match read::cluster(output) {
                    Ok(look) => Ok(look),
                    Err(_) if code != 0 => Err(failed(CLUSTER)),
                    Err(why) => Err(unread(CLUSTER, why)),
                });
                // It does not get better: has a process stopped again meanwhile?
                if self.looks.is_multiple_of(LOOKS_BEFORE_DOUBT) && !self.is_well() {
                    self.nodes = None;
                }
            }
            NODES => {
                self.looked[1] = Some(call.to_owned());
                let nodes = if code == 0 {
                    read::nodes(output).map_err(|why| unread(NODES, why))
                } else {
                    Err(failed(NODES))
                };
                if let Ok(nodes) = &nodes {
                    self.find(nodes, call);
                }
                self.nodes = Some(nodes);
            }
            _ => {
                if let Some(node) = command
                    .strip_prefix(LOGS)
                    .and_then(|c| c.strip_suffix(LOGS_END))
                {
                    let said = last_lines(output, 3);
                    let untouched = !self.applied.iter().any(|a| a.node == node);
                    if let Some(found) = self.found.iter_mut().find(|f| f.node.name == node)
                        && untouched
                    {
                        found.log = Some(said.clone());
                        found.calls.push(call.to_owned());
                    }
                    self.logs.insert(node.to_string(), said);
                    return;
                }
                for remedy in [Remedy::Start, Remedy::Resume] {
                    let prefix = remedy.command("");
                    if let Some(node) = command.strip_prefix(&prefix) {
                        self.nodes = None;
                        self.looks = 0;
                        self.logs.remove(node);
                        self.applied.push(Applied {
                            remedy,
                            node: node.to_string(),
                            worked: code == 0,
                            output: last_lines(output, 2),
                            round: self.round,
                            call: call.to_owned(),
                        });
                    }
                }
            }
        }
    }
}

impl Facts {
    /// A command that has no exit code: who or what kept it from having one.
    fn not_done(&mut self, command: &str, status: &str) {
        let rejected = status.strip_prefix(prompt::REJECTED);
        if let Some((by, why)) = rejected.and_then(|said| said.split_once(": ")) {
            self.rejected = Some(Rejected {
                command: command.to_owned(),
                by: by.to_owned(),
                why: why.to_owned(),
            });
        } else if status == prompt::INTERRUPTED {
            self.interrupted = Some(command.to_owned());
        } else {
            self.ended = Some(format!("`{command}`: {status}"));
        }
    }
}

fn last_line(text: &str) -> String {
    let line = last_lines(text, 1);
    if line.is_empty() {
        "it printed nothing".into()
    } else {
        line
    }
}

/// The last `n` lines that say something, shortened.
fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(n);
    lines[from..]
        .iter()
        .map(|l| l.trim_end().chars().take(300).collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}
