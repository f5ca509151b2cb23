//! The help: the table of keys, and what the marks on the screen mean.

use super::table::{Section, TABLE};
use crate::{
    app::model::{overlay::Overlay, pane::Pane, state::State},
    transcript::{Composer, Kind, Line, Ring},
};

/// The help, from the table of keys; what is about what the reader sees comes first.
pub fn help(state: &State) -> Vec<Line> {
    let (mut ring, mut composer) = (Ring::unbounded(), Composer::default());
    let heading = |ring: &mut Ring, text: &str, gap| {
        ring.push_line(Kind::Session, text.into(), 0, gap);
    };
    let here = match state.overlays.last() {
        _ if state.replayed => Section::Replay,
        Some(Overlay::Approval(_)) => Section::Answers,
        Some(Overlay::Ticket(_)) => Section::Tickets,
        None if state.focus == Pane::Tickets => Section::Tickets,
        _ => Section::Agent,
    };
    let others = Section::ALL.into_iter().filter(|s| *s != here);
    for section in [here].into_iter().chain(others) {
        heading(&mut ring, section.title(), section != here);
        for binding in TABLE.iter().filter(|b| b.section == section) {
            let key = if binding.keys.is_empty() {
                binding.name
            } else {
                binding.label
            };
            composer.say(&mut ring, Kind::Key, format!("{key:<10}  {}", binding.help));
        }
    }
    heading(&mut ring, "what the marks mean", true);
    for text in [
        "● up, healthy     ! degraded      ✗ down, failed",
        "? unknown: nothing was heard, or it is too old to believe",
        "~ claimed: the agent says it is repaired",
        "✓ proven: the monitor saw that it is, and that it stayed so",
        "↑ escalated: the agent gave up     ‖ paused or held",
    ] {
        composer.say(&mut ring, Kind::Plain, text);
    }
    heading(
        &mut ring,
        "what the marks of a replay's timeline mean",
        true,
    );
    for text in [
        "▼ a fault was injected   ! a ticket was opened   ◆ an agent took it",
        "$ a command   ✗ one that failed   ‖ one that waits for a person   ◇ what they said",
        "~ claimed   ✓ proven   ↑ escalated   ≠ something was seen to change   · closed, ended",
    ] {
        composer.say(&mut ring, Kind::Plain, text);
    }
    heading(&mut ring, "good to know", true);
    for text in [
        "Everything is in the ledger: what was thought, run, printed, decided, proven.",
        "Copying needs a terminal that takes OSC 52; in tmux: set -g set-clipboard on.",
        "Quitting ends the agent and the monitor that were started here, and no others.",
    ] {
        composer.say(&mut ring, Kind::Reasoning, text);
    }
    ring.into_iter().collect()
}
