//! Whether Prometheus sees an alert that others told of. Pure.
//!
//! Not to be seen is the end of an alert only where Prometheus would see it: a rule of that name is
//! well and was evaluated, the alert is not another Prometheus' own, and none of those that the rule
//! sees could be it under labels that were changed on the way (`alert_relabel_configs`).

use crate::cluster::prometheus::{AlertRule, Labels};
use jiff::Timestamp;
use std::time::Duration;

/// Seconds after which a rule that was not evaluated says nothing, or so many intervals of its
/// group. A Prometheus that runs for less has not scraped and evaluated everything yet.
const EVALUATED: f64 = 15.0;
const INTERVALS: f64 = 3.0;
/// What is not seen for longer than this is gone, whatever its rule waits for.
const LONGEST: f64 = 3600.0;

/// Labels that say what kind of alert it is, and not which one.
const KIND: [&str; 4] = ["alertname", "severity", "level", "priority"];

/// What Prometheus says of its rules.
#[derive(Debug, Clone)]
pub struct RuleState {
    pub rules: Vec<AlertRule>,
    /// When it began. None: it does not say.
    pub started: Option<Timestamp>,
    /// Labels that it adds to what it tells. Empty: none, or it does not say.
    pub external: Labels,
    pub at: Timestamp,
}

/// Why there is no such state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRules {
    /// Nobody answered, or not well.
    Away(String),
    /// What answers knows no rules, and never will.
    Unsupported(String),
}

/// One alert, as Prometheus is asked for it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub labels: &'a Labels,
    /// Prometheus was once seen to see it under these labels.
    pub matched: bool,
    /// Its sender says that it has ended.
    pub over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Yes,
    /// It is not there, and would be. `hold`: how long that must be so to be its end where nobody
    /// tells it.
    No {
        evaluated: Timestamp,
        hold: Duration,
    },
    /// Nothing can be said. Why, as it goes on after "but".
    Unknown(String),
    /// It is none of this Prometheus' alerts, or Prometheus cannot be asked for it. Why, as a
    /// sentence of its own.
    NotAsked(String),
}

/// `others`: labels of all that is known to fire.
pub fn seen(wanted: Wanted<'_>, state: &Result<RuleState, NoRules>, others: &[&Labels]) -> Seen {
    let state = match state {
        Ok(state) => state,
        Err(NoRules::Away(why)) => {
            return Seen::Unknown(format!("Prometheus cannot be asked: {why}"));
        }
        Err(NoRules::Unsupported(why)) => {
            return Seen::NotAsked(format!("its rule could not be asked for: {why}"));
        }
    };
    let label = alertname(wanted);
    let named: Vec<&AlertRule> = state.rules.iter().filter(|r| r.name == label).collect();
    if named.is_empty() {
        return Seen::NotAsked(
            "its rule could not be asked for: Prometheus has none of that name".into(),
        );
    }
    let foreign = state.external.iter().find_map(|(name, ours)| {
        let theirs = wanted.labels.get(name).filter(|theirs| *theirs != ours)?;
        Some(format!(
            "its rule could not be asked for: it is of {name} {theirs:?}, and this Prometheus of {ours:?}"
        ))
    });
    // Rules of one name differ in the labels that they give; of relabelled ones all may be it.
    let own: Vec<&AlertRule> = named
        .iter()
        .copied()
        .filter(|rule| agrees(&fixed(&rule.labels), wanted.labels))
        .collect();
    let rules = if own.is_empty() { &named } else { &own };
    let active: Vec<&Labels> = rules.iter().flat_map(|rule| &rule.active).collect();
    if active.iter().any(|a| is_it(a, wanted.labels)) {
        return Seen::Yes;
    }
    if let Some(why) = foreign {
        return Seen::NotAsked(why);
    }
    let limit = |rule: &AlertRule| EVALUATED.max(rule.interval * INTERVALS);
    if let Some(started) = state.started {
        let runs = state.at.duration_since(started).as_secs_f64();
        if rules.iter().any(|rule| runs < limit(rule)) {
            return Seen::Unknown("Prometheus has only just been started".into());
        }
    }
    let age = |at: Timestamp| state.at.duration_since(at).as_secs_f64();
    let stale =
        |rule: &&AlertRule| !rule.healthy || rule.evaluated.is_none_or(|at| age(at) > limit(rule));
    if rules.iter().any(stale) {
        return Seen::Unknown("Prometheus does not evaluate the rule".into());
    }
    let relabelled = own.is_empty() && !active.is_empty();
    if relabelled || active.iter().any(|a| could_be_it(a, wanted, others)) {
        return Seen::Unknown(
            "Prometheus sees one of this rule that may be it under other labels".into(),
        );
    }
    let hold = rules
        .iter()
        .map(|rule| limit(rule).max(rule.waits).max(rule.keeps).min(LONGEST))
        .fold(0.0, f64::max);
    // The oldest: what came after it, not all of them have seen.
    let evaluated = rules.iter().filter_map(|rule| rule.evaluated).min();
    Seen::No {
        evaluated: evaluated.unwrap_or(Timestamp::MIN),
        hold: Duration::try_from_secs_f64(hold).unwrap_or_default(),
    }
}

/// The name as it came, which the rule has too.
fn alertname(wanted: Wanted<'_>) -> &str {
    wanted
        .labels
        .get("alertname")
        .map_or(wanted.name, String::as_str)
}

/// Labels of a rule that are the same for all its alerts.
fn fixed(labels: &Labels) -> Labels {
    let fixed = labels.iter().filter(|(_, value)| !value.contains("{{"));
    fixed.map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Whether they agree in every label that both have.
fn agrees(a: &Labels, b: &Labels) -> bool {
    a.iter()
        .all(|(k, v)| b.get(k).is_none_or(|other| other == v))
}

/// Whether what Prometheus sees is what its sender tells of. On the way labels may be added
/// (external ones) and left out.
fn is_it(active: &Labels, told: &Labels) -> bool {
    let told_apart = |k: &&String| !KIND.contains(&k.as_str());
    agrees(active, told)
        && (active.keys().all(|k| told.contains_key(k))
            || active
                .keys()
                .filter(told_apart)
                .any(|k| told.contains_key(k))
            || !told.keys().any(|k| told_apart(&k)))
}

/// Whether what Prometheus sees may be what its sender tells of, with labels that were changed on
/// the way.
fn could_be_it(active: &Labels, wanted: Wanted<'_>, others: &[&Labels]) -> bool {
    if wanted.matched {
        // It came unchanged before.
        return false;
    }
    if others
        .iter()
        .any(|other| *other != wanted.labels && is_it(active, other))
    {
        return false;
    }
    if !wanted.over {
        return true;
    }
    // Its sender says that it ended, and here is another one that has all the same labels with other
    // values: that is another one, unless the values are two ways to write the same.
    let same_shape = active.keys().all(|k| wanted.labels.contains_key(k));
    let mut changed = active.iter().filter_map(|(k, v)| {
        let told = wanted.labels.get(k)?;
        (told != v).then_some((told, v))
    });
    !same_shape || changed.all(|(a, b)| alike(a, b))
}

/// `db-1` and `db-1:9100`, but not `db-1` and `db-10`.
fn alike(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let edge =
        |rest: &str, c: Option<char>| rest.is_empty() || c.is_none_or(|c| !c.is_alphanumeric());
    !short.is_empty()
        && (long
            .strip_prefix(&*short)
            .is_some_and(|rest| edge(rest, rest.chars().next()))
            || long
                .strip_suffix(&*short)
                .is_some_and(|rest| edge(rest, rest.chars().next_back())))
}
