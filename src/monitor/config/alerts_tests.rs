use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn rules(text: &str) -> Result<AlertRules, String> {
    let file: AlertSection = toml::from_str(text).map_err(|e| e.to_string())?;
    AlertRules::new(file).map_err(|e| e.to_string())
}

#[test]
fn how_bad_it_is_is_read_from_any_label_and_word() {
    let rules = AlertRules::default();
    for (name, word, severity) in [
        ("severity", "critical", Severity::Critical),
        ("level", "emergency", Severity::Critical),
        ("level", "warning", Severity::Warning),
        ("priority", "P1", Severity::Critical),
        ("priority", "3", Severity::Warning),
        ("priority", "p4", Severity::Info),
        ("Severity", "Page", Severity::Critical),
        ("severity", "SEV-2", Severity::Warning),
        ("severity", "major", Severity::Critical),
        ("severity", "minor", Severity::Warning),
        ("severity", "none", Severity::Info),
        ("severity", " Informational ", Severity::Info),
        ("urgency", "high", Severity::Critical),
        // Of what is not known it is not said that it is harmless.
        ("severity", "5", Severity::Warning),
        ("severity", "purple", Severity::Warning),
        ("team", "critical", Severity::Warning),
    ] {
        assert_eq!(
            rules.severity(&labels(&[(name, word)])),
            severity,
            "{name}={word}"
        );
    }
    // A word that is not known leaves it to the next label.
    let both = labels(&[("severity", "purple"), ("priority", "P1")]);
    assert_eq!(rules.severity(&both), Severity::Critical);
}

#[test]
fn what_it_is_about_is_said_before_who_told_it() {
    let rules = AlertRules::default();
    for (given, about) in [
        (
            &[
                ("instance", "10.244.1.7:8080"),
                ("pod", "app-0"),
                ("service", "ksm"),
            ][..],
            "app-0",
        ),
        (
            &[("instance", "tikv1:20180"), ("job", "tikv")],
            "tikv1:20180",
        ),
        (&[("node", "n1"), ("instance", "10.0.0.1:8080")], "n1"),
        // The pod is the exporter's own.
        (
            &[("pod", "node-exporter-x7"), ("instance", "n1:9100")],
            "n1:9100",
        ),
        (
            &[("pod", "kube-state-metrics-0"), ("deployment", "shop")],
            "shop",
        ),
        (&[("exported_pod", "app-1"), ("pod", "ksm-0")], "app-1"),
        (&[("pod", ""), ("instance", "a:1")], "a:1"),
        // Better than nothing.
        (&[("pod", "node-exporter-x7")], "node-exporter-x7"),
    ] {
        assert_eq!(rules.subject(&labels(given)).as_deref(), Some(about));
    }
    assert_eq!(rules.subject(&labels(&[("alertname", "X")])), None);
}

#[test]
fn names_are_known_however_they_are_written() {
    let rules = AlertRules::default();
    for name in [
        "Watchdog",
        "watchdog",
        "Dead Man's Switch",
        "dead_mans_switch",
    ] {
        assert!(rules.is_heartbeat(name), "{name}");
    }
    assert!(rules.is_ignored("InfoInhibitor") && !rules.is_heartbeat("InfoInhibitor"));
    assert!(!rules.is_heartbeat("WatchdogBarks"));
}

#[test]
fn the_file_wins() {
    let rules = rules(
        "severity_labels = ['grade']\nsubject_labels = ['shop']\nheartbeats = ['Pulse']\n\
         heartbeat_within = '90s'\nignore = []\ntickets_of_a_name = 2\n\
         [severity]\nGold = 'critical'\n",
    )
    .unwrap();
    let given = labels(&[
        ("severity", "info"),
        ("grade", "gold"),
        ("shop", "7"),
        ("pod", "p"),
    ]);
    assert_eq!(rules.severity(&given), Severity::Critical);
    assert_eq!(rules.subject(&given).as_deref(), Some("7"));
    assert!(rules.is_heartbeat("pulse") && !rules.is_heartbeat("Watchdog"));
    assert!(!rules.is_ignored("InfoInhibitor"));
    assert_eq!(rules.silence(9, None), Duration::from_secs(90));
    assert_eq!((rules.crowd.of_a_name, rules.crowd.of_all), (2, 30));
}

#[test]
fn mistakes_are_named() {
    for (text, words) in [
        ("tickets = 0", "at least 1"),
        ("heartbeat_within = '0s'", "at least 1s"),
        ("severty = {}", "unknown field `severty`"),
        ("[severity]\nx = 'bad'", "unknown variant `bad`"),
    ] {
        let why = rules(text).unwrap_err();
        assert!(why.contains(words), "{text}: {why}");
    }
}

#[test]
fn a_heartbeat_is_waited_for_as_long_as_it_has_shown_to_take() {
    let rules = AlertRules::default();
    let minutes = |n: u64| Duration::from_secs(n * 60);
    assert_eq!(rules.silence(1, None), REPEAT);
    assert_eq!(rules.silence(3, Some(minutes(1))), REPEAT);
    assert_eq!(rules.silence(4, Some(minutes(5))), minutes(11));
    // What was an outage is no pace.
    assert!(rules.silence(9, Some(minutes(60 * 24))) <= REPEAT * 2);
}
