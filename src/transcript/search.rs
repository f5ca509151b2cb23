//! What is searched for, and where it is found.

use std::ops::Range;

/// A text to find. Case counts only if it holds a capital letter, as in vim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    text: String,
    any_case: bool,
}

impl Needle {
    /// None: there is nothing to search for.
    pub fn new(text: &str) -> Option<Self> {
        let any_case = !text.chars().any(char::is_uppercase);
        (!text.is_empty()).then(|| Self {
            text: text.to_owned(),
            any_case,
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_in(&self, text: &str) -> bool {
        self.next_in(text).is_some()
    }

    /// Every place it is found, in order.
    pub fn places(&self, text: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        let mut from = 0;
        while let Some(found) = text.get(from..).and_then(|rest| self.next_in(rest)) {
            places.push(from + found.start..from + found.end);
            from += found.end;
        }
        places
    }

    fn next_in(&self, text: &str) -> Option<Range<usize>> {
        if !self.any_case {
            return text.find(&self.text).map(|at| at..at + self.text.len());
        }
        text.char_indices().find_map(|(at, _)| {
            let length = folded_prefix(&text[at..], &self.text)?;
            Some(at..at + length)
        })
    }
}

/// Bytes of `text` that are `lower` whatever their case.
fn folded_prefix(text: &str, lower: &str) -> Option<usize> {
    let mut wanted = lower.chars().peekable();
    for (at, c) in text.char_indices() {
        if wanted.peek().is_none() {
            return Some(at);
        }
        for low in c.to_lowercase() {
            if wanted.next() != Some(low) {
                return None;
            }
        }
    }
    wanted.peek().is_none().then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_letters_find_both_and_capitals_only_themselves() {
        let any = Needle::new("store").unwrap();
        assert_eq!(any.places("Store, store and STORE"), [0..5, 7..12, 17..22]);
        let exact = Needle::new("Store").unwrap();
        assert_eq!(exact.places("Store, store"), vec![0..5]);
        assert!(!exact.is_in("store"));
        assert!(Needle::new("").is_none());
    }

    #[test]
    fn letters_that_change_their_length_are_found_where_they_are() {
        let needle = Needle::new("i̇x").unwrap();
        let text = "aİX";
        assert!(needle.is_in(text));
        assert_eq!(&text[needle.places(text)[0].clone()], "İX");
        assert_eq!(Needle::new("ÄB").unwrap().places("äb ÄB"), vec![4..7]);
    }
}
