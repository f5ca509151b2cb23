use super::*;
use proptest::prelude::*;

// Built at run time, so that no scanner takes this file for a leak.
fn samples() -> Vec<String> {
    let x = |n: usize| "aB3dE5gH7j".repeat(n / 10 + 1)[..n].to_string();
    let upper = |n: usize| "AB3DE5GH7J".repeat(n / 10 + 1)[..n].to_string();
    let hex = |n: usize| "0a1b2c3d4e5f".repeat(n / 12 + 1)[..n].to_string();
    vec![
        format!("sk-ant-api03-{}", x(40)),
        format!("sk-proj-{}", x(48)),
        format!("sk_{}_{}", "live", x(24)),
        format!("whsec_{}", x(32)),
        format!("AKIA{}", upper(16)),
        format!("ASIA{}", upper(16)),
        format!("ghp_{}", x(36)),
        format!("github_pat_{}", x(60)),
        format!("glpat-{}", x(20)),
        format!("glsa_{}_{}", x(32), hex(8)),
        format!("xoxb-{}", "1234567890-abcdef"),
        format!("xapp-1-{}", upper(30)),
        format!("AIza{}", x(35)),
        format!("GOCSPX-{}", x(28)),
        format!("ya29.{}", x(60)),
        format!("npm_{}", x(36)),
        format!("pypi-{}", x(80)),
        format!("hf_{}", x(34)),
        format!("hvs.{}", x(30)),
        format!("dop_v1_{}", hex(64)),
        format!("SG.{}.{}", x(22), x(43)),
        format!("123456789:AA{}", x(33)),
        format!("AGE-SECRET-KEY-1{}", upper(58)),
        format!("eyJ{}.eyJ{}.{}", x(20), x(30), x(40)),
    ]
}

#[test]
fn tokens_are_hidden_and_their_surroundings_stay() {
    let redactor = Redactor::default();
    for secret in samples() {
        let line = format!("before {secret} after\n");
        assert_eq!(
            redactor.apply(&line),
            format!("before {MARK} after\n"),
            "{secret}"
        );
    }
    for (line, safe) in [
        ("password: hunter22", "password: [redacted]"),
        ("DB_PASSWORD=hunter22 x", "DB_PASSWORD=[redacted] x"),
        (
            r#"{"api_key":"abcdef123","n":1}"#,
            r#"{"api_key":"[redacted]","n":1}"#,
        ),
        (
            r#"{"password": "a, b & \"c\"", "n":1}"#,
            r#"{"password": "[redacted]", "n":1}"#,
        ),
        ("secret = 'two words' # x", "secret = '[redacted]' # x"),
        ("password = \"never closed", "password = \"[redacted]"),
        (
            "Authorization: Bearer abc.def-ghi",
            "Authorization: Bearer [redacted]",
        ),
        (
            "curl -H 'x-api-key: abc12345'",
            "curl -H 'x-api-key: [redacted]'",
        ),
        (
            "mysql --password hunter22 db",
            "mysql --password [redacted] db",
        ),
        (
            "AccountKey=abcd1234+/==;Endpoint=x",
            "AccountKey=[redacted];Endpoint=x",
        ),
        ("token: 0123456789abcdefghijklmnop", "token: [redacted]"),
        (
            "mysql://root:s3cret@db:3306/x",
            "mysql://root:[redacted]@db:3306/x",
        ),
        (
            "one\npassword: hunter22\nthree\n",
            "one\npassword: [redacted]\nthree\n",
        ),
    ] {
        assert_eq!(redactor.apply(line), safe);
        assert_eq!(redactor.apply(safe), safe, "once is enough");
    }
}

#[test]
fn what_looks_like_a_key_but_is_none_stays() {
    let redactor = Redactor::default();
    for line in [
        "start_key: 7480000000000000FF2D5F728000000000FF0000010000000000FA",
        "\"start_key\":\"7480000000000000ff0500000000000000f8\",\"end_key\":\"\"",
        "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3 commit",
        "cluster_id 7458123456789012345 session 0193a5b2-7c11-7def-8123-0123456789ab",
        "tokens: 12345, keyspace: default, http://127.0.0.1:2379/pd/api/v1/stores",
        "the password was wrong",
        "password:\n  see the vault",
        "secretName: tls-certificate-of-the-cluster",
        "{\"token\": 17, \"tokens\": 123456789012345678901234567890}",
        "store_id=4 key=7A7480000000000000FF2D5F728000000000FF0000010000000000FA",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "https://docs.example/a:b/c@d and ask-me-anything-about-this-long-topic",
    ] {
        assert_eq!(redactor.apply(line), line);
    }
}

#[test]
fn a_private_key_goes_as_a_whole() {
    let text = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb\n";
    assert_eq!(Redactor::default().apply(text), "a\n[redacted]\nb\n");
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

proptest! {
    #[test]
    fn no_edge_lets_a_secret_through(which in 0usize..24, cuts in proptest::collection::vec(0usize..120, 0..5), own in any::<bool>()) {
        let secret = if own { "our-own-credential-1".to_string() } else { samples()[which].clone() };
        let text = format!("line one\nsome words {secret} and more\nlast");
        let mut stream = RedactStream::new(Redactor::new(["our-own-credential-1".to_string()]));
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (mut out, mut at) = (String::new(), 0);
        for cut in cuts {
            let cut = cut.clamp(at, text.len());
            out.push_str(&stream.push(&text[at..cut]));
            out.push_str(&stream.idle());
            at = cut;
        }
        out.push_str(&stream.push(&text[at..]));
        out.push_str(&stream.finish());
        prop_assert_eq!(out, format!("line one\nsome words {MARK} and more\nlast"));
    }
}
