//! The rehearsal against a lab that is played from what the real commands print.

use super::*;
use crate::model::{Block, Quiet, conversation::tool_result};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _};

/// A lab as its commands show it: node name to state.
struct Lab {
    nodes: BTreeMap<&'static str, &'static str>,
    /// Nodes that exit again when they are started.
    damaged: Vec<&'static str>,
    /// Looks at the cluster until it shows what the nodes do.
    lag: usize,
    /// Answers given instead of the real ones: command prefix, exit code, output.
    instead: Vec<(&'static str, i32, String)>,
    p99: f64,
    ran: Vec<String>,
}

impl Lab {
    fn new() -> Self {
        let names = ["pd0", "pd1", "pd2", "tikv0", "tikv1", "tikv2"];
        Self {
            nodes: names.into_iter().map(|n| (n, "running")).collect(),
            damaged: Vec::new(),
            lag: 0,
            instead: Vec::new(),
            p99: 3.5,
            ran: Vec::new(),
        }
    }

    fn with(mut self, node: &'static str, state: &'static str) -> Self {
        self.nodes.insert(node, state);
        self
    }

    fn run(&mut self, command: &str) -> (i32, String) {
        self.ran.push(command.to_string());
        if let Some((_, code, text)) = self.instead.iter().find(|(c, ..)| command.contains(c)) {
            return (*code, text.clone());
        }
        if command == facts::NODES {
            return (0, self.ps());
        }
        if command == facts::CLUSTER || command == facts::CLUSTER_AGAIN {
            self.lag = self.lag.saturating_sub(1);
            return (0, self.cluster());
        }
        let mut words = command.split(' ').skip(2);
        let (verb, node) = (words.next().unwrap(), words.next().unwrap().to_string());
        let name = *self
            .nodes
            .keys()
            .find(|n| **n == node)
            .expect("a node of the lab");
        match verb {
            "logs" if self.damaged.contains(&name) => (
                0,
                "INFO opening log\nERROR log entry 812: checksum does not match\n".into(),
            ),
            "logs" => (0, "INFO serving\nINFO heartbeat sent\n".into()),
            "start" if self.damaged.contains(&name) => (0, format!("{node} started\n")),
            "start" => {
                assert_eq!(self.nodes[name], "exited");
                self.nodes.insert(name, "running");
                (0, format!("{node} started\n"))
            }
            "resume" => {
                assert_eq!(self.nodes[name], "paused");
                self.nodes.insert(name, "running");
                (0, String::new())
            }
            other => panic!("nobody asked for {other}"),
        }
    }

    fn ps(&self) -> String {
        let mut out = String::from(
            "NODE   ROLE   STATE    EXIT      SINCE  PID   ADDRESS          STATUS ADDRESS\n",
        );
        for (node, state) in &self.nodes {
            let role = if node.starts_with("pd") {
                "pd"
            } else {
                "store"
            };
            let exit = if *state == "exited" { "signal 9" } else { "-" };
            let _ = writeln!(
                out,
                "{node:<5}  {role:<5}  {state:<7}  {exit:<8}  12s    1234  127.0.0.1:20001  -"
            );
        }
        out + "load   load   running  -         12s    99    127.0.0.1:20009  -\n"
    }

    fn cluster(&self) -> String {
        let up = |n: &str| self.nodes[n] == "running" && self.lag == 0;
        let mut out = String::from("cluster 7458123\n\nPD   STATE     ADDRESS\n");
        for n in ["pd0", "pd1", "pd2"] {
            let state = match (up(n), n) {
                (true, "pd1") => "leader",
                (true, _) => "follower",
                _ => "DOWN",
            };
            let _ = writeln!(out, "{n}  {state:<8}  http://127.0.0.1:2379");
        }
        out += "\nID  STORE  STATE         HEARTBEAT  LEADERS  REGIONS  DISK  OPS/S  P99\n";
        for (i, n) in ["tikv0", "tikv1", "tikv2"].into_iter().enumerate() {
            let (state, ops, p99) = if up(n) {
                ("Up", "301".to_string(), format!("{:.1} ms", self.p99))
            } else {
                ("DISCONNECTED", "?".into(), "?".into())
            };
            let _ = writeln!(
                out,
                "{}   {n}  {state:<12}  0.4 s      2        6        12 %  {ops:<5}  {p99}",
                i + 1
            );
        }
        let down = ["tikv0", "tikv1", "tikv2"]
            .into_iter()
            .filter(|n| !up(n))
            .count();
        let lost = if down > 1 { 6 } else { 0 };
        let _ = writeln!(
            out,
            "\n6 regions: 0 without leader, {lost} without quorum, 0 with a peer down, 0 with a peer missing, 0 with a peer behind"
        );
        out
    }

    fn changes(&self) -> Vec<&str> {
        let looks = |c: &&str| {
            *c == facts::NODES
                || *c == facts::CLUSTER
                || *c == facts::CLUSTER_AGAIN
                || c.starts_with("operator-tui lab logs ")
        };
        self.ran
            .iter()
            .map(String::as_str)
            .filter(|c| !looks(c))
            .collect()
    }
}

fn ticket(invariant: &str) -> Conversation {
    let mut conversation = Conversation::new("system", Value::Null);
    conversation.say(&format!(
        "# Ticket 4\ninvariant: {invariant}\nsubject: tikv1\nseverity: critical\nmessage: something\n"
    ));
    conversation
}

/// Plays to the end of the turn that runs nothing; returns what it says there.
fn play(conversation: &mut Conversation, lab: &mut Lab) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for _ in 0..100 {
        let turn = runtime
            .block_on(Rehearsal::at_once().turn(conversation, 0, &mut Quiet::default()))
            .unwrap();
        conversation.assistant(turn.content.clone());
        let Block::Text(said) = Block::of(&turn.content[0]) else {
            panic!("it says nothing")
        };
        let Some(call) = turn.content.get(1) else {
            assert_eq!(turn.stop, Stop::EndTurn);
            return said.to_string();
        };
        assert_eq!(turn.stop, Stop::ToolUse);
        let Block::ToolUse { id, name, input } = Block::of(call) else {
            panic!("no call")
        };
        assert_eq!(name, "shell");
        assert!(!said.is_empty() && !input["reasoning"].as_str().unwrap().is_empty());
        let (code, output) = lab.run(input["command"].as_str().unwrap());
        conversation.user(vec![tool_result(
            id,
            &format!("exit {code}\n{output}"),
            false,
        )]);
    }
    panic!("it does not come to an end: {:?}", lab.ran);
}

fn solve(invariant: &str, lab: &mut Lab) -> String {
    play(&mut ticket(invariant), lab)
}

#[test]
fn a_killed_store_is_started_after_a_look_at_its_log() {
    let mut lab = Lab::new().with("tikv1", "exited");
    lab.lag = 1;
    let said = solve("store_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab start tikv1"]);
    assert!(
        said.contains("started tikv1") && !said.starts_with(ESCALATE),
        "{said}"
    );
    let start = lab.ran.iter().position(|c| c.contains("start")).unwrap();
    assert_eq!(
        lab.ran[..start],
        [
            facts::CLUSTER,
            facts::NODES,
            "operator-tui lab logs tikv1 -n 20"
        ],
        "evidence before the change"
    );
    assert!(
        lab.ran[start..].iter().any(|c| c.contains("cluster")),
        "and a look after it"
    );
}

#[test]
fn a_paused_store_is_resumed_not_started() {
    let mut lab = Lab::new().with("tikv2", "paused");
    let said = solve("store_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab resume tikv2"]);
    assert!(said.contains("resumed tikv2"), "{said}");
}

#[test]
fn the_repair_is_what_the_evidence_says_whatever_the_ticket_is_called() {
    for invariant in [
        "region_unavailable",
        "under_replicated",
        "high_latency",
        "store_down",
        "by_hand",
    ] {
        let mut lab = Lab::new().with("tikv0", "exited");
        let said = solve(invariant, &mut lab);
        assert_eq!(
            lab.changes(),
            ["operator-tui lab start tikv0"],
            "{invariant}"
        );
        assert!(!said.starts_with(ESCALATE), "{said}");
    }
}

#[test]
fn a_false_alarm_changes_nothing_and_says_so() {
    let mut lab = Lab::new();
    let said = solve("store_down", &mut lab);
    assert!(lab.changes().is_empty(), "{:?}", lab.ran);
    assert!(
        said.contains("changed nothing") && !said.starts_with(ESCALATE),
        "{said}"
    );
}

#[test]
fn a_paused_pd_member_is_resumed() {
    let mut lab = Lab::new().with("pd1", "paused");
    let said = solve("pd_member_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab resume pd1"]);
    assert!(!said.starts_with(ESCALATE), "{said}");
}

#[test]
fn two_stores_down_are_both_brought_back_each_in_its_own_way() {
    let mut lab = Lab::new().with("tikv0", "paused").with("tikv2", "exited");
    let said = solve("region_unavailable", &mut lab);
    assert_eq!(
        lab.changes(),
        [
            "operator-tui lab resume tikv0",
            "operator-tui lab start tikv2"
        ]
    );
    assert!(said.contains("resumed tikv0 and started tikv2"), "{said}");
}

#[test]
fn pd_without_a_majority_is_brought_back_before_stores() {
    let mut lab = Lab::new()
        .with("pd0", "exited")
        .with("pd2", "exited")
        .with("tikv0", "exited");
    let said = solve("pd_no_leader", &mut lab);
    assert_eq!(
        lab.changes(),
        [
            "operator-tui lab start pd0",
            "operator-tui lab start pd2",
            "operator-tui lab start tikv0"
        ]
    );
    assert!(!said.starts_with(ESCALATE), "{said}");
}

#[test]
fn a_store_with_damaged_data_is_started_once_and_then_escalated_with_what_was_found() {
    let mut lab = Lab::new().with("tikv1", "exited");
    lab.damaged.push("tikv1");
    let said = solve("store_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab start tikv1"]);
    assert!(
        said.starts_with(ESCALATE) && said.contains("checksum does not match"),
        "{said}"
    );
}

#[test]
fn a_cluster_that_stays_unwell_with_every_process_running_is_escalated() {
    // PD may only be late: it is given a little time.
    let mut lab = Lab::new();
    lab.lag = 3;
    let said = solve("store_down", &mut lab);
    assert!(
        !said.starts_with(ESCALATE) && lab.changes().is_empty(),
        "{said}"
    );
    let mut lab = Lab::new();
    lab.lag = 1000;
    let said = solve("store_down", &mut lab);
    assert!(lab.changes().is_empty());
    assert!(
        said.starts_with(ESCALATE) && said.contains("disconnected"),
        "{said}"
    );
    let mut lab = Lab::new();
    lab.p99 = 900.0;
    let said = solve("high_latency", &mut lab);
    assert!(
        said.starts_with(ESCALATE) && said.contains("p99 is 900 ms"),
        "{said}"
    );
    assert!(lab.changes().is_empty());
}

#[test]
fn a_full_disk_is_left_to_a_person() {
    let mut lab = Lab::new();
    let said = solve("low_disk_space", &mut lab);
    assert!(said.starts_with(ESCALATE), "{said}");
    assert!(lab.changes().is_empty());
}

#[test]
fn reworded_or_empty_output_is_escalated_and_nothing_is_touched() {
    let well = Lab::new();
    let (cluster, ps) = (well.cluster(), well.ps());
    for (command, code, output) in [
        ("cluster", 0, String::new()),
        ("cluster", 1, "error: PD does not answer\n".into()),
        (
            "cluster",
            0,
            r#"{"stores":[{"name":"tikv1","condition":"lost"}]}"#.into(),
        ),
        ("cluster", 0, cluster.replace("STATE", "CONDITION")),
        ("cluster", 0, cluster.replace("follower", "helper")),
        ("cluster", 0, cluster.replace("without quorum", "inquorate")),
        (
            "cluster",
            0,
            cluster.lines().take(6).collect::<Vec<_>>().join("\n"),
        ),
        ("lab ps", 0, String::new()),
        ("lab ps", 0, "[]".into()),
        ("lab ps", 0, ps.lines().next().unwrap().to_string()),
        ("lab ps", 0, ps.replace("EXIT", "ENDED")),
        ("lab ps", 0, ps.replace("running", "zombie ")),
        ("lab ps", 0, ps.replace("tikv0", "a;b c")),
        ("lab ps", 1, "no lab is up\n".into()),
        (
            "lab ps",
            127,
            "bash: operator-tui: command not found\n".into(),
        ),
    ] {
        let mut lab = Lab::new().with("tikv1", "exited");
        lab.instead.push((command, code, output.clone()));
        let said = solve("store_down", &mut lab);
        assert!(said.starts_with(ESCALATE), "{command} {output:?}: {said}");
        assert!(
            lab.changes().is_empty(),
            "{command} {output:?}: {:?}",
            lab.changes()
        );
    }
}

#[test]
fn a_pd_that_cannot_be_asked_is_brought_back_all_the_same() {
    let blind = "cluster unknown\nPD unknown: http://127.0.0.1:2379/pd/api/v1/members: refused\n\n\
        stores unknown: PD does not answer\n\nregions unknown: PD does not answer\n";
    let mut conversation = ticket("pd_no_leader");
    let mut lab = Lab::new().with("pd0", "exited").with("pd1", "paused");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for turn in 0.. {
        let made = runtime
            .block_on(Rehearsal::at_once().turn(&conversation, 0, &mut Quiet::default()))
            .unwrap();
        conversation.assistant(made.content.clone());
        let Some(Block::ToolUse { id, input, .. }) = made.content.get(1).map(Block::of) else {
            break;
        };
        let (code, output) = lab.run(input["command"].as_str().unwrap());
        let (code, output) = if turn == 0 {
            (1, blind.to_string())
        } else {
            (code, output)
        };
        conversation.user(vec![tool_result(
            id,
            &format!("exit {code}\n{output}"),
            false,
        )]);
    }
    assert_eq!(
        lab.changes(),
        ["operator-tui lab start pd0", "operator-tui lab resume pd1"]
    );
}

#[test]
fn a_remedy_that_is_refused_is_escalated_with_its_words() {
    let mut lab = Lab::new().with("tikv1", "exited");
    lab.instead.push((
        "lab start",
        1,
        "cannot start tikv1: port 20161 is taken\n".into(),
    ));
    let said = solve("store_down", &mut lab);
    assert!(
        said.starts_with(ESCALATE) && said.contains("port 20161 is taken"),
        "{said}"
    );
    assert_eq!(lab.changes().len(), 1);
}

#[test]
fn a_store_that_stops_again_a_little_later_is_noticed() {
    let mut conversation = ticket("store_down");
    let mut lab = Lab::new().with("tikv1", "exited");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let said = loop {
        let made = runtime
            .block_on(Rehearsal::at_once().turn(&conversation, 0, &mut Quiet::default()))
            .unwrap();
        conversation.assistant(made.content.clone());
        let Some(Block::ToolUse { id, input, .. }) = made.content.get(1).map(Block::of) else {
            break made.content[0]["text"].as_str().unwrap().to_string();
        };
        let command = input["command"].as_str().unwrap();
        if command == facts::CLUSTER_AGAIN {
            lab.nodes.insert("tikv1", "exited");
        }
        let (code, output) = lab.run(command);
        conversation.user(vec![tool_result(
            id,
            &format!("exit {code}\n{output}"),
            false,
        )]);
    };
    assert!(
        said.starts_with(ESCALATE) && said.contains("does not stay up"),
        "{said}"
    );
    assert_eq!(lab.changes().len(), 1);
    assert!(lab.ran.len() < 15, "{:?}", lab.ran);
}

#[test]
fn sent_back_by_the_monitor_it_looks_again_and_then_gives_up() {
    let mut lab = Lab::new().with("tikv1", "exited");
    let mut conversation = ticket("store_down");
    play(&mut conversation, &mut lab);
    // Something else broke meanwhile.
    lab.nodes.insert("tikv2", "paused");
    conversation.say(&crate::prompt::still_violated("tikv2 is disconnected", &[]));
    let said = play(&mut conversation, &mut lab);
    assert_eq!(
        lab.changes(),
        [
            "operator-tui lab start tikv1",
            "operator-tui lab resume tikv2"
        ]
    );
    assert!(!said.starts_with(ESCALATE), "{said}");
    conversation.say(&crate::prompt::still_violated("tikv2 is disconnected", &[]));
    play(&mut conversation, &mut lab);
    conversation.say(&crate::prompt::still_violated("tikv2 is disconnected", &[]));
    let said = play(&mut conversation, &mut lab);
    assert!(said.starts_with(ESCALATE), "{said}");
    assert_eq!(lab.changes().len(), 2, "nothing is repeated");
}

#[test]
fn a_command_ended_from_outside_is_not_taken_for_done() {
    let mut conversation = ticket("store_down");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let turn = runtime
        .block_on(Rehearsal::at_once().turn(&conversation, 0, &mut Quiet::default()))
        .unwrap();
    conversation.assistant(turn.content.clone());
    let Block::ToolUse { id, .. } = Block::of(&turn.content[1]) else {
        panic!()
    };
    conversation.user(vec![tool_result(
        id,
        "time limit: ended after 120 s\n",
        false,
    )]);
    let said = play(&mut conversation, &mut Lab::new());
    assert!(said.starts_with(ESCALATE), "{said}");
}

#[test]
fn the_same_conversation_gives_the_same_turn() {
    let mut one = ticket("store_down");
    let mut two = ticket("store_down");
    play(&mut one, &mut Lab::new().with("tikv1", "exited"));
    play(&mut two, &mut Lab::new().with("tikv1", "exited"));
    assert_eq!(one, two);
}
