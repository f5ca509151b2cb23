//! Whether the terminal reports its mouse: buttons, wheel, and movement while a button is down. Not
//! every movement, as crossterm's own command has it: that is a flood over a slow line, for nothing.

use crossterm::Command;
use std::fmt;

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mouse(pub bool);

impl Command for Mouse {
    fn write_ansi(&self, f: &mut impl fmt::Write) -> fmt::Result {
        // 1002: buttons and dragging; 1006: in a form that knows no edge at column 223.
        f.write_str(if self.0 {
            "\x1b[?1002h\x1b[?1006h"
        } else {
            "\x1b[?1006l\x1b[?1002l"
        })
    }
}
