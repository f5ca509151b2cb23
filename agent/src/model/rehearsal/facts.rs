//! What the rehearsal knows: the conversation so far, read back into facts. It keeps no memory of
//! its own, so what it does next depends on nothing but what a model would have been shown.

use super::read::{self, Look, Node};
use crate::model::{Block, Conversation, Role};
use std::collections::BTreeMap;

pub(super) const CLUSTER: &str = "operator-tui cluster";
pub(super) const CLUSTER_AGAIN: &str = "sleep 2; operator-tui cluster";
pub(super) const NODES: &str = "operator-tui lab ps";
const LOGS: &str = "operator-tui lab logs ";
const LOGS_END: &str = " -n 20";

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

/// A remedy that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub remedy: Remedy,
    pub node: String,
    pub worked: bool,
    pub output: String,
    /// In which round.
    pub round: usize,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub invariant: String,
    pub message: String,
    /// Times the monitor, or a person, sent it back to look again.
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
    /// An earlier session worked on this ticket.
    pub seen_before: bool,
    /// A command was ended from outside.
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
                (Role::User, Block::Text(_)) => facts.next_round(),
                (_, Block::ToolUse { id, input, .. }) => {
                    facts.calls += 1;
                    let command = input.get("command").and_then(|c| c.as_str());
                    pending.insert(id, command.unwrap_or_default());
                }
                (_, Block::ToolResult { id, text }) => {
                    if let Some(command) = pending.remove(id) {
                        facts.result(command, text);
                    }
                }
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
        self.seen_before = text.contains("# Earlier sessions");
    }

    fn next_round(&mut self) {
        self.round += 1;
        self.look = None;
        self.looks = 0;
        self.nodes = None;
        self.logs.clear();
    }

    fn result(&mut self, command: &str, text: &str) {
        let (status, output) = text.split_once('\n').unwrap_or((text, ""));
        let code = status
            .strip_prefix("exit ")
            .and_then(|c| c.trim().parse::<i32>().ok());
        let Some(code) = code else {
            self.ended = Some(format!("`{command}`: {status}"));
            return;
        };
        let failed = |what: &str| format!("`{what}` failed (exit {code}): {}", last_line(output));
        let unread = |what: &str, why: String| format!("`{what}`: {why}");
        match command {
            CLUSTER | CLUSTER_AGAIN => {
                self.looks += 1;
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
                self.nodes = Some(if code == 0 {
                    read::nodes(output).map_err(|why| unread(NODES, why))
                } else {
                    Err(failed(NODES))
                });
            }
            _ => {
                if let Some(node) = command
                    .strip_prefix(LOGS)
                    .and_then(|c| c.strip_suffix(LOGS_END))
                {
                    self.logs.insert(node.to_string(), last_lines(output, 3));
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
                        });
                    }
                }
            }
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
