//! Reads the Prometheus text exposition format (and OpenMetrics, as far as they agree).
//!
//! A line that cannot be read is skipped, so that one odd metric does not hide the others.

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'a> {
    pub name: &'a str,
    /// Names and values, escapes resolved.
    pub labels: Vec<(&'a str, String)>,
    pub value: f64,
}

impl Sample<'_> {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// The samples of a text, in order; comments and unreadable lines left out.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    let end = line.find(|c: char| c == '{' || c.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    // A timestamp or an exemplar may follow the value.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name,
        labels,
        value,
    })
}

type Labels<'a> = (Vec<(&'a str, String)>, &'a str);

/// Reads `a="b",c="d"}` and returns what follows the brace.
fn labels(mut rest: &str) -> Option<Labels<'_>> {
    let mut out = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((out, after));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        out.push((name.trim(), value));
        rest = after;
    }
}

/// Reads up to the closing quote and returns what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[i + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scribble::{inputs, scribbled};
    use proptest::prelude::*;

    const FUZZ: &str = include_str!("../../tests/fuzz/exposition.txt");

    /// What was read of a text is there, and nothing else is.
    fn is_of(text: &str) -> bool {
        samples(text).all(|s| !s.name.is_empty() && text.contains(s.name))
            && samples(text).count() <= text.lines().count()
    }

    #[test]
    fn fuzz_inputs_hide_no_line_of_another() {
        let found: Vec<usize> = inputs(FUZZ)
            .iter()
            .map(|input| samples(&String::from_utf8_lossy(input)).count())
            .collect();
        assert_eq!(found, [2, 3, 0, 1, 2, 1, 2]);
    }

    #[test]
    fn samples_are_read_with_labels_of_every_kind() {
        let text = "# HELP a help\n# TYPE a counter\na 1\n\
            b{x=\"1\",y=\"q\\\"}\\\\\\n\"} 2.5e-3 1700000000\nc{} +Inf\nd NaN # {trace=\"1\"} 1\n# EOF\n";
        let all: Vec<_> = samples(text).collect();
        assert_eq!(
            all.iter().map(|s| s.name).collect::<Vec<_>>(),
            ["a", "b", "c", "d"]
        );
        assert_eq!(all[1].label("y"), Some("q\"}\\\n"));
        assert!((all[1].value - 0.0025).abs() < 1e-12);
        assert!(all[2].value.is_infinite() && all[3].value.is_nan());
    }

    #[test]
    fn an_unreadable_line_hides_no_other() {
        let text = "<html>\na{x=\"open 1\nb{x} 1\nc\nd one\n{} 4\ne 5";
        let all: Vec<_> = samples(text).map(|s| s.name).collect();
        assert_eq!(all, ["e"]);
    }

    proptest! {
        #[test]
        fn fuzz_no_metrics_are_too_odd(text in scribbled(FUZZ)) {
            let text = String::from_utf8_lossy(&text);
            prop_assert!(is_of(&text), "{text}");
            // A line of one's own is read, whatever was before it.
            let more = format!("{text}\nmine 7");
            prop_assert!(samples(&more).any(|s| s.name == "mine" && (s.value - 7.0).abs() < 1e-9));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = samples(&text).count();
        }

        #[test]
        fn any_label_value_survives(value in "\\PC*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let line = format!("m{{l=\"{escaped}\",k=\"v\"}} 1");
            let all: Vec<_> = samples(&line).collect();
            prop_assert_eq!(all[0].label("l"), Some(value.as_str()));
        }
    }
}
