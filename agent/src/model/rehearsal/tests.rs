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

/// How it ended, or that it only said something.
struct End {
    said: String,
    input: Option<Value>,
}

impl End {
    fn outcome(&self) -> &str {
        let input = self.input.as_ref();
        input.map_or("a text", |i| i["outcome"].as_str().unwrap())
    }

    fn field(&self, name: &str) -> &str {
        self.input.as_ref().unwrap()[name].as_str().unwrap()
    }

    fn escalated(&self) -> bool {
        self.outcome() == "escalate"
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.said, self.input)
    }
}

/// The next turn: what it says, and the call it makes.
fn turn(conversation: &mut Conversation) -> (String, Option<(String, String, Value)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let turn = runtime
        .block_on(Rehearsal::at_once().turn(conversation, 0, &mut Quiet::default()))
        .unwrap();
    conversation.assistant(turn.content.clone());
    let Block::Text(said) = Block::of(&turn.content[0]) else {
        panic!("it says nothing")
    };
    let call = turn.content.get(1).map(|call| {
        let Block::ToolUse { id, name, input } = Block::of(call) else {
            panic!("no call")
        };
        (id.to_owned(), name.to_owned(), input.clone())
    });
    let stop = if call.is_some() {
        Stop::ToolUse
    } else {
        Stop::EndTurn
    };
    assert_eq!(turn.stop, stop);
    assert!(!said.is_empty());
    (said.to_owned(), call)
}

fn result(conversation: &mut Conversation, id: &str, text: &str) {
    conversation.user(vec![tool_result(id, text, false)]);
}

/// Plays to the turn that runs nothing.
fn play(conversation: &mut Conversation, lab: &mut Lab) -> End {
    play_with(conversation, lab, |_, _| ())
}

/// The same; before each command this may change the lab.
fn play_with(
    conversation: &mut Conversation,
    lab: &mut Lab,
    mut before: impl FnMut(&mut Lab, &str),
) -> End {
    let first = conversation.messages().len();
    for n in 1..100 {
        let (said, call) = turn(conversation);
        let Some((id, name, input)) = call else {
            return End { said, input: None };
        };
        if name == FINISH {
            let known = |name: &str| {
                let ids = conversation.blocks().filter_map(|(_, block)| match block {
                    Block::ToolResult { id, .. } => Some(id),
                    _ => None,
                });
                ids.into_iter().find(|id| *id == name).map(str::to_owned)
            };
            crate::tools::finish::read(&input, known).expect("it is taken");
            return End {
                said,
                input: Some(input),
            };
        }
        assert_eq!(name, "shell");
        assert!(!input["reasoning"].as_str().unwrap().is_empty());
        let command = input["command"].as_str().unwrap();
        before(lab, command);
        let (code, output) = lab.run(command);
        result(
            conversation,
            &id,
            &format!("exit {code} [call {}]\n{output}", first + n),
        );
    }
    panic!("it does not come to an end: {:?}", lab.ran);
}

/// The monitor, or whoever judges it, answers its finish.
fn answer(conversation: &mut Conversation, text: &str) {
    let last = conversation.messages().last().unwrap();
    let id = last.content[1]["id"].as_str().unwrap().to_owned();
    result(conversation, &id, text);
}

fn refute(conversation: &mut Conversation, detail: &str) {
    answer(conversation, &crate::prompt::still_violated(detail, &[]));
}

fn solve(invariant: &str, lab: &mut Lab) -> End {
    play(&mut ticket(invariant), lab)
}

#[test]
fn a_killed_store_is_started_after_a_look_at_its_log() {
    let mut lab = Lab::new().with("tikv1", "exited");
    lab.lag = 1;
    let said = solve("store_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab start tikv1"]);
    assert!(
        said.said.contains("started tikv1") && !said.escalated(),
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
    assert!(said.said.contains("resumed tikv2"), "{said}");
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
        assert!(!said.escalated(), "{said}");
    }
}

#[test]
fn a_false_alarm_changes_nothing_and_says_so() {
    let mut lab = Lab::new();
    let said = solve("store_down", &mut lab);
    assert!(lab.changes().is_empty(), "{:?}", lab.ran);
    assert!(
        said.said.contains("changed nothing") && !said.escalated(),
        "{said}"
    );
}

#[test]
fn a_paused_pd_member_is_resumed() {
    let mut lab = Lab::new().with("pd1", "paused");
    let said = solve("pd_member_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab resume pd1"]);
    assert!(!said.escalated(), "{said}");
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
    assert!(
        said.said.contains("resumed tikv0 and started tikv2"),
        "{said}"
    );
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
    assert!(!said.escalated(), "{said}");
}

#[test]
fn a_store_with_damaged_data_is_started_once_and_then_escalated_with_what_was_found() {
    let mut lab = Lab::new().with("tikv1", "exited");
    lab.damaged.push("tikv1");
    let said = solve("store_down", &mut lab);
    assert_eq!(lab.changes(), ["operator-tui lab start tikv1"]);
    assert!(
        said.escalated() && said.said.contains("checksum does not match"),
        "{said}"
    );
}

#[test]
fn a_cluster_that_stays_unwell_with_every_process_running_is_escalated() {
    // PD may only be late: it is given a little time.
    let mut lab = Lab::new();
    lab.lag = 3;
    let said = solve("store_down", &mut lab);
    assert!(!said.escalated() && lab.changes().is_empty(), "{said}");
    let mut lab = Lab::new();
    lab.lag = 1000;
    let said = solve("store_down", &mut lab);
    assert!(lab.changes().is_empty());
    assert!(
        said.escalated() && said.said.contains("disconnected"),
        "{said}"
    );
    let mut lab = Lab::new();
    lab.p99 = 900.0;
    let said = solve("high_latency", &mut lab);
    assert!(
        said.escalated() && said.said.contains("p99 is 900 ms"),
        "{said}"
    );
    assert!(lab.changes().is_empty());
}

#[test]
fn a_full_disk_is_left_to_a_person() {
    let mut lab = Lab::new();
    let said = solve("low_disk_space", &mut lab);
    assert!(said.escalated(), "{said}");
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
        assert!(said.escalated(), "{command} {output:?}: {said}");
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
    let mut lab = Lab::new().with("pd0", "exited").with("pd1", "paused");
    lab.instead.push(("cluster", 1, blind.into()));
    play_with(&mut ticket("pd_no_leader"), &mut lab, |lab, command| {
        if command != facts::CLUSTER {
            lab.instead.clear();
        }
    });
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
        said.escalated() && said.said.contains("port 20161 is taken"),
        "{said}"
    );
    assert_eq!(lab.changes().len(), 1);
}

#[test]
fn a_store_that_stops_again_a_little_later_is_noticed() {
    let mut lab = Lab::new().with("tikv1", "exited");
    let said = play_with(&mut ticket("store_down"), &mut lab, |lab, command| {
        if command == facts::CLUSTER_AGAIN {
            lab.nodes.insert("tikv1", "exited");
        }
    });
    assert!(
        said.escalated() && said.said.contains("does not stay up"),
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
    refute(&mut conversation, "tikv2 is disconnected");
    let said = play(&mut conversation, &mut lab);
    assert_eq!(
        lab.changes(),
        [
            "operator-tui lab start tikv1",
            "operator-tui lab resume tikv2"
        ]
    );
    assert_eq!(said.outcome(), "repaired", "{said}");
    refute(&mut conversation, "tikv2 is disconnected");
    let said = play(&mut conversation, &mut lab);
    assert_eq!(
        said.outcome(),
        "repaired",
        "it did change something: {said}"
    );
    refute(&mut conversation, "tikv2 is disconnected");
    let said = play(&mut conversation, &mut lab);
    assert!(
        said.escalated()
            && said
                .said
                .contains("still sees the violation after I finished 3 times"),
        "{said}"
    );
    assert_eq!(lab.changes().len(), 2, "nothing is repeated");
}

#[test]
fn a_command_ended_from_outside_is_not_taken_for_done() {
    let mut conversation = ticket("store_down");
    let (_, call) = turn(&mut conversation);
    let (id, ..) = call.unwrap();
    result(
        &mut conversation,
        &id,
        "time limit: ended after 120 s [call 1]\n",
    );
    let said = play(&mut conversation, &mut Lab::new());
    assert!(
        said.escalated() && said.said.contains("did not come to its end"),
        "{said}"
    );
}

#[test]
fn what_it_found_is_told_apart_from_what_it_did() {
    let mut lab = Lab::new().with("tikv1", "exited").with("tikv2", "paused");
    let said = solve("store_down", &mut lab);
    assert_eq!(
        said.field("cause"),
        "tikv1 did not run: its process was ended by signal 9, and the last lines of its log tell of \
         no error and tikv2 did not go on: its process was paused, not ended."
    );
    assert_eq!(
        said.field("actions"),
        "started tikv1 (`operator-tui lab start tikv1`) and resumed tikv2 (`operator-tui lab resume \
         tikv2`)."
    );
    assert!(said.field("checked").contains("all stores are up"));
    let evidence = said.input.as_ref().unwrap()["evidence"].as_array().unwrap();
    assert!(evidence.len() >= 5, "{evidence:?}");
}

#[test]
fn a_log_that_tells_of_an_error_is_not_said_to_tell_of_none() {
    let mut lab = Lab::new().with("tikv1", "exited");
    lab.damaged.push("tikv1");
    let said = solve("store_down", &mut lab);
    assert!(
        said.field("cause")
            .contains("its log ends with: ERROR log entry 812"),
        "{said}"
    );
}

#[test]
fn what_a_person_rejected_is_not_said_to_have_begun() {
    let mut conversation = ticket("store_down");
    let (_, call) = turn(&mut conversation);
    let text = format!("{}ada: not on my watch", crate::prompt::REJECTED);
    result(&mut conversation, &call.unwrap().0, &text);
    let said = play(&mut conversation, &mut Lab::new());
    assert!(said.escalated(), "{said}");
    assert!(
        said.said
            .contains("`operator-tui cluster` was rejected by ada: not on my watch."),
        "{said}"
    );
    assert!(!said.said.contains("did not come to its end"), "{said}");
}

#[test]
fn an_interrupt_is_said_to_be_a_persons() {
    let mut conversation = ticket("store_down");
    let (_, call) = turn(&mut conversation);
    let text = format!("{} [call 1]\n", crate::prompt::INTERRUPTED);
    result(&mut conversation, &call.unwrap().0, &text);
    conversation.say(&crate::prompt::from_person("ada", "wait"));
    let (said, call) = turn(&mut conversation);
    assert!(
        call.is_none() && said.starts_with("ada wrote to me."),
        "{said}"
    );
    conversation.say(crate::prompt::ANSWERED);
    let said = play(&mut conversation, &mut Lab::new());
    assert!(
        said.escalated()
            && said
                .said
                .contains("A person interrupted `operator-tui cluster`"),
        "{said}"
    );
}

#[test]
fn a_person_is_answered_and_then_nothing_more_is_changed() {
    let mut conversation = ticket("store_down");
    let mut lab = Lab::new().with("tikv1", "exited").with("tikv2", "paused");
    let mut words = Some("do not touch tikv2");
    let said = loop {
        let (said, call) = turn(&mut conversation);
        let Some((id, name, input)) = call else {
            assert!(!said.contains("The monitor"), "{said}");
            assert!(
                said.contains("ada wrote to me") && said.contains("I started tikv1."),
                "{said}"
            );
            conversation.say(crate::prompt::ANSWERED);
            continue;
        };
        if name == FINISH {
            break End {
                said,
                input: Some(input),
            };
        }
        let command = input["command"].as_str().unwrap();
        let (code, output) = lab.run(command);
        result(
            &mut conversation,
            &id,
            &format!("exit {code} [call 1]\n{output}"),
        );
        if command.contains("start tikv1")
            && let Some(words) = words.take()
        {
            conversation.say(&crate::prompt::from_person("ada", words));
        }
    };
    assert!(
        said.escalated() && said.said.contains("tikv2 is paused. ada wrote to me"),
        "{said}"
    );
    assert_eq!(lab.changes(), ["operator-tui lab start tikv1"]);
}

#[test]
fn an_earlier_session_is_named_and_not_called_somebody() {
    let mut conversation = Conversation::new("system", Value::Null);
    conversation.say(&format!(
        "# Ticket 4\ninvariant: store_down\nmessage: something\n\n{}\nWhat they did may have had \
         an effect.\n## s-1 of claude (failed)\n- ls -> exit 0\n## s-2 of rehearsal (interrupted): \
         ada resolved the ticket\n",
        crate::prompt::EARLIER
    ));
    let (said, _) = turn(&mut conversation);
    assert!(
        said.starts_with(
            "There was a session on this ticket before this one, s-2 of rehearsal (interrupted): ada \
             resolved the ticket."
        ),
        "{said}"
    );
}

#[test]
fn the_same_conversation_gives_the_same_turn() {
    let mut one = ticket("store_down");
    let mut two = ticket("store_down");
    play(&mut one, &mut Lab::new().with("tikv1", "exited"));
    play(&mut two, &mut Lab::new().with("tikv1", "exited"));
    assert_eq!(one, two);
}
