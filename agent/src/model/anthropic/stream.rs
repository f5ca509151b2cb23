//! Puts the events of a stream together into a turn. Blocks are kept as JSON: what this client
//! does not know is carried along as it came.

use super::Failure;
use crate::model::{Sink, Stop, Turn};
use operator_ledger::usage::Usage;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A turn in the making.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    blocks: BTreeMap<u64, Building>,
    stop: Option<String>,
    stop_details: Value,
    usage: Map<String, Value>,
    id: Option<String>,
}

#[derive(Debug)]
struct Building {
    block: Value,
    /// Input of a tool, as text until it is whole.
    input: Option<String>,
    closed: bool,
}

impl Assembly {
    /// Takes one event in. True: the turn is whole.
    pub(super) fn event(&mut self, mut data: Value, sink: &mut dyn Sink) -> Result<bool, Failure> {
        let index = data["index"].as_u64().unwrap_or(0);
        match data["type"].as_str().unwrap_or_default() {
            "message_start" => {
                let message = &data["message"];
                self.id = message["id"].as_str().map(str::to_string);
                self.count(&message["usage"]);
            }
            "content_block_start" => {
                let block = data["content_block"].take();
                if let Some(text) = block["text"].as_str().filter(|t| !t.is_empty()) {
                    sink.text(text);
                }
                self.blocks.insert(index, Building::new(block));
            }
            "content_block_delta" => self.delta(index, &data["delta"], sink),
            "content_block_stop" => {
                if let Some(building) = self.blocks.get_mut(&index) {
                    building.close();
                    building.closed = true;
                }
                sink.end_of_block();
            }
            "message_delta" => {
                if let Some(stop) = data["delta"]["stop_reason"].as_str() {
                    self.stop = Some(stop.to_string());
                    self.stop_details = data["delta"]["stop_details"].clone();
                }
                self.count(&data["usage"]);
            }
            "message_stop" => return Ok(true),
            "error" => return Err(Failure::in_stream(&data)),
            _ => {}
        }
        Ok(false)
    }

    /// What the server has counted so far.
    pub(super) fn usage(&self) -> Usage {
        usage(&self.usage)
    }

    pub(super) fn finish(mut self) -> Turn {
        for building in self.blocks.values_mut() {
            // Of a call whose end did not come nobody knows what it was to be.
            if !building.closed && building.block["type"] == "tool_use" {
                let input = building.input.take().unwrap_or_default();
                building.block["input"] = json!({ "INVALID_JSON": input });
            }
            building.close();
        }
        let content = self
            .blocks
            .into_values()
            .map(|b| b.block)
            // An empty text block is refused when it comes back.
            .filter(|b| b["type"] != "text" || b["text"] != "")
            .collect();
        Turn {
            content,
            stop: stop(self.stop.as_deref(), &self.stop_details),
            usage: usage(&self.usage),
            request: self.id,
        }
    }

    fn delta(&mut self, index: u64, delta: &Value, sink: &mut dyn Sink) {
        let text = |key: &str| delta[key].as_str().unwrap_or_default();
        let kind = text("type");
        // A delta without a start: some servers leave it out.
        let building = self.blocks.entry(index).or_insert_with(|| {
            let block = match kind {
                "thinking_delta" | "signature_delta" => {
                    json!({ "type": "thinking", "thinking": "" })
                }
                _ => json!({ "type": "text", "text": "" }),
            };
            Building::new(block)
        });
        match kind {
            "text_delta" => {
                building.append("text", text("text"));
                sink.text(text("text"));
            }
            "thinking_delta" => {
                // In a block of another kind it is shown, but is no part of what goes back.
                if building.block["type"] == "thinking" {
                    building.append("thinking", text("thinking"));
                }
                sink.thinking(text("thinking"));
            }
            "signature_delta" => building.block["signature"] = delta["signature"].clone(),
            "input_json_delta" => {
                building
                    .input
                    .get_or_insert_default()
                    .push_str(text("partial_json"));
            }
            "citations_delta" => {
                if let Some(list) = building.block["citations"].as_array_mut() {
                    list.push(delta["citation"].clone());
                } else {
                    building.block["citations"] = json!([delta["citation"]]);
                }
            }
            _ => {}
        }
    }

    /// Counts are cumulative: a later one replaces an earlier one, an absent one leaves it.
    fn count(&mut self, usage: &Value) {
        for (name, value) in usage.as_object().into_iter().flatten() {
            // A zero at the end would hide the real count of the start.
            let known = self.usage.get(name).and_then(Value::as_u64).unwrap_or(0);
            let hides = value.as_u64() == Some(0) && known > 0;
            if !value.is_null() && !hides {
                self.usage.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Building {
    fn new(block: Value) -> Self {
        Self {
            block,
            input: None,
            closed: false,
        }
    }

    fn append(&mut self, key: &str, text: &str) {
        if let Some(Value::String(s)) = self.block.get_mut(key) {
            s.push_str(text);
        } else {
            self.block[key] = text.into();
        }
    }

    /// The input of a tool becomes JSON. What does not read stays visible to the model as it was,
    /// under a name no tool takes.
    fn close(&mut self) {
        let Some(text) = self.input.take() else {
            return;
        };
        self.block["input"] = if text.trim().is_empty() {
            json!({})
        } else {
            match serde_json::from_str::<Value>(&text) {
                Ok(input @ Value::Object(_)) => input,
                _ => json!({ "INVALID_JSON": text }),
            }
        };
    }
}

/// A turn that came as one JSON body.
pub(super) fn whole(message: &Value, sink: &mut dyn Sink) -> Result<Turn, Failure> {
    if message["type"] == "error" {
        return Err(Failure::in_stream(message));
    }
    let Some(blocks) = message["content"].as_array() else {
        return Err(Failure::passing(
            "the server answered JSON that is no message",
        ));
    };
    for block in blocks {
        if let Some(text) = block["text"].as_str() {
            sink.text(text);
        }
        if let Some(text) = block["thinking"].as_str() {
            sink.thinking(text);
        }
        sink.end_of_block();
    }
    let empty = Map::new();
    Ok(Turn {
        content: blocks
            .iter()
            .filter(|b| b["type"] != "text" || b["text"] != "")
            .cloned()
            .collect(),
        stop: stop(message["stop_reason"].as_str(), &message["stop_details"]),
        usage: usage(message["usage"].as_object().unwrap_or(&empty)),
        request: message["id"].as_str().map(str::to_string),
    })
}

fn stop(reason: Option<&str>, details: &Value) -> Stop {
    match reason.unwrap_or_default() {
        "end_turn" | "stop_sequence" => Stop::EndTurn,
        "tool_use" => Stop::ToolUse,
        "max_tokens" => Stop::MaxTokens,
        "pause_turn" => Stop::Pause,
        "refusal" => {
            let why = details["explanation"]
                .as_str()
                .or(details["category"].as_str());
            Stop::Refusal(why.unwrap_or("it gave no reason").to_string())
        }
        "model_context_window_exceeded" => Stop::ContextFull,
        other => Stop::Other(other.to_string()),
    }
}

fn usage(counts: &Map<String, Value>) -> Usage {
    let count = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    Usage {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cache_read_input_tokens"),
        cache_write: count("cache_creation_input_tokens"),
        searches: counts
            .get("server_tool_use")
            .and_then(|s| s.get("web_search_requests")?.as_u64())
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Quiet,
        scribble::{inputs, scribbled},
    };
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use proptest::prelude::*;
    use sse_stream::SseByteStream;
    use std::convert::Infallible;

    const FUZZ: &str = include_str!("../../../tests/fuzz/stream.txt");

    /// A turn out of bytes in pieces, as far as it goes; and whether it was whole.
    fn turn(bytes: &[u8], piece: usize) -> (bool, String) {
        let pieces: Vec<_> = bytes
            .chunks(piece.max(1))
            .map(|chunk| Ok::<_, Infallible>(bytes::Bytes::copy_from_slice(chunk)))
            .collect();
        let mut assembly = Assembly::default();
        let read = async {
            let mut events = SseByteStream::new(stream::iter(pieces));
            while let Some(Ok(event)) = events.next().await {
                let data = event.data.unwrap_or_default();
                let Ok(data) = serde_json::from_str(&data) else {
                    continue;
                };
                match assembly.event(data, &mut Quiet::default()) {
                    Ok(false) => {}
                    Ok(true) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        // All of it is there: nothing has to be waited for.
        let whole = read.now_or_never().unwrap();
        let turn = assembly.finish();
        (whole, format!("{:?}", turn.content))
    }

    #[test]
    fn fuzz_inputs_are_turns_or_none() {
        let whole: Vec<bool> = inputs(FUZZ).iter().map(|input| turn(input, 7).0).collect();
        assert_eq!(whole, [true, true, false, false, false, false]);
    }

    proptest! {
        #[test]
        fn fuzz_no_stream_is_too_odd(bytes in scribbled(FUZZ), piece in 1usize..60) {
            prop_assert_eq!(turn(&bytes, piece), turn(&bytes, bytes.len()));
        }
    }
}
