//! The tools of an agent: what they are called, and under which key the record keeps their input.

use crate::EntryRow;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Shell,
    WebFetch,
    WebSearch,
}

impl Tool {
    pub const ALL: [Self; 3] = [Self::Shell, Self::WebFetch, Self::WebSearch];

    pub fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::WebFetch => "web_fetch",
            Self::WebSearch => "web_search",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// The key of its input, in a call of the model and in the record.
    pub fn input_key(self) -> &'static str {
        match self {
            Self::Shell => "command",
            Self::WebFetch => "url",
            Self::WebSearch => "query",
        }
    }
}

impl EntryRow {
    /// What a call was made with: the command, the address or the query. A call of a tool that is
    /// not known (another version's) has whichever of them it holds; a call without any is told
    /// by its text.
    pub fn input(&self) -> &str {
        let known = self.tool_name.as_deref().and_then(Tool::parse);
        let of = |tool: Tool| self.param(tool.input_key());
        known
            .and_then(of)
            .or_else(|| Tool::ALL.into_iter().find_map(of))
            .unwrap_or(&self.content)
    }

    /// Why the model made the call, in its own words.
    pub fn reasoning(&self) -> &str {
        self.param("reasoning").unwrap_or_default()
    }

    /// The tool that was called. Old records name none: there was only a shell.
    pub fn tool(&self) -> &str {
        self.tool_name.as_deref().unwrap_or(Tool::Shell.name())
    }

    fn param(&self, key: &str) -> Option<&str> {
        self.tool_params.as_ref()?.get(key)?.as_str()
    }
}

/// A call as people are to read it: a command as it is, anything else with the tool before it.
pub fn spoken<'i>(tool: &str, input: &'i str) -> Cow<'i, str> {
    if tool == Tool::Shell.name() {
        input.into()
    } else {
        format!("{tool}: {input}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn row(tool: Option<&str>, params: Value) -> EntryRow {
        let row = json!({
            "id": 1, "session_id": "s", "entry_type": "tool_call", "content": "the text",
            "tool_name": tool, "tool_params": params, "timed_out": false, "omitted_bytes": 0,
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn every_tool_has_its_input_under_its_own_key() {
        for tool in Tool::ALL {
            assert_eq!(Tool::parse(tool.name()), Some(tool));
            let params = json!({ tool.input_key(): "the input", "reasoning": "why" });
            let row = row(Some(tool.name()), params);
            assert_eq!((row.input(), row.reasoning()), ("the input", "why"));
        }
    }

    #[test]
    fn the_tools_own_key_comes_before_others_and_some_input_before_none() {
        let both = json!({ "command": "rm", "url": "http://x" });
        assert_eq!(row(Some("web_fetch"), both.clone()).input(), "http://x");
        assert_eq!(row(Some("shell"), both).input(), "rm");
        assert_eq!(row(None, json!({ "query": "q" })).input(), "q");
        assert_eq!(
            row(Some("teleport"), json!({ "to": "x" })).input(),
            "the text"
        );
    }

    #[test]
    fn only_a_command_is_told_without_its_tool() {
        assert_eq!(spoken("shell", "ls"), "ls");
        assert_eq!(spoken("web_fetch", "http://x"), "web_fetch: http://x");
    }
}
