//! However a text is cut into chunks, and whatever is around a secret.

use super::{
    super::{RedactStream, stream::MAX_LINE},
    *,
};
use operator_ledger::clean::Cleaner;
use proptest::{collection::vec, prelude::*, sample::Index};

fn in_chunks(text: &str, cuts: &[usize]) -> String {
    let mut stream = RedactStream::new(Redactor::default());
    let (mut out, mut at) = (String::new(), 0);
    for cut in cuts {
        let cut = text.floor_char_boundary(*cut).max(at);
        out.push_str(&stream.push(&text[at..cut]));
        at = cut;
    }
    out.push_str(&stream.push(&text[at..]));
    out.push_str(&stream.finish());
    out
}

#[test]
fn no_edge_of_a_chunk_changes_what_comes_out() {
    for sample in corpus::caught().iter().chain(&corpus::stays()) {
        let whole = Redactor::default().apply(&sample.text);
        for cut in 0..sample.text.len() {
            assert_eq!(in_chunks(&sample.text, &[cut]), whole);
        }
        let every: Vec<usize> = (0..sample.text.len()).collect();
        assert_eq!(in_chunks(&sample.text, &every), whole);
    }
}

#[test]
fn waiting_gives_no_secret_away() {
    for sample in corpus::caught() {
        let mut stream = RedactStream::new(Redactor::default());
        let mut out = String::new();
        for c in sample.text.chars() {
            out.push_str(&stream.push(c.encode_utf8(&mut [0; 4])));
            out.push_str(&stream.idle());
        }
        out.push_str(&stream.finish());
        for secret in &sample.secrets {
            assert!(!out.contains(secret.as_str()), "{}\n{out}", sample.text);
        }
    }
}

#[test]
fn colours_in_a_secret_do_not_hide_it() {
    for sample in corpus::caught() {
        let (before, after) = sample.text.split_at(sample.at);
        let letter = after.chars().next().map_or(0, char::len_utf8);
        let (one, rest) = after.split_at(letter);
        let dirty = format!("{before}\x1b[1;31m{one}\x1b[0m{rest}");
        let mut cleaner = Cleaner::default();
        let clean = cleaner.push(dirty.as_bytes()) + &cleaner.finish();
        assert_eq!(Redactor::default().apply(&clean), sample.safe);
    }
    // A character that nobody sees is shown, and belongs to the value.
    let clean = operator_ledger::clean::clean("password: hun\u{200b}ter52 x");
    assert_eq!(Redactor::default().apply(&clean), "password: [redacted] x");
}

#[test]
fn an_overlong_line_hides_its_secrets_at_every_place() {
    let secrets = [
        "password=\"{}\"",
        "https://me:{}@h/",
        "x {} y",
        "curl -u me:{} h",
        "token: '{}'",
    ];
    let secret = format!("sk-ant-{}", "a1B2c3D4".repeat(8));
    for shape in secrets {
        let inner = shape.replace("{}", &secret);
        for before in (MAX_LINE - 6000..MAX_LINE + 200).step_by(331) {
            let text = format!("{} {inner} {}", "x".repeat(before), "y ".repeat(5000));
            let out = Redactor::default().apply(&text);
            assert!(!out.contains("a1B2c3D4"), "{shape} {before}");
            assert_eq!(out, text.replace(&secret, MARK), "{shape} {before}");
            let parts: Vec<usize> = (0..text.len()).step_by(1000).collect();
            assert_eq!(in_chunks(&text, &parts), out);
        }
    }
}

#[test]
fn a_secret_of_any_length_goes() {
    for n in [100, MAX_LINE - 10, MAX_LINE, 5 * MAX_LINE] {
        let long = "a1B2c3D4".repeat(n / 8);
        for (text, safe) in [
            (
                format!("password: \"{long}\", x\nend\n"),
                "password: \"[redacted]\", x\nend\n",
            ),
            (
                format!("password={long} x\nend\n"),
                "password=[redacted] x\nend\n",
            ),
            (format!("ghp_{long} x\n"), "[redacted] x\n"),
        ] {
            assert_eq!(Redactor::default().apply(&text), safe, "{n}");
            let parts: Vec<usize> = (0..text.len()).step_by(777).collect();
            assert_eq!(in_chunks(&text, &parts), safe, "{n}");
        }
        let lines = "a1B2c3D4".repeat(8) + "\n";
        let kind = "RSA PRIVATE KEY";
        let key = format!(
            "-----BEGIN {kind}-----\n{}-----END {kind}-----\nb\n",
            lines.repeat(n)
        );
        let safe = format!("-----BEGIN {kind}-----\n[redacted]\n-----END {kind}-----\nb\n");
        assert_eq!(Redactor::default().apply(&key), safe, "{n}");
    }
}

#[test]
fn an_unfinished_line_shows_its_words_but_not_its_last() {
    let mut stream = RedactStream::new(Redactor::default());
    assert_eq!(stream.push("waiting for tikv1 ... sk-"), "");
    assert_eq!(stream.idle(), "waiting for tikv1 ... ");
    let out = stream.push("ant-aB3dE5gH7jaB3dE5gH7j done\n");
    assert_eq!(out, "[redacted] done\n");
    stream.push("password: ");
    assert_eq!(stream.idle(), "");
    assert_eq!(stream.push("hunter22\n"), "password: [redacted]\n");
}

#[test]
fn a_line_without_end_does_not_grow_without_end() {
    let mut stream = RedactStream::new(Redactor::default());
    let mut out = 0;
    for _ in 0..1000 {
        out += stream.push(&"x".repeat(1000)).len();
        assert!(stream.pending.len() <= MAX_LINE + 1000);
    }
    out += stream.finish().len();
    assert_eq!(out, 1_000_000);
}

/// Pieces that rules look at, in an order that nobody thought of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "password", "token", "api_key", "auth", "cookie", "curl -u ", "mysql -p", "name: ", "value: ",
            "data:", "kind: Secret", "://", "u:p1@h", "-----BEGIN RSA PRIVATE KEY-----",
            "-----END RSA PRIVATE KEY-----", "machine a login b password ", "ghp_", "eyJ", "sig=", "SK",
            "a1B2c3D4e5F6a1B2c3D4e5F6a1B2c3D4", "\"\"\"", "[redacted]", "Authorization: Bearer ",
            "$(", "{\"data\":{\"a\":\"YWJjZA==\"},\"kind\":\"Secret\"}", "identified by ", "@tcp(", ":5432:a:b:",
        ]).prop_map(str::to_string),
        3 => prop::sample::select(vec![
            "=", ":", ": ", " ", "\"", "'", "\\\"", "\\", "\n", ";", "&", ",", "{", "}", "[", "]", "(", ")",
            "<", ">", "|", "%3D", "@", "/", "-", "_", "\t", "$", "`", "#",
        ]).prop_map(str::to_string),
        1 => "[ -~é字\n]{0,12}",
        1 => (0usize..3000).prop_map(|n| "z1 ".repeat(n)),
        1 => (0usize..9000).prop_map(|n| "Zz1".repeat(n)),
    ];
    vec(piece, 0..30).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn any_text_in_any_chunks_is_the_same(text in pieces(), cuts in vec(any::<Index>(), 0..8)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(in_chunks(&text, &cuts), Redactor::default().apply(&text));
    }

    #[test]
    fn no_command_panics(text in pieces()) {
        let _ = Redactor::default().command(&text);
    }

    #[test]
    fn waiting_at_any_time_loses_nothing_of_an_innocent_text(
        words in vec("[a-z]{1,9}", 0..40), cuts in vec(any::<Index>(), 0..8),
    ) {
        let text = words.join(" ");
        let safe = Redactor::default().apply(&text);
        prop_assume!(safe == text);
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut stream = RedactStream::new(Redactor::default());
        let (mut out, mut at) = (String::new(), 0);
        for cut in cuts {
            out.push_str(&stream.push(&text[at..cut]));
            out.push_str(&stream.idle());
            at = cut;
        }
        out.push_str(&stream.push(&text[at..]));
        out.push_str(&stream.finish());
        prop_assert_eq!(out, text);
    }
}
