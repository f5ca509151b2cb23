//! A light reading of shell commands: enough to tell program, flags, quotes, variables and operators
//! apart at a glance. It is no parser: what it does not understand it leaves plain.

use super::shown::{TextStyle, TextStyles};

/// The pieces of one line of a command that look different.
pub(super) fn looks(line: &str) -> TextStyles {
    let mut looks = TextStyles::new();
    let bytes = line.as_bytes();
    // The next word is a program.
    let mut program = true;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        match byte {
            b' ' => at += 1,
            b'#' if start == 0 || bytes[start - 1] == b' ' => {
                looks.push((start..line.len(), TextStyle::Faint));
                break;
            }
            b'\'' | b'"' => {
                at = end_of_quote(bytes, at);
                looks.push((start..at, TextStyle::Quoted));
                program = false;
            }
            b'$' => {
                at = end_of_variable(bytes, at);
                let operator = bytes.get(start + 1) == Some(&b'(');
                let look = if operator {
                    TextStyle::Operator
                } else {
                    TextStyle::Variable
                };
                looks.push((start..at, look));
                program = operator;
            }
            b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'`' => {
                while bytes.get(at).is_some_and(|b| b"|&;<>()`".contains(b)) {
                    at += 1;
                }
                looks.push((start..at, TextStyle::Operator));
                program = !line[start..at].contains(['<', '>']) && !line[start..at].ends_with(')');
            }
            _ => {
                at = end_of_word(bytes, at);
                let word = &line[start..at];
                if word.starts_with('-') && word.len() > 1 {
                    looks.push((start..at, TextStyle::Flag));
                } else if program && is_assignment(word) {
                    looks.push((start..at, TextStyle::Variable));
                } else if program {
                    looks.push((start..at, TextStyle::Program));
                    program = KEYWORDS.contains(&word);
                }
            }
        }
    }
    looks
}

/// After these comes another program.
const KEYWORDS: [&str; 12] = [
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "sudo", "exec", "time",
];

fn end_of_quote(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && quote == b'"' {
            at += 1;
        }
        at += 1;
        if byte == quote {
            break;
        }
    }
    // An escape may have been the last byte, or stood before a longer character.
    let mut at = at.min(bytes.len());
    while at < bytes.len() && bytes[at] & 0xc0 == 0x80 {
        at += 1;
    }
    at
}

fn end_of_variable(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 1..];
    let length = match rest.first() {
        Some(b'{') => rest
            .iter()
            .position(|b| *b == b'}')
            .map_or(rest.len(), |n| n + 1),
        Some(b'(' | b'?' | b'$' | b'!' | b'@' | b'*' | b'#' | b'0'..=b'9') => 1,
        _ => rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count(),
    };
    start + 1 + length
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let ends = |b: &u8| b" |&;<>()`'\"$".contains(b);
    let length = bytes[start + 1..].iter().take_while(|b| !ends(b)).count();
    start + 1 + length
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marked(line: &str) -> String {
        let mut out = String::new();
        let mut at = 0;
        for (range, look) in looks(line) {
            out += &line[at..range.start];
            out += &format!("<{look:?} {}>", &line[range.clone()]);
            at = range.end;
        }
        out + &line[at..]
    }

    #[test]
    fn commands_read_at_a_glance() {
        assert_eq!(
            marked("curl -s $PD/pd/api/v1/stores | jq -r '.stores[]'"),
            "<Program curl> <Flag -s> <Variable $PD>/pd/api/v1/stores <Operator |> <Program jq> \
             <Flag -r> <Quoted '.stores[]'>"
        );
        assert_eq!(
            marked("A=1 if test -f x; then echo \"a \\\" b\" > y; fi # done"),
            "<Variable A=1> <Program if> <Program test> <Flag -f> x<Operator ;> <Program then> \
             <Program echo> <Quoted \"a \\\" b\"> <Operator >> y<Operator ;> <Program fi> <Faint # done>"
        );
        assert_eq!(
            marked("echo $(date)"),
            "<Program echo> <Operator $(><Program date><Operator )>"
        );
        assert_eq!(
            marked("echo 'never ended"),
            "<Program echo> <Quoted 'never ended>"
        );
    }

    proptest! {
        #[test]
        fn pieces_are_in_order_and_at_characters(line in "[a-c字é '\"$|&;()<>\\\\{}=#-]{0,40}") {
            let mut at = 0;
            for (range, _) in looks(&line) {
                prop_assert!(range.start >= at && range.end > range.start, "{line:?}");
                prop_assert!(line.get(range.clone()).is_some(), "{line:?} {range:?}");
                at = range.end;
            }
        }
    }
}
