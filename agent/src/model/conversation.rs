//! The conversation with a model, as the blocks of the Messages API; append-only. System prompt and
//! tools are fixed when it begins: whatever changed them would make what was said before invalid.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: Vec<Value>,
}

/// What everything a model knows consists of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conversation {
    system: String,
    /// As the Messages API wants them described.
    tools: Value,
    messages: Vec<Message>,
}

/// A typed look at one block. What it does not name is carried along unread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Block<'a> {
    Text(&'a str),
    Thinking(&'a str),
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a Value,
    },
    ToolResult {
        id: &'a str,
        text: &'a str,
    },
    Other,
}

impl<'a> Block<'a> {
    pub fn of(block: &'a Value) -> Self {
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "text" => Self::Text(text("text")),
            "thinking" => Self::Thinking(text("thinking")),
            "tool_use" => Self::ToolUse {
                id: text("id"),
                name: text("name"),
                input: block.get("input").unwrap_or(&Value::Null),
            },
            "tool_result" => Self::ToolResult {
                id: text("tool_use_id"),
                text: text("content"),
            },
            _ => Self::Other,
        }
    }
}

impl Conversation {
    pub fn new(system: impl Into<String>, tools: Value) -> Self {
        Self {
            system: system.into(),
            tools,
            messages: Vec::new(),
        }
    }

    pub fn system(&self) -> &str {
        &self.system
    }

    pub fn tools(&self) -> &Value {
        &self.tools
    }

    /// Another one under the same system prompt and tools, with nothing said yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.system.clone(), self.tools.clone())
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Every block, with who said it, in order.
    pub fn blocks(&self) -> impl Iterator<Item = (Role, Block<'_>)> {
        self.messages
            .iter()
            .flat_map(|m| m.content.iter().map(|b| (m.role, Block::of(b))))
    }

    /// Words for the model from outside.
    pub fn say(&mut self, text: &str) {
        self.user(vec![json!({ "type": "text", "text": text })]);
    }

    /// A turn of the model, as received.
    pub fn assistant(&mut self, content: Vec<Value>) {
        self.messages.push(Message {
            role: Role::Assistant,
            content,
        });
    }

    /// Blocks of the user: results of tools first, where there are any. They join what the user
    /// said last, if the model has not spoken since: not every server takes two in a row.
    pub fn user(&mut self, content: Vec<Value>) {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User => last.content.extend(content),
            _ => self.messages.push(Message {
                role: Role::User,
                content,
            }),
        }
    }
}

/// The result of a call, as a block.
pub fn tool_result(id: &str, text: &str, is_error: bool) -> Value {
    if is_error {
        json!({ "type": "tool_result", "tool_use_id": id, "content": text, "is_error": true })
    } else {
        json!({ "type": "tool_result", "tool_use_id": id, "content": text })
    }
}
