//! JSON for programs that a person may read in a terminal all the same.

use super::is_invisible;
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// The same JSON, with escapes for what a terminal would obey or hide. Such characters are in
/// strings alone, so any reader of JSON gets what it would have got.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|b| b < 0x7f) || !json.contains(is_invisible) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Writes a value as one line.
pub fn json_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string(value)?;
    writeln!(out, "{}", visible_json(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_acts_on_a_terminal_and_none_is_lost() {
        let text = "a\x1b[2J\u{9b}2J\u{202e}b\u{e0041}✓";
        let json = serde_json::to_string(text).unwrap();
        let json = visible_json(&json);
        assert_eq!(json, r#""a\u001b[2J\u009b2J\u202eb\udb40\udc41✓""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
