//! Breaking a line into rows that fit a width, measured in terminal columns by grapheme.
//!
//! Gives ranges into the text; it copies nothing and knows no styles.

use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Rows of `text` at `width` columns, those after the first `hang` columns shorter. Prose breaks
/// after spaces where it can; anything breaks anywhere where it must. Always at least one row; a
/// grapheme wider than `width` gets a row of its own.
pub fn wrap(text: &str, width: usize, hang: usize, prose: bool) -> Vec<Range<usize>> {
    let mut width = width.max(1);
    let further = width.saturating_sub(hang).max(width.min(8));
    // Plain ASCII needs no measuring.
    if text.len() <= width && text.is_ascii() {
        return std::iter::once(0..text.len()).collect();
    }
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    // Where the row could end between words: the end of its text, and the start of the next row.
    let mut space: Option<(usize, usize)> = None;
    for (at, grapheme) in text.grapheme_indices(true) {
        let wide = grapheme.width();
        if used + wide > width && at > start {
            let (end, next) = match space {
                _ if prose && grapheme == " " => (at, at),
                Some(space) if prose => space,
                _ => (at, at),
            };
            rows.push(start..end);
            width = further;
            start = next;
            used = text[start..at].width();
            space = None;
            if prose && grapheme == " " && at == start {
                // A space at the break is the break.
                start = at + 1;
                used = 0;
                continue;
            }
        }
        used += wide;
        if grapheme == " " {
            let end = text[start..at].trim_end_matches(' ').len() + start;
            if end > start {
                space = Some((end, at + 1));
            }
        }
    }
    if start < text.len() || rows.is_empty() {
        rows.push(start..text.len());
    }
    rows
}

/// The longest beginning of `text` that fits `width` columns.
pub fn fit(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme.width();
        if used > width {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str, width: usize, prose: bool) -> Vec<&str> {
        wrap(text, width, 0, prose)
            .into_iter()
            .map(|r| &text[r])
            .collect()
    }

    #[test]
    fn prose_breaks_between_words() {
        assert_eq!(
            rows("the quick brown fox", 10, true),
            ["the quick", "brown fox"]
        );
        assert_eq!(
            rows("a verylongword b", 6, true),
            ["a", "verylo", "ngword", "b"]
        );
        assert_eq!(rows("exact fit", 9, true), ["exact fit"]);
        assert_eq!(rows("exact fit x", 9, true), ["exact fit", "x"]);
        assert_eq!(rows("", 5, true), [""]);
    }

    #[test]
    fn further_rows_of_an_item_stand_in() {
        let rows = wrap("- one two three four", 14, 2, true);
        let rows: Vec<_> = rows
            .into_iter()
            .map(|r| &"- one two three four"[r])
            .collect();
        assert_eq!(rows, ["- one two", "three four"]);
    }

    #[test]
    fn output_breaks_anywhere_and_keeps_its_spaces() {
        assert_eq!(rows("ab cd ef", 3, false), ["ab ", "cd ", "ef"]);
    }

    #[test]
    fn wide_and_combining_characters_are_measured() {
        assert_eq!(rows("字字字", 4, false), ["字字", "字"]);
        assert_eq!(rows("字", 1, false), ["字"]);
        assert_eq!(
            rows("e\u{301}e\u{301}e\u{301}", 2, false),
            ["e\u{301}e\u{301}", "e\u{301}"]
        );
        assert_eq!(fit("字字", 3), "字");
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_nothing_but_spaces_is_lost(
            text in "[a字 é]{0,60}", width in 2usize..20, prose: bool,
        ) {
            let rows = rows(&text, width, prose);
            for row in &rows {
                prop_assert!(row.width() <= width, "{row:?} in {rows:?}");
            }
            let joined: String = rows.concat().replace(' ', "");
            prop_assert_eq!(joined, text.replace(' ', ""));
            if !prose {
                prop_assert_eq!(rows.concat(), text);
            }
        }
    }
}
