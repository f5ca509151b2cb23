//! A server's ids of calls are its own affair: one that comes twice mixes nothing up in the record.

use crate::common::{
    finish_with, shell,
    stage::{Stage, events, here, results},
    turn,
};
use operator_ledger::{EntryKind, event::Kind};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_server_id_in_a_turn_and_over_turns_are_calls_of_their_own() {
    let stage = Stage::new(vec![
        turn(
            &[shell("same", "echo first"), shell("same", "echo second")],
            "tool_use",
        ),
        turn(&[shell("same", "echo third")], "tool_use"),
        turn(
            &[finish_with(
                "same",
                json!({ "outcome": "escalate", "cause": "the cause", "evidence": ["1", "same"],
                    "next": "look", "confidence": "low" }),
            )],
            "tool_use",
        ),
    ])
    .await;
    let done = stage.run(&[]).await;
    // The server is answered by its id, in its order.
    let asked = stage.server.asked();
    let answered = results(&asked[1].body);
    let said: Vec<(&str, bool)> = answered
        .iter()
        .map(|(id, text, _)| (id.as_str(), text.contains("first")))
        .collect();
    assert_eq!(said, [("same", true), ("same", false)]);
    // All else goes by ids that are ours, with the server's beside them.
    let (session, entries) = stage.session();
    let of = |kind: EntryKind| -> Vec<&str> {
        let found = entries.iter().filter(|e| e.entry_type == kind);
        found.map(|e| e.call_id.as_deref().unwrap()).collect()
    };
    assert_eq!(of(EntryKind::ToolCall), ["c1", "c2", "c3"]);
    assert_eq!(of(EntryKind::ToolResult), ["c1", "c2", "c3"]);
    assert_eq!(of(EntryKind::Finish), ["c4"]);
    for entry in entries.iter().filter(|e| {
        matches!(
            e.entry_type.known(),
            Some(EntryKind::ToolCall | EntryKind::Finish)
        )
    }) {
        let server = entry.meta.as_ref().and_then(|m| m.server_call.as_deref());
        assert_eq!(server, Some("same"), "{entry:?}");
    }
    for (call, word) in [("c1", "first"), ("c2", "second"), ("c3", "third")] {
        let printed = here(stage.ledger().output(&session.session_id, call, 100)).unwrap();
        let printed: String = printed.into_iter().map(|chunk| chunk.text).collect();
        assert_eq!(printed.trim(), word);
    }
    let finishes = here(stage.ledger().finishes(1)).unwrap();
    assert_eq!(
        finishes[0].finish.evidence,
        ["c1", "c3"],
        "the newest is meant"
    );
    let shown: Vec<(String, Option<String>)> = events(&done)
        .into_iter()
        .filter_map(|e| match e.kind {
            Kind::ToolCall {
                call, server_call, ..
            } => Some((call, server_call)),
            _ => None,
        })
        .collect();
    assert_eq!(shown.len(), 3);
    assert!(
        shown
            .iter()
            .all(|(_, server)| server.as_deref() == Some("same"))
    );
    let sound = here(stage.ledger().verify_session(&session.session_id)).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
}
