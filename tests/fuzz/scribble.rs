//! Inputs that once mattered, and what comes of them when somebody scribbles on them. Each package has
//! its own in `tests/fuzz`, a file for each reader; they are played as they are and changed at random.
//! More rounds: `PROPTEST_CASES=20000 cargo test --lib fuzz`.

use proptest::{collection::vec, prelude::*, sample::Index};

/// The inputs of a file: between lines of `%%`. `\xNN` is a byte, so that a file of them is text.
pub(crate) fn inputs(file: &str) -> Vec<Vec<u8>> {
    file.split("\n%%\n")
        .map(|input| bytes(input.trim_end_matches("\n%%")))
        .collect()
}

fn bytes(input: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = input.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let coded = rest
            .strip_prefix(b"\\x")
            .and_then(|r| std::str::from_utf8(r.get(..2)?).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &rest[4..] } else { after };
    }
    out
}

/// One of them, with pieces cut out, doubled, put elsewhere, taken from another one, and odd bytes.
pub(crate) fn scribbled(file: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<Index>(),
        0usize..24,
        any::<Index>(),
        any::<u8>(),
        0u8..6,
    );
    (any::<Index>(), vec(change, 0..8)).prop_map(move |(which, changes)| {
        let all = inputs(file);
        let mut input = all[which.index(all.len())].clone();
        for (at, length, other, byte, how) in changes {
            let at = at.index(input.len() + 1);
            let end = (at + length).min(input.len());
            let piece = input[at..end].to_vec();
            let place = other.index(input.len() + 1);
            match how {
                0 => drop(input.drain(at..end)),
                1 => drop(input.splice(at..at, piece)),
                2 => drop(input.splice(place..place, piece)),
                3 => input.insert(at, byte),
                4 => input.truncate(at),
                _ => {
                    let from = &all[other.index(all.len())];
                    let start = at.min(from.len());
                    let piece = from[start..(start + length).min(from.len())].to_vec();
                    drop(input.splice(at..end, piece));
                }
            }
        }
        input
    })
}
