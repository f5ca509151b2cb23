//! From the bytes of a terminal to whole pieces: keys, mouse reports, pastes. What a terminal answers
//! to questions is no key, however late it comes, and what has no end is given up.
//!
//! Knows no clock: whoever reads says what time it is. What a piece means is told by `meaning`.

use std::time::{Duration, Instant};

/// So long the rest of a sequence may be on its way. A lone Esc waits as long.
const REST: Duration = Duration::from_millis(25);
/// So long the rest of a paste or of an answer may be.
const LONG_REST: Duration = Duration::from_secs(1);
/// Longest answer of a terminal; what is longer is none.
const MAX_ANSWER: usize = 64 * 1024;
/// A longer paste comes in parts.
const MAX_PASTE: usize = 1024 * 1024;
/// Longest sequence of a key or a mouse.
const MAX_SEQUENCE: usize = 64;
/// A read of so few bytes may be typed, not pasted.
const TYPED: usize = 8;

const ESC: u8 = 0x1b;
const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Keys and mouse reports.
    Input(Vec<u8>),
    Paste(Vec<u8>),
}

/// Cuts what is read into pieces.
#[derive(Debug, Default)]
pub(super) struct Frames {
    inside: Inside,
    /// Read, and not told yet.
    held: Vec<u8>,
    /// When what is open is given up.
    deadline: Option<Instant>,
}

#[derive(Debug, Default)]
enum Inside {
    #[default]
    Nothing,
    /// `typed`: where what came in small reads begins, since the last large one.
    Paste { text: Vec<u8>, typed: Option<usize> },
    /// How long it is by now.
    Answer(usize),
}

/// What stands at the front of what is held.
enum Front {
    /// A piece of so many bytes.
    Input(usize),
    /// So many bytes that tell nothing that was typed.
    Nothing(usize),
    Paste,
    Answer,
    /// Cannot be told yet.
    Open,
}

impl Frames {
    /// When [`Frames::late`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes the bytes of one read.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant, out: &mut Vec<Piece>) {
        let opened = self.deadline.filter(|_| self.is_inside());
        self.held.extend_from_slice(bytes);
        self.cut(bytes.len() <= TYPED, out);
        self.deadline = match &self.inside {
            Inside::Nothing if self.held.is_empty() => None,
            Inside::Nothing => Some(now + REST),
            // Somebody who types in vain does not prolong it.
            Inside::Paste { typed: Some(_), .. } | Inside::Answer(_) => {
                opened.or(Some(now + LONG_REST))
            }
            Inside::Paste { .. } => Some(now + LONG_REST),
        };
    }

    /// Gives up what is open, if its time is over.
    pub(super) fn late(&mut self, now: Instant, out: &mut Vec<Piece>) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.deadline = None;
        match std::mem::take(&mut self.inside) {
            Inside::Nothing if self.held == [ESC] => out.push(Piece::Input(vec![ESC])),
            Inside::Nothing | Inside::Answer(_) => {}
            Inside::Paste { mut text, typed } => {
                let typed = typed.map_or_else(Vec::new, |at| text.split_off(at));
                out.push(Piece::Paste(text));
                self.held.clear();
                return self.push(&typed, now, out);
            }
        }
        self.held.clear();
    }

    fn is_inside(&self) -> bool {
        !matches!(self.inside, Inside::Nothing)
    }

    fn cut(&mut self, small: bool, out: &mut Vec<Piece>) {
        loop {
            match &mut self.inside {
                Inside::Nothing => match front(&self.held) {
                    Front::Open => return,
                    Front::Input(n) => out.push(Piece::Input(self.held.drain(..n).collect())),
                    Front::Nothing(n) => drop(self.held.drain(..n)),
                    Front::Paste => {
                        self.held.drain(..PASTE.len());
                        let text = Vec::new();
                        self.inside = Inside::Paste { text, typed: None };
                    }
                    Front::Answer => {
                        self.held.drain(..2);
                        self.inside = Inside::Answer(0);
                    }
                },
                Inside::Paste { text, typed } => {
                    if self.held.is_empty() {
                        return;
                    }
                    let from = text.len();
                    text.append(&mut self.held);
                    *typed = small.then_some(typed.unwrap_or(from));
                    let seen = from.saturating_sub(PASTE_END.len() - 1);
                    let end = text[seen..]
                        .windows(PASTE_END.len())
                        .position(|window| window == PASTE_END);
                    if let Some(end) = end {
                        self.held = text.split_off(seen + end + PASTE_END.len());
                        text.truncate(seen + end);
                        out.push(Piece::Paste(std::mem::take(text)));
                        self.inside = Inside::Nothing;
                    } else if text.len() > MAX_PASTE {
                        // The end may have begun.
                        let rest = text.split_off(text.len() - PASTE_END.len());
                        out.push(Piece::Paste(std::mem::replace(text, rest)));
                        *typed = None;
                        return;
                    }
                }
                Inside::Answer(length) => {
                    let Some((n, ended)) = answer(&self.held) else {
                        return;
                    };
                    self.held.drain(..n);
                    *length += n;
                    if ended || *length > MAX_ANSWER {
                        self.inside = Inside::Nothing;
                    }
                }
            }
        }
    }
}

/// How many bytes belong to an answer, and whether it ends with them. None: nothing can be told.
fn answer(held: &[u8]) -> Option<(usize, bool)> {
    let end = held
        .iter()
        .position(|b| matches!(*b, 0x07 | ESC | 0x18 | 0x1a));
    match (end, end.map(|at| &held[at..])) {
        (Some(at), Some([ESC, b'\\', ..])) => Some((at + 2, true)),
        (Some(0), Some([ESC])) => None,
        (Some(at), Some([ESC])) => Some((at, false)),
        // Another sequence begins.
        (Some(at), Some([ESC, ..])) => Some((at, true)),
        (Some(at), _) => Some((at + 1, true)),
        (None, _) if held.is_empty() => None,
        (None, _) => Some((held.len(), false)),
    }
}

fn front(held: &[u8]) -> Front {
    match held {
        [] | [ESC] => Front::Open,
        [ESC, b'[', ..] => control(held),
        [ESC, b'O', ..] => whole(3, held),
        [ESC, b']' | b'P' | b'^' | b'_'] => Front::Open,
        [ESC, b']' | b'P' | b'^' | b'_', ..] => Front::Answer,
        [ESC, ESC, ..] => Front::Input(1),
        [ESC, rest @ ..] => match characters(rest) {
            0 => Front::Open,
            // Alt and the first of them.
            _ => Front::Input(1 + rest.utf8_chunks().next().map_or(1, first_length)),
        },
        text => match characters(text) {
            0 => Front::Open,
            n => Front::Input(n),
        },
    }
}

/// The length of the first character, or of what is none.
fn first_length(chunk: std::str::Utf8Chunk<'_>) -> usize {
    let first = chunk.valid().chars().next();
    first.map_or(chunk.invalid().len(), char::len_utf8)
}

/// How many bytes of whole characters there are before the next sequence.
fn characters(text: &[u8]) -> usize {
    let end = text.iter().position(|b| *b == ESC);
    let run = &text[..end.unwrap_or(text.len())];
    match std::str::from_utf8(run) {
        // The rest of the last one may be on its way.
        Err(e) if e.error_len().is_none() && end.is_none() => e.valid_up_to(),
        _ => run.len(),
    }
}

/// `ESC [`, parameters, and the byte that ends it.
fn control(held: &[u8]) -> Front {
    let begins = |sequence: &[u8]| held.len() < sequence.len() && sequence.starts_with(held);
    if held.starts_with(PASTE) {
        return Front::Paste;
    }
    if begins(PASTE) || begins(PASTE_END) {
        return Front::Open;
    }
    // Function keys of the Linux console.
    if held.get(2) == Some(&b'[') {
        return whole(4, held);
    }
    let length = held[2..]
        .iter()
        .take_while(|b| matches!(b, 0x20..=0x3f))
        .count();
    let at = 2 + length;
    let private = matches!(held.get(2), Some(b'?' | b'>' | b'=' | b'<'));
    match held.get(at) {
        None if at > MAX_SEQUENCE => Front::Nothing(at),
        None => Front::Open,
        // The end of a paste that was given up.
        Some(_) if held.starts_with(PASTE_END) => Front::Nothing(PASTE_END.len()),
        Some(b'M' | b'm') if held[2] == b'<' => Front::Input(at + 1),
        // The mouse in a form that nobody asked for: three bytes that look like keys.
        Some(b'M') if length == 0 && held.len() < 6 => Front::Open,
        Some(b'M') if length == 0 => Front::Nothing(6),
        Some(b'c' | b'n' | b'y' | b't') => Front::Nothing(at + 1),
        Some(0x40..=0x7e) if private => Front::Nothing(at + 1),
        Some(0x40..=0x7e) => Front::Input(at + 1),
        Some(_) => Front::Nothing(at),
    }
}

fn whole(length: usize, held: &[u8]) -> Front {
    if held.len() < length {
        Front::Open
    } else {
        Front::Input(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn input(bytes: &[u8]) -> Piece {
        Piece::Input(bytes.to_vec())
    }

    fn paste(bytes: &[u8]) -> Piece {
        Piece::Paste(bytes.to_vec())
    }

    /// What these reads give, a millisecond apart, and a long while after.
    fn all(reads: &[&[u8]]) -> Vec<Piece> {
        let (mut frames, mut out, start) = (Frames::default(), Vec::new(), Instant::now());
        for (n, read) in reads.iter().enumerate() {
            let now = start + Duration::from_millis(n as u64);
            frames.late(now, &mut out);
            frames.push(read, now, &mut out);
        }
        let mut now = start;
        for _ in 0..4 {
            now += 2 * LONG_REST;
            frames.late(now, &mut out);
        }
        assert_eq!(frames.deadline(), None);
        out
    }

    #[test]
    fn keys_come_one_by_one_however_they_are_read() {
        let keys: [&[u8]; 9] = [
            b"\x1b[A",
            b"\x1bOP",
            b"\x1b[[B",
            b"\x1b[1;5C",
            b"\x1b[<0;3;4M",
            b"\x1bx",
            b"j",
            "é".as_bytes(),
            b"\x1b[15~",
        ];
        let wanted: Vec<_> = keys.iter().map(|key| input(key)).collect();
        assert_eq!(all(&keys), wanted);
        let one = keys.concat();
        let bytes: Vec<&[u8]> = one.chunks(1).collect();
        assert_eq!(all(&bytes), wanted);
    }

    #[test]
    fn a_lone_escape_is_a_key_once_nothing_follows() {
        assert_eq!(all(&[b"\x1b"]), [input(b"\x1b")]);
        assert_eq!(all(&[b"\x1b\x1b"]), [input(b"\x1b"), input(b"\x1b")]);
        assert_eq!(all(&[b"\x1b", b"[A"]), [input(b"\x1b[A")]);
        // Nobody presses these.
        assert_eq!(all(&[b"\x1b[1;"]), []);
    }

    #[test]
    fn answers_of_a_terminal_are_no_keys() {
        for answer in [
            &b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\"[..],
            b"\x1b]11;rgb:1e1e/1e1e/2e2e\x07",
            b"\x1bP>|xterm(380)\x1b\\",
            b"\x1b_Gi=1;OK\x1b\\",
            b"\x1b[?62;22c",
            b"\x1b[>41;380;0c",
            b"\x1b[?2026;2$y",
            b"\x1b[?1u",
            b"\x1b[8;24;80t",
            b"\x1b[201~",
            b"\x1b[M !!",
        ] {
            let text = [b"a", answer, b"b"].concat();
            assert_eq!(all(&[&text]), [input(b"a"), input(b"b")], "{answer:?}");
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(all(&bytes), [input(b"a"), input(b"b")], "{answer:?}");
        }
        // One that is broken off by a key, and one without an end.
        assert_eq!(all(&[b"\x1b]11;rgb\x1b[A"]), [input(b"\x1b[A")]);
        assert_eq!(all(&[b"\x1b]11;rgb:1e1e", b"q"]), []);
    }

    #[test]
    fn a_paste_is_one_piece_whatever_is_in_it() {
        let text = "x\x1b[A\x1b]0;t\x07é\n".repeat(100);
        let whole = [PASTE, text.as_bytes(), PASTE_END, b"q"].concat();
        let wanted = [paste(text.as_bytes()), input(b"q")];
        assert_eq!(all(&[&whole]), wanted);
        let parts: Vec<&[u8]> = whole.chunks(100).collect();
        assert_eq!(all(&parts), wanted);
    }

    #[test]
    fn a_paste_without_an_end_is_given_up_and_what_was_typed_since_is_typed() {
        let (mut frames, mut out, start) = (Frames::default(), Vec::new(), Instant::now());
        frames.push(b"\x1b[200~partial paste", start, &mut out);
        for (n, key) in [b"?", b"\x03", b"q"].into_iter().enumerate() {
            let now = start + Duration::from_millis(300 * (n as u64 + 1));
            frames.late(now, &mut out);
            frames.push(key, now, &mut out);
        }
        assert_eq!(out, []);
        frames.late(start + LONG_REST, &mut out);
        assert_eq!(out, [paste(b"partial paste"), input(b"?\x03q")]);
        frames.push(b"j", start + LONG_REST, &mut out);
        assert_eq!(out[2..], [input(b"j")]);
    }

    #[test]
    fn a_paste_without_bound_comes_in_parts() {
        let text = vec![b'x'; 3 * MAX_PASTE];
        let whole = [PASTE, &text, PASTE_END].concat();
        let parts: Vec<&[u8]> = whole.chunks(4096).collect();
        let all = all(&parts);
        assert!(all.len() >= 3);
        let pasted: Vec<u8> = all
            .into_iter()
            .flat_map(|piece| match piece {
                Piece::Paste(text) => text,
                Piece::Input(_) => panic!("typed"),
            })
            .collect();
        assert!(pasted == text);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_next_key_is_heard(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(ESC), Just(b'['), Just(b']'), Just(b'~')],
                0..200,
            ),
            sizes in proptest::collection::vec(1usize..20, 0..40),
        ) {
            let (mut frames, mut out, mut now) = (Frames::default(), Vec::new(), Instant::now());
            let (mut rest, mut sizes) = (&bytes[..], sizes.into_iter().cycle());
            while !rest.is_empty() {
                let n = sizes.next().unwrap_or(rest.len()).min(rest.len());
                frames.push(&rest[..n], now, &mut out);
                rest = &rest[n..];
            }
            for _ in 0..4 {
                now += 2 * LONG_REST;
                frames.late(now, &mut out);
            }
            prop_assert_eq!(frames.deadline(), None);
            out.clear();
            frames.push(b"q", now, &mut out);
            prop_assert_eq!(out, [input(b"q")]);
        }
    }
}
