//! How lines read, as opposed to what was said: the model's Markdown rendered, commands marked up,
//! long output folded.
//!
//! Costs something, so it is done for lines that are looked at, never for those that pass. Knows no
//! colours: a [`TextStyle`] is a role.

use super::{Kind, Line, markdown, shell};
use std::{borrow::Cow, ops::Range};

/// Output longer than this is folded, down to [`HEAD`] and [`TAIL`] lines.
pub const FOLD: usize = 12;
const HEAD: usize = 4;
const TAIL: usize = 4;

/// What a piece of a line is, where that differs from its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStyle {
    Strong,
    Emphasis,
    Heading,
    Code,
    Link,
    Faint,
    Struck,
    /// The program of a command.
    Program,
    Flag,
    Quoted,
    Variable,
    Operator,
}

/// Pieces of a text that look different, in order, not overlapping.
pub type TextStyles = Vec<(Range<usize>, TextStyle)>;

/// A line as it is drawn, before it is wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The line it was made of; rendered prose has the id of one of its lines.
    pub id: u64,
    pub kind: Kind,
    pub text: Cow<'a, str>,
    pub looks: TextStyles,
    /// Bytes left out of the text.
    pub omitted: u64,
    /// An empty row is drawn above.
    pub gap: bool,
    /// Breaks between words.
    pub prose: bool,
    /// Lines that are folded into this one.
    pub folded: usize,
}

impl<'a> Shown<'a> {
    /// A line as it is.
    pub fn plain(line: &'a Line) -> Self {
        let looks = match line.kind {
            Kind::Command | Kind::CommandMore => shell::looks(&line.text),
            Kind::Key => vec![(0..line.text.find("  ").unwrap_or(0), TextStyle::Strong)],
            _ => TextStyles::new(),
        };
        Self {
            id: line.id,
            kind: line.kind,
            text: Cow::Borrowed(&line.text),
            looks,
            omitted: line.omitted,
            gap: line.gap,
            prose: line.kind.prose(),
            folded: 0,
        }
    }

    fn fold(first: &Line, count: usize) -> Shown<'static> {
        let text = format!("┄ {count} more lines ┄");
        Shown {
            id: first.id,
            kind: first.kind,
            looks: vec![(0..text.len(), TextStyle::Faint)],
            text: Cow::Owned(text),
            omitted: 0,
            gap: false,
            prose: true,
            folded: count,
        }
    }

    /// The same without copying its text.
    pub fn borrowed(&self) -> Shown<'_> {
        Shown {
            text: Cow::Borrowed(&self.text),
            looks: self.looks.clone(),
            ..*self
        }
    }

    pub fn into_owned(self) -> Shown<'static> {
        Shown {
            text: Cow::Owned(self.text.into_owned()),
            ..self
        }
    }
}

/// Lines that are read together: prose of the model, output of a command. Everything else stands
/// for itself.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Class {
    Prose,
    Output,
    Alone,
}

fn class(line: &Line, fold: bool) -> Class {
    match line.kind {
        Kind::Reasoning => Class::Prose,
        Kind::Output | Kind::ErrorOutput if fold => Class::Output,
        _ => Class::Alone,
    }
}

/// How these lines read, in order.
pub fn show<'a>(lines: impl DoubleEndedIterator<Item = &'a Line>, fold: bool) -> Vec<Shown<'a>> {
    let mut blocks: Vec<_> = Blocks::new(lines, fold).collect();
    blocks.reverse();
    let mut shown = Vec::new();
    for block in &blocks {
        show_block(block, fold, &mut shown);
    }
    shown
}

/// How the newest of these lines read, until `enough` says so of what there is. Newest first.
pub fn show_newest<'a>(
    lines: impl DoubleEndedIterator<Item = &'a Line>,
    fold: bool,
    mut enough: impl FnMut(&Shown<'a>) -> bool,
) -> Vec<Shown<'a>> {
    let mut newest = Vec::new();
    for block in Blocks::new(lines, fold) {
        let mut shown = Vec::new();
        show_block(&block, fold, &mut shown);
        let mut done = false;
        for line in shown.into_iter().rev() {
            done |= enough(&line);
            newest.push(line);
        }
        if done {
            break;
        }
    }
    newest
}

fn show_block<'a>(block: &[&'a Line], fold: bool, shown: &mut Vec<Shown<'a>>) {
    match block {
        [first, ..] if class(first, fold) == Class::Prose => markdown::render(block, shown),
        [first, ..] if class(first, fold) == Class::Output && block.len() > FOLD => {
            let hidden = &block[HEAD..block.len() - TAIL];
            shown.extend(block[..HEAD].iter().map(|l| Shown::plain(l)));
            shown.push(Shown::fold(hidden[0], hidden.len()));
            shown.extend(block[block.len() - TAIL..].iter().map(|l| Shown::plain(l)));
        }
        _ => shown.extend(block.iter().map(|l| Shown::plain(l))),
    }
}

/// Blocks of lines, newest first, each in order.
struct Blocks<'a, I: DoubleEndedIterator<Item = &'a Line>> {
    lines: std::iter::Peekable<std::iter::Rev<I>>,
    fold: bool,
}

impl<'a, I: DoubleEndedIterator<Item = &'a Line>> Blocks<'a, I> {
    fn new(lines: I, fold: bool) -> Self {
        Self {
            lines: lines.rev().peekable(),
            fold,
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = &'a Line>> Iterator for Blocks<'a, I> {
    type Item = Vec<&'a Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let last = self.lines.next()?;
        let mut block = vec![last];
        let of = class(last, self.fold);
        if of != Class::Alone {
            let fold = self.fold;
            while let Some(line) = self.lines.next_if(|l| class(l, fold) == of) {
                block.push(line);
            }
            block.reverse();
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Ring;

    fn texts(shown: &[Shown<'_>]) -> Vec<String> {
        shown.iter().map(|s| s.text.to_string()).collect()
    }

    fn ring(output: usize) -> Ring {
        let mut ring = Ring::default();
        ring.push(Kind::Command, "seq 1 60");
        for n in 1..=output {
            ring.push(Kind::Output, n.to_string());
        }
        ring.push(Kind::Good, "exit 0");
        ring
    }

    #[test]
    fn long_output_folds_to_its_ends_and_says_how_much_is_hidden() {
        let ring = ring(60);
        let shown = show(ring.iter(), true);
        assert_eq!(
            texts(&shown),
            [
                "seq 1 60",
                "1",
                "2",
                "3",
                "4",
                "┄ 52 more lines ┄",
                "57",
                "58",
                "59",
                "60",
                "exit 0"
            ]
        );
        assert_eq!(show(ring.iter(), false).len(), 62);
    }

    #[test]
    fn short_output_does_not_fold() {
        assert_eq!(show(ring(FOLD).iter(), true).len(), FOLD + 2);
    }

    #[test]
    fn the_newest_are_shown_until_there_are_enough() {
        let ring = ring(60);
        let mut rows = 0;
        let shown = show_newest(ring.iter(), true, |_| {
            rows += 1;
            rows == 3
        });
        // The end, then the folded block as a whole.
        assert_eq!(shown.len(), 10);
        assert_eq!(shown[0].text, "exit 0");
        assert_eq!(shown[1].text, "60");
    }
}
