//! The call by which a model says that its work on the ticket ends: how it is described to the
//! model, and what such a call says. What comes of it is `session::finish`'s.

use operator_ledger::{Confidence, FINISH, Finish, FinishOutcome, Stored};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Bytes of a field.
const MAX_TEXT: usize = 8 * 1024;
/// Calls that are named as evidence, and bytes of one's name.
const MAX_EVIDENCE: usize = 64;
const MAX_NAME: usize = 200;
/// Things that are said to be wrong with a call, and characters of a word of the model's in them.
const MAX_FAULTS: usize = 8;
const MAX_QUOTED: usize = 60;

const FIELDS: [&str; 7] = [
    "outcome",
    "cause",
    "evidence",
    "actions",
    "checked",
    "next",
    "confidence",
];

/// As the Messages API wants it described.
pub(super) fn definition() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    json!({
        "name": FINISH,
        "description": "Ends your work on the ticket, and is the only way to end it. `repaired` is a \
    claim: the monitor then looks for itself, and if it still sees the violation you are told and go \
    on. `nothing_wrong`: there was nothing to repair and you changed nothing; it is left to the \
    monitor. `escalate`: a person must go on, which is a good result too. Other calls of the same turn \
    run before it.",
        "input_schema": {
            "type": "object",
            "properties": {
                "outcome": { "type": "string", "enum": ["repaired", "nothing_wrong", "escalate"] },
                "cause": text("What was wrong and why, as far as you know. Not what you did."),
                "evidence": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "The calls that show it, by their numbers: a result names its own, \
    [call 3]."
                },
                "actions": text("What you changed, in order; empty if nothing."),
                "checked": text("What you looked at afterwards, and what you saw."),
                "next": text("What a person should do or watch; empty if nothing."),
                "confidence": {
                    "type": "string",
                    "enum": ["low", "medium", "high"],
                    "description": "How sure you are of the cause."
                }
            },
            "required": FIELDS
        }
    })
}

/// What a call says. `call` finds the id of a call of this session by its number or its id. The
/// error is for the model, and says what to do.
pub fn read(input: &Value, call: impl Fn(&str) -> Option<String>) -> Result<Finish, String> {
    if let Some(raw) = input.get("INVALID_JSON") {
        // What the documentation says such a call is to be answered with.
        return Err(json!({ "INVALID_JSON": raw }).to_string());
    }
    let empty = Map::new();
    let fields = input.as_object().unwrap_or(&empty);
    let mut faults = Vec::new();
    for name in fields
        .keys()
        .filter(|name| !FIELDS.contains(&name.as_str()))
    {
        faults.push(format!("there is no field `{}`", quoted(name)));
    }
    let mut text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.len() > MAX_TEXT => {
            let long = text.len();
            faults.push(format!(
                "`{name}` has {long} bytes, and {MAX_TEXT} are allowed"
            ));
            String::new()
        }
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(_) => {
            faults.push(format!("`{name}` must be a text"));
            String::new()
        }
    };
    let [outcome, cause, actions, checked, next, confidence] = [
        "outcome",
        "cause",
        "actions",
        "checked",
        "next",
        "confidence",
    ]
    .map(&mut text);
    let named = evidence(fields.get("evidence"), call, &mut faults);
    let outcome = word::<FinishOutcome>("outcome", &outcome, &mut faults);
    let confidence = word::<Confidence>("confidence", &confidence, &mut faults);
    // A fault of a field is said once.
    let mut needs = |name: &str, given: bool| {
        let told = format!("`{name}`");
        if !given && !faults.iter().any(|fault| fault.contains(&told)) {
            faults.push(format!("{told} is missing"));
        }
    };
    needs("cause", !cause.is_empty());
    match outcome {
        Some(FinishOutcome::Repaired) => {
            needs("evidence", !named.is_empty());
            needs("actions", !actions.is_empty());
            needs("checked", !checked.is_empty());
        }
        Some(FinishOutcome::NothingWrong) => {
            needs("evidence", !named.is_empty());
            needs("checked", !checked.is_empty());
        }
        Some(FinishOutcome::Escalate) => needs("next", !next.is_empty()),
        None => {}
    }
    match (outcome, faults.is_empty()) {
        (Some(outcome), true) => Ok(Finish {
            outcome: Stored::Known(outcome),
            cause,
            evidence: named,
            actions,
            checked,
            next,
            confidence: confidence.map(Stored::Known),
        }),
        _ => Err(refusal(&faults)),
    }
}

fn evidence(
    given: Option<&Value>,
    call: impl Fn(&str) -> Option<String>,
    faults: &mut Vec<String>,
) -> Vec<String> {
    let list = match given {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            faults.push("`evidence` must be a list of calls".into());
            return Vec::new();
        }
    };
    if list.len() > MAX_EVIDENCE {
        let count = list.len();
        faults.push(format!(
            "`evidence` names {count} calls, and {MAX_EVIDENCE} are allowed: name those that show it best"
        ));
        return Vec::new();
    }
    let mut named = Vec::new();
    for item in list {
        let name = match item {
            Value::String(name) => name.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match call(&name).filter(|_| name.len() <= MAX_NAME) {
            Some(id) if named.contains(&id) => {}
            Some(id) => named.push(id),
            None => faults.push(format!(
                "`evidence` names a call {:?} that there was not in this session",
                quoted(&name)
            )),
        }
    }
    named
}

/// One of the words of a field.
fn word<T: operator_ledger::Word>(field: &str, given: &str, faults: &mut Vec<String>) -> Option<T> {
    let read = given.parse().ok();
    if read.is_none() && !given.is_empty() {
        faults.push(format!("`{field}` cannot be {:?}", quoted(given)));
    } else if read.is_none() && !faults.iter().any(|f| f.contains(&format!("`{field}`"))) {
        faults.push(format!("`{field}` is missing"));
    }
    read
}

fn refusal(faults: &[String]) -> String {
    let mut text = format!(
        "not taken: {}",
        faults[..faults.len().min(MAX_FAULTS)].join("; ")
    );
    if faults.len() > MAX_FAULTS {
        let _ = write!(text, "; and {} more", faults.len() - MAX_FAULTS);
    }
    text.push_str(
        ". Call finish again with outcome (repaired, nothing_wrong or escalate), cause, evidence (a \
list of calls by number), actions, checked, next and confidence (low, medium or high).",
    );
    text
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two calls were made.
    fn call(name: &str) -> Option<String> {
        let id = match name {
            "1" | "toolu_a" => "toolu_a",
            "2" | "toolu_b" => "toolu_b",
            _ => return None,
        };
        Some(id.to_owned())
    }

    fn whole() -> Value {
        json!({ "outcome": "repaired", "cause": "killed by signal 9", "evidence": ["1", "toolu_b", 2],
            "actions": "started tikv1", "checked": "all stores are up", "next": "",
            "confidence": "high" })
    }

    #[test]
    fn a_whole_one_is_read_and_its_calls_are_named_by_id() {
        let finish = read(&whole(), call).unwrap();
        assert_eq!(finish.outcome, FinishOutcome::Repaired);
        assert_eq!(finish.evidence, ["toolu_a", "toolu_b"]);
        assert_eq!(finish.confidence, Some(Stored::Known(Confidence::High)));
    }

    #[test]
    fn what_is_missing_strange_or_too_long_is_said_with_what_to_do() {
        let with = |name: &str, value: Value| {
            let mut input = whole();
            input[name] = value;
            read(&input, call).unwrap_err()
        };
        let huge = "x".repeat(3_000_000);
        for (why, words) in [
            (
                with("outcome", json!("fixed")),
                "`outcome` cannot be \"fixed\"",
            ),
            (with("outcome", Value::Null), "`outcome` is missing"),
            (with("cause", json!("  ")), "`cause` is missing"),
            (with("checked", json!("")), "`checked` is missing"),
            (with("evidence", json!([])), "`evidence` is missing"),
            (with("evidence", json!("1")), "`evidence` must be a list"),
            (
                with("evidence", json!(["1", "9"])),
                "a call \"9\" that there was not",
            ),
            (with("evidence", json!([&huge])), "that there was not"),
            (with("evidence", json!(vec!["1"; 65])), "names 65 calls"),
            (with("confidence", json!("sure")), "`confidence` cannot be"),
            (
                with("confidence", json!(0.9)),
                "`confidence` must be a text",
            ),
            (with("mood", json!("good")), "there is no field `mood`"),
            (with(&huge, json!(1)), "there is no field `xxx"),
            (
                with("cause", json!(huge)),
                "`cause` has 3000000 bytes, and 8192 are allowed",
            ),
            (
                read(&json!("repaired"), call).unwrap_err(),
                "`outcome` is missing",
            ),
            (read(&json!({}), call).unwrap_err(), "`cause` is missing"),
        ] {
            assert!(why.contains(words), "{words}: {why}");
            assert!(why.contains("Call finish again with"), "{why}");
            assert!(why.len() < 2_000, "{} bytes", why.len());
        }
        let broken = json!({ "INVALID_JSON": "{\"out" });
        assert_eq!(read(&broken, call).unwrap_err(), broken.to_string());
        let many = Value::Object((0..500).map(|n| (format!("f{n}"), json!(1))).collect());
        assert!(read(&many, call).unwrap_err().len() < 2_000);
    }

    #[test]
    fn each_outcome_needs_what_makes_it_useful() {
        let read = |input: Value| read(&input, call);
        let escalate = json!({ "outcome": "escalate", "cause": "the disk is gone",
            "next": "replace it", "confidence": "low" });
        assert!(
            read(escalate.clone()).is_ok(),
            "there may be nothing to show"
        );
        let mut without = escalate;
        without["next"] = Value::Null;
        assert!(read(without).unwrap_err().contains("`next` is missing"));
        let looked = json!({ "outcome": "nothing_wrong", "cause": "a late heartbeat",
            "evidence": ["1"], "checked": "all is up", "confidence": "medium" });
        assert!(read(looked).is_ok());
    }
}
