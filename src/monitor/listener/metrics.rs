//! `/metrics`: the ledger in numbers, with the names and units that Prometheus asks for.
//!
//! Made anew for each scrape from what is stored, so that a restart loses no count.

use operator_ledger::{
    Heartbeat, IncidentState, Resolution, SessionStatus, Statistics, Status, Stored,
    event::VerifyState,
};
use prometheus::{Encoder, Gauge, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, core};
use std::time::Duration;

const RESOLUTIONS: [Resolution; 4] = [
    Resolution::Proven,
    Resolution::Cleared,
    Resolution::Human,
    Resolution::External,
];

/// All figures as text. `beat`: none if this monitor has not looked yet.
pub(super) fn text(
    figures: &Statistics,
    beat: Option<&Heartbeat>,
    register: impl FnOnce(&Registry) -> prometheus::Result<()>,
) -> prometheus::Result<String> {
    let registry = Registry::new();
    register(&registry)?;
    let gauges = |name: &str, help: &str, label: &str| -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        registry.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    };
    let counters = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(counters.clone()))?;
        Ok(counters)
    };
    let gauge = |name: &str, help: &str, value: f64| -> prometheus::Result<()> {
        let gauge = Gauge::with_opts(Opts::new(name, help))?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };

    let info = gauges(
        "operator_build_info",
        "Always 1; the version is its label.",
        "version",
    )?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);

    let incidents = gauges(
        "operator_incidents",
        "Incidents that are not over, by state; waiting ones need a person.",
        "state",
    )?;
    for state in [
        IncidentState::Open,
        IncidentState::Claimed,
        IncidentState::Verifying,
        IncidentState::Escalated,
        IncidentState::Waiting,
    ] {
        let n = figures.incidents.get(&Stored::Known(state)).copied();
        incidents
            .with_label_values(&[state.as_str()])
            .set(n.unwrap_or(0) as i64);
    }
    let ended = counters(
        "operator_incidents_ended_total",
        "Incidents that are over, by resolution; proven is what was repaired and the monitor saw.",
        &["resolution"],
    )?;
    for word in RESOLUTIONS {
        let n = figures.ended.get(&Stored::Known(word)).copied();
        ended
            .with_label_values(&[word.as_str()])
            .inc_by(n.unwrap_or(0));
    }
    let tickets = gauges(
        "operator_tickets",
        "Tickets that are not resolved, by status.",
        "status",
    )?;
    for status in [Status::Open, Status::Acknowledged, Status::Escalated] {
        let n = figures.tickets.get(&Stored::Known(status)).copied();
        tickets
            .with_label_values(&[status.as_str()])
            .set(n.unwrap_or(0) as i64);
    }
    let resolved = counters(
        "operator_tickets_resolved_total",
        "Tickets that are resolved, by resolution; proven is what an agent repaired and the monitor saw.",
        &["resolution"],
    )?;
    for word in RESOLUTIONS {
        let n = figures.resolved.get(&Stored::Known(word)).copied();
        resolved
            .with_label_values(&[word.as_str()])
            .inc_by(n.unwrap_or(0));
    }
    let claims = counters(
        "operator_claims_total",
        "Repairs that an agent claimed, by what the monitor made of them so far.",
        &["outcome"],
    )?;
    for state in [
        VerifyState::Waiting,
        VerifyState::Proven,
        VerifyState::External,
        VerifyState::Failed,
        VerifyState::Unverifiable,
        VerifyState::Withdrawn,
    ] {
        let n = figures.claims.get(&Stored::Known(state)).copied();
        claims
            .with_label_values(&[state.as_str()])
            .inc_by(n.unwrap_or(0));
    }
    let sessions = gauges(
        "operator_sessions",
        "Sessions of agents, by status.",
        "status",
    )?;
    sessions
        .with_label_values(&[SessionStatus::Running.as_str()])
        .set(0);
    for (status, n) in &figures.sessions {
        sessions
            .with_label_values(&[status.as_str()])
            .set(*n as i64);
    }
    counters(
        "operator_turns_total",
        "Turns of models in all sessions.",
        &[],
    )?
    .with_label_values::<&str>(&[])
    .inc_by(figures.turns);
    let tokens = counters(
        "operator_tokens_total",
        "Tokens of models, by kind.",
        &["kind"],
    )?;
    for (kind, n) in &figures.tokens {
        tokens.with_label_values(&[kind]).inc_by(*n);
    }
    let cost = core::GenericCounter::<core::AtomicF64>::with_opts(Opts::new(
        "operator_cost_dollars_total",
        "US dollars of all sessions whose model has a price.",
    ))?;
    cost.inc_by(figures.usd);
    registry.register(Box::new(cost))?;
    gauge(
        "operator_spent_today_dollars",
        "US dollars of this day, UTC, with what is set aside for turns under way.",
        figures.usd_today,
    )?;
    gauge(
        "operator_approvals_waiting",
        "Commands that wait for a person.",
        figures.waiting as f64,
    )?;
    gauge(
        "operator_agents",
        "Agents that wait for work or are at it.",
        figures.agents as f64,
    )?;
    gauge(
        "operator_agent_up",
        "Whether an agent waits for work or is at it.",
        f64::from(u8::from(figures.agents > 0)),
    )?;
    // None where there was none: a look that was never made has no age.
    if let Some(age) = beat.map(|b| b.age).filter(|age| *age != Duration::MAX) {
        gauge(
            "operator_monitor_look_age_seconds",
            "Time since the monitor last looked.",
            age.as_secs_f64(),
        )?;
    }
    gauge(
        "operator_monitor_sees",
        "Whether the monitor's last look saw everything it looks for.",
        f64::from(u8::from(beat.is_some_and(|b| b.ok && !b.is_silent()))),
    )?;
    let mut out = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
