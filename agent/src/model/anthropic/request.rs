//! The body of a request. History goes out as it was received; only cache marks are added on the
//! way, at places that make every turn find the one before it in the cache.

use crate::model::{Conversation, Message, Role};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};

/// What every request of one model has in common.
#[derive(Debug, Clone)]
pub struct RequestOptions {
    pub model: String,
    /// low, medium, high, xhigh or max. None: as the server likes.
    pub effort: Option<String>,
    /// Ask for what it thinks in short: else some models say nothing between two calls.
    pub thinking: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "Value::is_null")]
    system: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a Value>,
    messages: Vec<Outgoing<'a>>,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

/// A block as it is, or with a mark: what comes before it is worth caching.
enum Block<'a> {
    Plain(&'a Value),
    Marked(&'a Map<String, Value>),
}

impl Serialize for Block<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(block) => block.serialize(to),
            Self::Marked(block) => {
                let mut map = to.serialize_map(Some(block.len() + 1))?;
                for (key, value) in *block {
                    map.serialize_entry(key, value)?;
                }
                map.serialize_entry("cache_control", &mark())?;
                map.end()
            }
        }
    }
}

fn mark() -> Value {
    json!({ "type": "ephemeral" })
}

impl RequestOptions {
    /// As the server likes it.
    pub fn plain(model: &str) -> Self {
        Self {
            model: model.into(),
            effort: None,
            thinking: false,
        }
    }

    pub fn body(&self, conversation: &Conversation, max_tokens: u32) -> Vec<u8> {
        let messages = conversation.messages();
        // The end of the newest message, and of the one the last request ended with: a turn that
        // adds more blocks than a cache look-up goes back still finds its beginning.
        let users = messages.iter().enumerate().rev();
        let marked: Vec<usize> = users
            .filter(|(_, m)| m.role == Role::User)
            .map(|(i, _)| i)
            .take(2)
            .collect();
        let system = match conversation.system() {
            "" => Value::Null,
            text => json!([{ "type": "text", "text": text, "cache_control": mark() }]),
        };
        let body = Body {
            model: &self.model,
            max_tokens,
            stream: true,
            output_config: self.effort.as_ref().map(|e| json!({ "effort": e })),
            thinking: self
                .thinking
                .then(|| json!({ "type": "adaptive", "display": "summarized" })),
            system,
            tools: Some(conversation.tools()).filter(|t| t.is_array()),
            messages: messages
                .iter()
                .enumerate()
                .map(|(i, m)| outgoing(m, marked.contains(&i)))
                .collect(),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

fn outgoing(message: &Message, marked: bool) -> Outgoing<'_> {
    let mut content: Vec<Block<'_>> = message.content.iter().map(Block::Plain).collect();
    if marked
        && let Some(last) = content.last_mut()
        && let Block::Plain(Value::Object(block)) = last
    {
        *last = Block::Marked(block);
    }
    Outgoing {
        role: message.role,
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> RequestOptions {
        RequestOptions::plain("m")
    }

    #[test]
    fn history_goes_back_unchanged_but_for_cache_marks_at_its_end() {
        let mut conversation = Conversation::new("be careful", json!([{ "name": "shell" }]));
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
        let first: Value = serde_json::from_slice(&options().body(&conversation, 1)).unwrap();
        assert_eq!(
            serde_json::to_string(&first["messages"][1]["content"][0]).unwrap(),
            serde_json::to_string(&odd).unwrap(),
            "the order of its keys too"
        );
        let marks = first.to_string().matches("cache_control").count();
        assert_eq!(marks, 3);
        assert_eq!(
            first["messages"][2]["content"][0]["cache_control"]["type"],
            "ephemeral"
        );
    }

    #[test]
    fn what_was_sent_is_the_beginning_of_what_will_be_sent() {
        let unmarked = |c: &Conversation| {
            let body = String::from_utf8(options().body(c, 1)).unwrap();
            body.replace(r#","cache_control":{"type":"ephemeral"}"#, "")
        };
        let mut conversation = Conversation::new("be careful", json!([{ "name": "shell" }]));
        conversation.say("ticket");
        let mut before = unmarked(&conversation);
        for n in 0..5 {
            conversation.assistant(vec![
                json!({ "type": "tool_use", "id": n, "name": "shell", "input": {} }),
            ]);
            conversation.user(vec![json!({ "type": "tool_result", "tool_use_id": n })]);
            let now = unmarked(&conversation);
            assert!(now.starts_with(before.trim_end_matches("]}")), "{now}");
            before = now;
        }
    }

    #[test]
    fn an_effort_is_sent_only_where_there_is_one() {
        let mut with = options();
        with.effort = Some("high".into());
        with.thinking = true;
        let mut conversation = Conversation::default();
        conversation.say("hello");
        let text = |m: &RequestOptions| String::from_utf8(m.body(&conversation, 7)).unwrap();
        let asks = r#""output_config":{"effort":"high"},"thinking":{"type":"adaptive","display":"summarized"}"#;
        assert!(text(&with).contains(asks));
        assert_eq!(
            text(&options()),
            r#"{"model":"m","max_tokens":7,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hello","cache_control":{"type":"ephemeral"}}]}]}"#
        );
    }
}
