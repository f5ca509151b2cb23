//! What is copied to the terminal's clipboard: the line, the command, or the whole block the reader
//! is on.

use crate::{
    app::{
        event::Effect,
        model::{
            overlay::{OutputView, Overlay},
            state::State,
        },
    },
    transcript::{Kind, Line},
};

/// More than this many terminals refuse, some without a word.
const MAX_BYTES: usize = 72 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Line,
    Command,
    /// A text of the model, a command, all the output of one.
    Block,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Command => "command",
            Self::Block => "block",
        }
    }
}

pub(super) fn copy(state: &mut State, what: What) -> Vec<Effect> {
    state.copying = false;
    let Some(mut text) = text(state, what).filter(|t| !t.is_empty()) else {
        state.say(format!("There is no {} to copy here.", what.word()));
        return Vec::new();
    };
    let whole = text.len();
    text.truncate(text.floor_char_boundary(MAX_BYTES));
    let lines = text.lines().count();
    state.say(if text.len() < whole {
        format!(
            "Copied the first {} of {whole} bytes of the {}.",
            text.len(),
            what.word()
        )
    } else {
        let s = if lines == 1 { "" } else { "s" };
        format!("Copied the {}: {lines} line{s}.", what.word())
    });
    vec![Effect::Copy(text)]
}

fn text(state: &mut State, what: What) -> Option<String> {
    match state.overlays.last_mut() {
        Some(Overlay::Output(view)) => output(view, what),
        Some(Overlay::Sessions(browser)) => browser.current().map(|s| s.session.session_id.clone()),
        Some(Overlay::Approval(view)) => Some(view.proposal.command.clone()),
        Some(Overlay::Ticket(view)) => {
            let current = view.doc.current()?;
            let raw: Vec<_> = view.doc.raw().iter().collect();
            from(&raw, current.id, &current.text, what)
        }
        Some(Overlay::Help(doc)) => doc.current().map(|l| l.text.into_owned()),
        Some(Overlay::Store(view)) => match &view.log {
            Some(Ok(log)) => log.current().map(|l| l.text.into_owned()),
            _ => None,
        },
        Some(Overlay::Processes | Overlay::Confirm(_)) => None,
        None => lines(state, what),
    }
}

fn output(view: &OutputView, what: What) -> Option<String> {
    let output = view.output.as_ref()?.as_ref().ok()?;
    match what {
        What::Line => view.doc.current().map(|l| l.text.into_owned()),
        What::Command => Some(super::agent::lines(output.call.input())),
        What::Block => Some(super::agent::lines(view.doc.lines().text())),
    }
}

fn lines(state: &State, what: What) -> Option<String> {
    if let Some(record) = &state.record {
        let current = record.doc.current()?;
        let raw: Vec<_> = record.doc.raw().iter().collect();
        return from(&raw, current.id, &current.text, what);
    }
    let agent = state.shown();
    let current = agent.view.current(&agent.ring)?;
    let text = agent.view.current_text(&agent.ring)?;
    from(&agent.view.raw(&agent.ring), current, &text, what)
}

/// From lines as they were said. `text` is the line as it reads.
fn from(raw: &[&Line], id: u64, text: &str, what: What) -> Option<String> {
    let at = raw.partition_point(|l| l.id < id);
    match what {
        What::Line => Some(text.to_owned()),
        What::Command => {
            let upto = &raw[..raw.len().min(at + 1)];
            let start = upto.iter().rposition(|l| l.kind == Kind::Command)?;
            Some(run(raw, start, |l| l.kind == Kind::CommandMore))
        }
        What::Block => {
            let kind = block(raw.get(at)?.kind);
            let before = raw[..at].iter().rev();
            let start = at - before.take_while(|l| block(l.kind) == kind).count();
            Some(run(raw, start, |l| block(l.kind) == kind))
        }
    }
}

/// The line at `start` and those after it that belong to it.
fn run(raw: &[&Line], start: usize, belongs: impl Fn(&Line) -> bool) -> String {
    let more = raw[start + 1..].iter().take_while(|l| belongs(l));
    let mut text = raw[start].text.clone();
    for line in more {
        // Paragraphs are set apart by a gap, not by a line of their own.
        text.push_str(if line.gap { "\n\n" } else { "\n" });
        text.push_str(&line.text);
    }
    text
}

/// Kinds that make one block.
fn block(kind: Kind) -> Kind {
    match kind {
        Kind::ErrorOutput => Kind::Output,
        Kind::CommandMore => Kind::Command,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Ring;

    fn ring() -> Ring {
        let mut ring = Ring::default();
        ring.push(Kind::Reasoning, "I look.");
        ring.push_line(Kind::Reasoning, "**Then** I act.".into(), 0, true);
        ring.push(Kind::Command, "for n in 1 2; do");
        ring.push(Kind::CommandMore, "  echo $n; done");
        ring.push(Kind::Why, "to see");
        ring.push(Kind::Output, "1");
        ring.push(Kind::ErrorOutput, "2");
        ring.push(Kind::Good, "exit 0");
        ring
    }

    #[test]
    fn line_command_and_block_are_what_the_reader_is_on() {
        let ring = ring();
        let raw: Vec<_> = ring.iter().collect();
        let copied = |id, what| from(&raw, id, "as it reads", what);
        assert_eq!(copied(6, What::Line).unwrap(), "as it reads");
        let command = "for n in 1 2; do\n  echo $n; done";
        assert_eq!(copied(6, What::Command).unwrap(), command);
        assert_eq!(copied(3, What::Block).unwrap(), command);
        assert_eq!(copied(6, What::Block).unwrap(), "1\n2");
        assert_eq!(
            copied(0, What::Block).unwrap(),
            "I look.\n\n**Then** I act."
        );
        assert_eq!(copied(0, What::Command), None);
    }
}
