//! Whether a line is certainly an event that carries no state, told without parsing it: knows the
//! byte order in which [`super::Event`] is written, and changes with it.
//!
//! In a flood of output most events are dropped unseen, and a parse each would be most of the
//! work. What is told here is told of one form only, the one that is written: known keys, once
//! each, in its order. Anything else, valid or not, is left to the parser; so a line that this
//! takes for a delta is one, or no event at all.

use memchr::{memchr2, memmem};

/// True: no state is lost when the line is not looked at.
pub fn is_delta(line: &[u8]) -> bool {
    look(line).is_some()
}

fn look(line: &[u8]) -> Option<()> {
    let rest = number(line.strip_prefix(br#"{"v":"#)?)?;
    let rest = number(rest.strip_prefix(br#","seq":"#)?)?;
    let rest = word(rest.strip_prefix(br#","at":""#)?)?;
    let rest = match rest.strip_prefix(br#","session":""#) {
        Some(rest) => word(rest)?,
        None => rest,
    };
    let rest = rest.strip_prefix(br#","type":""#)?;
    let rest = if let Some(rest) = rest.strip_prefix(br#"tool_output","call":""#) {
        let rest = word(rest)?.strip_prefix(br#","stream":"std"#)?;
        let rest = rest
            .strip_prefix(br#"out""#)
            .or_else(|| rest.strip_prefix(br#"err""#))?;
        rest.strip_prefix(br#","text":""#)?
    } else {
        let rest = rest
            .strip_prefix(br#"text""#)
            .or_else(|| rest.strip_prefix(br#"thinking""#))?;
        // With an `end` after it, it would be more than a delta.
        rest.strip_prefix(br#","delta":""#)?
    };
    (text(rest)? == b"}").then_some(())
}

/// What follows a run of digits.
fn number(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|b| !b.is_ascii_digit())?;
    (end > 0).then(|| &line[end..])
}

/// What follows a string that escapes nothing, begun before `line`.
fn word(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    (line[end] == b'"').then(|| &line[end + 1..])
}

/// What follows a string, begun before `line`.
fn text(mut line: &[u8]) -> Option<&[u8]> {
    loop {
        let at = memchr2(b'"', b'\\', line)?;
        if line[at] == b'"' {
            return Some(&line[at + 1..]);
        }
        line = line.get(at + 2..)?;
    }
}

/// Whether a line can be an event at all: every one of them has a type, by that name or with an
/// escape in it.
pub fn may_be_event(line: &[u8]) -> bool {
    let holds = |what: &[u8]| memmem::find(line, what).is_some();
    line.first() == Some(&b'{') && (holds(b"type") || holds(b"\\u00"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{self, Event, Kind, Level, Outcome, Stream, VerifyState};
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        let text = ".{0,40}";
        let any = || any::<bool>();
        prop_oneof![
            (text, any()).prop_map(|(delta, end)| Kind::Text { delta, end }),
            (text, any()).prop_map(|(delta, end)| Kind::Thinking { delta, end }),
            (text, text, any()).prop_map(|(call, text, err)| Kind::ToolOutput {
                call,
                stream: if err { Stream::Stderr } else { Stream::Stdout },
                text,
            }),
            (text, text).prop_map(|(call, why)| Kind::Proposal { call, why }),
            (text, text).prop_map(|(call, input)| Kind::ToolCall {
                call,
                tool: "shell".into(),
                input,
                reasoning: String::new(),
                effect: None,
                server_call: None,
            }),
            text.prop_map(|detail| Kind::Verify {
                state: VerifyState::Proven,
                detail,
            }),
            text.prop_map(|summary| Kind::SessionEnd {
                outcome: Outcome::Resolved,
                resolution: None,
                summary,
                duration_ms: 1,
                head_hash: String::new(),
            }),
            text.prop_map(|text| Kind::Notice {
                level: Level::Info,
                text,
                dropped: 0,
                waits: false,
            }),
        ]
    }

    fn line(kind: Kind, session: Option<String>) -> Vec<u8> {
        let event = Event {
            v: event::VERSION,
            seq: 7,
            at: "2026-01-30T10:11:12.345Z".parse().unwrap(),
            session,
            kind,
        };
        serde_json::to_vec(&event).unwrap()
    }

    /// Carries state, as the parser sees it.
    fn state(line: &[u8]) -> bool {
        std::str::from_utf8(line)
            .ok()
            .and_then(event::parse)
            .is_some_and(|e| e.kind.is_state())
    }

    #[test]
    fn deltas_as_the_agent_writes_them_are_told_at_once() {
        let output = Kind::ToolOutput {
            call: "call_1".into(),
            stream: Stream::Stdout,
            text: "a \"quoted\" \\ \u{1b}[31mline\n".into(),
        };
        assert!(is_delta(&line(output, Some("s".into()))));
        let delta = |end| Kind::Text {
            delta: "\"end\":true".into(),
            end,
        };
        assert!(is_delta(&line(delta(false), None)));
        assert!(!is_delta(&line(delta(true), None)));
    }

    #[test]
    fn what_could_be_more_is_left_to_the_parser() {
        for odd in [
            // A state event whose text looks like a delta.
            r#"{"v":1,"seq":1,"at":"t","type":"verify","state":"proven","detail":"\"type\":\"text\",\"delta\":\"x\""}"#,
            // Other orders, spaces, and escaped keys.
            r#"{"v":1,"seq":1,"at":"t","delta":"x","type":"text"}"#,
            r#"{"v":1,"seq":1,"at":"t","type":"text","delta":"x","end":true}"#,
            r#"{"v":1,"seq":1,"at":"t","type":"text","delta":"x","\u0065nd":true}"#,
            r#"{"v":1,"seq":1,"at":"t","type":"text","delta":"x" ,"end":true}"#,
            r#"{"v":1,"seq":1,"at":"t","type":"text","delta":"x\\","end":true}"#,
            r#"{"v":1,"seq":1,"at":"t","session":"s","session":"s","type":"text","delta":"x"}"#,
            r#"{"v":1,"seq":1,"at":"t","type":"text","delta":"x"#,
            r#"{"v":1,"seq":1,"at":"t","type":"text","delta":"x\"#,
            "",
            "{",
        ] {
            assert!(!is_delta(odd.as_bytes()), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_event_that_carries_state_is_taken_for_a_delta(
            kind in kinds(), session in prop::option::of(".{0,10}"),
        ) {
            let line = line(kind, session);
            prop_assert!(!(is_delta(&line) && state(&line)));
            prop_assert!(may_be_event(&line));
            let escaped = String::from_utf8(line).unwrap().replacen("\"type", "\"\\u0074ype", 1);
            prop_assert!(may_be_event(escaped.as_bytes()) && !is_delta(escaped.as_bytes()));
        }

        /// The same after bytes were changed, cut out or doubled anywhere in it.
        #[test]
        fn nor_is_one_that_somebody_else_wrote(
            kind in kinds(),
            changes in prop::collection::vec((0usize..400, 0usize..30, any::<u8>()), 0..4),
        ) {
            let mut line = line(kind, Some("s".into()));
            for (at, len, byte) in changes {
                let at = at.min(line.len());
                let end = (at + len).min(line.len());
                match byte % 3 {
                    0 => drop(line.drain(at..end)),
                    1 => line.insert(at, byte),
                    _ => {
                        let piece = line[at..end].to_vec();
                        line.splice(at..at, piece);
                    }
                }
            }
            prop_assert!(!(is_delta(&line) && state(&line)), "{}", String::from_utf8_lossy(&line));
        }

        /// All but some exotic strings of ours take the quick way.
        #[test]
        fn a_delta_of_ours_is_told(delta in ".{0,60}") {
            let kind = Kind::Text { delta, end: false };
            prop_assert!(is_delta(&line(kind, None)));
        }
    }
}
