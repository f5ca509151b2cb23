//! Bytes to lines, each capped: the beginning is kept, what is over is counted.
//!
//! Does not clean or decode; that is for the few lines that will be seen.

use memchr::memchr;

/// Bytes kept of a plain line.
pub const PLAIN_CAP: usize = 64 * 1024;
/// Bytes kept of a line that may be an event.
pub const EVENT_CAP: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub struct Splitter {
    partial: Vec<u8>,
    omitted: u64,
}

impl Splitter {
    /// Calls `line` with each line that `bytes` completes, without its newline, and the number of
    /// its bytes that were left out.
    pub fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8], u64)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.partial.is_empty() && self.omitted == 0 && head.len() <= cap(head) {
                line(head, 0);
            } else {
                self.keep(head);
                line(&self.partial, self.omitted);
                self.clear();
            }
        }
        self.keep(bytes);
    }

    /// The end of the stream: a line without a newline is a line.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8], u64)) {
        if !self.partial.is_empty() || self.omitted > 0 {
            line(&self.partial, self.omitted);
            self.clear();
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let cap = if self.partial.is_empty() {
            cap(bytes)
        } else {
            cap(&self.partial)
        };
        let room = cap.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..room]);
        self.omitted += (bytes.len() - room) as u64;
    }

    fn clear(&mut self) {
        // One huge line must not hold its memory for ever.
        if self.partial.capacity() > PLAIN_CAP {
            self.partial = Vec::new();
        }
        self.partial.clear();
        self.omitted = 0;
    }
}

fn cap(line: &[u8]) -> usize {
    if line.first() == Some(&b'{') {
        EVENT_CAP
    } else {
        PLAIN_CAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, |line, omitted| lines.push((line.to_vec(), omitted)));
        }
        splitter.finish(|line, omitted| lines.push((line.to_vec(), omitted)));
        lines
    }

    #[test]
    fn a_ten_megabyte_line_is_capped_and_the_next_is_whole() {
        let huge = vec![b'x'; 10_000_000];
        let lines = split(&[&huge, b"y\nnext\n"]);
        assert_eq!(lines[0].0.len(), PLAIN_CAP);
        assert_eq!(lines[0].1, 10_000_001 - PLAIN_CAP as u64);
        assert_eq!(lines[1], (b"next".to_vec(), 0));
        let whole = split(&[&[&huge[..], b"\n"].concat()]);
        assert_eq!(whole[0].0.len(), PLAIN_CAP);
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_makes_no_difference(
            text in "[ab\n]{0,50}", cuts in prop::collection::vec(0usize..50, 0..5),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.sort_unstable();
            let (mut pieces, mut from) = (Vec::new(), 0);
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            let expected: Vec<_> =
                text.strip_suffix('\n').unwrap_or(&text).split('\n')
                    .filter(|_| !text.is_empty())
                    .map(|l| (l.as_bytes().to_vec(), 0)).collect();
            prop_assert_eq!(split(&pieces), expected);
        }
    }
}
