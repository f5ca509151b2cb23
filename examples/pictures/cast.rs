//! A run as an asciicast, version 2: `asciinema play` shows it.

use std::time::Duration;

/// Pauses are no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// What comes within one frame of a player is one event.
const FRAME: Duration = Duration::from_millis(50);

pub(crate) fn cast(size: (u16, u16), title: &str, bytes: &[(Duration, Vec<u8>)]) -> String {
    let header = serde_json::json!({
        "version": 2,
        "width": size.0,
        "height": size.1,
        "title": title,
        "env": { "TERM": "xterm-256color" },
    });
    let mut out = format!("{header}\n");
    let mut at = Duration::ZERO;
    let mut last = Duration::ZERO;
    let mut event: Vec<u8> = Vec::new();
    let mut begun = Duration::ZERO;
    for (n, (time, piece)) in bytes.iter().enumerate() {
        at += time.saturating_sub(last).min(LONGEST_PAUSE);
        last = *time;
        if event.is_empty() {
            begun = at;
        }
        event.extend_from_slice(piece);
        let next = bytes.get(n + 1).map(|(time, _)| time.saturating_sub(last));
        let goes_on = next.is_some_and(|next| at + next < begun + FRAME);
        // An event is text: a character that was cut in two waits for its rest.
        let whole = match std::str::from_utf8(&event) {
            Ok(_) => event.len(),
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            Err(_) => event.len(),
        };
        if goes_on || whole == 0 {
            continue;
        }
        let rest = event.split_off(whole);
        let text = String::from_utf8_lossy(&event).into_owned();
        out += &format!("{}\n", serde_json::json!([seconds(begun), "o", text]));
        event = rest;
    }
    out
}

fn seconds(at: Duration) -> f64 {
    (at.as_secs_f64() * 1000.0).round() / 1000.0
}
