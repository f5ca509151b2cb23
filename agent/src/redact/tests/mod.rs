mod corpus;
mod edges;

use super::{judge::MARK, *};

/// The figures of the README: `cargo test -p agent_lab --lib redaction_in_figures -- --nocapture`.
#[test]
fn redaction_in_figures() {
    let redactor = Redactor::default();
    let mut wrong = Vec::new();
    let (caught, stays) = (corpus::caught(), corpus::stays());
    let (mut hidden, mut secrets, mut exact) = (0, 0, 0);
    for sample in &caught {
        let out = redactor.apply(&sample.text);
        let kept = sample
            .secrets
            .iter()
            .filter(|s| out.contains(s.as_str()))
            .count();
        secrets += sample.secrets.len();
        hidden += sample.secrets.len() - kept;
        if out == sample.safe {
            exact += 1;
        } else {
            wrong.push(format!("{}\n  {}\n  {out}", sample.group, sample.text));
        }
    }
    let mut falsely = 0;
    for sample in &stays {
        let out = redactor.apply(&sample.text);
        if out != sample.text {
            falsely += 1;
            wrong.push(format!(
                "stays: {}\n  {}\n  {out}",
                sample.group, sample.text
            ));
        }
    }
    println!(
        "caught {hidden} of {secrets} secrets in {} texts, {exact} of them without another change; \
         falsely caught {falsely} of {}",
        caught.len(),
        stays.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn once_is_enough() {
    let redactor = Redactor::default();
    for sample in corpus::caught() {
        assert_eq!(redactor.apply(&sample.safe), sample.safe);
    }
}

/// What is left of a file is one still.
#[test]
fn syntax_survives() {
    let redactor = Redactor::default();
    for text in [
        r#"{"password":123456,"n":1}"#,
        r#"{"password": 123456}"#,
        r#"{"a":{"db_password":"x1y2z3","secret":null,"list":["p"],"token":true}}"#,
        r#"{"inner":"{\"password\":\"a1b2c3\",\"pin\":{\"secret\":98765}}"}"#,
        r#"{"password":"a\"b\\","next":"x"}"#,
        r#"{"password":"","api_key":"k1k2k3k4","auth":"bWU6c2VjcmV0"}"#,
        r#"{"cookie":"a=b12345678; c=d12345678","set-cookie":["sid=abcdef12; Path=/"]}"#,
        r#"{"k":"-----BEGIN PRIVATE KEY-----\nabcdef\n-----END PRIVATE KEY-----\n"}"#,
    ] {
        let out = redactor.apply(text);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&out);
        assert!(parsed.is_ok(), "{text}\n{out}");
    }
    let inner = redactor.apply(r#"{"inner":"{\"password\":\"a1b2c3\",\"secret\":98765}"}"#);
    let outer: serde_json::Value = serde_json::from_str(&inner).unwrap();
    let inner: serde_json::Value = serde_json::from_str(outer["inner"].as_str().unwrap()).unwrap();
    assert_eq!(inner, serde_json::json!({"password": MARK, "secret": MARK}));
    for text in [
        "password = 123456\nn = 1\n",
        "password = \"a1b2c3\"\n",
        "password = 'a1b2c3'\n[db]\nsecret = \"\"\"\nx1\ny2\n\"\"\"\nn = 2\n",
        "db = { password = \"a1b2c3\", port = 1 }\n",
        "url = \"postgres://u:p1p2@h/d\"\n",
    ] {
        let out = redactor.apply(text);
        assert!(toml::from_str::<toml::Table>(&out).is_ok(), "{text}\n{out}");
        assert!(out.contains(MARK), "{out}");
    }
}

/// What a shell would act on is read by whoever approves it.
#[test]
fn a_command_keeps_all_that_a_shell_would_do() {
    let redactor = Redactor::default();
    for (command, shown) in [
        ("grep -c 'password: ' /etc/passwd; touch F", None),
        (
            "kubectl get cm -o yaml | grep 'secret: '; kubectl delete pvc x",
            None,
        ),
        ("API_KEY=\"$(touch F)\" ./run", None),
        ("API_KEY=`touch F` ./run", None),
        ("PASS=w12x345;touch F", Some("PASS=[redacted];touch F")),
        ("PASS=w12x345&&touch F", Some("PASS=[redacted]&&touch F")),
        ("PASS=w12x345|touch F", Some("PASS=[redacted]|touch F")),
        ("PASS=w12x345>F ls", Some("PASS=[redacted]>F ls")),
        ("(PASS=w12x345)", Some("(PASS=[redacted])")),
        ("PASS=w12x345$(touch F)", Some("PASS=[redacted]$(touch F)")),
        (
            "PASS=\"w12x345$(touch F)\" ls",
            Some("PASS=\"[redacted]$(touch F)\" ls"),
        ),
        ("PASS='w12 x345;' ls", Some("PASS='[redacted]' ls")),
        (
            "PASS=\"w12\"'x34'56 ls",
            Some("PASS=\"[redacted]\"'[redacted]'[redacted] ls"),
        ),
        (
            "curl -u me:w12x345 h; touch F",
            Some("curl -u me:[redacted] h; touch F"),
        ),
        (
            "mysql -pw12x345 -e 'drop table x'",
            Some("mysql -p[redacted] -e 'drop table x'"),
        ),
        (
            "echo \"password: unclosed; touch F",
            Some("echo \"password: [redacted]; touch F"),
        ),
        ("PASSWORD='unclosed; touch F", None),
        ("echo 'a\npassword: \"b; touch F\n'", None),
    ] {
        let out = redactor.command(command);
        let left: String = out.split(MARK).collect();
        assert_eq!(out, shown.unwrap_or(command));
        for word in ["touch F", "delete pvc", "drop table"] {
            assert_eq!(left.contains(word), command.contains(word), "{out}");
        }
    }
}

#[test]
fn our_own_credentials_go_in_every_form() {
    let secret = "our-own+credential/17";
    let redactor = Redactor::new([secret.to_string(), "short".into()]);
    assert_eq!(redactor.apply(&format!("a {secret} b")), "a [redacted] b");
    assert_eq!(redactor.apply("a short b"), "a short b");
    let coded = |text: &str| {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(text)
    };
    for form in [
        secret.to_uppercase(),
        secret.chars().rev().collect(),
        hex::encode(secret),
        hex::encode_upper(secret),
        "our-own%2bcredential%2F17".into(),
        coded(secret),
        coded(&format!("x{secret}y")),
        coded(&format!("xy{secret}")),
        coded(&format!("KEY={secret}\n")),
    ] {
        let out = redactor.apply(&form);
        let left = out.replace(MARK, "");
        assert!(out.contains(MARK) && left.len() < 16, "{form}: {out}");
    }
}
