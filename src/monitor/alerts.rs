//! From what others told of their alerts to what each ticket of theirs reads. Pure.
//!
//! What is told firing is violated, what is told resolved is clear; where Prometheus can be asked
//! for the rule, it has a say in both. A heartbeat is the other way round: it is violated when it is
//! no longer told.

mod crowd;
mod seen;

use super::config::AlertRules;
use crate::{cluster::ClusterSnapshot, span};
use jiff::Timestamp;
use operator_ledger::{
    ALERT_KEY, AlertDetail, AlertState, LiveTicket, Observation, Outside, Reading, Severity,
    Standing, StandingAlert, SystemId, clean::one_line,
};
pub use seen::{NoRules, RuleState, Seen, Wanted, seen};
use std::{collections::BTreeMap, collections::HashSet, time::Duration};

/// How the alerts are read.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What Prometheus says. None: there is none to ask.
    pub rules: Option<&'a Result<RuleState, NoRules>>,
    /// How long a claimed repair waits for word of its end.
    pub patience: Duration,
    pub settings: &'a AlertRules,
    /// How long this monitor has listened: before that nobody could tell it anything.
    pub listening: Duration,
}

/// What every alert reads. `live`: unresolved tickets.
pub fn evaluate(standing: &Standing, look: Look<'_>, live: &[LiveTicket]) -> Vec<Observation> {
    let others: Vec<&BTreeMap<String, String>> = standing
        .alerts
        .iter()
        .filter(|alert| alert.state == AlertState::Firing)
        .map(|alert| &alert.notice.detail.labels)
        .collect();
    let tickets: HashSet<&str> = live.iter().map(|ticket| ticket.key.as_str()).collect();
    let mut out: Vec<Observation> = standing
        .alerts
        .iter()
        .map(|alert| {
            let has_ticket = tickets.contains(alert.notice.key().as_str());
            read(alert, look, &others, has_ticket)
        })
        .collect();
    out.extend(standing.crowds.iter().map(|c| crowd::read(c, look)));
    let known: HashSet<String> = out.iter().map(|o| o.key.clone()).collect();
    for ticket in live {
        if ticket.key.starts_with(ALERT_KEY) && !known.contains(&ticket.key) {
            out.push(Observation {
                key: ticket.key.clone(),
                invariant: ticket.invariant.clone(),
                subject: ticket.subject.clone(),
                subject_name: None,
                extent: None,
                reading: Reading::Unknown,
                message: "nothing more was told of this alert".into(),
                severity: Severity::Warning,
                grace: Duration::ZERO,
                hold: Duration::ZERO,
                outside: None,
            });
        }
    }
    out
}

/// Says of alerts whether their labels name the system that is watched: its id, or an address in it.
pub fn belong(observations: &mut [Observation], system: &SystemId, snapshot: &ClusterSnapshot) {
    let bare = |address: &str| {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        rest.trim_end_matches('/').to_owned()
    };
    let stores = snapshot.stores.value.iter().flatten();
    let members = snapshot.pd.value.iter().flatten();
    let names: HashSet<String> = stores
        .flat_map(|s| [Some(&s.address), s.status_address.as_ref()])
        .flatten()
        .map(|a| bare(a))
        .chain(members.map(|m| bare(&m.address)))
        .chain([system.to_string()])
        .collect();
    for outside in observations.iter_mut().filter_map(|o| o.outside.as_mut()) {
        outside.of_system = outside.detail.labels.values().any(|v| names.contains(v));
    }
}

/// What one alert reads.
struct Read {
    reading: Reading,
    message: String,
    hold: Duration,
    /// Prometheus sees it.
    matched: bool,
}

impl Read {
    fn new(reading: Reading, message: String) -> Self {
        Self {
            reading,
            message,
            hold: Duration::ZERO,
            matched: false,
        }
    }
}

fn read(
    alert: &StandingAlert,
    look: Look<'_>,
    others: &[&BTreeMap<String, String>],
    has_ticket: bool,
) -> Observation {
    let notice = &alert.notice;
    let read = if notice.heartbeat {
        heartbeat(alert, look)
    } else {
        match alert.state {
            AlertState::Firing => firing(alert, look, others, has_ticket),
            AlertState::Resolved | AlertState::Unseen | AlertState::Overtaken => {
                over(alert, look, others)
            }
        }
    };
    let about = look.settings.subject(&notice.detail.labels);
    Observation {
        key: notice.key(),
        invariant: notice.name.clone(),
        subject: about.map(|about| one_line(&about)),
        subject_name: None,
        extent: None,
        reading: read.reading,
        message: read.message,
        severity: if notice.heartbeat {
            // What it says of itself is how bad it is that it fires.
            Severity::Critical
        } else {
            notice.severity
        },
        grace: Duration::ZERO,
        hold: read.hold,
        outside: Some(Outside {
            batch: notice.group_key.clone(),
            context: notice.context.clone(),
            since: if notice.heartbeat {
                alert.last_at.unwrap_or(notice.starts_at)
            } else {
                notice.starts_at
            },
            patience: look.patience,
            last_word: alert.last_at,
            detail: notice.detail.clone(),
            unseen: alert.state == AlertState::Firing && !notice.heartbeat,
            matched: read.matched && !alert.matched,
            of_system: false,
        }),
    }
}

/// It is well as long as it is told.
fn heartbeat(alert: &StandingAlert, look: Look<'_>) -> Read {
    let notice = &alert.notice;
    let what = "alerts may no longer reach this monitor";
    if alert.state != AlertState::Firing {
        let text = format!(
            "{} stopped: {}. It fires while all is well, so {what}",
            notice.name,
            told_over(alert)
        );
        return Read::new(Reading::Violated, text);
    }
    let within = look.settings.silence(alert.words, alert.longest_silence);
    let silent = alert.silent_for.min(look.listening);
    if silent > within {
        let text = format!(
            "{} has not been told for {}, and should be within {}: {what}",
            notice.name,
            span::short(alert.silent_for),
            span::short(within)
        );
        return Read::new(Reading::Violated, text);
    }
    let text = format!(
        "{} is told, {} ago for the last time",
        notice.name,
        span::short(alert.silent_for)
    );
    Read::new(Reading::Clear, text)
}

/// What asking Prometheus for an alert says.
fn ask(
    alert: &StandingAlert,
    look: Look<'_>,
    others: &[&BTreeMap<String, String>],
) -> Option<Seen> {
    let wanted = Wanted {
        name: &alert.notice.name,
        labels: &alert.notice.detail.labels,
        matched: alert.matched,
        over: alert.state == AlertState::Resolved,
    };
    look.rules.map(|state| seen(wanted, state, others))
}

/// Its sender's word stands, unless Prometheus has looked since and does not see it; and even then
/// its sender must not have said it again after that.
fn firing(
    alert: &StandingAlert,
    look: Look<'_>,
    others: &[&BTreeMap<String, String>],
    has_ticket: bool,
) -> Read {
    let told = || Read::new(Reading::Violated, alert.notice.summary.clone());
    match ask(alert, look, others) {
        Some(Seen::Yes) => Read {
            matched: true,
            ..told()
        },
        Some(Seen::No { evaluated, hold })
            if has_ticket
                && (alert.matched || !alert.contested)
                && alert.last_at.is_none_or(|at| evaluated > at) =>
        {
            Read {
                hold,
                ..Read::new(
                    Reading::Clear,
                    format!(
                        "Prometheus evaluates the rule and does not see it any more; {} has not said that it ended",
                        sender(&alert.notice.detail)
                    ),
                )
            }
        }
        _ => told(),
    }
}

fn over(alert: &StandingAlert, look: Look<'_>, others: &[&BTreeMap<String, String>]) -> Read {
    let told = told_over(alert);
    let asked_before = |state: &RuleState| alert.last_at.is_some_and(|at| state.at < at);
    if let Some(Ok(state)) = look.rules
        && asked_before(state)
    {
        let text = format!("{told}, but Prometheus has not been asked since");
        return Read::new(Reading::Unknown, text);
    }
    match ask(alert, look, others) {
        None => Read::new(Reading::Clear, told),
        Some(Seen::NotAsked(why)) => Read::new(Reading::Clear, format!("{told}; {why}")),
        Some(Seen::Unknown(why)) => Read::new(Reading::Unknown, format!("{told}, but {why}")),
        Some(Seen::Yes) => Read::new(
            Reading::Violated,
            format!(
                "{}; {told}, but Prometheus still sees it",
                alert.notice.summary
            ),
        ),
        Some(Seen::No { .. }) => Read::new(
            Reading::Clear,
            format!("{told}, and Prometheus does not see it any more"),
        ),
    }
}

/// How its end is known.
fn told_over(alert: &StandingAlert) -> String {
    let sender = sender(&alert.notice.detail);
    match (alert.state, alert.notice.ends_at) {
        (AlertState::Unseen, _) => {
            format!("{sender} has not said that it ended")
        }
        (_, Some(at)) => format!("{sender} says that it ended at {at:.0}"),
        (_, None) => format!("{sender} says that it is resolved"),
    }
}

/// Who tells of an alert, as far as that can be told from its links.
fn sender(detail: &AlertDetail) -> &'static str {
    let grafana = |title: &str| matches!(title, "silence" | "panel");
    if detail.links.iter().any(|link| grafana(&link.title)) {
        "Grafana"
    } else {
        "Alertmanager"
    }
}

/// Members of crowds that Prometheus sees, and those that it does not, with the time that must be
/// so.
#[derive(Debug, Default)]
pub struct Members {
    pub seen: Vec<i64>,
    pub unseen: Vec<(i64, Duration)>,
}

/// What Prometheus says of some members of crowds.
pub fn members(
    page: &[operator_ledger::CrowdMember],
    state: &Result<RuleState, NoRules>,
) -> Members {
    let others: Vec<&BTreeMap<String, String>> = page.iter().map(|m| &m.labels).collect();
    let mut out = Members::default();
    for member in page {
        let wanted = Wanted {
            name: &member.name,
            labels: &member.labels,
            matched: member.matched,
            over: false,
        };
        match seen(wanted, state, &others) {
            Seen::Yes => out.seen.push(member.id),
            Seen::No { evaluated, hold }
                if (member.matched || !member.contested)
                    && member.last_at.is_none_or(|at: Timestamp| evaluated > at) =>
            {
                out.unseen.push((member.id, hold));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
#[path = "alerts/tests.rs"]
mod tests;
