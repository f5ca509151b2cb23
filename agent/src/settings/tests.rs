use super::*;
use operator_ledger::config;
use std::path::Path;

fn settle(config: &str, flags: Flags, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let config: ConfigFile = config::parse(Path::new("config.toml"), config.as_bytes()).unwrap();
    Settings::settle(config.agent, flags, |name| {
        let found = env.iter().find(|(n, _)| *n == name);
        found.map(|(_, v)| (*v).to_string())
    })
}

const KEY: (&str, &str) = ("ANTHROPIC_API_KEY", "k");

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[agent]\nmodel = 'from-file'\neffort = 'low'\n[agent.budget]\nusd = 3\nturns = 9";
    let flags = || Flags {
        model: Some("from-flag".into()),
        usd: Some(1.0),
        ..Flags::default()
    };
    let env = [KEY, ("ANTHROPIC_MODEL", "from-env")];
    let all = settle(file, flags(), &env).unwrap();
    assert_eq!((all.model.as_str(), all.budget.turns), ("from-flag", 9));
    assert!((all.budget.usd - 1.0).abs() < 1e-9);
    assert_eq!(all.effort.as_deref(), Some("low"));
    assert_eq!(
        settle(file, Flags::default(), &env).unwrap().model,
        "from-env"
    );
    let file = settle(file, Flags::default(), &[KEY]).unwrap();
    assert_eq!(file.model, "from-file");
    let none = settle("", Flags::default(), &[KEY]).unwrap();
    assert_eq!(none.model, DEFAULT_MODEL);
    assert_eq!(none.small.unwrap().model, SMALL_MODEL);
    assert_eq!(none.effort.as_deref(), Some("high"));
}

#[test]
fn without_a_key_it_rehearses_unless_a_model_was_asked_for() {
    let none = settle("", Flags::default(), &[]).unwrap();
    assert!(none.is_rehearsal() && none.small.is_none() && none.check_price().is_ok());
    let asked = Flags {
        model: Some("claude-opus-5-5".into()),
        ..Flags::default()
    };
    assert!(
        settle("", asked.clone(), &[])
            .unwrap_err()
            .to_string()
            .contains("needs a key")
    );
    let own = [("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")];
    let own = settle("", asked, &own).unwrap();
    assert_eq!((own.model.as_str(), own.small), ("claude-opus-5-5", None));
}

#[test]
fn a_model_of_unknown_price_needs_a_cap_in_tokens() {
    let env = [KEY, ("ANTHROPIC_MODEL", "somebody-elses")];
    let unknown = settle("", Flags::default(), &env).unwrap();
    let why = unknown.check_price().unwrap_err().to_string();
    assert!(
        why.contains("--token-cap") && why.contains("somebody-elses"),
        "{why}"
    );
    assert_eq!(unknown.effort, None, "nobody knows whether it takes one");
    let capped = Flags {
        tokens: Some(1000),
        ..Flags::default()
    };
    assert!(settle("", capped, &env).unwrap().check_price().is_ok());
    let priced = "[agent.models.somebody-elses]\nprice = { input = 1, output = 1, cache_read = 0, cache_write = 0 }";
    assert!(
        settle(priced, Flags::default(), &env)
            .unwrap()
            .check_price()
            .is_ok()
    );
}

#[test]
fn a_small_model_of_unknown_price_is_not_used_and_that_is_said() {
    let other = settle(
        "[agent]\nsmall_model = 'somebody-elses'",
        Flags::default(),
        &[KEY],
    )
    .unwrap();
    assert!(other.small.is_none() && other.warnings[0].contains("somebody-elses"));
    let none = settle(
        "[agent.models.x]\noutput = 0\n[agent]\nmodel = 'x'",
        Flags::default(),
        &[KEY],
    );
    assert_eq!(none.unwrap().max_tokens, 1);
}

#[test]
fn a_key_that_is_none_is_said_with_what_there_is() {
    let file = "[agent]\n\n[agent.api]\nbase_ulr = 'x'";
    let read: Result<ConfigFile, _> = config::parse(Path::new("config.toml"), file.as_bytes());
    let why = read.unwrap_err().to_string();
    assert!(
        why.contains("config.toml, line 4") && why.ends_with("did you mean `base_url`?"),
        "{why}"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (file, word) in [
        ("[agent]\neffort = 'huge'", "no effort huge"),
        ("[agent.budget]\nusd = -1", "US dollars"),
        ("[agent.budget]\ntime = 'soon'", "soon"),
        ("[agent.web]\nsearch = 'bing'", "bing"),
    ] {
        let why = settle(file, Flags::default(), &[KEY])
            .unwrap_err()
            .to_string();
        assert!(why.contains(word), "{why}");
    }
}
