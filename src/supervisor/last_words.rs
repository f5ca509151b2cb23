//! The last lines of a child's stderr, for when it is asked why it ended. They are kept as they
//! came and made text only then: a flood of them costs a copy each.

use crate::transcript::clean::clean;
use std::collections::VecDeque;

/// Lines kept.
const LINES: usize = 5;
/// Bytes kept of each.
const BYTES: usize = 500;

#[derive(Debug, Default)]
pub(super) struct LastWords(VecDeque<Vec<u8>>);

impl LastWords {
    pub(super) fn push(&mut self, line: &[u8]) {
        let mut kept = if self.0.len() == LINES {
            self.0.pop_front().unwrap_or_default()
        } else {
            Vec::new()
        };
        kept.clear();
        kept.extend_from_slice(&line[..line.len().min(BYTES)]);
        self.0.push_back(kept);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn text(&self) -> Vec<String> {
        self.0.iter().map(|line| clean(line).0).collect()
    }
}
