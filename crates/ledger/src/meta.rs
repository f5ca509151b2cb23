//! What an entry says of itself besides its text: a JSON object that its hash covers, so that it is
//! written once and never changed. Which fields are there depends on the kind of entry and on the
//! age of the file.

use crate::{
    Resolution, Stored,
    event::{Outcome, VerifyState},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The fields that we know; all others are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryMeta {
    /// Of a call: what its server calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_call: Option<String>,

    // Of a result: which chunks of output are its own, and their hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_shown_to_model: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i64>,
    /// Where the whole output is, and how many bytes are not even there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_in_file: Option<u64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted_by: Option<String>,
    /// What the command left running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Value>,

    // Of a decision; `by` of a message too, `why` of a compaction too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,

    // Of a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Stored<VerifyState>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,

    /// Of a notice: the agent does nothing until a person says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<bool>,

    // Of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Stored<Outcome>>,
    /// `Some(None)`: there was none. `None`: it is not said; sessions of early versions did not.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub resolution: Option<Option<Stored<Resolution>>>,

    // Of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetMeta>,

    // Of a turn's usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As the server named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Value>,
    /// Of a call that does not run, what it asked for; of a turn's usage, the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Tokens of tries that broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_off: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,

    // Of a compaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_dropped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions_kept: Option<u64>,

    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    Tokens(u64),
    Call(String),
}

/// What a session may spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetMeta {
    pub turns: u64,
    pub tokens: u64,
    pub usd: f64,
    pub seconds: u64,
    pub usd_per_day: f64,
}

impl EntryMeta {
    /// None: the text is no JSON object. A field of another type than ours makes none unreadable:
    /// all of them are `other` then.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
            return None;
        };
        let mut nulls = Map::new();
        fields.retain(|name, value| {
            let keep = !value.is_null() || name == "resolution";
            if !keep {
                nulls.insert(name.clone(), Value::Null);
            }
            keep
        });
        let mut meta = serde_json::from_value(Value::Object(fields.clone())).unwrap_or(Self {
            other: fields,
            ..Self::default()
        });
        meta.other.append(&mut nulls);
        Some(meta)
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A field that is there, if only as null.
fn some<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_file_says_of_an_entry_is_kept_whole() {
        for meta in [
            json!({ "state": "proven", "detail": "clear" }),
            json!({ "outcome": "resolved", "resolution": null }),
            json!({ "outcome": "resolved" }),
            json!({ "outcome": "abandoned", "resolution": "magic" }),
            json!({ "input": 10, "output": 5, "cost_usd": null, "max_tokens": 8192 }),
            json!({ "input": "{\"command\":\"ls\"}" }),
            json!({ "budget": { "turns": 3 }, "output_to": 2 }),
            json!({ "not_shown_to_model": "many", "odd": [1, { "a": null }] }),
        ] {
            let read = EntryMeta::read(&meta.to_string()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), meta);
        }
        assert_eq!(EntryMeta::read("5"), None);
        assert_eq!(EntryMeta::read("{"), None);
    }

    #[test]
    fn a_resolution_that_is_not_said_is_not_none() {
        let read = |text| EntryMeta::read(text).unwrap().resolution;
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"resolution":null}"#), Some(None));
        let proven = Some(Some(Stored::Known(Resolution::Proven)));
        assert_eq!(read(r#"{"resolution":"proven"}"#), proven);
    }
}
