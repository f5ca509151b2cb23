use super::*;
use crate::scribble::{inputs, scribbled};
use operator_ledger::{Severity, clean::is_invisible};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{convert::Infallible, io::Cursor};

fn body(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = json!({
        "receiver": "operator", "status": "firing",
        "alerts": [{
            "status": "firing",
            "labels": {"alertname": "QueueFull", "severity": "page", "instance": "mq:1"},
            "annotations": {"summary": "the \u{1b}[31mqueue\u{202e}\nis full", "runbook": "http://r"},
            "startsAt": "2026-01-30T10:00:00.000Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://p/graph", "fingerprint": "c3a5f1b2d4e60718"}],
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://am:9093", "version": "4", "groupKey": "{}:{alertname=\"QueueFull\"}",
        "truncatedAlerts": 2, "somethingNew": {"a": 1}
    });
    change(&mut body);
    body
}

fn bytes(body: &[u8]) -> Result<(Told, Vec<AlertNotice>), String> {
    let mut taken = Vec::new();
    let told = read(Cursor::new(body), &AlertRules::default(), |alerts| {
        taken.extend(alerts);
        Ok::<_, Infallible>(())
    });
    told.map(|told| (told, taken)).map_err(|e| e.to_string())
}

fn all(body: &Value) -> (Told, Vec<AlertNotice>) {
    bytes(body.to_string().as_bytes()).unwrap()
}

fn one(change: impl FnOnce(&mut Value)) -> AlertNotice {
    let (told, mut alerts) = all(&body(|b| change(&mut b["alerts"][0])));
    assert_eq!((alerts.len(), told.set_aside), (1, 0), "{:?}", told.why);
    alerts.remove(0)
}

#[test]
fn lines_are_clean_and_labels_as_they_came() {
    let (told, alerts) = all(&body(|b| {
        b["alerts"][0]["labels"]["expr"] = json!("delta( a[10m])  > 0\t\u{202e}");
    }));
    let alert = &alerts[0];
    assert_eq!(
        (told.left_out, alert.firing, alert.ends_at),
        (2, true, None)
    );
    assert_eq!(alert.severity, Severity::Critical);
    assert_eq!(alert.summary, "the queue<202e> is full");
    assert_eq!(alert.detail.labels["expr"], "delta( a[10m])  > 0\t\u{202e}");
    let links: Vec<_> = alert
        .detail
        .links
        .iter()
        .map(|l| (&*l.title, &*l.url))
        .collect();
    assert_eq!(
        links,
        [
            ("runbook", "http://r"),
            ("rule", "http://p/graph"),
            ("sender", "http://am:9093")
        ]
    );
    for word in [
        "- instance: mq:1",
        "- runbook: http://r",
        "2 more alerts",
        "- expr: delta( a[10m])  > 0",
    ] {
        assert!(alert.context.contains(word), "{word}: {}", alert.context);
    }
}

#[test]
fn what_people_read_is_the_first_annotation_that_says_something() {
    let says = |annotations: Value| one(|a| a["annotations"] = annotations).summary;
    assert_eq!(
        says(json!({"summary": "", "description": "the disk is full"})),
        "the disk is full"
    );
    assert_eq!(
        says(json!({"summary": " \n", "message": null, "title": "T"})),
        "T"
    );
    assert_eq!(says(json!({})), "QueueFull fires: instance=mq:1");
    assert_eq!(says(Value::Null), "QueueFull fires: instance=mq:1");
    let bare = one(|a| {
        a["annotations"] = json!({});
        a["labels"] = json!({});
    });
    assert_eq!(
        (bare.name.as_str(), bare.summary.as_str()),
        ("alert", "alert fires")
    );
}

#[test]
fn every_version_of_the_webhook_is_read() {
    // Grafana's.
    let (_, alerts) = all(&body(|b| {
        b["version"] = json!("1");
        b["orgId"] = json!(1);
        b["alerts"][0]["values"] = json!({"B": 6.7});
        b["alerts"][0]["silenceURL"] = json!("https://g/silence");
        b["alerts"][0]["panelURL"] = json!("");
        b["alerts"][0]["startsAt"] = json!("2026-04-15T15:50:20+02:00");
    }));
    assert_eq!(alerts[0].starts_at.to_string(), "2026-04-15T13:50:20Z");
    assert!(alerts[0].detail.links.iter().any(|l| l.title == "silence"));
    // Alertmanager before 0.6: the group's key is a number, an alert has no status and no fingerprint.
    let old = |ends: &str| {
        let (told, alerts) = all(&body(|b| {
            b["version"] = json!("3");
            b["groupKey"] = json!(6_041_117_234_u64);
            b["truncatedAlerts"] = Value::Null;
            b["alerts"][0]["endsAt"] = json!(ends);
            let alert = b["alerts"][0].as_object_mut().unwrap();
            alert.remove("status");
            alert.remove("fingerprint");
        }));
        assert_eq!(told.left_out, 0);
        assert_eq!(alerts[0].group_key, "6041117234");
        (alerts[0].firing, alerts[0].fingerprint.clone())
    };
    let (firing, fingerprint) = old("0001-01-01T00:00:00Z");
    assert!(firing && fingerprint.len() == 16, "{fingerprint}");
    assert_eq!(old("2026-01-30T10:05:00Z"), (false, fingerprint));
    // Nobody says a version.
    assert_eq!(all(&body(|b| b["version"] = Value::Null)).1.len(), 1);
    // Nothing to tell.
    assert!(all(&body(|b| b["alerts"] = Value::Null)).1.is_empty());
}

#[test]
fn one_that_cannot_be_used_is_set_aside_and_the_others_are_taken() {
    let odd: [(&str, Value); 7] = [
        ("status", json!("odd")),
        ("startsAt", json!("yesterday")),
        ("startsAt", json!("0001-01-01T00:00:00Z")),
        ("startsAt", Value::Null),
        ("labels", json!("none")),
        ("labels", json!(["a"])),
        ("", json!(7)),
    ];
    for (key, value) in odd {
        let (told, alerts) = all(&body(|b| {
            let mut alert = b["alerts"][0].clone();
            if key.is_empty() {
                alert = value;
            } else {
                alert[key] = value;
            }
            b["alerts"].as_array_mut().unwrap().insert(0, alert);
        }));
        assert_eq!((told.set_aside, alerts.len()), (1, 1), "{key}");
        assert!(told.why[0].starts_with("alerts[0]: "), "{:?}", told.why);
    }
    // What can be understood is.
    let fine = one(|a| {
        a["labels"] = json!({"alertname": "A", "port": 9100, "up": true, "none": null});
        a["fingerprint"] = json!("../x");
        a["status"] = json!("FIRING");
    });
    assert_eq!(fine.detail.labels["port"], "9100");
    assert!(!fine.detail.labels.contains_key("none"));
    assert!(fine.fingerprint.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn what_is_no_notification_is_said_before_anything_is_taken() {
    let whole = body(|_| ()).to_string();
    for (text, word) in [
        ("", "EOF"),
        (&whole[..whole.len() - 20], "EOF"),
        ("<html>", "expected value"),
        ("{}", "missing field `alerts`"),
        (r#"{"alerts": "none"}"#, "a list of alerts"),
        (&format!("{whole}x"), "trailing"),
    ] {
        let why = bytes(text.as_bytes()).unwrap_err();
        assert!(why.contains(word), "{word}: {why}");
    }
}

#[test]
fn tens_of_thousands_are_handed_on_in_parts() {
    let alert = body(|_| ())["alerts"][0].clone();
    let many = body(|b| b["alerts"] = json!(vec![alert; 20_001])).to_string();
    let (mut parts, mut sum) = (Vec::new(), 0);
    read(
        Cursor::new(many.as_bytes()),
        &AlertRules::default(),
        |alerts| {
            parts.push(alerts.len());
            sum += alerts.len();
            Ok::<_, Infallible>(())
        },
    )
    .unwrap();
    assert_eq!((sum, *parts.iter().max().unwrap()), (20_001, CHUNK));
    // Whoever takes them may fail.
    let refused = read(Cursor::new(many.as_bytes()), &AlertRules::default(), |_| {
        Err("full")
    });
    assert!(matches!(refused, Err(ReadError::Taking("full"))));
}

#[test]
fn long_texts_are_cut_and_long_labels_left_out() {
    let long = "x".repeat(100_000);
    let alert = one(|a| {
        a["annotations"]["summary"] = json!(long);
        a["labels"]["long"] = json!(long);
        a["labels"]["rather"] = json!(long[..5000]);
    });
    assert!(alert.summary.len() < 600 && alert.detail.annotations["summary"].len() < 2100);
    // Cut, it would be another label.
    assert!(!alert.detail.labels.contains_key("long"));
    assert_eq!(alert.detail.labels["rather"].len(), 5000);
}

#[test]
fn heartbeats_are_marked_and_those_without_meaning_ignored() {
    assert!(one(|a| a["labels"]["alertname"] = json!("Watchdog")).heartbeat);
    let (told, alerts) = all(&body(|b| {
        b["alerts"][0]["labels"]["alertname"] = json!("InfoInhibitor");
    }));
    assert_eq!((told.ignored, alerts.len()), (1, 0));
}

const FUZZ: &str = include_str!("../../../../tests/fuzz/alerts.txt");

/// What people read of a notification is clean and bounded, whatever somebody sent.
fn is_harmless(body: &[u8]) -> bool {
    let Ok((_, alerts)) = bytes(body) else {
        return true;
    };
    let clean =
        |text: &str| !text.contains(|c: char| is_invisible(c) || (c.is_control() && c != '\n'));
    alerts.iter().all(|alert| {
        clean(&alert.name)
            && clean(&alert.summary)
            && clean(&alert.context)
            && clean(&alert.group_key)
            && alert.summary.len() <= 504
            && alert.detail.labels.len() <= 128
            && alert.fingerprint.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

#[test]
fn fuzz_inputs_are_harmless() {
    for input in inputs(FUZZ) {
        assert!(is_harmless(&input), "{}", String::from_utf8_lossy(&input));
    }
}

proptest! {
    #[test]
    fn fuzz_no_notification_is_too_odd(body in scribbled(FUZZ)) {
        prop_assert!(is_harmless(&body), "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn secrets_in_alerts_are_hidden_before_they_are_stored() {
    let alert = one(|alert| {
        alert["annotations"]["summary"] = json!("cannot reach redis://:hunter22@mq:6379");
        alert["annotations"]["db_password"] = json!("hunter22");
    });
    assert_eq!(alert.summary, "cannot reach redis://:[redacted]@mq:6379");
    assert!(!alert.context.contains("hunter22"), "{}", alert.context);
    let kept = format!("{:?}", alert.detail);
    assert!(!kept.contains("hunter22"), "{kept}");
}
