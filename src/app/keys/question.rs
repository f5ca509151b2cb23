//! What a question asks, and what yes does.

use crate::app::model::{overlay::Question, state::State};

/// What a question asks, and what yes does.
pub fn question(question: Question, state: &State) -> [String; 2] {
    match question {
        Question::Quit => [
            "Quit while the agent works?".into(),
            match &state.agent.running {
                Some(running) => format!("Its command is ended: {}", running.input),
                None => "Its session is marked interrupted and the ticket released.".into(),
            },
        ],
        Question::Interrupt => [
            "Interrupt the agent?".into(),
            match &state.shown().running {
                Some(running) => format!("Ends its command: {}", running.input),
                None => "Ends its turn; it then waits for a message.".into(),
            },
        ],
        Question::Restart(child) => [
            format!("Restart the {} while it works?", child.name()),
            "Its session is marked interrupted and the ticket released.".into(),
        ],
        Question::Resolve(ticket) => [
            format!("Resolve #{ticket} by hand?"),
            "It counts as done because you say so. An agent that works on it is stopped.".into(),
        ],
    }
}
