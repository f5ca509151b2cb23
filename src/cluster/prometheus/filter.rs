//! Which series are of this cluster: matchers of labels, as in PromQL.

use std::{fmt, str::FromStr};

/// Matchers, as in `{cluster="a",env!~"test.*"}`. Prometheus itself judges what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<String>);

impl Filter {
    /// What a query puts behind its own matchers.
    pub(super) fn rest(filter: Option<&Self>) -> String {
        filter.map_or_else(String::new, |filter| format!(",{}", filter.0.join(",")))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0.join(","))
    }
}

impl FromStr for Filter {
    type Err = String;

    /// The braces may be left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} chooses no series: it looks like {{cluster=\"a\"}}, with = != =~ or !~"
            )
        };
        let mut rest = text.trim();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.strip_suffix('}').ok_or_else(wrong)?.trim();
        }
        let mut matchers = Vec::new();
        while !rest.is_empty() {
            let name = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|end| *end > 0 && !rest.starts_with(|c: char| c.is_ascii_digit()))
                .ok_or_else(wrong)?;
            let (name, after) = rest.split_at(name);
            let after = after.trim_start();
            let operator = ["=~", "!~", "!=", "="]
                .into_iter()
                .find(|o| after.starts_with(o));
            let operator = operator.ok_or_else(wrong)?;
            let value = after[operator.len()..].trim_start();
            let end = end_of_quoted(value).ok_or_else(wrong)?;
            matchers.push(format!("{name}{operator}{}", &value[..end]));
            rest = value[end..].trim_start();
            rest = match rest.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if rest.is_empty() => rest,
                None => return Err(wrong()),
            };
        }
        if matchers.is_empty() {
            return Err(wrong());
        }
        Ok(Self(matchers))
    }
}

/// Where what begins with a quote ends.
fn end_of_quoted(text: &str) -> Option<usize> {
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote != '`' => {
                chars.next()?;
            }
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_with_and_without_braces() {
        for (text, shown) in [
            ("{cluster=\"a\"}", "{cluster=\"a\"}"),
            (
                "cluster = 'a', env!~\"x,}\\\"y\" ,",
                "{cluster='a',env!~\"x,}\\\"y\"}",
            ),
            (" { a=~`\\d+` } ", "{a=~`\\d+`}"),
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!(filter.to_string(), shown);
        }
        let filter: Filter = "a='1',b='2'".parse().unwrap();
        assert_eq!(Filter::rest(Some(&filter)), ",a='1',b='2'");
        assert_eq!(Filter::rest(None), "");
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for bad in [
            "",
            "{}",
            "a",
            "a=1",
            "a=\"1",
            "{a=\"1\"",
            "a=\"1\"}",
            "=\"1\"",
            "1a=\"1\"",
            "a=\"1\" b=\"2\"",
            "a=\"1\"} or up{x=\"1\"",
            "a==\"1\"",
            "a=\"\\",
        ] {
            let why = bad.parse::<Filter>().unwrap_err();
            assert!(why.contains("{cluster=\"a\"}"), "{bad}: {why}");
        }
    }
}
