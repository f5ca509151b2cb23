//! What may run: every tool in every mode. Whatever waits for a person shows the input that runs
//! if they say yes, wherever they look: in the ledger and in the agent's events.

use crate::common::{
    shell,
    stage::{Stage, here},
    text, turn,
};
use operator_ledger::{
    EntryKind, Reader, Tool,
    event::{Control, Kind},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

struct Case {
    id: &'static str,
    tool: Tool,
    input: String,
    /// Known to change nothing, so that nobody is asked.
    reads: bool,
}

impl Case {
    fn call(&self) -> Value {
        if self.tool == Tool::Shell {
            return shell(self.id, &self.input);
        }
        json!({
            "type": "tool_use", "id": self.id, "name": self.tool.name(),
            "input": { self.tool.input_key(): self.input, "reasoning": "to see" },
        })
    }
}

fn cases(mark: &str) -> Vec<Case> {
    let case = |id, tool, input: &str, reads| Case {
        id,
        tool,
        input: input.into(),
        reads,
    };
    vec![
        case("changes", Tool::Shell, &format!("touch {mark}"), false),
        case("reads", Tool::Shell, "pwd", true),
        case("pipes", Tool::Shell, "pwd 2>/dev/null | wc -c", true),
        // Nobody can tell what it does.
        case("unknown", Tool::Shell, "some-program --look", false),
        // Refused as an address that is not public, which is how one sees that it was asked for.
        case("fetches", Tool::WebFetch, "http://127.0.0.1:9/page", false),
        case("searches", Tool::WebSearch, "how stores are drained", false),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Says {
    Nothing,
    Yes,
    No,
}

/// Runs a session with all the calls; `says`: what a person says to what they are asked about.
/// What was asked for, with the input they were shown; and whether each call ran.
async fn run(mode: &str, says: Says) -> (BTreeMap<String, String>, BTreeMap<String, bool>) {
    let touched = tempfile::tempdir().unwrap();
    let mark = touched.path().join("mark");
    let cases = cases(mark.to_str().unwrap());
    let blocks: Vec<Value> = cases.iter().map(Case::call).collect();
    let stage = Stage::configured(
        vec![
            turn(&blocks, "tool_use"),
            turn(&[text("ESCALATE: enough")], "end_turn"),
        ],
        "[agent.web]\nsearch = \"none\"\n",
    )
    .await;
    let (mut shown, mut called) = (BTreeMap::new(), BTreeMap::new());
    let reader = Reader::open(&stage.db()).await.unwrap();
    stage
        .steered(&["--mode", mode], |kind| match kind {
            Kind::ToolCall {
                call,
                tool,
                input,
                server_call,
                ..
            } => {
                let named = server_call.clone().unwrap();
                called.insert(call.clone(), (tool.clone(), input.clone(), named));
                None
            }
            Kind::Proposal { call, .. } => {
                let session = here(reader.sessions_of_ticket(1)).unwrap().pop().unwrap();
                let waits = here(reader.waiting_proposal(&session.session_id)).unwrap();
                let waits = waits.expect("what waits is in the ledger");
                let told = &called[call];
                assert_eq!(
                    (&waits.call, &waits.tool, &waits.input),
                    (call, &told.0, &told.1)
                );
                shown.insert(told.2.clone(), waits.input);
                let (call, by, why) = (call.clone(), "ada".into(), "because".into());
                match says {
                    Says::Yes => Some(Control::Approve { call, why, by }),
                    Says::No => Some(Control::Reject { call, why, by }),
                    Says::Nothing => panic!("{mode} asks about {call}"),
                }
            }
            _ => None,
        })
        .await;
    let (_, entries) = stage.session();
    let mut ran = BTreeMap::new();
    for case in &cases {
        let of_call = |kind: EntryKind| {
            let mut named = called.iter();
            let id = named.find(|(_, (.., server))| server == case.id);
            let id = id.map(|(call, _)| call.as_str());
            let mut all = entries.iter();
            all.find(|e| e.entry_type == kind && e.call_id.as_deref() == id)
        };
        let call = of_call(EntryKind::ToolCall).expect("every call is on record");
        assert_eq!(
            (call.tool(), call.input()),
            (case.tool.name(), case.input.as_str())
        );
        assert!(shown.get(case.id).is_none_or(|shown| *shown == case.input));
        ran.insert(
            case.id.to_string(),
            of_call(EntryKind::ToolResult).is_some(),
        );
    }
    assert_eq!(mark.exists(), ran["changes"]);
    (shown, ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_waits_shows_an_other_input_than_what_runs() {
    for (mode, says) in [
        ("autonomous", Says::Nothing),
        ("propose", Says::Yes),
        ("propose", Says::No),
        ("observe", Says::Nothing),
    ] {
        let (shown, ran) = run(mode, says).await;
        for case in cases("") {
            let asked = mode == "propose" && !case.reads;
            assert_eq!(shown.contains_key(case.id), asked, "{mode} {}", case.id);
            let runs = case.reads || mode == "autonomous" || says == Says::Yes;
            assert_eq!(ran[case.id], runs, "{mode} {}", case.id);
        }
    }
}
