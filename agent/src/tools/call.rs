//! Calls of tools as the model wrote them, read into what they ask for. Each gets an id of ours: what a
//! server calls it may come again, within a turn or after it.

use super::shell::{DEFAULT_LIMIT, HIGHEST_LIMIT};
use crate::model::Block;
pub use operator_ledger::Tool;
use operator_ledger::clean::one_line;
use serde_json::{Value, json};
use std::time::Duration;

/// One call of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Ours: no other call of the session has it.
    pub id: String,
    /// The server's, by which it is answered.
    pub server_id: String,
    pub name: String,
    pub input: Value,
}

/// Gives the calls of a session their ids.
#[derive(Debug, Default)]
pub struct Ids(u64);

impl Ids {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("c{}", self.0)
    }
}

/// The calls of a turn, in order.
pub fn calls(content: &[Value], ids: &mut Ids) -> Vec<Call> {
    content
        .iter()
        .filter_map(|b| match Block::of(b) {
            Block::ToolUse { id, name, input } => Some(Call {
                id: ids.next(),
                server_id: id.into(),
                name: name.into(),
                input: input.clone(),
            }),
            _ => None,
        })
        .collect()
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request<'c> {
    pub tool: Tool,
    /// The command, the address or the query.
    pub input: &'c str,
    pub reasoning: &'c str,
    /// Time limit of a command.
    pub limit: Duration,
}

/// Bytes of a server's id that are kept.
const MAX_SERVER_ID: usize = 128;

impl Call {
    /// The server's id as it is kept and shown.
    pub fn shown_server_id(&self) -> String {
        let cut = self.server_id.floor_char_boundary(MAX_SERVER_ID);
        one_line(&self.server_id[..cut])
    }

    /// What it asks for; the error is for the model.
    pub fn request(&self) -> Result<Request<'_>, String> {
        let Some(tool) = Tool::parse(&self.name) else {
            return Err(format!("there is no tool called {}", self.name));
        };
        if let Some(raw) = self.input.get("INVALID_JSON") {
            // What the documentation says such a call is to be answered with.
            return Err(json!({ "INVALID_JSON": raw }).to_string());
        }
        let text = |key: &str| self.input.get(key).and_then(Value::as_str);
        let input = text(tool.input_key()).unwrap_or_default();
        let (name, key) = (tool.name(), tool.input_key());
        if input.trim().is_empty() {
            return Err(format!(
                "{name} needs a `{key}`; it was given {}",
                self.input
            ));
        }
        if input.contains('\0') {
            return Err(format!("a {key} cannot hold a zero byte"));
        }
        let limit = match self.input.get("timeout_s").filter(|t| !t.is_null()) {
            None => DEFAULT_LIMIT,
            Some(t) => match t.as_f64() {
                Some(s) if s > 0.0 => Duration::from_secs_f64(s.min(HIGHEST_LIMIT.as_secs_f64())),
                _ => return Err(format!("`timeout_s` must be a number of seconds, not {t}")),
            },
        };
        Ok(Request {
            tool,
            input,
            reasoning: text("reasoning").unwrap_or_default(),
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, input: Value) -> Result<(Tool, String, Duration), String> {
        let call = Call {
            id: "c1".into(),
            server_id: "t".into(),
            name: name.into(),
            input,
        };
        let request = call.request()?;
        Ok((request.tool, request.input.into(), request.limit))
    }

    #[test]
    fn what_can_be_meant_is_read_and_the_rest_is_answered() {
        assert_eq!(
            read("shell", json!({"command": "ls", "timeout_s": 2.5})),
            Ok((Tool::Shell, "ls".into(), Duration::from_millis(2500)))
        );
        assert_eq!(
            read("web_fetch", json!({"url": "http://x"})).unwrap().0,
            Tool::WebFetch
        );
        for (name, input, word) in [
            ("shell", json!({}), "needs a `command`"),
            ("shell", json!("ls"), "needs a `command`"),
            ("shell", json!({"command": "a\0b"}), "zero byte"),
            (
                "shell",
                json!({"command": "ls", "timeout_s": -1}),
                "timeout_s",
            ),
            ("shell", json!({"INVALID_JSON": "{\"co"}), "INVALID_JSON"),
            ("web_search", json!({"url": "x"}), "needs a `query`"),
            ("teleport", json!({}), "no tool called teleport"),
        ] {
            let why = read(name, input).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
