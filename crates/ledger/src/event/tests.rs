use super::*;
use crate::scribble::{inputs, scribbled};
use proptest::prelude::*;

#[test]
fn an_event_is_one_flat_object_and_survives_the_way_there_and_back() {
    let event = Event {
        v: VERSION,
        seq: 7,
        at: "2026-01-30T10:11:12.345Z".parse().unwrap(),
        session: Some("s".into()),
        kind: Kind::ToolCall {
            call: "c1".into(),
            tool: "shell".into(),
            input: "ls".into(),
            reasoning: "look".into(),
            effect: Some(Stored::Known(Effect::Reads)),
            server_call: None,
        },
    };
    let line = serde_json::to_string(&event).unwrap();
    assert_eq!(
        line,
        r#"{"v":1,"seq":7,"at":"2026-01-30T10:11:12.345Z","session":"s","type":"tool_call","call":"c1","tool":"shell","input":"ls","reasoning":"look","effect":"reads"}"#
    );
    assert_eq!(parse(&line), Some(event));
}

#[test]
fn an_effect_that_is_not_said_or_not_known_here_is_none_that_we_know() {
    let effect = |said: &str| {
        let line = format!(
            r#"{{"v":1,"seq":1,"at":"2026-01-30T10:11:12Z","type":"tool_call","call":"c","tool":"shell","input":"ls"{said}}}"#
        );
        match parse(&line).unwrap().kind {
            Kind::ToolCall { effect, .. } => effect,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(effect(""), None);
    assert_eq!(effect(r#","effect":null"#), None);
    assert_eq!(
        effect(r#","effect":"changes""#),
        Some(Stored::Known(Effect::Changes))
    );
    assert_eq!(effect(r#","effect":"sings""#).unwrap().known(), None);
}

#[test]
fn unknown_types_and_fields_are_ignored() {
    let line = r#"{"v":1,"seq":1,"at":"2026-01-30T10:11:12Z","type":"weather","sky":"blue"}"#;
    assert_eq!(parse(line).unwrap().kind, Kind::Unknown);
    let line = r#"{"v":1,"seq":1,"at":"2026-01-30T10:11:12Z","type":"text","delta":"x","new":1}"#;
    assert_eq!(
        parse(line).unwrap().kind,
        Kind::Text {
            delta: "x".into(),
            end: false
        }
    );
}

#[test]
fn what_is_not_an_event_is_plain_text() {
    for line in ["", "hello", "{", "{}", r#"{"type":"text"}"#, "[1]", "null"] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn control_lines_read_as_documented() {
    let c: Control = serde_json::from_str(r#"{"type":"approve","call":"c1"}"#).unwrap();
    assert_eq!(
        c,
        Control::Approve {
            call: "c1".into(),
            why: String::new(),
            by: String::new()
        }
    );
    let c: Control = serde_json::from_str(r#"{"type":"interrupt"}"#).unwrap();
    assert_eq!(c, Control::Interrupt { by: String::new() });
    let c: Control = serde_json::from_str(r#"{"type":"dance"}"#).unwrap();
    assert_eq!(c, Control::Unknown);
}

/// One of each kind, with a place for a text.
const LINES: [&str; 10] = [
    r#""type":"hello","agent":%,"version":"1","pid":1,"model":%,"mode":"propose","ledger":%"#,
    r#""session":%,"type":"session_start","ticket":-4,"title":%"#,
    r#""type":"session_end","outcome":"resolved","resolution":%,"duration_ms":1"#,
    r#""type":"text","delta":%,"end":true"#,
    r#""type":"tool_call","call":%,"tool":%,"input":%,"reasoning":%"#,
    r#""type":"tool_output","call":"c","stream":"stderr","text":%"#,
    r#""type":"tool_result","call":%,"exit_code":null,"duration_ms":7,"timed_out":true"#,
    r#""type":"finish","outcome":"repaired","cause":%,"evidence":[%],"actions":%,"checked":"","next":"","confidence":%"#,
    r#""type":"usage","input":1,"output":2,"cache_read":3,"cache_write":4,"cost_usd":1.25"#,
    r#""type":"notice","level":"warn","text":%,"dropped":9"#,
];

fn line(which: usize, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    let fields = LINES[which].replace('%', &text);
    format!(r#"{{"v":1,"seq":7,"at":"2026-01-30T10:11:12.345Z",{fields}}}"#)
}

const FUZZ: &str = include_str!("../../tests/fuzz/events.txt");

/// An event survives, and what is none is none: nothing in between.
fn survives(line: &str) -> bool {
    parse(line).is_none_or(|event| parse(&serde_json::to_string(&event).unwrap()) == Some(event))
}

#[test]
fn fuzz_inputs_are_events_or_none() {
    for input in inputs(FUZZ) {
        assert!(survives(&String::from_utf8_lossy(&input)));
    }
}

proptest! {
    #[test]
    fn fuzz_no_line_is_half_an_event(line in scribbled(FUZZ)) {
        let line = String::from_utf8_lossy(&line);
        prop_assert!(survives(&line), "{line}");
        // A line on stdin is a control line or an unknown one, and never a panic.
        let _ = serde_json::from_str::<Control>(&line);
    }

    #[test]
    fn any_text_survives_in_any_event(which in 0..LINES.len(), text in any::<String>()) {
        let event = parse(&line(which, &text)).expect("an event");
        prop_assert_eq!(parse(&serde_json::to_string(&event).unwrap()), Some(event));
    }

    /// An event that was cut, doubled or scribbled on is another event or plain text.
    #[test]
    fn no_line_is_too_odd(
        which in 0..LINES.len(), text in ".{0,20}",
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20, any::<char>()), 1..5),
    ) {
        let mut line: Vec<char> = line(which, &text).chars().collect();
        for (at, length, c) in changes {
            let at = at.index(line.len() + 1);
            let piece = line[at..(at + length).min(line.len())].to_vec();
            match u32::from(c) % 3 {
                0 => drop(line.drain(at..at + piece.len())),
                1 => line.insert(at, c),
                _ => drop(line.splice(at..at, piece)),
            }
        }
        let line: String = line.into_iter().collect();
        if let Some(event) = parse(&line) {
            prop_assert_eq!(parse(&serde_json::to_string(&event).unwrap()), Some(event));
        }
    }
}
