//! Our own credentials, in the forms in which a command could print one: as it is, in base64, in hex,
//! percent-encoded, backwards. Of what we know there is no guessing.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

/// Shorter ones would hide ordinary words.
pub(super) const SHORTEST: usize = 8;
/// What is left of base64 after the letters that depend on what stands beside the secret.
const SHORTEST_CODED: usize = 10;

fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut all = vec![
        secret.to_string(),
        secret.chars().rev().collect(),
        hex::encode(bytes),
        percent(bytes, false),
        percent(bytes, true),
    ];
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], bytes].concat();
        let coded = BASE64_STANDARD_NO_PAD.encode(&shifted);
        // The first letters hold bits of what is before it, the last of what is after it.
        let from = (shift * 8).div_ceil(6);
        let to = (shifted.len() * 8) / 6;
        if let Some(sure) = coded.get(from..to)
            && sure.len() >= SHORTEST_CODED
        {
            all.push(sure.to_string());
            all.push(sure.replace('+', "-").replace('/', "_"));
        }
    }
    all
}

fn percent(bytes: &[u8], every: bool) -> String {
    let mut out = String::new();
    for &b in bytes {
        if !every && (b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02x}"));
        }
    }
    out
}

/// Finds them all at once, in whatever case of letters. None: there is nothing of ours.
pub(super) fn finder(secrets: &[String]) -> Option<AhoCorasick> {
    let mut all: Vec<String> = secrets.iter().flat_map(|s| forms(s)).collect();
    all.sort();
    all.dedup();
    if all.is_empty() {
        return None;
    }
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(&all)
        .ok()
}
