//! What the model can do: one file a tool, and what they share.

pub mod capture;
pub mod environment;
pub mod process_tree;
pub mod read_only;
pub mod runner;
pub mod shell;
pub mod strays;

use serde_json::{Value, json};

/// The tools as the Messages API wants them described. The same bytes every time.
pub fn definitions() -> Value {
    json!([{
        "name": "shell",
        "description": "Runs a command with bash and returns how it ended and what it printed. \
    The working folder is kept from call to call; variables are not. Standard input is closed. Long \
    output loses its middle. What is left running in the background ends with the claim that the ticket is repaired.",
        "input_schema": {
            "type": "object",
            "properties": {
                "command": { "type": "string", "description": "The command, as typed in bash." },
                "reasoning": {
                    "type": "string",
                    "description": "In a few words: what you want to learn or change by it."
                },
                "timeout_s": {
                    "type": "number",
                    "description": "Seconds after which it is ended. 120 if absent."
                }
            },
            "required": ["command", "reasoning"]
        }
    }])
}
