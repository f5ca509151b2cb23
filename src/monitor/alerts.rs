//! From what Alertmanager told to what each of its alerts reads. Pure.
//!
//! An alert that was told resolved may only have been lost from sight: where Prometheus can be
//! asked, its word on the rule counts as well, and where it does not answer the alert is unknown.

use crate::cluster::prometheus::AlertRule;
use jiff::Timestamp;
use operator_ledger::{
    ALERT_KEY, LiveTicket, Observation, Outside, Reading, Severity, StandingAlert,
};
use std::time::Duration;

/// Seconds after which a rule that was not evaluated says nothing, or so many intervals of its
/// group. A Prometheus that runs for less has not scraped and evaluated everything yet.
const EVALUATED: f64 = 15.0;
const INTERVALS: f64 = 3.0;

/// What Prometheus says of its rules.
#[derive(Debug)]
pub struct RuleState {
    pub rules: Vec<AlertRule>,
    pub started: Timestamp,
    pub at: Timestamp,
}

/// What every alert reads. `state`: none where there is no Prometheus to ask, an error where it did
/// not answer. `live`: keys of unresolved tickets.
pub fn evaluate(
    standing: &[StandingAlert],
    state: Option<&Result<RuleState, String>>,
    patience: Duration,
    live: &[LiveTicket],
) -> Vec<Observation> {
    let mut out: Vec<Observation> = standing
        .iter()
        .map(|alert| {
            let notice = &alert.notice;
            let (reading, message) = if notice.firing {
                (Reading::Violated, notice.summary.clone())
            } else {
                resolved(alert, state)
            };
            Observation {
                key: notice.key(),
                invariant: notice.name.clone(),
                subject: subject(alert),
                subject_name: None,
                reading,
                message,
                severity: notice.severity,
                grace: Duration::ZERO,
                hold: Duration::ZERO,
                outside: Some(Outside {
                    batch: notice.group_key.clone(),
                    context: notice.context.clone(),
                    since: notice.starts_at,
                    patience,
                }),
            }
        })
        .collect();
    for ticket in live {
        if ticket.key.starts_with(ALERT_KEY) && !out.iter().any(|o| o.key == ticket.key) {
            out.push(Observation {
                key: ticket.key.clone(),
                invariant: ticket.invariant.clone(),
                subject: ticket.subject.clone(),
                subject_name: None,
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

/// Labels that name what an alert is about, the most telling first.
const SUBJECTS: [&str; 6] = ["instance", "pod", "node", "host", "service", "job"];

fn subject(alert: &StandingAlert) -> Option<String> {
    let labels = &alert.notice.labels;
    SUBJECTS.iter().find_map(|l| labels.get(*l)).cloned()
}

fn resolved(alert: &StandingAlert, state: Option<&Result<RuleState, String>>) -> (Reading, String) {
    let notice = &alert.notice;
    let told = match notice.ends_at {
        Some(at) => format!("Alertmanager says that it ended at {at}"),
        None => "Alertmanager says that it is resolved".to_owned(),
    };
    let state = match state {
        None => return (Reading::Clear, told),
        Some(Err(why)) => {
            let text = format!("{told}, but Prometheus cannot be asked: {why}");
            return (Reading::Unknown, text);
        }
        Some(Ok(state)) => state,
    };
    let mut rules = state.rules.iter().filter(|r| r.name == notice.name);
    let Some(rule) = rules.next() else {
        // It comes from somewhere else.
        return (Reading::Clear, told);
    };
    let mut all = std::iter::once(rule).chain(rules);
    let limit = |rule: &AlertRule| EVALUATED.max(rule.interval * INTERVALS);
    let runs = state.at.duration_since(state.started).as_secs_f64();
    if all.clone().any(|rule| runs < limit(rule)) {
        let text = format!("{told}, but Prometheus has only just been started");
        return (Reading::Unknown, text);
    }
    let same = |rule: &AlertRule| {
        rule.active.iter().any(|active| {
            // Alertmanager may have been sent more labels than the rule gives, never fewer.
            active.iter().all(|(k, v)| notice.labels.get(k) == Some(v))
        })
    };
    if all.clone().any(same) {
        let text = format!("{}; {told}, but Prometheus still sees it", notice.summary);
        return (Reading::Violated, text);
    }
    let stale = |rule: &AlertRule| {
        let age = rule
            .evaluated
            .map(|at| state.at.duration_since(at).as_secs_f64());
        !rule.healthy || age.is_none_or(|age| age > limit(rule))
    };
    if all.any(stale) {
        let text = format!("{told}, but Prometheus does not evaluate the rule");
        return (Reading::Unknown, text);
    }
    (
        Reading::Clear,
        format!("{told}, and Prometheus does not see it any more"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::AlertNotice;
    use std::collections::BTreeMap;

    const NOW: i64 = 1_769_767_200;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(NOW + second).unwrap()
    }

    fn labels(instance: &str) -> BTreeMap<String, String> {
        [("alertname", "StoreDown"), ("instance", instance)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    }

    fn alert(firing: bool) -> StandingAlert {
        StandingAlert {
            notice: AlertNotice {
                fingerprint: "f".into(),
                starts_at: at(-60),
                ends_at: (!firing).then(|| at(-5)),
                firing,
                name: "StoreDown".into(),
                severity: Severity::Critical,
                summary: "tikv1 is down".into(),
                group_key: "g".into(),
                labels: labels("tikv1"),
                context: "labels".into(),
            },
            last_at: Some(at(-5)),
        }
    }

    fn state(change: impl FnOnce(&mut RuleState)) -> RuleState {
        let mut state = RuleState {
            rules: vec![AlertRule {
                name: "StoreDown".into(),
                healthy: true,
                evaluated: Some(at(-3)),
                interval: 5.0,
                active: vec![labels("tikv2")],
            }],
            started: at(-3600),
            at: at(0),
        };
        change(&mut state);
        state
    }

    type Change = fn(&mut RuleState);

    fn reads(alert: &StandingAlert, state: Option<RuleState>) -> Reading {
        let (one, state) = (std::slice::from_ref(alert), state.map(Ok));
        evaluate(one, state.as_ref(), Duration::from_secs(600), &[])[0].reading
    }

    #[test]
    fn firing_is_violated_and_named_after_what_it_is_about() {
        let read = evaluate(&[alert(true)], None, Duration::ZERO, &[]);
        assert_eq!(read[0].reading, Reading::Violated);
        assert_eq!(read[0].subject.as_deref(), Some("tikv1"));
        assert_eq!(
            (read[0].key.as_str(), read[0].invariant.as_str()),
            ("alert:f", "StoreDown")
        );
    }

    #[test]
    fn resolved_is_clear_only_if_prometheus_sees_it_so_where_there_is_one() {
        let alert = alert(false);
        assert_eq!(reads(&alert, None), Reading::Clear);
        assert_eq!(reads(&alert, Some(state(|_| ()))), Reading::Clear);
        let cases: [(Change, Reading); 6] = [
            // The alert is still there.
            (
                |w| w.rules[0].active.push(labels("tikv1")),
                Reading::Violated,
            ),
            // Nobody looks.
            (|w| w.rules[0].evaluated = Some(at(-31)), Reading::Unknown),
            (|w| w.rules[0].evaluated = None, Reading::Unknown),
            (|w| w.rules[0].healthy = false, Reading::Unknown),
            (|w| w.started = at(-10), Reading::Unknown),
            // It is another system's.
            (|w| w.rules.clear(), Reading::Clear),
        ];
        for (n, (change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(reads(&alert, Some(state(change))), expected, "case {n}");
        }
        let dead: Result<RuleState, _> = Err("http://p: connection refused".to_owned());
        let one = std::slice::from_ref(&alert);
        let read = &evaluate(one, Some(&dead), Duration::ZERO, &[])[0];
        assert_eq!(read.reading, Reading::Unknown);
        assert!(
            read.message.contains("connection refused"),
            "{}",
            read.message
        );
    }

    #[test]
    fn a_ticket_whose_alert_nobody_tells_of_any_more_is_unknown() {
        let live = [("alert:gone", "X"), ("store_down:1", "store_down")];
        let live = live.map(|(key, invariant)| LiveTicket {
            key: key.into(),
            invariant: invariant.into(),
            subject: None,
        });
        let read = evaluate(&[], None, Duration::ZERO, &live);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].reading, Reading::Unknown);
    }
}
