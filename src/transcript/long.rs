//! A text of any number of lines, kept as it came: a line is made when it is looked at. What a
//! command printed can be megabytes of the shortest lines.

use super::{Kind, clean::clean, doc::LineSource, shown::Shown};
use std::borrow::Cow;

#[derive(Debug, Clone, Default)]
pub struct Long {
    text: String,
    /// Where lines begin, and what they are.
    starts: Vec<(usize, Kind)>,
    /// The last line has no end yet.
    open: bool,
}

impl Long {
    /// Adds a piece. It may end anywhere; another kind of text begins a new line.
    pub fn push(&mut self, kind: Kind, piece: &str) {
        if self.starts.last().is_some_and(|(_, last)| *last != kind) && self.open {
            self.text.push('\n');
            self.open = false;
        }
        for line in piece.split_inclusive('\n') {
            if !self.open {
                self.starts.push((self.text.len(), kind));
            }
            self.text.push_str(line);
            self.open = !line.ends_with('\n');
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn line(&self, index: usize) -> &str {
        let start = self.starts[index].0;
        let end = self.starts.get(index + 1).map_or(self.text.len(), |n| n.0);
        self.text[start..end].trim_end_matches('\n')
    }
}

impl LineSource for Long {
    fn len(&self) -> usize {
        self.starts.len()
    }

    fn get(&self, index: usize) -> Shown<'_> {
        let kind = self.starts[index].1;
        let (text, omitted) = clean(self.line(index).as_bytes());
        Shown {
            id: index as u64,
            kind,
            text: Cow::Owned(text),
            looks: Vec::new(),
            omitted,
            gap: false,
            prose: false,
            folded: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_lines_and_streams_do_not_share_one() {
        let mut long = Long::default();
        for (kind, piece) in [
            (Kind::Output, "a\nb"),
            (Kind::Output, "c\n\n"),
            (Kind::Output, "half"),
            (Kind::ErrorOutput, "oops\x1b[31m!\n"),
        ] {
            long.push(kind, piece);
        }
        let lines: Vec<_> = (0..long.len()).map(|n| long.get(n)).collect();
        let texts: Vec<_> = lines.iter().map(|l| (l.kind, l.text.as_ref())).collect();
        assert_eq!(
            texts,
            [
                (Kind::Output, "a"),
                (Kind::Output, "bc"),
                (Kind::Output, ""),
                (Kind::Output, "half"),
                (Kind::ErrorOutput, "oops!"),
            ]
        );
    }
}
