//! Marks on a timeline: how each thing that can happen is shown, and which of two that fall together.

use super::theme::Role;
use crate::history::incident::What;

/// Glyph and look of what happened.
pub(super) fn sign(what: What) -> (char, Role) {
    match what {
        What::Fault => ('▼', Role::Bad),
        What::Changed => ('≠', Role::Warn),
        What::Opened => ('!', Role::Bad),
        What::Taken => ('◆', Role::Accent),
        What::Command => ('$', Role::Command),
        What::Failed | What::NotProven => ('✗', Role::Bad),
        What::Asked => ('‖', Role::Warn),
        What::Decided | What::Message => ('◇', Role::Accent),
        What::Claimed => ('~', Role::Claimed),
        What::Proven => ('✓', Role::Ok),
        What::Escalated => ('↑', Role::Bad),
        What::Closed | What::Ended => ('·', Role::Dim),
    }
}

/// Of two things in one column, the one that tells more is shown.
pub(super) fn weight(what: What) -> u8 {
    match what {
        What::Fault => 9,
        What::Proven | What::Escalated | What::NotProven => 8,
        What::Claimed => 7,
        What::Asked | What::Decided => 6,
        What::Failed => 5,
        What::Opened => 4,
        What::Message | What::Changed => 3,
        What::Command => 2,
        What::Taken => 1,
        What::Closed | What::Ended => 0,
    }
}
