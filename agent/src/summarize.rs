//! Short forms of long texts, for lists and panes: an extract, made without a model, at once.

/// Longest summary, bytes.
const MAX_LEN: usize = 200;

/// The first sentences of `text`, at most 200 bytes of them, on one line.
pub fn extract(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.len() <= MAX_LEN {
        return flat;
    }
    let room = &flat[..flat.floor_char_boundary(MAX_LEN)];
    let sentence = room
        .char_indices()
        .filter(|(i, c)| {
            matches!(c, '.' | '!' | '?' | ';' | ':') && room[i + c.len_utf8()..].starts_with(' ')
        })
        .map(|(i, c)| i + c.len_utf8())
        .next_back();
    match sentence {
        Some(end) if end >= MAX_LEN / 5 => room[..end].to_string(),
        _ => {
            let room = &flat[..flat.floor_char_boundary(MAX_LEN - '…'.len_utf8())];
            let end = room
                .rfind(' ')
                .filter(|end| *end >= MAX_LEN / 2)
                .unwrap_or(room.len());
            format!("{}…", &room[..end])
        }
    }
}

/// A command on one line, cut after 60 characters, as lists show it.
pub fn command(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &flat[..end]),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_stays_and_long_text_ends_with_a_sentence() {
        assert_eq!(extract("  one\n two "), "one two");
        let long = format!(
            "First it was down. Then it came up again, slowly. {}",
            "x ".repeat(200)
        );
        assert_eq!(
            extract(&long),
            "First it was down. Then it came up again, slowly."
        );
        let endless = extract(&"é".repeat(500));
        assert!(endless.len() <= MAX_LEN && endless.ends_with('…'));
        let words = extract(&"word ".repeat(100));
        assert!(
            words.len() <= MAX_LEN && words.ends_with("word…"),
            "{words}"
        );
    }

    #[test]
    fn a_long_command_is_cut() {
        assert_eq!(command("ls -l"), "ls -l");
        assert_eq!(command(&"é".repeat(80)), format!("{}...", "é".repeat(60)));
    }
}
