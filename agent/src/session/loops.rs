//! Notices a model that goes in circles: the same call that gives the same result again and again.

use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Times the same is seen before the model is told.
const POINTED_OUT: u32 = 3;
/// Times the same is seen before the session ends.
const STUCK: u32 = 8;
/// Different calls that are remembered.
const REMEMBERED: usize = 4_096;

type Hash = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Loops {
    /// By call: its last result, and how often in a row it gave that.
    seen: HashMap<Hash, (Hash, u32)>,
}

/// What a result says about the way things go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Fine,
    /// The same for so many times: the model should be told.
    Again(u32),
    Stuck(u32),
}

impl Pace {
    /// How often, if it is too often.
    pub(super) fn stuck(self) -> Option<u32> {
        match self {
            Self::Stuck(times) => Some(times),
            _ => None,
        }
    }
}

impl Loops {
    /// `result`: what makes it the same as another one, without what differs every time.
    pub(super) fn note(&mut self, tool: &str, input: &str, result: &str) -> Pace {
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        let call = hash(&[tool, input.trim()]);
        let result = hash(&[result]);
        let (last, times) = self.seen.entry(call).or_insert((result, 0));
        if *last != result {
            (*last, *times) = (result, 0);
        }
        *times += 1;
        match *times {
            n if n >= STUCK => Pace::Stuck(n),
            n if n >= POINTED_OUT => Pace::Again(n),
            _ => Pace::Fine,
        }
    }
}

fn hash(parts: &[&str]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_call_with_the_same_result_is_a_circle() {
        let mut loops = Loops::default();
        let mut note = |input: &str, result: &str| loops.note("shell", input, result);
        assert_eq!(note("ls", "a"), Pace::Fine);
        assert_eq!(note("ls", "a"), Pace::Fine);
        assert_eq!(note("date", "1"), Pace::Fine, "in between changes nothing");
        assert_eq!(note(" ls ", "a"), Pace::Again(3));
        assert_eq!(note("ls", "b"), Pace::Fine, "something moved");
        for n in 2..STUCK {
            let pace = note("ls", "b");
            assert_eq!(pace == Pace::Fine, n < POINTED_OUT, "{n}");
        }
        assert_eq!(note("ls", "b"), Pace::Stuck(STUCK));
    }
}
