//! The body of a request. History goes back as it was received; only cache marks are added, on a
//! copy, at places that make every turn find the one before it in the cache.

use crate::{
    model::{Conversation, Message},
    tools,
};
use serde_json::{Value, json};

pub fn body(model: &str, max_tokens: u32, conversation: &Conversation) -> Vec<u8> {
    let mut messages: Vec<Message> = conversation.messages().to_vec();
    // The end of the newest message, and of the one the last request ended with: a turn that adds
    // more blocks than a cache look-up goes back still finds its beginning.
    let users = messages
        .iter_mut()
        .rev()
        .filter(|m| m.role == crate::model::Role::User);
    for message in users.take(2) {
        if let Some(Value::Object(block)) = message.content.last_mut() {
            block.insert("cache_control".into(), json!({ "type": "ephemeral" }));
        }
    }
    let body = json!({
        "model": model,
        "max_tokens": max_tokens,
        "stream": true,
        "system": [{
            "type": "text",
            "text": conversation.system,
            "cache_control": { "type": "ephemeral" },
        }],
        "tools": tools::definitions(),
        "messages": messages,
    });
    serde_json::to_vec(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_goes_back_unchanged_but_for_cache_marks_at_its_end() {
        let mut conversation = Conversation::new("be careful");
        conversation.say("ticket");
        let odd =
            json!({ "type": "new_kind", "zeta": 1, "alpha": [2.50, 1e3], "signature": "x==" });
        conversation.assistant(vec![
            odd.clone(),
            json!({ "type": "tool_use", "id": "t", "name": "shell", "input": {} }),
        ]);
        conversation.user(vec![
            json!({ "type": "tool_result", "tool_use_id": "t", "content": "ok" }),
        ]);
        let first: Value = serde_json::from_slice(&body("m", 1, &conversation)).unwrap();
        assert_eq!(first["messages"][1]["content"][0], odd);
        assert_eq!(
            serde_json::to_string(&first["messages"][1]["content"][0]).unwrap(),
            serde_json::to_string(&odd).unwrap(),
            "the order of its keys too"
        );
        let marks = first.to_string().matches("cache_control").count();
        assert!(marks <= 4, "{marks} cache marks");
        assert_eq!(
            first["messages"][2]["content"][0]["cache_control"]["type"],
            "ephemeral"
        );
    }
}
