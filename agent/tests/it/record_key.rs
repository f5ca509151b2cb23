//! A command that held a secret is on record without it, and with a hash by which who has `record.key`
//! can tell later whether it was this one.

use crate::common::{
    shell,
    stage::{Stage, events},
    text, turn,
};
use operator_ledger::{EntryKind, EntryRow, event::Kind};
use ring::hmac;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// The hash as anybody computes it who has the key.
fn hash(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &hex::decode(key.trim()).unwrap());
    let hash = |text: &str| hex::encode(hmac::sign(&key, text.as_bytes()));
    format!("hmac-sha256:{}:{}", &hash("")[..8], hash(text))
}

/// The call of this place in the session.
fn command(entries: &[EntryRow], place: usize) -> &EntryRow {
    let mut calls = entries
        .iter()
        .filter(|e| e.entry_type == EntryKind::ToolCall);
    calls.nth(place).unwrap()
}

fn secret(n: u32) -> String {
    format!("printf '%s\\n' --password=hunter{n}4uQ7 | wc -l")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_a_secret_can_be_told_from_others_and_a_lost_key_is_said_and_made_anew() {
    let (first, plain) = (secret(1), "echo on");
    let shown = |path: &Path| path.display().to_string();
    let stage = Stage::new(vec![]).await;
    let key = stage.home.path().join("record.key");
    let aside = key.with_extension("aside");
    let on = |calls: Vec<serde_json::Value>| {
        let mut blocks = vec![text("On.")];
        blocks.extend(calls);
        turn(&blocks, "tool_use")
    };
    stage.server.then(vec![
        on(vec![
            shell("a", &first),
            shell("b", plain),
            shell("c", &secret(2)),
        ]),
        on(vec![shell(
            "d",
            &format!("mv {} {}", shown(&key), shown(&aside)),
        )]),
        on(vec![shell("e", &first)]),
        on(vec![shell("f", &format!("echo none > {}", shown(&key)))]),
        on(vec![shell("g", &first)]),
        turn(&[text("ESCALATE: enough")], "end_turn"),
    ]);
    let done = stage.run(&[]).await;
    let (session, entries) = stage.session();
    let of = |place| command(&entries, place).original_hash.clone();

    let old = fs::read_to_string(&aside).unwrap();
    let mode = fs::metadata(&aside).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(of(0), Some(hash(&old, &first)));
    assert_eq!(of(2), Some(hash(&old, &secret(2))));
    assert_eq!(of(1), None, "it is on record as it ran");
    let kept = command(&entries, 0).input();
    assert!(kept.contains("--password=[redacted] | wc -l"), "{kept}");

    let notices: Vec<&str> = entries
        .iter()
        .filter(|e| e.entry_type == EntryKind::Notice)
        .map(EntryRow::text)
        .collect();
    let said = |words: &str| notices.iter().filter(|n| n.contains(words)).count();
    let again = of(4).expect("a new key was made");
    assert!(again != hash(&old, &first), "under another key");
    assert_eq!(
        said("was not there any more, and a new one was made"),
        1,
        "{notices:?}"
    );
    assert_eq!(of(6), None);
    assert_eq!(said("cannot be used"), 1, "{notices:?}");
    assert_eq!(
        fs::read_to_string(&key).unwrap(),
        "none\n",
        "it is left as it is"
    );
    let ran = events(&done)
        .iter()
        .filter(|e| {
            matches!(
                &e.kind,
                Kind::ToolResult {
                    exit_code: Some(0),
                    ..
                }
            )
        })
        .count();
    assert_eq!(ran, 7, "nothing fails for a key");
    let report = stage
        .ledger()
        .verify_session(&session.session_id)
        .await
        .unwrap();
    assert!(
        format!("{:?}", report.verdict).starts_with("Intact"),
        "{report:?}"
    );
    let everything = String::from_utf8_lossy(&done.stdout).into_owned() + &format!("{entries:?}");
    assert!(!everything.contains("hunter14uQ7") && !everything.contains(old.trim()));
}
