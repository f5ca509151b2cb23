//! Text of others on one line.

use super::clean;

/// Without escape sequences and control characters, what cannot be seen as its number. A line break becomes a
/// space, with the spaces around it; other spaces stay, for they may be an indentation.
pub fn one_line(text: &str) -> String {
    let text = clean(text);
    let mut parts = text.split(char::is_control);
    let mut line = parts.next().unwrap_or_default().trim_end().to_owned();
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_become_one_space_and_an_indentation_stays() {
        for (text, line) in [
            ("a\n  b\r\n\nc\n", "a b c"),
            ("\n\ta", "a"),
            ("  - x  y ", "  - x  y"),
            ("\x1b[31mred\x1b[0m\u{202e}", "red<202e>"),
            ("", ""),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
        }
    }
}
