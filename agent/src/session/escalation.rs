//! Whether a text hands the ticket to a person: models that were taught to write `ESCALATE:` do, in
//! any dress of Markdown. A sentence that only speaks of escalating does not.

/// What the text says, without the mark, if it has one.
pub(super) fn escalation(text: &str) -> Option<String> {
    let mut before = 0;
    for line in text.split_inclusive('\n') {
        if let Some(mark) = mark(line) {
            let end = before + line.trim_end().len();
            let rest = &text[before + mark.to..];
            let mut after = rest.trim().to_owned();
            if !mark.dress.is_empty()
                && let Some(open) = rest.get(..end.saturating_sub(before + mark.to))
                && let Some(bare) = open.strip_suffix(&mark.dress)
            {
                // The dress was around the whole line.
                let more = text[end..].trim_end();
                after = format!("{}{more}", bare.trim());
            }
            let first = text[..before + mark.from].trim();
            return Some(match (first, after.trim()) {
                ("", "") => text.trim().to_owned(),
                ("", after) => after.to_owned(),
                (first, "") => first.to_owned(),
                (first, after) => format!("{first}\n\n{after}"),
            });
        }
        before += line.len();
    }
    None
}

/// Where a mark begins and ends in its line, and which dress it opened and did not close.
struct Mark {
    from: usize,
    to: usize,
    dress: String,
}

const WORD: &str = "escalate";
const DRESS: [char; 4] = ['*', '_', '~', '`'];

fn mark(line: &str) -> Option<Mark> {
    let at = line.char_indices().map(|(at, _)| at);
    at.filter(|at| {
        line.get(*at..*at + WORD.len())
            .is_some_and(|word| word.eq_ignore_ascii_case(WORD))
    })
    .find_map(|at| mark_at(line, at))
}

fn mark_at(line: &str, at: usize) -> Option<Mark> {
    let (lead, word, rest) = (
        &line[..at],
        &line[at..at + WORD.len()],
        &line[at + WORD.len()..],
    );
    let loud = word == "ESCALATE";
    // In lower case it is a word of a sentence, or a line of somebody's configuration.
    if !loud && word != "Escalate" {
        return None;
    }
    let plain = lead.trim_end_matches(DRESS);
    let dress = &lead[plain.len()..];
    let closed = rest.trim_start_matches(DRESS);
    let begins = is_beginning(plain);
    let separator = if let Some(after) = closed.trim_start().strip_prefix([':', '：']) {
        after
    } else if begins && loud {
        let after = closed.trim_start();
        let dash = after.strip_prefix(['-', '–', '—']);
        match dash {
            Some(after) if after.starts_with([' ', '\t']) => after,
            // A heading of its own.
            None if after.is_empty() => after,
            _ => return None,
        }
    } else {
        return None;
    };
    let inside = begins || (loud && (is_end_of_sentence(plain) || is_set_apart(plain, dress)));
    if !inside {
        return None;
    }
    let text = separator.trim_start_matches(DRESS);
    let still_open = closed.len() == rest.len() && text.len() == separator.len();
    Some(Mark {
        from: if begins { 0 } else { plain.len() },
        to: line.len() - text.len(),
        dress: if still_open {
            dress.to_owned()
        } else {
            String::new()
        },
    })
}

/// Nothing stands before it but what makes a quotation, a list or a heading.
fn is_beginning(lead: &str) -> bool {
    let numbered = lead.trim_start().trim_end_matches([' ', '\t']);
    let numbered = numbered.strip_suffix(['.', ')']).unwrap_or("x");
    let number = !numbered.is_empty() && numbered.chars().all(|c| c.is_ascii_digit());
    number
        || lead
            .chars()
            .all(|c| c.is_whitespace() || matches!(c, '>' | '#' | '-' | '*' | '+'))
}

fn is_end_of_sentence(lead: &str) -> bool {
    lead.ends_with([' ', '\t']) && lead.trim_end().ends_with(['.', '!', '?', ':', ';', '—'])
}

/// In bold within a sentence, unless the sentence says that it is not meant.
fn is_set_apart(lead: &str, dress: &str) -> bool {
    let last = lead.split_whitespace().next_back().unwrap_or_default();
    let last = last.to_lowercase();
    let denies =
        ["not", "no", "never", "without", "than"].contains(&last.as_str()) || last.ends_with("n't");
    dress.contains("**") && !denies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dress_and_place_hands_it_over() {
        for (text, said) in [
            ("ESCALATE: the disk is gone", "the disk is gone"),
            ("ESCALATE:the disk is gone", "the disk is gone"),
            ("ESCALATE : the disk is gone", "the disk is gone"),
            ("  ESCALATE: the disk is gone\n", "the disk is gone"),
            ("**ESCALATE:** the disk is gone", "the disk is gone"),
            ("**ESCALATE**: the disk is gone", "the disk is gone"),
            ("**ESCALATE: the disk is gone**", "the disk is gone"),
            (
                "**ESCALATE: the disk is gone**\n\nReplace it.",
                "the disk is gone\n\nReplace it.",
            ),
            ("__ESCALATE:__ the disk is gone", "the disk is gone"),
            ("*ESCALATE:* the disk is gone", "the disk is gone"),
            ("`ESCALATE:` the disk is gone", "the disk is gone"),
            ("## ESCALATE: the disk is gone", "the disk is gone"),
            ("# **ESCALATE:** the disk is gone", "the disk is gone"),
            ("## ESCALATE\n\nthe disk is gone", "the disk is gone"),
            ("Escalate: the disk is gone", "the disk is gone"),
            ("**Escalate:** the disk is gone", "the disk is gone"),
            ("ESCALATE - the disk is gone", "the disk is gone"),
            ("ESCALATE — the disk is gone", "the disk is gone"),
            ("**ESCALATE** - the disk is gone", "the disk is gone"),
            ("> ESCALATE: the disk is gone", "the disk is gone"),
            ("- ESCALATE: the disk is gone", "the disk is gone"),
            ("* **ESCALATE:** the disk is gone", "the disk is gone"),
            ("1. ESCALATE: the disk is gone", "the disk is gone"),
            (
                "I looked at it.\n\nESCALATE: the disk is gone",
                "I looked at it.\n\nthe disk is gone",
            ),
            (
                "I looked at it. ESCALATE: the disk is gone",
                "I looked at it.\n\nthe disk is gone",
            ),
            (
                "I looked at it. **ESCALATE:** the disk is gone",
                "I looked at it.\n\nthe disk is gone",
            ),
            (
                "I looked, so **ESCALATE:** the disk is gone",
                "I looked, so\n\nthe disk is gone",
            ),
            ("ESCALATE:\nthe **disk** is gone", "the **disk** is gone"),
            ("ESCALATE:", "ESCALATE:"),
            ("Äh.\nESCALATE: ü", "Äh.\n\nü"),
        ] {
            assert_eq!(escalation(text).as_deref(), Some(said), "{text:?}");
        }
    }

    #[test]
    fn to_speak_of_it_is_not_to_do_it() {
        for text in [
            "",
            "I will not escalate.",
            "I will not escalate: the disk is fine.",
            "I will not ESCALATE: the disk is fine.",
            "I will not **ESCALATE:** the disk is fine.",
            "There is no need to write `ESCALATE:` here.",
            "Should I escalate? I think not.",
            "Escalate only if the disk is gone.",
            "Escalate-only tickets are shown last.",
            "The alert may escalate: it is only a warning now.",
            "escalate: true\nescalate_after: 5m",
            "ESCALATED: that is what the last session said.",
            "De-escalate: lower the severity.",
            "ESCALATEDLY: no such word",
            "I did not have to escalate, the store is up again.",
            "The runbook says when to escalate:\n- the disk is gone",
            "Nothing is wrong.",
        ] {
            assert_eq!(escalation(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "([#>*_` \n:-]|ESCALATE|Escalate|[a-zä—：]){0,40}") {
            let _ = escalation(&text);
        }
    }
}
