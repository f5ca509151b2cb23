//! Whole commands, judged.

use super::*;
use crate::scribble::{inputs, scribbled};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const READS: &str = include_str!("tests/reads.txt");
const CHANGES: &str = include_str!("tests/changes.txt");

/// One command a line; `\n` in one is a newline, and a line that begins with `# ` says what comes.
fn commands(list: &str) -> impl Iterator<Item = String> {
    let lines = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines.map(|line| line.replace("␤", "\n"))
}

#[test]
fn look_ups_of_every_day_read() {
    let all: Vec<String> = commands(READS).collect();
    let missed: Vec<_> = all.iter().filter(|c| judge(c) != Effect::Reads).collect();
    for command in &missed {
        println!("{} {command}", judge(command));
    }
    assert!(all.len() >= 200, "{}", all.len());
    assert!(
        missed.len() * 20 <= all.len(),
        "{} of {}",
        missed.len(),
        all.len()
    );
}

#[test]
fn nothing_that_changes_something_reads() {
    let all: Vec<String> = commands(CHANGES).collect();
    let passed: Vec<_> = all.iter().filter(|c| judge(c) == Effect::Reads).collect();
    assert!(passed.is_empty(), "{passed:#?}");
    assert!(all.len() >= 200, "{}", all.len());
}

const FUZZ: &str = include_str!("../../tests/fuzz/commands.txt");

/// In a thread with the smallest stack that a judgement ever has: one that goes too deep ends the tests.
fn judged(text: String) -> Effect {
    let small = std::thread::Builder::new().stack_size(STACK);
    let judged = small.spawn(move || judge(&text)).unwrap().join();
    judged.expect("a judgement is no panic")
}

/// What a thread of a runtime has.
const STACK: usize = 2 << 20;

#[test]
fn fuzz_inputs_are_judged() {
    use Effect::{Reads, Unknown};
    let all: Vec<_> = inputs(FUZZ)
        .iter()
        .map(|input| judged(String::from_utf8_lossy(input).into_owned()))
        .collect();
    let expected = [
        Reads, Unknown, Unknown, Unknown, Unknown, Unknown, Unknown, Unknown, Unknown,
    ];
    assert_eq!(all, expected);
}

proptest! {
    // In a process of its own: a text that ends that one, or keeps it, is named, and made short.
    #![proptest_config(ProptestConfig { fork: true, timeout: 10_000, ..ProptestConfig::default() })]

    /// It ends, in time, without a panic; and what is added to a change is still one.
    #[test]
    fn fuzz_no_command_is_too_odd(bytes in scribbled(FUZZ)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let begin = Instant::now();
        let effect = judged(text.clone());
        prop_assert!(begin.elapsed() < Duration::from_secs(2), "{text:?}");
        if effect == Effect::Reads {
            let more = judged(format!("{{ rm x; }}\n{text}"));
            prop_assert_eq!(more, Effect::Changes, "{:?}", text);
        }
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_not_parsed() {
    assert_eq!(
        judge(&format!("echo {}", "x".repeat(10_000))),
        Effect::Unknown
    );
    for (open, close) in [
        ("(", ")"),
        ("{ ", "; }"),
        ("$(", ")"),
        ("\"$(", ")\""),
        ("<(", ")"),
        ("${x:-", "}"),
    ] {
        for deep in [40, 400, 1300] {
            let text = format!("{}ls{}", open.repeat(deep), close.repeat(deep));
            assert_eq!(judged(text), Effect::Unknown);
        }
    }
    let ifs = format!("{}ls{}", "if ls; then ".repeat(60), "; fi".repeat(60));
    assert_eq!(judged(ifs), Effect::Unknown);
    // As deep as is allowed, it still fits the stack.
    let deep = format!("{}ls{}", "(".repeat(16), ")".repeat(16));
    let _ = judged(deep);
}

#[test]
fn what_is_behind_a_sign_of_another_kind_is_judged_too() {
    for (command, effect) in [
        ("uptime &", Effect::Reads),
        ("uptime & rm x", Effect::Changes),
        ("unheard-of; rm x", Effect::Changes),
        ("unheard-of; ls", Effect::Unknown),
        ("", Effect::Reads),
        ("# rm x", Effect::Reads),
        ("x=5; echo $x", Effect::Reads),
        ("x=a; x=-delete; find . $x", Effect::Changes),
        ("[ -f y ] && x=-delete; find . $x", Effect::Unknown),
        ("for x in a -delete; do find . $x; done", Effect::Changes),
        ("while read -r x; do find . $x; done < f", Effect::Unknown),
        ("while read -r x; do echo $x; done < f", Effect::Reads),
        ("ls 2>/dev/null", Effect::Reads),
        ("ls 2>/dev/nul", Effect::Changes),
        ("operator-tui lab ps", Effect::Reads),
        ("operator-tui lab start tikv1", Effect::Changes),
        ("operator-tui --version", Effect::Reads),
    ] {
        assert_eq!(judge(command), effect, "{command}");
    }
}
