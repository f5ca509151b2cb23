//! A ring of the newest logical lines. Each has an id that rises and is never used again, so that
//! a reader can stand on a line while others come and go.

use std::collections::VecDeque;

/// Logical lines kept.
pub const CAPACITY: usize = 100;

/// What a line is. Its look follows from it; so does how it wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line of a program that does not speak events.
    Plain,
    /// Text of the model.
    Reasoning,
    /// Thinking of the model.
    Thinking,
    Command,
    /// A further line of a command.
    CommandMore,
    /// Why the command above is run.
    Why,
    /// The command above changes something, and why it is run.
    Changes,
    /// The same, where nobody knows whether it does.
    MayChange,
    Output,
    /// Output on stderr.
    ErrorOutput,
    Good,
    Bad,
    /// Something is waited for.
    Waiting,
    Notice,
    Warning,
    /// A session begins or ends.
    Session,
    /// What the supervisor says of the child.
    Child,
    /// A key and what it does, two spaces between them.
    Key,
}

impl Kind {
    /// What is drawn before the text; continuation rows are indented by its width.
    pub fn marker(self) -> &'static str {
        match self {
            Self::Plain | Self::Reasoning | Self::Key => "",
            Self::Thinking => "… ",
            Self::Command => "$ ",
            Self::CommandMore => "  ",
            Self::Why => "  why: ",
            Self::Changes | Self::MayChange => "  ",
            Self::Output => "│ ",
            Self::ErrorOutput => "┆ ",
            Self::Good => "✓ ",
            Self::Bad => "✗ ",
            Self::Waiting => "~ ",
            Self::Notice => "· ",
            Self::Warning => "! ",
            Self::Session => "── ",
            Self::Child => "◆ ",
        }
    }

    /// Prose breaks between words, output anywhere.
    pub fn prose(self) -> bool {
        !matches!(
            self,
            Self::Plain | Self::Output | Self::ErrorOutput | Self::Command | Self::CommandMore
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: u64,
    pub kind: Kind,
    /// Clean text, no control characters, at most [`super::clean::LINE_CAP`] bytes.
    pub text: String,
    /// Bytes left out of `text`.
    pub omitted: u64,
    /// An empty row is drawn above.
    pub gap: bool,
}

#[derive(Debug, Clone)]
pub struct Ring {
    lines: VecDeque<Line>,
    next: u64,
    capacity: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            next: 0,
            capacity: CAPACITY,
        }
    }
}

impl IntoIterator for Ring {
    type Item = Line;
    type IntoIter = std::collections::vec_deque::IntoIter<Line>;

    fn into_iter(self) -> Self::IntoIter {
        self.lines.into_iter()
    }
}

impl Ring {
    /// For what is bounded otherwise: a page of the ledger.
    pub fn unbounded() -> Self {
        Self {
            capacity: usize::MAX,
            ..Self::default()
        }
    }

    /// Adds a line and returns its id; the oldest goes if there are more than [`CAPACITY`].
    pub fn push(&mut self, kind: Kind, text: impl Into<String>) -> u64 {
        self.push_line(kind, text.into(), 0, false)
    }

    pub fn push_line(&mut self, kind: Kind, text: String, omitted: u64, gap: bool) -> u64 {
        if self.lines.len() == self.capacity {
            self.lines.pop_front();
        }
        let id = self.next;
        self.next += 1;
        self.lines.push_back(Line {
            id,
            kind,
            text,
            omitted,
            gap,
        });
        id
    }

    /// Lines were lost before they came here: ids rise by `count`, so that a reader who waits
    /// sees how many passed.
    pub fn skip(&mut self, count: u64) {
        self.next += count;
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Id the next line will have: also the number of lines there ever were.
    pub fn next_id(&self) -> u64 {
        self.next
    }

    pub fn oldest_id(&self) -> Option<u64> {
        self.lines.front().map(|l| l.id)
    }

    /// Lines, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        self.lines.iter()
    }

    pub fn get(&self, id: u64) -> Option<&Line> {
        let at = self.lines.binary_search_by_key(&id, |l| l.id).ok()?;
        self.lines.get(at)
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Line> {
        self.lines.back_mut()
    }

    pub fn last(&self) -> Option<&Line> {
        self.lines.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hundred_stay_and_ids_rise() {
        let mut ring = Ring::default();
        for n in 0..250 {
            assert_eq!(ring.push(Kind::Plain, n.to_string()), n);
        }
        assert_eq!(ring.len(), CAPACITY);
        assert_eq!(ring.oldest_id(), Some(150));
        assert_eq!(ring.get(200).unwrap().text, "200");
        assert_eq!(ring.get(149), None);
    }

    #[test]
    fn lost_lines_count() {
        let mut ring = Ring::default();
        ring.push(Kind::Plain, "a");
        ring.skip(10);
        assert_eq!(ring.push(Kind::Plain, "b"), 11);
        assert_eq!(ring.get(11).unwrap().text, "b");
    }
}
