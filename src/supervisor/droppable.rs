//! Lines that may scroll away: the newest are kept, as the bytes they came as, and older ones
//! make room without having been looked at.
//!
//! All lines are in one buffer, so that a line which nobody will see costs its copy and no more.

use crate::transcript::ring::CAPACITY;
use std::collections::VecDeque;

/// Pieces kept. More than a transcript has lines, as some only end a line that is shown.
pub(super) const PIECES: usize = 256;
/// Bytes kept.
pub(super) const BYTES: usize = 4 * 1024 * 1024;
/// Bytes at the front that nobody needs any more before they are given back.
const SLACK: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Droppable {
    /// An event without state, or what looks like one.
    Delta,
    Plain {
        stderr: bool,
        omitted: u64,
    },
}

#[derive(Debug)]
struct Piece {
    seq: u64,
    what: Droppable,
    /// Where it ends in the buffer.
    end: usize,
}

#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    buffer: Vec<u8>,
    /// Where the oldest piece begins.
    start: usize,
    pieces: VecDeque<Piece>,
    /// How many of them are lines of their own.
    plain: usize,
    /// Pieces that made room since the buffer was last taken.
    pub lost: u64,
}

impl LineBuffer {
    pub(super) fn push(&mut self, seq: u64, what: Droppable, line: &[u8]) {
        self.buffer.extend_from_slice(line);
        let end = self.buffer.len();
        self.plain += usize::from(what != Droppable::Delta);
        self.pieces.push_back(Piece { seq, what, end });
        while self.too_much() {
            self.drop_oldest();
        }
        // Each byte is moved at most once for every byte that came.
        if self.start > SLACK.max(self.buffer.len() - self.start) {
            self.buffer.drain(..self.start);
            for piece in &mut self.pieces {
                piece.end -= self.start;
            }
            self.start = 0;
        }
    }

    /// Takes all pieces, oldest first, with the numbers they were pushed under.
    pub(super) fn take(&mut self) -> Vec<(u64, Droppable, Vec<u8>)> {
        let mut start = self.start;
        let pieces = std::mem::take(&mut self.pieces).into_iter().map(|piece| {
            let line = self.buffer[start..piece.end].to_vec();
            start = piece.end;
            (piece.seq, piece.what, line)
        });
        let pieces = pieces.collect();
        // One huge line must not hold its memory for ever.
        if self.buffer.capacity() > 4 * SLACK {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.start = 0;
        self.plain = 0;
        pieces
    }

    fn too_much(&self) -> bool {
        let Some(oldest) = self.pieces.front() else {
            return false;
        };
        // With so many whole lines after it, it cannot be seen.
        let after = self.plain - usize::from(oldest.what != Droppable::Delta);
        after >= CAPACITY || self.pieces.len() > PIECES || self.buffer.len() - self.start > BYTES
    }

    fn drop_oldest(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.start = piece.end;
            self.plain -= usize::from(piece.what != Droppable::Delta);
            self.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Droppable = Droppable::Plain {
        stderr: false,
        omitted: 0,
    };

    #[test]
    fn the_newest_lines_are_kept_in_a_buffer_that_stays_small() {
        let mut buffer = LineBuffer::default();
        for n in 0..1_000_000u64 {
            buffer.push(n, PLAIN, format!("line {n}").as_bytes());
        }
        assert!(buffer.buffer.capacity() < 4 * SLACK);
        let taken = buffer.take();
        assert_eq!(taken.len(), CAPACITY);
        assert_eq!(buffer.lost, 1_000_000 - CAPACITY as u64);
        assert_eq!(taken[0].2, b"line 999900");
        assert_eq!(taken[99], (999_999, PLAIN, b"line 999999".to_vec()));
        assert!(buffer.take().is_empty());
    }

    #[test]
    fn pieces_of_lines_are_more_than_lines() {
        let mut buffer = LineBuffer::default();
        for n in 0..1000 {
            buffer.push(n, Droppable::Delta, b"piece");
        }
        buffer.push(1000, PLAIN, b"line");
        let taken = buffer.take();
        assert_eq!(taken.len(), PIECES);
        assert_eq!(taken[PIECES - 1].2, b"line");
        for n in 0..CAPACITY as u64 {
            buffer.push(n, Droppable::Delta, b"hidden by the lines after it");
            buffer.push(n, PLAIN, b"line");
        }
        buffer.push(0, PLAIN, b"line");
        // A hundred lines, and the 98 pieces between them.
        assert_eq!(buffer.take().len(), 2 * CAPACITY - 2);
    }

    #[test]
    fn huge_lines_are_bounded_in_bytes_and_leave_no_memory_behind() {
        let mut buffer = LineBuffer::default();
        for n in 0..100 {
            buffer.push(n, Droppable::Delta, &vec![b'x'; 64 * 1024]);
        }
        let bytes: usize = buffer.take().iter().map(|(_, _, line)| line.len()).sum();
        assert_eq!(bytes, BYTES);
        assert_eq!(buffer.buffer.capacity(), 0);
    }
}
